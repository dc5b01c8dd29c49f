"""Bodies of rows: instances, data frames and CSV, and the answers to them."""
