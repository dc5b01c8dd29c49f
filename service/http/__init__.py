"""Steps that surround every request: its id, keys, validation, errors and measurement."""
