"""Bytes to tables, and predictions to bytes: one module for each format. No HTTP."""
