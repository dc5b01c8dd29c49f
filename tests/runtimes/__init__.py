"""Tests of service.runtimes."""
