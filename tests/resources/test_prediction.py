"""/prediction and /v1/models."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import falcon.testing
import numpy as np

from tests.support.app import Served, assert_problem


def test_every_row_of_the_sample_gets_scikit_learns_answer(served: Served) -> None:
    """For all rows at once: the same labels, and probabilities within 1e-6."""
    answer = served.post(json.dumps({"instances": served.rows.tolist()})).json
    labels, probabilities = served.expected(served.rows)

    assert labels == answer["predictions"]
    np.testing.assert_allclose(answer["probabilities"], probabilities, rtol=0, atol=1e-6)
    assert served.classes == answer["classes"]
    assert (served.name, 1) == (answer["model"], answer["version"])


def test_arrays_and_objects_in_any_order_of_keys_are_the_same_row(served: Served) -> None:
    """Names decide, not positions. One body may mix arrays and objects."""
    row = served.rows[-1].tolist()
    named = dict(zip(served.features, row, strict=True))
    backwards = dict(reversed(named.items()))

    answer = served.post(json.dumps({"instances": [row, named, backwards]})).json

    assert len(set(answer["predictions"])) == 1
    assert answer["probabilities"][0] == answer["probabilities"][1] == answer["probabilities"][2]


def test_the_query_string_is_one_row_by_name(served: Served) -> None:
    """GET takes the features as parameters. The keys of `probabilities` are the classes."""
    row = served.rows[7].tolist()
    answer = served.client.simulate_get(
        "/prediction", query_string=urlencode(dict(zip(served.features, row, strict=True)))
    ).json
    labels, probabilities = served.expected([row])

    assert labels == [answer["prediction"]]
    assert served.classes == list(answer["probabilities"])
    np.testing.assert_allclose(list(answer["probabilities"].values()), probabilities[0], rtol=0, atol=1e-6)


def test_the_tutorials_request_is_answered(iris: falcon.testing.TestClient) -> None:
    """If a GET has a body, the body is ignored, and the example row is predicted."""
    result = iris.simulate_get("/prediction", json={"prediction:": "Hello world"})

    assert result.status_code == 200
    assert result.json["prediction"] == "Virginica"


def test_no_content_type_counts_as_json(served: Served) -> None:
    """Some clients send no content type."""
    body = json.dumps({"instances": served.rows[:1].tolist()})

    assert served.client.simulate_post("/prediction", body=body, headers={}).status_code == 200


def test_v1_answers_as_prediction_does(served: Served) -> None:
    """With and without a version, and with the extra members that other servers know."""
    rows = served.rows[:3].tolist()
    plain = served.post(json.dumps({"instances": rows})).json
    body = json.dumps({"signature_name": "serving_default", "instances": rows, "parameters": {"x": [1, "]"]}})

    for path in (f"/v1/models/{served.name}:predict", f"/v1/models/{served.name}/versions/1:predict"):
        assert plain == served.post(body, path).json


def test_models_are_listed_and_described(served: Served) -> None:
    """The description lists the inputs."""
    assert {"models": [served.name]} == served.client.simulate_get("/v1/models").json
    for path in (f"/v1/models/{served.name}", f"/v1/models/{served.name}/versions/1"):
        model = served.client.simulate_get(path).json
        assert (served.name, True, 1, [1]) == (model["name"], model["ready"], model["version"], model["versions"])
        assert served.features == [feature["name"] for feature in model["features"]]
        assert served.classes == model["classes"]


def test_unknown_models_and_versions_are_404(served: Served) -> None:
    """For every method and path, in the content type that the official clients read."""
    for path in ("nope", f"{served.name}/versions/2", f"{served.name}/versions/01", f"{served.name}/versions/+1", " "):
        for result in (
            served.client.simulate_get(f"/v1/models/{path}"),
            served.post('{"instances": []}', f"/v1/models/{path}:predict"),
        ):
            assert_problem(result, 404)
            assert result.headers["content-type"] == "application/json"


def test_head_works_where_get_does(iris: falcon.testing.TestClient) -> None:
    """The headers are those of GET, without the body."""
    for path in ("/", "/healthz", "/readyz", "/prediction", "/v1/models", "/v1/models/iris"):
        result = iris.simulate_head(path)
        assert (result.status_code, result.text) == (200, "")


def test_queries_that_are_wrong_say_so(iris: falcon.testing.TestClient) -> None:
    """400 if the query cannot be read, 422 if the model does not take it."""
    good = "sepal_length=5.1&sepal_width=3.5&petal_length=1.4"
    for value in ("nan", "inf", "1_0", "0x1", "+1", "1.", "٣", "", "true", "null", "%20"):
        assert_problem(iris.simulate_get("/prediction", query_string=f"{good}&petal_width={value}"), 422)
    for query in (
        good,
        f"{good}&petal_width=1&petal_width=1",
        f"{good}&petal_width=1&x=1",
        f"{good}&petal_width=1e308",
    ):
        assert_problem(iris.simulate_get("/prediction", query_string=query), 422)
    for query in ("sepal_length", "&", "%ff=1", "=1&", "sepal_length=%zz", "sepal_length=1%"):
        assert_problem(iris.simulate_get("/prediction", query_string=query), 400)
