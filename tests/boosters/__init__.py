"""Boosters: run in .venv-boosters by tests/test_boosters.py."""
