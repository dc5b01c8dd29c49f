"""Log records become one JSON line each, or readable lines on a terminal."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from service.monitoring import logs

logger = logging.getLogger("service")


Written = Callable[[], str]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """The text on standard error; afterwards the service's logger is as before."""
    before = logger.handlers, logger.level, logger.propagate
    yield lambda: capsys.readouterr().err
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_a_record_is_one_line(written: Written) -> None:
    """Line breaks of a message stay inside its line. The request's id and route are members."""
    logs.configure("info")
    logger.info("two\nlines of %s", "größe", extra={"request_id": "abc", "route": None, "secret": "x"})

    (line,) = written().splitlines()
    event = json.loads(line)
    assert datetime.fromisoformat(event.pop("time")).tzinfo is not None
    assert event.pop("pid") > 0
    assert event == {
        "level": "info", "logger": "service", "message": "two\nlines of größe", "request_id": "abc", "route": None,
    }  # fmt: skip


def test_a_traceback_stays_in_its_line(written: Written) -> None:
    """So a program that collects the log sees one event for each fault."""
    logs.configure("info")
    try:
        int("on purpose")
    except ValueError:
        logger.exception("request failed")

    (line,) = written().splitlines()
    assert json.loads(line)["traceback"].endswith("'on purpose'")


def raise_from_each_other(secret: str) -> None:
    try:
        int(secret)
    except ValueError as ex:
        raise RuntimeError(secret) from ex


@pytest.mark.parametrize("terminal", [False, True])
def test_an_error_of_a_request_is_logged_without_its_message(
    written: Written, monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    """The frames and the types of the error and of its cause are logged; the messages are not."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    logs.configure("info")
    secret = f"{4929}-{1234}"  # the frames show the code, and not the value
    with pytest.raises(RuntimeError) as caught:
        raise_from_each_other(secret)
    logger.error("request failed", extra={"traceback": logs.traceback(caught.value)})

    text = written()
    assert secret not in text
    assert text.count("in raise_from_each_other") == 2
    assert text.index("ValueError") < text.index("RuntimeError")


def test_a_ring_of_errors_has_an_end() -> None:
    """In Python an error can be its own cause."""
    ring = ValueError()
    ring.__cause__ = ring

    assert logs.traceback(ring).count("ValueError") == 10


def test_the_level_is_the_least_that_is_written(written: Written) -> None:
    """Loggers of modules below inherit it."""
    logs.configure("warning")
    logging.getLogger("service.x").info("not this")
    logging.getLogger("service.x").warning("this")

    assert [json.loads(line)["message"] for line in written().splitlines()] == ["this"]


def test_to_configure_twice_is_to_write_once(written: Written) -> None:
    """A reload of Gunicorn's configuration configures the logger again."""
    logs.configure("info")
    logs.configure("info")
    logger.info("once")

    assert len(written().splitlines()) == 1


def test_a_person_gets_readable_lines(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """If standard error is a terminal."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    logs.configure("info")
    logger.info("iris/1 serves")

    assert written().endswith(" INFO    iris/1 serves\n")
