"""Tests of service.packaging.proof."""
