"""Tests of service.resources."""
