"""Tests of service.packaging."""
