"""The OpenAPI document is valid and true, and each of its examples works."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import falcon
import falcon.testing
import msgspec
import pytest
from openapi_spec_validator import validate

from service.app import Service, create_app, open_repository
from service.http.keys import new_key
from service.http.openapi.document import ENDPOINTS
from service.settings import Settings
from tests.conftest import ROOT
from tests.support import odd_models
from tests.support.app import assert_problem, make_client
from tests.support.described import Described, Exchange
from tests.support.versions import copy_version, edit, replace, truncated

HIDDEN = {"/openapi.json", "/docs", "/docs/{name}", "/static/{name}", "/v2/"}


@pytest.fixture(scope="session")
def odd_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with odd models."""
    root = tmp_path_factory.mktemp("odd")
    odd_models.make(root)
    return root


@pytest.fixture(scope="module", params=["shipped", "odd"])
def client(request: pytest.FixtureRequest) -> falcon.testing.TestClient:
    """The shipped models, or the odd ones."""
    if request.param == "shipped":
        return make_client(Settings(models_dir=ROOT / "models"))
    return make_client(Settings(models_dir=request.getfixturevalue("odd_dir"), default_model="mixed"))


def near(value: Any) -> Any:
    """The same value; its numbers may differ by rounding."""
    if isinstance(value, list):
        return [near(each) for each in value]
    if isinstance(value, dict):
        return {key: near(each) for key, each in value.items()}
    return pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value


def ask(client: falcon.testing.TestClient, example: Exchange) -> falcon.testing.Result:
    """Send an example: a text without changes, all other values as JSON."""
    path, method, content = example.operation
    if example.body is None:
        return client.simulate_request(method, path, query_string=example.query)
    body = example.body if isinstance(example.body, str) else msgspec.json.encode(example.body)
    headers = {"Content-Type": example.media_type}
    if example.media_type in content["responses"].get("200", {}).get("content", {}):
        headers["Accept"] = example.media_type
    return client.simulate_request(method, path, body=body, headers=headers)


def test_the_document_is_valid(client: falcon.testing.TestClient) -> None:
    """OpenAPI 3.1, each schema of which is JSON Schema 2020-12."""
    document = Described.of(client).document

    validate(document)
    assert document["openapi"].startswith("3.1.")
    names = [each["operationId"] for item in document["paths"].values() for each in item.values()]
    assert len(names) == len(set(names))


def test_every_example_works(client: falcon.testing.TestClient) -> None:
    """It is answered as the document shows, and within the schema, down to the members of each object."""
    described = Described.of(client)
    asked = 0
    for operation in described.operations():
        for example in described.examples(operation):
            result = ask(client, example)
            described.check(operation, result)
            if "200" in operation.content["responses"]:
                assert result.status_code == 200, (operation.path, result.text)
            if example.answer is not None:
                answer = result.text if isinstance(example.answer, str) else result.json
                assert near(example.answer) == answer
                asked += 1

    assert asked > 20


def test_every_route_is_described(client: falcon.testing.TestClient) -> None:
    """By its template, or for each model that serves. The pages and their files are not part of the API."""
    app = client.app
    assert isinstance(app, Service)
    paths = Described.of(client).document["paths"]

    for template, resource in app.routes.items():
        if template not in HIDDEN:
            assert type(resource).__name__ in ENDPOINTS
            filled = re.compile(re.escape(template).replace(r"\{name\}", "[^/:]+").replace(r"\{version\}", "[0-9]+"))
            found = [path for path in paths if filled.fullmatch(path)]
            assert found, template
            described = {method for path in found for method in paths[path]}
            assert described == {method for method in ("get", "post") if hasattr(resource, f"on_{method}")}
    assert not HIDDEN & set(paths)


def test_a_new_endpoint_is_described_by_its_docstring(iris_dir: Path) -> None:
    """As long as the document has no more details about it."""

    class Echo:
        def on_put(self, req: falcon.Request, resp: falcon.Response, text: str) -> None:
            """Say it again."""

    app = create_app(Settings(models_dir=iris_dir), open_repository(Settings(models_dir=iris_dir)))
    app.add_route("/echo/{text:int}", Echo())
    document = Described.of(falcon.testing.TestClient(app)).document
    validate(document)
    operation = document["paths"]["/echo/{text}"]["put"]

    assert operation["summary"] == "Say it again."
    assert [each["name"] for each in operation["parameters"]] == ["text"]


@pytest.mark.parametrize(
    ("method", "path", "status", "request_"),
    [
        ("POST", "/prediction", 400, {"body": "{"}),
        ("POST", "/prediction", 413, {"json": {"instances": [[1, 2, 3, 4]] * 11}}),
        ("POST", "/prediction", 415, {"body": "{}", "headers": {"Content-Type": "text/csv"}}),
        ("POST", "/prediction", 422, {"json": {"instances": [[1, 2, 3, "4"]]}}),
        ("POST", "/v1/models/iris:predict", 422, {"json": {"instances": []}}),
        ("POST", "/v2/models/iris/infer", 400, {"json": {"inputs": {}}}),
        ("POST", "/v2/models/iris/infer", 415, {"body": "{}", "headers": {"Content-Encoding": "br"}}),
        ("POST", "/v2/models/iris/infer", 422, {"json": {"inputs": []}}),
        ("POST", "/invocations", 406, {"body": "{}", "headers": {"Accept": "image/png"}}),
        ("GET", "/prediction", 400, {"query_string": "a=%"}),
        ("GET", "/prediction", 422, {"query_string": "sepal_length=1"}),
        ("POST", "/v2/repository/index", 400, {"body": "["}),
        ("POST", "/v2/repository/models/{name}/load", 400, {}),
    ],
)
def test_errors_are_described(iris_dir: Path, method: str, path: str, status: int, request_: dict[str, Any]) -> None:
    """By their status, type and shape."""
    client = make_client(Settings(models_dir=iris_dir, max_rows=10))
    described = Described.of(client)
    result = client.simulate_request(method, path, **request_)

    assert_problem(result, status)
    described.check(described.operation(method, path), result)


