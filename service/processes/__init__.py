"""Gunicorn's master and workers, and the watcher of the models directory."""
