"""
API keys: the file that lists them, and the middleware that checks the key of each request (RFC 6750).

A line of the file is `name sha256:DIGEST [expiry]`. It holds the digest of a random key instead of the key. The expiry
is an ISO 8601 date, the last day (UTC) on which the key is accepted, or an ISO 8601 date and time.
"""

from __future__ import annotations

import logging
import mmap
import re
import secrets
import time
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import falcon
from msgspec import Struct

from service.http.context import Request
from service.http.problems import Problem
from service.repository.directory import fingerprint
from service.settings import Settings, SettingsError

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/ping", "/metrics", "/v2/health/live", "/v2/health/ready"})
"""Probes and scrapers send no key."""

OPEN_PREFIX = "/static/"
"""The page's own files: a browser loads them before a key can be typed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_MISSING = "An API key is needed: send it as Authorization: Bearer KEY, or as X-API-Key: KEY."
_UNKNOWN = "This API key is not known, or it has expired."

_log = logging.getLogger(__name__)


class KeyFileError(Exception):
    """A file of API keys cannot be used. The message gives the reason. It quotes no key, because it goes to the log."""


class Key(Struct, frozen=True):
    """
    An API key. The service knows only its digest.

    Attributes:
        name: whose key it is, for logs and metrics.
        digest: the SHA-256 of the key, 32 bytes.
        expires: the key is refused from this time on, in seconds since the epoch; infinite if it never expires.
    """

    name: str
    digest: bytes
    expires: float


def new_key(name: str, expiry: str | None = None) -> tuple[str, str]:
    """
    A new random key of 256 bits, and the line for the file of keys.

    Raises:
        KeyFileError: the name or the expiry cannot be used, or the expiry has passed.
    """
    if not _NAME.fullmatch(name):
        raise KeyFileError(
            f"A name has up to 63 letters, digits and ._-, and begins with a letter or a digit: {name!r} does not fit"
        )
    if expiry and _expiry(expiry, "--expires") <= time.time():
        raise KeyFileError(f"--expires {expiry} has passed: give a day from today on")
    key = secrets.token_urlsafe(32)
    line = " ".join([name, f"sha256:{sha256(key.encode()).hexdigest()}", *([expiry] if expiry else [])])
    return key, line


def read_keys(path: Path) -> dict[bytes, Key]:
    """
    The keys of a file by their digests. Blank lines and lines that start with '#' are skipped.

    Raises:
        KeyFileError: the file cannot be read, a line is malformed, two keys share a name, or there is no key.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as ex:
        raise KeyFileError(f"the file cannot be read ({type(ex).__name__})") from None
    keys = list(_keys(lines))
    names = [key.name for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise KeyFileError(f"two keys have the name {name}")
    if not keys:
        raise KeyFileError("the file has no key")
    return {key.digest: key for key in keys}


def _keys(lines: list[str]) -> Iterator[Key]:
    plain = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 1:
            plain.append(number)
            yield Key(f"line-{number}", sha256(words[0].encode()).digest(), float("inf"))
        else:
            yield _parsed(words, f"line {number}")
    if plain:
        _log.warning(
            "API_KEYS_FILE holds keys as plain text, the first in line %d: `python -m service key NAME` makes digests",
            plain[0],
        )


def _parsed(words: list[str], where: str) -> Key:
    """The key that the words of one line describe."""
    found = _DIGEST.fullmatch(words[1]) if len(words) in (2, 3) else None
    if not found or not _NAME.fullmatch(words[0]):
        raise KeyFileError(f"{where} must be: name sha256:DIGEST [expiry]; a name may have letters, digits and ._-")
    return Key(words[0], bytes.fromhex(found[1]), _expiry(words[2], where) if len(words) == 3 else float("inf"))


def _expiry(text: str, where: str) -> float:
    try:
        if len(text) == len("2027-01-31"):
            moment = datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise KeyFileError(f"{where}: the expiry must be a date such as 2027-01-31, or a time in ISO 8601") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def open_paths(settings: Settings) -> frozenset[str]:
    """The paths of the API that need no key."""
    return OPEN_PATHS | {settings.aip_health_route or "/ping"}


class Authentication:
    """
    Asks each request for an API key: `Authorization: Bearer KEY` or `X-API-Key: KEY`.

    The master and its workers share a counter in memory. `reload` in the master increases the counter. For each key, a
    worker looks at the counter first, and reads the file again if it has changed. So even workers that are about to end
    refuse a revoked key.
    """

    def __init__(self, path: Path, open_paths: Collection[str] = OPEN_PATHS) -> None:
        """
        Read the keys.

        Raises:
            SettingsError: the file cannot be used.
        """
        self._path = path
        self._open_paths = open_paths
        self._fingerprint = fingerprint(path)
        self._shared = mmap.mmap(-1, 8)  # shared with every process that is forked later
        self._seen = self._shared[:]
        try:
            self._keys = read_keys(path)
        except KeyFileError as ex:
            raise SettingsError(f"API_KEYS_FILE: {ex}.") from None

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        """
        Let the request pass and note the name of its key, or answer 401.

        A preflight of CORS carries no key (Fetch, section 4.8), so OPTIONS passes.
        """
        given = _given(req)
        key = self._known(given) if given else None
        req.context.key_name = key.name if key else None
        if key or req.method == "OPTIONS" or req.path in self._open_paths or req.path.startswith(OPEN_PREFIX):
            return
        challenge = 'Bearer error="invalid_token"' if given else "Bearer"
        raise Problem(401, _UNKNOWN if given else _MISSING, headers={"WWW-Authenticate": challenge})

    def reload(self) -> None:
        """Read the file again, here and in every worker. If it cannot be used, the present keys stay valid."""
        if self._read():
            count = int.from_bytes(self._shared[:], "little") + 1
            self._shared[:] = count.to_bytes(8, "little")
            self._seen = self._shared[:]

    def _known(self, given: str) -> Key | None:
        """The key that a client sent; None if the key is unknown or has expired."""
        if self._shared[:] != self._seen:
            self._seen = self._shared[:]
            self._read()
        key = self._keys.get(sha256(given.encode()).digest())
        return key if key and time.time() < key.expires else None

    @property
    def files(self) -> list[tuple[str, object]]:
        """The path of the file and its fingerprint at the last read. The watcher compares them."""
        return [(str(self._path.absolute()), self._fingerprint)]

    def _read(self) -> bool:
        self._fingerprint = fingerprint(self._path)
        try:
            self._keys = read_keys(self._path)
        except KeyFileError as ex:
            _log.error("API_KEYS_FILE: %s; the old keys stay valid", ex)
            return False
        return True


def _given(req: Request) -> str:
    """The key in a request; empty if there is no key."""
    scheme, _, key = req.env.get("HTTP_AUTHORIZATION", "").partition(" ")
    bearer: str = key.strip() if scheme.lower() == "bearer" else ""
    api_key: str = req.env.get("HTTP_X_API_KEY", "").strip()
    return bearer or api_key
