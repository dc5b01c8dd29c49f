"""The commands of the README give the answers that it shows."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from falcon.inspect import inspect_routes
from msgspec.structs import fields

import service
from service.app import create_app, open_repository
from service.settings import Settings
from tests.conftest import ROOT, SHIPPED
from tests.serving.conftest import Gunicorn, wait_until

README = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE_TLS = (ROOT / "compose.tls.yaml").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def document(answer: str) -> Any:
    """An answer without its request id, with its members in their order."""
    return [member for member in json.loads(answer, object_pairs_hook=list) if member[0] != "request_id"]


def near(shown: Any) -> Any:
    """The same value; its numbers may differ as they do between processors."""
    if isinstance(shown, list | tuple):
        return type(shown)(map(near, shown))
    return pytest.approx(shown, rel=1e-6, abs=1e-12) if isinstance(shown, float) else shown


def curl(server: Gunicorn, command: str) -> str:
    """The output of a curl command of the README, sent to this server."""
    words = shlex.split(command.replace("http://127.0.0.1:8000", server.url))
    return subprocess.run([*words, "-sS"], capture_output=True, text=True, check=True, timeout=30).stdout


def roll_out(server: Gunicorn) -> str:
    """Run `reload`, and wait until other workers answer; return the output."""
    before = set(server.workers())
    command = [sys.executable, "-m", "service", "reload", "--port", str(server.port)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    wait_until(lambda: bool(server.workers()) and not before & set(server.workers()))
    return shown


def test_everything_shown_happens(tmp_path: Path) -> None:
    """The blocks run in their order against one server: the commands, the Python, and each answer."""
    for name in SHIPPED:
        shutil.copytree(ROOT / "models" / name, tmp_path / "models" / name)
    seen = []
    with Gunicorn(tmp_path / "log", {"MODELS_DIR": str(tmp_path / "models")}) as server:
        for language, text in BLOCKS:
            command, _, shown = text.removeprefix("$ ").partition("\n")
            seen.append(language if language == "python" else command.split()[0])
            if language == "python":
                subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True)
            elif command == ".venv/bin/model-server reload":
                assert roll_out(server) == shown
            elif command.startswith("curl"):
                assert document(curl(server, command)) == near(document(shown))

    assert seen == ["make", "curl", "curl", "curl", "python", ".venv/bin/model-server", "curl", "python"]


def test_everything_shown_of_the_api_happens(tmp_path: Path) -> None:
    """Each command of docs/api.md gives the answer that stands below it."""
    blocks = re.findall(r"^```console\n\$ (curl .*)\n(.*)\n```$", API, re.MULTILINE)
    with Gunicorn(tmp_path / "log", {}) as server:
        for command, shown in blocks:
            assert document(curl(server, command)) == near(document(shown))

    assert len(blocks) == API.count("```console")


def test_every_status_is_in_the_table(tmp_path: Path) -> None:
    """All statuses of the OpenAPI document, and 405, which the document does not list."""
    settings = Settings(models_dir=tmp_path)
    found = json.loads(create_app(settings, open_repository(settings)).openapi.body())["components"]["responses"]
    described = {media["example"]["status"] for each in found.values() for media in each["content"].values()}

    rows = re.findall(r"^\| ([0-9, ]+) \|", API, re.MULTILINE)
    assert {int(status) for row in rows for status in row.split(",")} == described | {405}


def test_every_setting_is_in_a_table() -> None:
    """README or docs/operations.md has it, with its default, and no other setting."""
    table = settings_table(README) | settings_table(OPERATIONS)
    expected = {
        field.name.upper(): "" if field.default is None else f"`{_text(field.default)}`" for field in fields(Settings)
    }

    assert table.pop("WEB_CONCURRENCY") == "CPUs that memory suffices for, at least 2"
    assert f'bind = "{table.pop("-b").strip("`")}"\n' in (ROOT / "conf" / "gunicorn.py").read_text(encoding="utf-8")
    assert {name: table.get(name) for name in expected} == expected
    named = set(re.findall(r"\$\{(HTTPS?_PORT|TLS_DIRECTORY)|- (HSTS_SECONDS)$", COMPOSE + COMPOSE_TLS, re.MULTILINE))
    assert table.keys() - expected.keys() == {*filter(None, chain(*named)), *passed_to("nginx") - expected.keys()}


def test_compose_passes_every_setting_on() -> None:
    """Except the path that Compose mounts. compose.override.yaml passes API_KEYS_FILE, too."""
    settings = {field.name.upper() for field in fields(Settings)} | {"WEB_CONCURRENCY"}

    assert passed_to("api") == settings - {"MODELS_DIR"}
    assert "source: ${MODELS_DIR:-models}\n" in COMPOSE


def settings_table(text: str) -> dict[str, str]:
    """The names and defaults in a table of settings."""
    return dict(re.findall(r"^\| `([A-Z_]+|-b)` \| (.*?) ?\| ", text, re.MULTILINE))


def passed_to(service: str) -> set[str]:
    """The variables that a container of compose.yaml gets."""
    of = COMPOSE.partition(f"\n  {service}:\n")[2].partition("environment:")[2].partition("\n    volumes:")[0]
    return set(re.findall(r"^      - ([A-Z_]+)(?:  #.*)?$", of, re.MULTILINE))


def _text(default: object) -> str:
    return f"{default:g}" if isinstance(default, bool | float) else str(default)


def test_every_command_of_make_exists() -> None:
    """The README names all commands."""
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(re.findall(r"make ([a-z-]+)\b(?=`|\n)", README)) == targets


def test_every_package_is_in_the_layout() -> None:
    """The package's docstring has a line for each folder below it that holds modules."""
    packages = {path.parent.name for path in (ROOT / "service").glob("*/__init__.py")}

    assert packages <= set(re.findall(r"^    (\w+)/ ", str(service.__doc__), re.MULTILINE))


def test_every_endpoint_is_in_the_table(tmp_path: Path) -> None:
    """By its method and path; and the table has no other."""
    settings = Settings(models_dir=tmp_path)
    routes = {
        (method.method, route.path)
        for route in inspect_routes(create_app(settings, open_repository(settings)))
        for method in route.methods
        if not method.internal and method.method in ("GET", "POST") and "/versions/" not in route.path
    }

    rows = re.findall(r"^\| (GET|POST) \| (`.*?`) \|", API, re.MULTILINE)
    assert {(method, path) for method, paths in rows for path in re.findall(r"`(.*?)`", paths)} == routes


def test_the_readme_is_for_someone_in_a_hurry() -> None:
    """It has fewer than 150 lines."""
    assert len(README.splitlines()) < 150
