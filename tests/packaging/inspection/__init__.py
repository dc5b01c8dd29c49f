"""Tests of service.packaging.inspection."""
