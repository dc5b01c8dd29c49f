"""/openapi.json, the description of the API, and /docs, a browser for it: Swagger UI, from this host alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import falcon
import msgspec

from service.http.problems import Problem
from service.repository.repository import Entry, ModelRepository
from service.resources.static import DIRECTORY, StaticFile
from service.settings import Settings

_PACKAGE = "drf_spectacular_sidecar"
"""The package that holds Swagger UI as plain files. It is never imported, since it would import Django."""

_SWAGGER_UI = Path("static", _PACKAGE, "swagger-ui-dist")
_OWN = DIRECTORY / "docs"
_PAGE = "index.html"
_FILES = {_PAGE: _OWN, "docs.css": _OWN, "docs.js": _OWN, "swagger-ui.css": None, "swagger-ui-bundle.js": None}
"""The directory of each file; None if the package has the file."""

OPEN_PATHS = frozenset({"/docs", *(f"/docs/{name}" for name in _FILES)})
"""These files need no key: they contain nothing about models, and the page asks its user for a key."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets styles inline, and has images in its style sheet."""


class OpenAPI:
    """GET /openapi.json: the document. It is built again after the models have changed."""

    def __init__(self, routes: Mapping[str, object], repository: ModelRepository, settings: Settings) -> None:
        self._parts = routes, repository, settings
        self._repository = repository
        self._described: Mapping[str, Entry] | None = None
        self._body = b""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the document."""
        resp.data = self.body()

    on_head = on_get

    def body(self) -> bytes:
        """The document of the models that serve now."""
        entries = self._repository.entries
        if entries is not self._described:
            from service.http.openapi.document import Document  # imported late: most services never need it

            self._body = msgspec.json.encode(Document(*self._parts).build())
            self._described = entries
        return self._body


class Browser:
    """GET /docs and GET /docs/{name}: the page, and the files that it loads."""

    def __init__(self) -> None:
        self._read = lru_cache(StaticFile.read)

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str = _PAGE) -> None:
        """Send a file."""
        self._read(_path(name)).send(req, resp)
        resp.set_header("Content-Security-Policy", _POLICY)

    on_head = on_get


def _path(name: str) -> Path:
    """The path of a file. A name must be in `_FILES` before it is joined to a path, so no other file can be read."""
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise Problem(404, "The API browser is not installed: requirements-docs.txt has it. See /openapi.json.")
    if name not in _FILES:
        raise falcon.HTTPNotFound
    return (_FILES[name] or Path(package.origin).parent / _SWAGGER_UI) / name
