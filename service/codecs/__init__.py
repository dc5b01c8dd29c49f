"""Bytes to tables and back, one module for each format. Nothing here knows HTTP."""
