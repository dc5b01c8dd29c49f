"""A page of another origin asks for predictions, behind nginx, with and without a key."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.serving.conftest import Gunicorn
from tests.support.nginx import Nginx

pytestmark = pytest.mark.xdist_group("browser")  # one browser

FETCH = """async ([url, headers, length]) => {
    const rows = JSON.stringify({instances: [[5.1, 3.5, 1.4, 0.2]]});
    try {
        const answer = await fetch(url, {
            method: "POST", headers: {"Content-Type": "application/json", ...headers}, body: rows.padEnd(length),
        });
        const body = await answer.json();
        return [answer.status, body.predictions?.[0], answer.headers.get("X-Request-ID"), body.request_id];
    } catch (error) {
        return [0, error.name];
    }
}"""


class EmptyPage(BaseHTTPRequestHandler):
    """Answers with an empty page."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def origins() -> Iterator[list[str]]:
    """The origins of two pages."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) for _ in range(2)]
    for server in servers:
        Thread(target=server.serve_forever).start()
    yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def api(origins: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of nginx before a service that asks for keys; only pages of the first origin may send it requests."""
    directory = tmp_path_factory.mktemp("cross-origin")
    (directory / "keys").write_text("secret\n")
    environ = {"API_KEYS_FILE": str(directory / "keys"), "CORS_ORIGINS": origins[0]}
    with Gunicorn(Path(directory) / "log", environ) as server, Nginx(server.port, CORS_ORIGINS=origins[0]) as nginx:
        yield f"http://127.0.0.1:{nginx.port}/prediction"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of the browser."""
    page = chromium.new_page()
    yield page
    page.close()


def ask(page: Page, origin: str, url: str, headers: dict[str, str], length: int = 0) -> Any:
    """The part of an answer that a page of an origin can read."""
    page.goto(origin)
    return page.evaluate(FETCH, [url, headers, length])


@pytest.mark.parametrize("header", [{"Authorization": "Bearer secret"}, {"X-API-Key": "secret"}])
def test_a_page_fetches_a_prediction(page: Page, origins: list[str], api: str, header: dict[str, str]) -> None:
    """With a key: the browser first asks (by OPTIONS) whether it may send the header of the key."""
    status, prediction, request_id, _ = ask(page, origins[0], api, header)

    assert (status, prediction) == (200, "Setosa")
    assert request_id


def test_a_page_reads_the_errors_of_both(page: Page, origins: list[str], api: str) -> None:
    """The service's error for a missing key, nginx' error for a body that is too long, and their request ids."""
    for headers, length, expected in (({}, 0, 401), ({"X-API-Key": "secret"}, 17_000_000, 413)):
        status, _, request_id, in_body = ask(page, origins[0], api, headers, length)
        assert status == expected
        assert request_id == in_body is not None


def test_a_page_of_another_origin_reads_nothing(page: Page, origins: list[str], api: str) -> None:
    """The page cannot even learn that the key is right."""
    assert ask(page, origins[1], api, {"X-API-Key": "secret"}) == [0, "TypeError"]
