"""Reads the body of a request, up to a limit."""

from __future__ import annotations

import falcon

from service.http.problems import Problem

_BROKEN_OFF = "The body cannot be read to its end."


def read_body(req: falcon.Request, most: int) -> bytes:
    """
    The whole body of a request.

    Raises:
        Problem: 413 if the body is longer than `most` bytes; it stays unread if Content-Length says so. 400 if the
            body cannot be read to its end.
    """
    head, tail = read_parts(req, most, None)
    return head + tail


def read_parts(req: falcon.Request, most: int, first: int | None) -> tuple[bytes, bytes]:
    """
    The first `first` bytes of a body, and the rest. They are two objects, so the memory of both is aligned.

    Raises:
        Problem: the same as in `read_body`.
    """
    length = req.content_length
    # A chunked body has no Content-Length; a server that decodes chunks sets wsgi.input_terminated.
    if length is None and not req.env.get("wsgi.input_terminated"):
        return b"", b""
    if length is not None and length > most:
        raise _too_large(most)
    source, whole = req.env["wsgi.input"], most + 1 if length is None else length
    try:
        head = source.read(whole if first is None else min(first, whole))
        tail = source.read(whole - len(head)) if len(head) < whole else b""
    except Exception:  # noqa: BLE001 (servers have errors of their own for broken chunks)
        raise Problem(400, _BROKEN_OFF) from None
    found = len(head) + len(tail)
    if length is not None and found < length:
        raise Problem(400, _BROKEN_OFF)
    if found > most:
        raise _too_large(most)
    return head, tail


def _too_large(most: int) -> Problem:
    return Problem(413, f"The body must not be longer than {most} bytes.")
