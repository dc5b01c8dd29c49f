"""Tests of service.codecs.tensors."""
