"""Helpers that tests share: models, clients, loads and servers."""
