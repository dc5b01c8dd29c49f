"""Every body gets a status, a pointer and a sentence by which the caller can correct it; never a 500."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import falcon.testing
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.settings import Settings
from tests.support.app import Served, assert_problem, make_client

ROW = "[5.1, 3.5, 1.4, 0.2]"
NAMED = '{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}'


def rows(*each: str) -> str:
    return f'{{"instances": [{", ".join(each)}]}}'


NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \r\n\t",
    "byte order mark": b"\xef\xbb\xbf" + rows(ROW).encode(),
    "UTF-16": rows(ROW).encode("utf-16"),
    "UTF-16 without mark": rows(ROW).encode("utf-16-le"),
    "invalid UTF-8 in a key": b'{"instances": [[1, 2, 3, 4]], "x\xff": 1}',
    "invalid UTF-8 in a feature": b'{"instances": [{"sepal_length\xff": 1}]}',
    "invalid UTF-8 in what is ignored": b'{"instances": [[1, 2, 3, 4]], "parameters": "\xc3"}',
    "lone surrogate": rb'{"instances": [[1, 2, 3, "\ud800"]]}',
    "NaN": rows("[NaN, 1, 2, 3]").encode(),
    "Infinity": rows("[1, Infinity, 2, 3]").encode(),
    "-Infinity": rows("[1, -Infinity, 2, 3]").encode(),
    "brackets": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "deep where ignored": b'{"parameters": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b', "instances": [[1, 2, 3, 4]]}',
    "trailing comma in a row": rows("[1, 2, 3, 4,]").encode(),
    "trailing comma in rows": b'{"instances": [[1, 2, 3, 4],]}',
    "trailing comma in the body": b'{"instances": [[1, 2, 3, 4]],}',
    "two documents": rows(ROW).encode() * 2,
    "cut short": rows(ROW).encode()[:-3],
    "single quotes": b"{'instances': [[1, 2, 3, 4]]}",
    "comment": b'{"instances": [[1, 2, 3, 4]]} // four',
    "leading zero": rows("[01, 2, 3, 4]").encode(),
    "hexadecimal": rows("[0x1, 2, 3, 4]").encode(),
    "plus": rows("[+1, 2, 3, 4]").encode(),
    "point without digits": rows("[1., 2, 3, 4]").encode(),
    "Python": b"{'instances': None}",
    "control character": b'{"instances\n": []}',
    "NUL": b"\x00",
    "wrong type and wrong syntax": b'{"instances": "x", }',
    "wrong feature and wrong syntax": b'{"instances": [{"x": 1}}',
}

NOT_TAKEN: dict[str, tuple[str, str]] = {
    "no object": ("[[1, 2, 3, 4]]", ""),
    "string": ('"instances"', ""),
    "null": ("null", ""),
    "number": ("1e400", ""),
    "nothing in it": ("{}", "/instances"),
    "unknown member": ('{"instances": [[1, 2, 3, 4]], "instance": 1}', "/instance"),
    "unknown member of a hard name": ('{"a/b~": 1}', "/a~1b~0"),
    "unknown member of a long name": (f'{{"{"x" * 1000}": 1}}', ""),
    "repeated member": ('{"instances": [[1, 2, 3, 4]], "instances": [[1, 2, 3, 4]]}', "/instances"),
    "rows that are none": ('{"instances": {"a": 1}}', "/instances"),
    "no rows": ('{"instances": []}', "/instances"),
    "no rows at all": ('{"instances": null}', "/instances"),
    "a row that is none": (rows(ROW, "5.1"), "/instances/1"),
    "a null row": (rows("null"), "/instances/0"),
    "a row too short": (rows(ROW, ROW, "[1, 2, 3]"), "/instances/2"),
    "an empty row": (rows("[]"), "/instances/0"),
    "an empty object": (rows("{}"), "/instances/0/sepal_length"),
    "a row too long": (rows("[1, 2, 3, 4, 5]"), "/instances/0"),
    "a string for a number": (rows(ROW, '[1, 2, "3", 4]'), "/instances/1/2"),
    "a bool for a number": (rows("[1, 2, true, 4]"), "/instances/0/2"),
    "null for a number": (rows("[1, null, 3, 4]"), "/instances/0/1"),
    "an array for a number": (rows("[1, 2, 3, [4]]"), "/instances/0/3"),
    "an object for a number": (rows('[{"a": {"b": []}}, 2, 3, 4]'), "/instances/0/0"),
    "brackets for a number": (rows(f"[1, {'[' * 900}{']' * 900}, 3, 4]"), "/instances/0/1"),
    "a missing feature": (rows(NAMED, '{"sepal_length": 1}'), "/instances/1/sepal_width"),
    "an unknown feature": (rows(NAMED[:-1] + ', "colour": 1}'), "/instances/0/colour"),
    "a repeated feature": (rows(NAMED[:-1] + ', "sepal_width": 1}'), "/instances/0/sepal_width"),
    "a feature repeated by an escape": (rows(NAMED[:-1] + r', "sepal\u005fwidth": 3.5}'), "/instances/0/sepal_width"),
    "null by name": (rows(NAMED.replace("1.4", "null")), "/instances/0/petal_length"),
    "a string by name": (rows(NAMED.replace("1.4", '"1.4"')), "/instances/0/petal_length"),
    "past float64": (rows("[1, 2, 3, 1e400]"), "/instances/0/3"),
    "past float64 in digits": (rows(f"[1, 2, 3, -1{'0' * 400}]"), "/instances/0/3"),
    "past the arithmetic": (rows(ROW, "[1, 2, 3, 1e308]"), "/instances/1/3"),
    "past the arithmetic by name": (rows(NAMED.replace("3.5", "-1e308")), "/instances/0/sepal_width"),
}

TAKEN = {
    "minus zero": rows("[-0, -0.0, 0e5, 0.0]"),
    "exponents": rows("[1E0, 1e+0, 10e-1, 0.1e1]"),
    "large integers": rows("[18446744073709551616, 1, 1, 1]"),
    "long integers": rows(f"[1{'0' * 300}, 1, 1, 1]"),
    "long fractions": rows(f"[0.{'1' * 5000}, 1, 1, 1]"),
    "white space": '\r\n\t {"instances"\n:\t[ [ 1 , 2 , 3 , 4 ] ] } ',
    "escaped keys": r'{"inst\u0061nces": [[1, 2, 3, 4]]}',
    "escaped features": rows(NAMED.replace("_", r"\u005f")),
    "ignored members": '{"parameters": {"a": [1, "}", "\\""]}, "instances": [[1, 2, 3, 4]], "signature_name": null}',
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_not_json_is_400(iris: falcon.testing.TestClient, name: str) -> None:
    """Syntax comes before types: a body with both kinds of faults gets 400, without a pointer."""
    problem = assert_problem(iris.simulate_post("/prediction", body=NOT_JSON[name]), 400)

    assert "pointer" not in problem


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_what_the_model_does_not_take_is_422_with_a_pointer(iris: falcon.testing.TestClient, name: str) -> None:
    """The pointer names the first wrong value."""
    body, pointer = NOT_TAKEN[name]

    assert_problem(iris.simulate_post("/prediction", body=body), 422, pointer)


@pytest.mark.parametrize("name", TAKEN)
def test_every_way_to_write_json_is_read(iris: falcon.testing.TestClient, name: str) -> None:
    """All forms that RFC 8259 allows."""
    assert iris.simulate_post("/prediction", body=TAKEN[name]).status_code == 200


def test_sentences_say_what_to_do(iris: falcon.testing.TestClient) -> None:
    """The detail alone is enough to correct the request."""
    details = {
        rows("[1, 2, 3]"): "The row has 3 of 4 values: petal_width is missing.",
        rows('[1, 2, 3, "4"]'): "petal_width must be a number.",
        rows("[1, 2, 3, null]"): "petal_width must be a number, not null.",
        rows('{"colour": 1}'): (
            "The row has an unknown member; it takes sepal_length, sepal_width, petal_length, petal_width."
        ),
        rows("[1, 2, 3, 1e308]"): ("petal_width is too large for this model: it computes with numbers up to 1e+307."),
    }
    for body, detail in details.items():
        assert assert_problem(iris.simulate_post("/prediction", body=body), 422)["detail"] == detail


def test_limits_come_before_work(iris_dir: Path) -> None:
    """A body or a table past the limits gets 413, even if it has other faults."""
    client = make_client(Settings(models_dir=iris_dir, max_rows=2, max_body_bytes=200))

    assert client.simulate_post("/prediction", body=rows(ROW, ROW)).status_code == 200
    assert_problem(client.simulate_post("/prediction", body=rows(ROW, ROW, ROW)), 413)
    assert_problem(client.simulate_post("/prediction", body=rows(ROW, ROW, ROW, "[]")), 413)
    assert_problem(client.simulate_post("/prediction", body="[" * 201), 413)
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    assert client.simulate_post("/prediction", body=rows(ROW), extras=chunked).status_code == 200
    assert_problem(client.simulate_post("/prediction", body="[" * 201, extras=chunked), 413)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
        ({"Content-Type": "text/csv"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 200),
        ({"Content-Type": "multipart/form-data; boundary=a"}, 415),
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "identity"}, 200),
        ({"Accept": "text/html"}, 200),
    ],
)
def test_headers_of_a_body(iris: falcon.testing.TestClient, headers: dict[str, str], status: int) -> None:
    """Only uncompressed JSON is taken, also with the content type of `curl -d`; Accept is ignored."""
    result = iris.simulate_post("/prediction", body=rows(ROW), headers=headers)

    assert result.status_code == status
    if status != 200:
        assert_problem(result, status)


@pytest.mark.parametrize("path", ["/prediction", "/v1/models/iris:predict"])
def test_a_real_form_is_told_that_json_is_wanted(iris: falcon.testing.TestClient, path: str) -> None:
    """A form's content is not JSON, so it gets the error of any body that is not JSON."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert "is not JSON" in assert_problem(iris.simulate_post(path, body="a=1&b=2", headers=form), 400)["detail"]


