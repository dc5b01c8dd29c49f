"""Errors of scoring."""

from __future__ import annotations


class ScoringError(Exception):
    """The file cannot be scored; the message says why and what to do."""
