"""Tests that start the real servers."""
