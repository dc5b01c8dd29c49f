"""The short way never reads a request otherwise than Gunicorn does: Gunicorn's own requests, right and wrong."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.support.heads import Differential, changed, corpus

SOURCE = Path(__file__).resolve().parent.parent.parent / ".gunicorn"
"""What `make test-all` unpacks: the source archive of the Gunicorn that is installed."""

CHANGES = 200
"""How often each request is changed."""


@pytest.mark.long
def test_both_parsers_agree_about_gunicorns_own_requests() -> None:
    """Also with a few bytes changed. Some requests take the short way, else the comparison would say nothing."""
    differential, random = Differential(), Random(1)  # noqa: S311 (to be repeated)
    requests = corpus(SOURCE)
    assert len(requests) > 200
    assert [each for each in requests if not differential.agree(each)] == []
    assert differential.accepted > 10
    altered = [changed(random, each) for each in requests for _ in range(CHANGES)]
    assert [each for each in altered if not differential.agree(each)] == []
