"""Errors of packaging."""

from __future__ import annotations


class PackagingError(Exception):
    """The model cannot be packaged; the message says why and what to do."""
