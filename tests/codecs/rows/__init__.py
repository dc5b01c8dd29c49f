"""Tests of service.codecs.rows."""
