"""The page at `/`, and the files below /static that it loads. They are read once and contain nothing about models."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import falcon
from falcon import mediatypes
from msgspec import Struct

from service.resources.probes import Root

DIRECTORY = Path(__file__).resolve().parent.parent / "static"
PAGE = "index.html"

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every page and file: scripts and styles come from this host only, and no frame may hold a page."""

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFile(Struct, frozen=True):
    """A file to send."""

    content: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> StaticFile:
        """The file at a path; its ETag is the hash of its content."""
        content = path.read_bytes()
        return cls(content, _MEDIA_TYPES[path.suffix], sha256(content).hexdigest()[:32])

    def send(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send the file, or 304 if the client has it. Clients ask each time, so a new release shows at once."""
        resp.set_headers(SECURITY_HEADERS)
        resp.set_header("Cache-Control", "no-cache")
        resp.etag = self.etag
        known = req.if_none_match or ()
        if "*" in known or self.etag in known:
            resp.status = falcon.HTTP_304
            return
        resp.content_type = self.media_type
        resp.data = self.content


class Page(Root):
    """GET /: the page for clients that prefer HTML to JSON, as browsers do; all others get the probe's answer."""

    def __init__(self, page: StaticFile) -> None:
        self._page = page

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.append_header("Vary", "Accept")
        if _prefers_html(req.accept):
            self._page.send(req, resp)
        else:
            super().on_get(req, resp)

    on_head = on_get


class Static:
    """GET /static/{name}: a file of the page."""

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Send the file. A name is only looked up and never joined to a path, so no other file can be read."""
        file = self._files.get(name)
        if file is None:
            raise falcon.HTTPNotFound
        file.send(req, resp)

    on_head = on_get


def read_files(directory: Path = DIRECTORY) -> dict[str, StaticFile]:
    """The files of a directory, by name."""
    return {path.name: StaticFile.read(path) for path in sorted(directory.iterdir()) if path.suffix in _MEDIA_TYPES}


def _prefers_html(accept: str) -> bool:
    """Whether the header Accept ranks HTML above JSON; False for a malformed header."""
    if "text/" not in accept:
        return False
    try:
        return mediatypes.best_match((falcon.MEDIA_JSON, falcon.MEDIA_HTML), accept) == falcon.MEDIA_HTML
    except ValueError:
        return False
