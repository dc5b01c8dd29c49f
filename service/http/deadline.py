"""Deadlines that clients set: X-Request-Timeout-Ms, counted from the arrival of the request."""

from __future__ import annotations

import re
import time

import falcon

from service.http.context import EXCHANGE
from service.http.problems import Problem

FIRST_BYTE = "service.first_byte"
"""The key in the WSGI environment of the moment when the first byte came, in seconds since the epoch."""

_MILLISECONDS = re.compile(r"[0-9]{1,9}")
_SECONDS = re.compile(r"t=([0-9]{1,10}\.[0-9]{3})")


def check_deadline(req: falcon.Request) -> None:
    """
    Refuse a request whose deadline is past. This is checked once, before the prediction starts.

    Raises:
        Problem: 504 if the deadline is past; 400 if the header is no whole number.
    """
    given = req.env.get("HTTP_X_REQUEST_TIMEOUT_MS")
    if given is None:
        return
    if not _MILLISECONDS.fullmatch(given):
        raise Problem(400, "X-Request-Timeout-Ms must be a whole number of milliseconds.")
    if _waited(req) >= int(given) / 1000:
        raise Problem(504, f"The request waited longer than the {given} ms that X-Request-Timeout-Ms gives it.")


def _waited(req: falcon.Request) -> float:
    """Seconds since nginx read the head of the request; without nginx, since the worker read its first byte."""
    found = _SECONDS.fullmatch(req.env.get("HTTP_X_REQUEST_START", ""))
    arrival = float(found[1]) if found else req.env.get(FIRST_BYTE)
    return time.time() - arrival if arrival else time.perf_counter() - req.env[EXCHANGE].started
