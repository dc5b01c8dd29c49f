"""The private names of other libraries: the table is complete, the names exist, and replacements take effect."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi

from service import private_names
from service.private_names import NAMES, missing
from service.processes import gunicorn_patches

ROOT = Path(__file__).resolve().parent.parent

INSTALLED = [library for library in NAMES if find_spec(library)]
"""The boosters have an environment of their own, and a test there."""

STANDARD = {"_exit", "_fields", "_replace"}
"""Names of the standard library, which are documented."""


@pytest.mark.parametrize("library", INSTALLED)
def test_what_the_table_names_is_there(library: str) -> None:
    """In the installed releases."""
    assert missing(library) is None


@pytest.mark.parametrize("library", INSTALLED)
def test_each_name_that_is_missing_is_told(library: str, tmp_path: Path) -> None:
    """The sentence has the file and the release. A missing file is told, too."""
    spec = find_spec(library)
    assert spec is not None
    assert spec.origin is not None
    for file, texts in NAMES[library].items():
        copy = tmp_path / file
        for text in texts:
            for each in NAMES[library]:
                (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(spec.origin).parent / each, tmp_path / each)
            copy.write_text(copy.read_text(encoding="utf-8").replace(text, ""), encoding="utf-8")
            sentence = missing(library, tmp_path)
            assert sentence is not None
            assert f"{file} has no `{text.strip()}`. requirements.txt names the release that fits." in sentence
        copy.unlink()
        assert f"there is no {file}." in str(missing(library, tmp_path))


def test_a_release_without_a_name_ends_the_start(tmp_path: Path) -> None:
    """A sentence says so, before another fault occurs."""
    (tmp_path / "sitecustomize.py").write_text(
        "from service import private_names\n"
        "private_names.NAMES = {**private_names.NAMES, 'gunicorn': {'http/wsgi.py': ('def gone(',)}}\n"
    )
    ended = subprocess.run(
        [Path(sys.executable).with_name("gunicorn"), "-c", "conf/gunicorn.py", "-b", "127.0.0.1:0"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("gunicorn 27.0.")
    assert "http/wsgi.py has no `def gone(`" in ended.stderr.splitlines()[-1]


def trees() -> Iterator[ast.Module]:
    """The code of the service."""
    for path in [*ROOT.joinpath("service").rglob("*.py"), ROOT / "conf" / "gunicorn.py"]:
        yield ast.parse(path.read_text(encoding="utf-8"))


def defined(node: ast.AST) -> Iterator[str]:
    """The names that a piece of code defines itself."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
            yield name


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def used(node: ast.AST) -> Iterator[str]:
    """The private names of other objects that a piece of code uses."""
    match node:
        case ast.Attribute(attr=name) if private(name):
            yield name
        case ast.ImportFrom(module=str(module), names=names) if not module.startswith("service"):
            yield from (each.name for each in names if private(each.name) or any(map(private, module.split("."))))


def test_the_table_is_complete() -> None:
    """Each private name in the code is the service's own, or in the table."""
    nodes = [node for tree in trees() for node in ast.walk(tree)]
    own = {name for node in nodes for name in defined(node)}
    foreign = {name for node in nodes for name in used(node)} - own - STANDARD
    texts = " ".join(text for files in NAMES.values() for each in files.values() for text in each)

    assert foreign
    assert {name for name in foreign if name not in texts} == set()


@pytest.fixture
def _plain() -> Iterator[None]:
    """Gunicorn is restored after the test."""
    before = wsgi.WSGIErrorsWrapper
    yield
    wsgi.WSGIErrorsWrapper = before


@pytest.mark.usefixtures("_plain")
def test_two_installs_leave_one_wrapper() -> None:
    """Also a third and a fourth: Gunicorn runs its configuration again at each SIGHUP."""
    gunicorn_patches.install()
    installed = wsgi.WSGIErrorsWrapper
    for _ in range(3):
        gunicorn_patches.install()
    config = Config()

    assert wsgi.WSGIErrorsWrapper is installed
    assert wsgi.base_environ(config)["wsgi.errors"] is wsgi.base_environ(config)["wsgi.errors"]


def test_the_converters_of_trees_are_replaced() -> None:
    """The replacement takes effect where skl2onnx calls them, in the process that converts."""
    code = (
        "import json\n"
        "from skl2onnx.common import tree_ensemble\n"
        "from skl2onnx.operator_converters import decision_tree, gradient_boosting, random_forest\n"
        "from service.packaging.conversion import converters\n"
        "modules = decision_tree, gradient_boosting, random_forest\n"
        "def replaced():\n"
        "    plain = tree_ensemble.add_tree_to_attribute_pairs\n"
        "    return [each.add_tree_to_attribute_pairs is not plain for each in modules]\n"
        "before = replaced()\n"
        "converters.register()\n"
        "print(json.dumps([before, replaced()]))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(shown.stdout) == [[False] * 3, [True] * 3]


def test_a_library_that_is_not_installed_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image that serves has no converter."""
    monkeypatch.setattr(private_names, "find_spec", lambda name: None)

    private_names.check(*NAMES)
