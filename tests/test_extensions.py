"""A user's own endpoints, middleware and errors, without a fork of the project."""

from __future__ import annotations

import sys
from pathlib import Path

import falcon
import falcon.testing
import pytest

from service import app
from tests.support.app import assert_problem

MODULE = """
import falcon

class Customers:
    def on_get(self, req, resp, number):
        if number == "0":
            raise falcon.HTTPNotFound(description="There is no customer 0.")
        resp.media = {"customer": number}

def extend(app):
    app.add_route("/customers/{number}", Customers())
"""


@pytest.fixture
def environ(iris_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a service with the user's modules on its path."""
    monkeypatch.setenv("MODELS_DIR", str(iris_dir))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").touch()
    (tmp_path / "my_package" / "customers.py").write_text(MODULE)
    for name in ("my_package", "my_package.customers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return monkeypatch


def test_a_module_adds_an_endpoint(environ: pytest.MonkeyPatch) -> None:
    """The endpoint is added to those of the service. Its errors have the one shape."""
    environ.setenv("EXTENSIONS", "my_package.customers")
    client = falcon.testing.TestClient(app.main())

    assert client.simulate_get("/customers/7").json == {"customer": "7"}
    assert assert_problem(client.simulate_get("/customers/0"), 404)["detail"] == "There is no customer 0."
    assert client.simulate_get("/prediction").status_code == 200


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("my_package.nothing", "EXTENSIONS: there is no module my_package.nothing; add its directory to PYTHONPATH."),
        ("my_package", "EXTENSIONS: my_package has no function extend(app)."),
    ],
)
def test_a_wrong_module_ends_the_start_with_a_sentence(environ: pytest.MonkeyPatch, value: str, sentence: str) -> None:
    """It names the setting and the module."""
    environ.setenv("EXTENSIONS", value)

    with pytest.raises(SystemExit) as ended:
        app.main()
    assert str(ended.value) == sentence


def test_several_modules_are_joined_by_commas(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each gets the app."""
    (tmp_path / "my_package" / "orders.py").write_text(MODULE.replace("/customers", "/orders"))
    environ.setenv("EXTENSIONS", "my_package.customers, my_package.orders")
    client = falcon.testing.TestClient(app.main())

    assert [client.simulate_get(path).status_code for path in ("/customers/1", "/orders/1")] == [200, 200]
