"""Errors of packaging."""

from __future__ import annotations

READING_SECONDS = 120.0
"""A child process reads a file of unknown origin first. It is ended after this time."""


class PackagingError(Exception):
    """The model cannot be packaged; the message says why and what to do."""
