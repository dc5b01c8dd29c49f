"""The private names of the boosters' libraries that the service uses."""

from __future__ import annotations

from service.private_names import missing


def test_the_table_names_what_is_there() -> None:
    """In the installed release of CatBoost."""
    assert missing("catboost") is None
