"""Tests of files scored without a server."""