def test_a_model_that_is_gone_is_described(root: Path) -> None:
    """404 after the model was removed, and 503 if none of its versions serves."""
    for name in ("other", "third"):
        copy_version(root / "iris" / "1", root, name, 1)
    app = create_app(Settings(models_dir=root), open_repository(Settings(models_dir=root)))
    client = falcon.testing.TestClient(app)
    described = Described.of(client)
    shutil.rmtree(root / "other")
    app.repository.refresh()

    for method, path in (("GET", "/v1/models/other"), ("POST", "/v2/models/other/infer")):
        result = client.simulate_request(method, path)
        assert_problem(result, 404)
        described.check(described.operation(method, path), result)


def test_a_model_that_does_not_serve_is_left_out(root: Path) -> None:
    """/readyz gives the reason, with a status that the document describes."""
    truncated(copy_version(root / "iris" / "1", root, "broken", 1) / "model.onnx")
    client = make_client(Settings(models_dir=root))
    described = Described.of(client)

    assert not [path for path in described.document["paths"] if "broken" in path]
    result = client.simulate_get("/readyz")
    assert result.status_code == 503
    described.check(described.operation("GET", "/readyz"), result)


def test_the_document_follows_rollouts(root: Path) -> None:
    """It is made once for each set of models. A new version has its own paths and schema."""
    settings = Settings(models_dir=root)
    app = create_app(settings, open_repository(settings))
    first = app.openapi.body()
    assert app.openapi.body() is first

    other = copy_version(root / "iris" / "1", root)
    replace(other, _rename_feature)
    app.repository.refresh()
    document = msgspec.json.decode(app.openapi.body())

    assert app.openapi.body() is not first
    assert "/v1/models/iris/versions/2:predict" in document["paths"]
    names = [list(document["components"]["schemas"][f"iris.{each}.RowObject"]["properties"]) for each in (1, 2)]
    assert names[0][0] == "sepal_length"
    assert names[1][0] == "length"
    body = document["paths"]["/v1/models/iris:predict"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/iris.2.Instances"}
    validate(document)


def _rename_feature(directory: Path) -> None:
    edit(directory, lambda manifest: manifest["features"][0].update(name="length"))


def test_an_empty_repository_has_a_document(tmp_path: Path) -> None:
    """It only describes the service itself."""
    document = Described.of(make_client(Settings(models_dir=tmp_path))).document
    validate(document)

    assert "/readyz" in document["paths"]
    assert "/prediction" not in document["paths"]


def test_with_keys_the_document_needs_one_and_says_so(iris_dir: Path, tmp_path: Path) -> None:
    """Each operation except the probes asks for a key and may answer 401. If no keys are set, no operation does."""
    key, line = new_key("ada")
    (tmp_path / "keys").write_text(line + "\n")
    client = make_client(Settings(models_dir=iris_dir, api_keys_file=tmp_path / "keys", aip_health_route="/health"))
    assert_problem(client.simulate_get("/openapi.json"), 401)
    described = Described.of(client, Authorization=f"Bearer {key}")
    validate(described.document)

    assert described.document["security"] == [{"bearer": []}, {"header": []}]
    for operation in described.operations():
        result = client.simulate_request(operation.method, operation.path, headers={"Authorization": "Bearer x"})
        locked = result.status_code == 401
        assert locked == (operation.content.get("security") != []) == ("401" in operation.content["responses"])
        described.check(operation, result)
    assert "401" not in str(Described.of(make_client(Settings(models_dir=iris_dir))).document["paths"])


def test_vertex_ais_own_paths_are_described(iris_dir: Path) -> None:
    """As /prediction and /readyz are."""
    settings = Settings(models_dir=iris_dir, aip_predict_route="/predict", aip_health_route="/health")
    paths = Described.of(make_client(settings)).document["paths"]

    assert paths["/predict"]["post"]["requestBody"] == paths["/prediction"]["post"]["requestBody"]
    assert paths["/health"]["get"]["summary"] == paths["/readyz"]["get"]["summary"]


def test_a_model_called_stats_has_its_own_path(iris_dir: Path, tmp_path: Path) -> None:
    """/v2/models/stats answers its metadata. Without such a model it answers the statistics of all models."""
    counts = Described.of(make_client(Settings(models_dir=iris_dir)))
    copy_version(iris_dir / "iris" / "1", tmp_path, "stats", 1)
    client = make_client(Settings(models_dir=tmp_path))
    metadata = Described.of(client)

    summaries = [each.operation("GET", "/v2/models/stats").content["summary"] for each in (counts, metadata)]
    assert summaries == ["Read the number and the time of requests", "Describe the tensors: stats, version 1"]
    metadata.check(metadata.operation("GET", "/v2/models/stats"), client.simulate_get("/v2/models/stats"))


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path) -> Path:
    """A models directory for one test, with iris/1."""
    shutil.copytree(iris_dir, tmp_path / "models")
    return tmp_path / "models"