@pytest.mark.parametrize("word", ["NaN", "nan", "-NaN", "Infinity", "-Infinity", "None"])
def test_a_word_that_json_has_not_is_named(iris: falcon.testing.TestClient, word: str) -> None:
    """The sentence names the word and the right JSON: Python's json module writes NaN, JSON has null."""
    problem = assert_problem(iris.simulate_post("/prediction", body=rows(ROW, f"[5.1, 3.5, 1.4, {word}]")), 400)

    assert problem["detail"].endswith(f" JSON has no {word.lstrip('-')}: use null for a missing value.")


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text() | st.just("instances"), inner, max_size=6),
    max_leaves=20,
)
"""Any JSON, and Python's words for NaN and infinity, which are not JSON."""


def valid_bodies(served: Served) -> st.SearchStrategy[list[Any]]:
    """Valid rows, as arrays and as objects with keys in any order."""
    width = len(served.features)
    array = st.lists(st.floats(-1e6, 1e6), min_size=width, max_size=width)
    named = array.flatmap(lambda row: st.permutations(list(zip(served.features, row, strict=True)))).map(dict)
    return st.lists(array | named, min_size=1, max_size=5)


def check(served: Served, body: str) -> None:
    """Check that the answer is a problem of the contract, or scikit-learn's prediction."""
    result = served.post(body)
    if result.status_code != 200:
        assert_problem(result, result.status_code)
        assert result.status_code in {400, 413, 422}
        return
    given = json.loads(body)["instances"]
    plain = [[row[name] for name in served.features] if isinstance(row, dict) else row for row in given]
    labels, probabilities = served.expected(np.array(plain, dtype=np.float64))
    assert result.json["predictions"] == labels
    np.testing.assert_allclose(result.json["probabilities"], probabilities, rtol=0, atol=1e-6)


