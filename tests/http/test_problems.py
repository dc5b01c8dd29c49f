"""One shape for every error."""

from __future__ import annotations

import gc
import io
import json
import logging
import weakref
from pathlib import Path
from typing import Any

import falcon
import falcon.testing
import pytest
from falcon.testing import StartResponseMock, create_environ

from service.app import create_app, open_repository
from service.errors import InvalidInput, ServiceError
from service.http.problems import STATUS
from service.settings import Settings
from tests.support.app import assert_problem, make_client


@pytest.mark.parametrize("accept", ["*/*", "text/html", "image/png", "application/xml"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/prediction", 405), ("POST", "/prediction", 400), ("GET", "/v1/models/x", 404)],
)
def test_every_error_is_json(iris: falcon.testing.TestClient, method: str, path: str, status: int, accept: str) -> None:
    """For any `Accept` of the client."""
    assert_problem(iris.simulate_request(method, path, headers={"Accept": accept}), status)


@pytest.mark.parametrize("path", ["/v1", "/v1/x", "/v2", "/v2/health/nothing"])
def test_below_the_protocols_errors_are_plain_json(iris: falcon.testing.TestClient, path: str) -> None:
    """The official clients read `error` from exactly application/json."""
    assert iris.simulate_get(path).headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v1x", "/v20/x", "/prediction/", "/nothing"])
def test_elsewhere_errors_are_problem_documents(iris: falcon.testing.TestClient, path: str) -> None:
    """RFC 9457."""
    assert iris.simulate_get(path).headers["content-type"] == "application/problem+json"


def test_a_wrong_method_is_told_the_right_ones(iris: falcon.testing.TestClient) -> None:
    """In the header Allow and in the sentence."""
    result = iris.simulate_delete("/healthz")

    assert assert_problem(result, 405)["detail"] == "This path takes GET, HEAD, OPTIONS."
    assert result.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", ["/v1/models/iris:explain", "/v1/models/iris/versions/1:classify", "/v1/models/x:"])
def test_an_unknown_verb_is_404_and_the_error_names_the_verbs(
    iris: falcon.testing.TestClient, method: str, path: str
) -> None:
    """405, or a list of the models, would be wrong: the verb is no part of a name."""
    result = iris.simulate_request(method, path, body=b"{}")

    assert assert_problem(result, 404)["detail"] == "There is no such verb; there is :predict."
    assert "allow" not in result.headers


def test_a_known_verb_with_another_method_is_405(iris: falcon.testing.TestClient) -> None:
    """A verb takes POST."""
    assert_problem(iris.simulate_get("/v1/models/iris:predict"), 405)


def test_where_there_are_no_verbs_a_colon_is_an_unknown_path(iris: falcon.testing.TestClient) -> None:
    """The Open Inference Protocol has no verbs."""
    result = iris.simulate_get("/v2/models/iris:predict")

    assert assert_problem(result, 404)["detail"] == "There is nothing at this path."


def test_an_unknown_model_with_a_known_verb_is_told_the_models(iris: falcon.testing.TestClient) -> None:
    """The verb is right, the name is wrong."""
    result = iris.simulate_post("/v1/models/irsi:predict", body=b"{}")

    assert assert_problem(result, 404)["detail"] == "There is no such model; there is iris."


def test_the_error_names_the_verbs_of_extensions(iris_dir: Path) -> None:
    """Routes that are added later count, too."""

    class Explain:
        def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None: ...

    settings = Settings(models_dir=iris_dir)
    app = create_app(settings, open_repository(settings))
    app.add_route("/v1/models/{name}:explain", Explain())
    result = falcon.testing.TestClient(app).simulate_get("/v1/models/iris:classify")

    assert assert_problem(result, 404)["detail"] == "There is no such verb; there are :predict, :explain."


def test_a_fault_of_ours_is_500_and_tells_nothing(iris_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets the request id. The log has the id and the frames, but not the message."""

    class Broken:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            raise RuntimeError("secret " + str(iris_dir))

    settings = Settings(models_dir=iris_dir)
    app = create_app(settings, open_repository(settings))
    app.add_route("/broken", Broken())
    with caplog.at_level(logging.ERROR):
        result = falcon.testing.TestClient(app).simulate_get("/broken", headers={"X-Request-ID": "abc"})

    assert_problem(result, 500)
    assert "secret" not in result.text
    assert "RuntimeError" not in result.text
    record: Any = caplog.records[-1]
    assert (record.request_id, record.route) == ("abc", "/broken")
    assert record.traceback.endswith("RuntimeError")
    assert str(iris_dir) not in record.traceback


class Stream(io.BytesIO):
    """A body that can have weak references."""


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status"),
    [
        ("/prediction", "application/json", b"[", 400),
        ("/prediction", "application/json", b'{"instances":[[1,2,3,"x"]]}', 422),
        ("/prediction", "application/json", b'{"instances":[%b[1,2,3,4]]}' % (b"[1,2,3,4]," * 10), 413),
        ("/prediction", "text/plain", b"", 415),
        ("/v2/models/iris/infer", "application/json", b"{}", 400),
        ("/v2/models/iris/infer", "application/json", b'{"inputs":[]}', 422),
        ("/invocations", "text/csv", b'"', 400),
        ("/invocations", "text/csv", b"1,2,3,x", 422),
        ("/invocations", "text/csv", b"1,2,3,4\n" * 11, 413),
        ("/invocations", "application/jsonlines", b"[1,2,3,4]\n[1]", 422),
        ("/invocations", "application/json", b'{"dataframe_split":{"columns":[]}}', 422),
        ("/invocations", "application/json", b'{"inputs":{"x":[1]}}', 422),
    ],
)
def test_what_is_refused_is_let_go_at_once(
    iris_dir: Path, path: str, content_type: str, body: bytes, status: int
) -> None:
    """No reference cycle keeps a body in memory until the garbage collector runs."""
    client = make_client(Settings(models_dir=iris_dir, max_rows=10))
    stream = Stream(body)
    environ = create_environ(path, method="POST", headers={"Content-Type": content_type})
    environ |= {"wsgi.input": stream, "CONTENT_LENGTH": str(len(body))}
    kept, started = weakref.ref(stream), StartResponseMock()
    gc.disable()
    try:
        answer: Any = client.app(environ, started)
        b"".join(answer)
        answer.close()
        del environ, stream, answer
        assert kept() is None
    finally:
        gc.enable()
    assert str(started.status).startswith(str(status))


def test_every_domain_error_has_a_status() -> None:
    """So a new error cannot be forgotten in the table."""

    def leaves(kind: type[ServiceError]) -> set[type[ServiceError]]:
        ours = [each for each in kind.__subclasses__() if each.__module__ == ServiceError.__module__]
        return {kind}.union(*map(leaves, ours))

    assert leaves(ServiceError) - {ServiceError} == set(STATUS)


def test_titles_are_the_status_phrases(iris: falcon.testing.TestClient) -> None:
    """RFC 9457, section 4.2.1, for the type about:blank."""
    problem = json.loads(iris.simulate_get("/nothing").text)

    assert (problem["type"], problem["title"]) == ("about:blank", "Not Found")


def test_a_subclass_of_an_error_has_its_status(iris_dir: Path) -> None:
    """The status of its nearest base class in the table."""

    class Stranger(InvalidInput):
        """An error that an extension may define."""

    class Refuses:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            raise Stranger("No.", "/instances")

    settings = Settings(models_dir=iris_dir)
    app = create_app(settings, open_repository(settings))
    app.add_route("/refuses", Refuses())
    assert_problem(falcon.testing.TestClient(app).simulate_get("/refuses"), 422, "/instances")
