"""/docs in Chromium: it shows the API, really predicts, and asks no other host for anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from playwright.sync_api import Browser, Locator, Page

from service.app import create_app, open_repository
from service.http.keys import new_key
from service.settings import Settings
from tests.serving.conftest import Gunicorn
from tests.support import odd_models
from tests.support.nginx import Nginx

_WATCH = "addEventListener('securitypolicyviolation', (e) => console.error('violation of', e.effectiveDirective))"


class Docs:
    """The page /docs in a tab, with all complaints and all requests of the browser."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self.hosts: set[str] = set()
        self._host = urlsplit(url).netloc
        page.add_init_script(_WATCH)
        page.on("console", lambda message: self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.goto(f"{url}/docs")

    def tags(self) -> list[str | None]:
        """The headings above the operations."""
        headings = self.page.locator(".opblock-tag")
        headings.first.wait_for()
        return [each.get_attribute("data-tag") for each in headings.all()]

    def open(self, tag: str, method: str, path: str) -> Locator:
        """Unfold an operation."""
        section = self.page.locator(f'.opblock-tag-section:has(.opblock-tag[data-tag="{tag}"])')
        section.wait_for()
        if "is-open" not in str(section.get_attribute("class")):
            section.locator(".opblock-tag").click()
        operation = section.locator(f'.opblock-{method}:has([data-path="{path}"])')
        operation.locator(".opblock-summary-control").click()
        return operation

    @staticmethod
    def execute(operation: Locator) -> tuple[int, Any]:
        """Send the request of an operation without changes; return the status and the JSON of the answer."""
        operation.locator(".execute").click()
        answer = operation.locator(".live-responses-table .response").first
        status = answer.locator(".response-col_status").inner_text()
        return int(status.split()[0]), json.loads(answer.locator(".highlight-code code").first.inner_text())

    def check(self, *expected: str) -> None:
        """Check that no other host was asked, and that there were no errors except the expected ones."""
        assert self.hosts - {""} == {self._host}
        assert len(self.faults) == len(expected), self.faults
        assert all(part in fault for part, fault in zip(expected, self.faults, strict=True))


@pytest.fixture
def open_docs(chromium: Browser) -> Iterator[Callable[[str], Docs]]:
    """Opens the page of a service in a tab of its own."""
    with chromium.new_context(viewport={"width": 1200, "height": 1600}) as context:
        context.set_default_timeout(30_000)
        yield lambda url: Docs(context.new_page(), url)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts Gunicorn with environment variables; its URL."""
    servers: list[Gunicorn] = []

    def start(**environ: str) -> str:
        servers.append(Gunicorn(tmp_path / f"log{len(servers)}", {"WEB_CONCURRENCY": "1", **environ}).__enter__())
        return servers[-1].url

    yield start
    for each in servers:
        each.stop()


@pytest.mark.parametrize("through", ["gunicorn", "nginx"])
def test_it_shows_the_api_and_predicts(
    open_docs: Callable[[str], Docs], serve: Callable[..., str], through: str
) -> None:
    """The default model comes first. Its example is sent without changes, by GET and by POST."""
    url = serve()
    with Nginx(int(url.rpartition(":")[2])) if through == "nginx" else nullcontext() as proxy:
        _predict(open_docs(url if proxy is None else f"http://127.0.0.1:{proxy.port}"))


def _predict(docs: Docs) -> None:
    assert docs.tags() == ["iris", "diabetes", "penguins", "service"]

    status, answer = docs.execute(docs.open("iris", "post", "/prediction"))
    assert (status, answer["predictions"], answer["model"]) == (200, ["Virginica", "Virginica"], "iris")
    status, answer = docs.execute(docs.open("iris", "get", "/prediction"))
    assert (status, answer["prediction"]) == (200, "Virginica")
    docs.check()
    docs.page.close()


def test_it_shows_why_a_request_is_refused(open_docs: Callable[[str], Docs], serve: Callable[..., str]) -> None:
    """The service's own sentence is shown below the request."""
    docs = open_docs(serve())
    operation = docs.open("penguins", "post", "/v1/models/penguins:predict")
    body = {"instances": [["Mars", 39.1, 18.7, 181, 3750, "male"]]}
    operation.locator("textarea.body-param__text").fill(json.dumps(body))

    status, answer = docs.execute(operation)
    assert (status, answer["pointer"]) == (422, "/instances/0/0")
    assert answer["detail"].startswith("island must be one of")
    docs.check("status of 422")


def test_odd_models_are_shown_and_predict(
    open_docs: Callable[[str], Docs], serve: Callable[..., str], tmp_path: Path
) -> None:
    """Names that are no identifiers, missing values, categories that are numbers: by rows, by query and by tensors."""
    odd_models.make(tmp_path / "models", "names", "mixed")
    docs = open_docs(serve(MODELS_DIR=str(tmp_path / "models"), DEFAULT_MODEL="names"))

    for tag, method, path in (
        ("names", "post", "/v1/models/names:predict"),
        ("names", "get", "/prediction"),
        ("names", "post", "/invocations"),
        ("mixed", "post", "/v1/models/mixed:predict"),
        ("mixed", "post", "/v2/models/mixed/infer"),
    ):
        assert docs.execute(docs.open(tag, method, path))[0] == 200
    docs.check()


def test_with_keys_it_asks_for_one_and_sends_it(
    open_docs: Callable[[str], Docs], serve: Callable[..., str], tmp_path: Path
) -> None:
    """A wrong key gets the service's error. The right key goes with each request, and is not stored."""
    key, line = new_key("ada")
    (tmp_path / "keys").write_text(line)
    docs = open_docs(serve(API_KEYS_FILE=str(tmp_path / "keys")))
    field, button = docs.page.get_by_label("API key"), docs.page.get_by_role("button", name="Show the API")
    field.fill("wrong")
    button.click()
    docs.page.get_by_role("alert").get_by_text("This API key is not known").wait_for()
    field.fill(key)
    button.click()

    assert docs.tags()[0] == "iris"
    assert docs.execute(docs.open("iris", "post", "/prediction"))[0] == 200
    assert not field.is_visible()
    assert docs.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    docs.check("status of 401", "status of 401")


def test_it_works_behind_a_path_prefix(open_docs: Callable[[str], Docs], iris_dir: Path) -> None:
    """A proxy may serve the service below a path prefix of which the service does not know."""
    settings = Settings(models_dir=iris_dir)
    app = create_app(settings, open_repository(settings))

    def prefixed(environ: dict[str, Any], start_response: Any) -> Any:
        assert environ["PATH_INFO"].startswith("/ml/models/")
        return app({**environ, "PATH_INFO": environ["PATH_INFO"].removeprefix("/ml/models")}, start_response)

    class Silent(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with make_server("127.0.0.1", 0, prefixed, handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            docs = open_docs(f"http://127.0.0.1:{server.server_port}/ml/models")
            assert docs.execute(docs.open("iris", "post", "/prediction"))[0] == 200
            docs.check()
        finally:
            server.shutdown()
            thread.join()


def test_it_has_the_colours_that_the_user_prefers(open_docs: Callable[[str], Docs], serve: Callable[..., str]) -> None:
    """It follows a change at once."""
    docs = open_docs(serve())
    docs.tags()
    page = docs.page
    seen = []
    for scheme, colours in (("light", ""), ("dark", "dark-mode"), ("light", "")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.wait_for_function("wanted => document.documentElement.className === wanted", arg=colours)
        seen.append(page.evaluate("getComputedStyle(document.querySelector('.swagger-ui')).backgroundColor"))

    assert seen == ["rgba(0, 0, 0, 0)", "rgb(28, 32, 34)", "rgba(0, 0, 0, 0)"]
    docs.check()
