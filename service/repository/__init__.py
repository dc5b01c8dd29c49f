"""The model repository: finds, verifies and loads model versions."""