@given(data=st.data())
def test_any_json_gets_an_answer_of_the_contract(served: Served, data: st.DataObject) -> None:
    """For any JSON, the status is in the contract's table, and an error has the one shape."""
    check(served, json.dumps(data.draw(ANY_JSON)))


@given(data=st.data())
def test_valid_bodies_get_scikit_learns_answer(served: Served, data: st.DataObject) -> None:
    """Rows in any form are predicted as scikit-learn predicts them."""
    body = json.dumps({"instances": data.draw(valid_bodies(served))}, ensure_ascii=data.draw(st.booleans()))

    assert served.post(body).status_code == 200
    check(served, body)


@given(data=st.data())
def test_one_mutation_gets_a_problem_or_the_right_answer(served: Served, data: st.DataObject) -> None:
    """If a value is replaced by any JSON, or a character by another, the body is refused or predicted rightly."""
    given_rows = data.draw(valid_bodies(served))
    position = data.draw(st.integers(0, len(given_rows) - 1))
    row = given_rows[position]
    key = data.draw(st.sampled_from(sorted(row))) if isinstance(row, dict) else data.draw(st.integers(0, len(row) - 1))
    row[key] = data.draw(ANY_JSON)
    body = json.dumps({"instances": given_rows})
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(body) - 1))
        body = body[:at] + data.draw(st.characters(codec="utf-8")) + body[at + 1 :]
    check(served, body)


@settings(max_examples=50)
@given(body=st.binary(max_size=50))
def test_any_bytes_get_an_answer_of_the_contract(iris: falcon.testing.TestClient, body: bytes) -> None:
    """Random bytes are not valid JSON for the model."""
    result = iris.simulate_post("/prediction", body=body)

    assert_problem(result, result.status_code)
    assert result.status_code in {400, 422}
