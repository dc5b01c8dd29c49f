"""Schemathesis sends valid and invalid requests by the OpenAPI document to a real server, with all of its checks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.feature import Feature
from service.http.keys import new_key
from service.http.openapi import rows
from service.signature import Output, Signature
from tests.conftest import ROOT
from tests.serving.conftest import Gunicorn
from tests.support import odd_models
from tests.support.described import closed
from tests.support.schemathesis_hooks import is_valid_query

SEED = os.environ.get("SCHEMATHESIS_SEED", "1")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "40")
"""For each operation of the long runs. The seed is fixed, so that runs do not fail by chance; see CONTRIBUTING.md."""

MAX_ROWS = 40
"""A small limit, so that there are also bodies with too many rows."""


def strict(document: Any) -> Any:
    """The document, in a form in which answers may have no unknown members."""
    predictions = {name for name in document["components"]["schemas"] if name.endswith(".Predictions")}
    for name in predictions:
        document["components"]["schemas"][name] = closed(document["components"]["schemas"][name])
    for item in document["paths"].values():
        for operation in item.values():
            for media in operation["responses"].get("200", {}).get("content", {}).values():
                media["schema"] = closed(media["schema"])
    return document


def run(directory: Path, models: Path, *options: str, key: str = "", **environ: str) -> str:
    """Schemathesis' report on a server of these models. It must have found no fault."""
    given = {"MODELS_DIR": str(models), "MAX_ROWS": str(MAX_ROWS), "WEB_CONCURRENCY": "1", **environ}
    headers = {"X-API-Key": key} if key else {}
    with Gunicorn(directory / "log", given) as server:
        request = urllib.request.Request(f"{server.url}/openapi.json", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            document = json.load(response)
        (directory / "openapi.json").write_text(json.dumps(strict(document)))
        program = Path(sys.executable).with_name("st")
        where = [str(program), "run", str(directory / "openapi.json"), "--url", server.url, "--no-color"]
        sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        ran = subprocess.run([*where, *options, *sent], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def cases(report: str) -> int:
    """The number of requests, all of which passed."""
    (generated, passed) = re.findall(r"(\d+) generated, (\d+) passed", report)[0]
    assert generated == passed
    return int(passed)


def test_the_shipped_models_do_what_the_document_says(tmp_path: Path) -> None:
    """For the examples, and for some hundreds of valid and invalid requests."""
    report = run(tmp_path, ROOT / "models", "--phases=examples,fuzzing", "--max-examples=20", f"--seed={SEED}")

    assert cases(report) > 300


def test_with_keys_each_operation_asks_for_one(iris_dir: Path, tmp_path: Path) -> None:
    """After a request was answered, Schemathesis repeats it without the key, and with another key."""
    key, line = new_key("ada")
    (tmp_path / "keys").write_text(line)
    report = run(
        tmp_path, iris_dir, "--phases=examples", f"--seed={SEED}", key=key, API_KEYS_FILE=str(tmp_path / "keys")
    )

    assert cases(report) > 20


@pytest.fixture(scope="session")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Packages an odd model into a directory of its own."""

    def make(name: str) -> Path:
        root = tmp_path_factory.mktemp(name)
        odd_models.make(root, name)
        return root

    return make


@pytest.mark.long
@pytest.mark.parametrize("name", ["shipped", *odd_models.MODELS])
def test_every_model_does_what_the_document_says(name: str, one_model: Callable[[str], Path], tmp_path: Path) -> None:
    """For each boundary of each value, and for many random requests. The report names the seed."""
    models = ROOT / "models" if name == "shipped" else one_model(name)
    # the boundaries of 200 features, in rows and in tensors, take hours
    phases = "examples,fuzzing" if name == "wide" else "examples,coverage,fuzzing,stateful"
    cases(run(tmp_path, models, f"--phases={phases}", f"--max-examples={EXAMPLES}", f"--seed={SEED}"))


@pytest.mark.parametrize(
    ("query", "excused"),
    [
        ("note=null&size=1.5", True),
        ("note=1&size=", True),
        ("note=null&size=null", False),
        ("note=null", False),
        ("note=null&size=1.5&more=1", False),
        ("note=null&note=null&size=1.5", False),
        ("", False),
    ],
)
def test_only_queries_that_spell_a_row_are_excused(query: str, excused: bool) -> None:
    """The texts of a query count, and not the values from which Schemathesis made them."""
    features = (Feature("note", "text"), Feature("size", "float", missing=True))
    schema = rows.query(Signature("regressor", features, (Output("predict"),)))
    operation = SimpleNamespace(query=[SimpleNamespace(name="row", definition={"schema": schema})])

    assert is_valid_query(operation, f"http://localhost/prediction?{query}") is excused
