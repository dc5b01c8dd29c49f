"""Bodies of rows."""
