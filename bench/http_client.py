"""One request at a time, to check what a server answers."""

from __future__ import annotations

import http.client
from typing import Any

import msgspec

JSON = {"Content-Type": "application/json"}


class BadAnswerError(Exception):
    """A server gave a wrong answer; the message says what is wrong."""


def post(port: int, path: str, body: bytes, timeout: float = 60.0, headers: dict[str, str] = JSON) -> Any:
    """
    The JSON that is answered.

    Raises:
        BadAnswerError: the status is not 200, or there was no answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as ex:
        raise BadAnswerError(f"no answer ({type(ex).__name__})") from None
    finally:
        connection.close()
    if response.status != 200:
        raise BadAnswerError(f"{response.status} {content[:200].decode(errors='replace')}")
    return msgspec.json.decode(content)
