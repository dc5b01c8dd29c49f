"""Code that comes with a version runs if the operator trusts it, from the bytes that were verified."""

from __future__ import annotations

import pickle
import py_compile
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from falcon.testing import TestClient
from sklearn.linear_model import LogisticRegression

from service.app import create_app, open_repository
from service.errors import Fault
from service.packaging.own_modules import importable
from service.repository.directory import complete, state_of
from service.repository.manifest import PICKLE, SKOPS, read
from service.repository.model import Refused
from service.repository.own_code import PREFIX, OwnCode
from service.repository.skops_file import load_skops, trusted_types
from service.settings import Settings
from service.table import Table
from tests.conftest import ROOT
from tests.support import versions
from tests.support.own_code import LABELS, ROWS, fitted, saved, step

DOUBLE = b"def change(X):\n    return X * 2\n"
FILES = {"own_step.py": step("import helper", value="helper.change(np.asarray(X))"), "helper.py": DOUBLE}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """Two versions of one model, whose modules have the same names and other code; what the estimators say."""
    root = tmp_path_factory.mktemp("models")
    other = FILES | {"helper.py": b"def change(X):\n    return -X ** 3\n"}
    return root, [saved(root, files)[1] for files in (FILES, other)]


@pytest.fixture
def root(made: tuple[Path, list[Any]], tmp_path: Path) -> Path:
    """A copy of them for each test to change."""
    shutil.copytree(made[0], tmp_path / "models")
    return tmp_path / "models"


def probabilities(root: Path, version: str) -> Any:
    """What the service says of the rows."""
    model = open_repository(Settings(models_dir=root, trust_code="other, own")).get("own", version)
    return model.runtime.predict(Table.from_rows(model.signature, ROWS.tolist())).probabilities


def refusal(root: Path, version: str = "2", trust_code: str | None = "own") -> str:
    """Why a version is refused."""
    return open_repository(Settings(models_dir=root, trust_code=trust_code)).entry("own").refused[version]


def test_two_versions_of_one_module_answer_in_one_process(made: tuple[Path, list[Any]]) -> None:
    """Each by its own code, in whatever order they are asked."""
    root, expected = made
    for version in (2, 1, 2):
        np.testing.assert_array_equal(probabilities(root, str(version)), expected[version - 1])
    assert not np.allclose(*expected)
    assert not {"own_step", "helper"} & set(sys.modules)


def test_the_manifest_has_a_checksum_of_each_file(made: tuple[Path, list[Any]]) -> None:
    """And says who serves, and why."""
    manifest = read(made[0] / "own" / "1")

    assert manifest.code == ("code/helper.py", "code/own_step.py")
    assert manifest.runtime == "sklearn"
    assert "own_step.Step" in str(manifest.proof.reason)


@pytest.mark.parametrize(("trusted", "value"), [(None, "own"), ("iris", "iris,own"), ("owner,ow", "owner,ow,own")])
def test_without_trust_it_is_refused_with_the_way_out(root: Path, trusted: str | None, value: str) -> None:
    """Which is to name the model, beside those that are named."""
    assert refusal(root, trust_code=trusted) == (
        f"model.skops: it runs code of its own, and TRUST_CODE does not name the model: "
        f"to trust that code, set TRUST_CODE={value}"
    )


def test_without_trust_nothing_of_it_is_executed(root: Path, tmp_path: Path) -> None:
    """Not even on trial."""
    for version in ("1", "2"):
        touch = f"import os; os.mkdir({str(tmp_path / 'touched')!r})\n".encode()
        versions.rewrite(root / "own" / version, "code/helper.py", touch)
    open_repository(Settings(models_dir=root))

    assert not (tmp_path / "touched").exists()


def test_strangers_are_told_the_kind_of_the_refusal_alone(root: Path) -> None:
    """By /readyz, which asks for no key."""
    settings = Settings(models_dir=root)
    answer = TestClient(create_app(settings, open_repository(settings))).simulate_get("/readyz")

    assert answer.status_code == 503
    assert str(Fault.NEEDS) in answer.text
    assert "helper" not in answer.text


def test_changed_code_is_refused(root: Path) -> None:
    """Its checksum is not the one in the manifest."""
    versions.flipped(root / "own" / "2" / "code" / "helper.py")

    assert refusal(root) == "helper.py: its sha256 is not the one in manifest.json"


def test_missing_code_is_refused(root: Path) -> None:
    """As any file that is missing."""
    (root / "own" / "2" / "code" / "helper.py").unlink()

    assert refusal(root) == "helper.py cannot be read: No such file or directory"


def test_code_that_answers_differently_is_refused(root: Path) -> None:
    """By the golden rows, if somebody changes the checksums, too."""
    versions.rewrite(root / "own" / "2", "code/helper.py", DOUBLE)

    assert "the golden rows are answered differently" in refusal(root)


def test_code_that_hangs_or_crashes_is_refused(root: Path) -> None:
    """On trial, so that the service goes on."""
    versions.rewrite(root / "own" / "2", "code/helper.py", b"import os\nos.abort()\n")

    assert refusal(root) == "model.skops: it crashed (SIGABRT)"
    np.testing.assert_array_equal(probabilities(root, "1").shape, (len(ROWS), 2))


def test_compiled_files_are_ignored(root: Path, made: tuple[Path, list[Any]], tmp_path: Path) -> None:
    """However well they fit the date of the text."""
    text = root / "own" / "1" / "code" / "helper.py"
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def change(X):\n    return X * 0\n")
    compiled = text.parent / "__pycache__" / f"helper.{sys.implementation.cache_tag}.pyc"
    py_compile.compile(str(wrong), str(compiled), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)

    np.testing.assert_array_equal(probabilities(root, "1"), made[1][0])


def test_a_module_of_the_same_name_on_the_path_is_ignored(
    root: Path, made: tuple[Path, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the version is meant."""
    (tmp_path / "helper.py").write_text("def change(X):\n    return X * 0\n")
    monkeypatch.syspath_prepend(tmp_path)

    np.testing.assert_array_equal(probabilities(root, "1"), made[1][0])


def linked_file(at: Path) -> None:
    (at / "code" / "helper.py").rename(at / "helper.py")
    (at / "code" / "helper.py").symlink_to("../helper.py")


def linked_directory(at: Path) -> None:
    (at / "code").rename(at / "elsewhere")
    (at / "code").symlink_to("elsewhere")


def named(name: str) -> Callable[[Path], None]:
    """Have the manifest name a file of code so."""
    return lambda at: versions.edit(at, lambda manifest: manifest["files"].update({name: "0" * 64}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (linked_file, "code/helper.py is behind a link: put the file itself there"),
        (linked_directory, "code/helper.py is behind a link: put the file itself there"),
        *[
            (named(name), f"{name} is not the name of a module's file: package the version again")
            for name in ("code/../x.py", "code//x.py", "code/./x.py", "code/x.pyc", "code/a-b/x.py", "code/")
        ],
    ],
)
def test_files_that_are_no_modules_of_the_version_are_refused(
    root: Path, change: Callable[[Path], None], reason: str
) -> None:
    """Links, and names that lead elsewhere."""
    change(root / "own" / "2")

    assert refusal(root) == reason


def test_a_version_may_be_behind_a_link_itself(root: Path, made: tuple[Path, list[Any]]) -> None:
    """As tools that copy repositories have it; only in its own directory there is none."""
    (root / "own").rename(root / ".copy")
    (root / "own").symlink_to(".copy")

    np.testing.assert_array_equal(probabilities(root, "1"), made[1][0])


def test_a_file_below_code_that_is_not_in_the_manifest_is_not_read(root: Path, made: tuple[Path, list[Any]]) -> None:
    """As any other file beside a model."""
    (root / "own" / "1" / "code" / "numpy.py").write_text("raise SystemExit")

    np.testing.assert_array_equal(probabilities(root, "1"), made[1][0])


def test_the_look_at_the_directory_sees_changes_of_code(root: Path) -> None:
    """The watcher asks whether anything is another, and whether it is whole."""
    version = root / "own" / "1"
    before = state_of(version)
    assert complete(version) is not None
    (version / "code" / "helper.py").write_bytes(b"x = 1\n")

    assert complete(version) is None
    assert state_of(version) != before


WAYS = {
    "a sibling": {"own_step.py": step("import helper", value="helper.change(X)"), "helper.py": DOUBLE},
    "a name of a sibling": {"own_step.py": step("from helper import change", value="change(X)"), "helper.py": DOUBLE},
    "all names of a sibling": {"own_step.py": step("from helper import *", value="change(X)"), "helper.py": DOUBLE},
    "in a function": {
        "own_step.py": step(inside="import helper as other", value="other.change(X)"),
        "helper.py": DOUBLE,
    },
    "a subpackage": {
        "own_step.py": step("import parts.deep.helper", value="parts.deep.helper.change(X)"),
        "parts/__init__.py": b"",
        "parts/deep/__init__.py": b"",
        "parts/deep/helper.py": DOUBLE,
    },
    "a subpackage by another name": {
        "own_step.py": step("import parts.helper as other", value="other.change(X)"),
        "parts/__init__.py": b"",
        "parts/helper.py": DOUBLE,
    },
    "a directory without __init__.py": {
        "own_step.py": step("from parts import helper", value="helper.change(X)"),
        "parts/helper.py": DOUBLE,
    },
    "relative imports in a package": {
        "own_step.py": step("import parts.first", value="parts.first.change(X)"),
        "parts/__init__.py": b"",
        "parts/first.py": b"from .deep import change",
        "parts/deep/__init__.py": b"from ..second import change",
        "parts/second.py": DOUBLE,
    },
    "its own package by its name, in a function": {
        "own_step.py": step("import parts.first", value="parts.first.change(X)"),
        "parts/__init__.py": b"",
        "parts/first.py": b"def change(X):\n    from parts.second import change\n    return change(X)\n",
        "parts/second.py": DOUBLE,
    },
    "a circle": {
        "own_step.py": step("import first", value="first.change(X)"),
        "first.py": b"import second\ndef change(X):\n    return second.twice(X)\n",
        "second.py": b"import first\ndef twice(X):\n    return X * 2\n",
    },
    "by exec": {
        "own_step.py": step(inside='exec("import helper", globals())', value="helper.change(X)"),
        "helper.py": DOUBLE,
    },
    "by __import__": {
        "own_step.py": step(value='__import__("parts.helper").helper.change(X)'),
        "parts/__init__.py": b"",
        "parts/helper.py": DOUBLE,
    },
    "a name that is also a library's": {
        "own_step.py": step("import toolz", value="toolz.change(X)"),
        "toolz.py": DOUBLE,
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_modules_are_found_however_they_are_imported(way: str) -> None:
    """The answers are those of the estimator."""
    files = WAYS[way]
    with importable(files):
        estimator = fitted()
        content, expected = skops.io.dumps(estimator), estimator.predict_proba(ROWS)
    loaded = load_skops(content, trusted_types(), OwnCode(files))

    np.testing.assert_array_equal(loaded.predict_proba(ROWS), expected)
    assert type(loaded[0]).__module__.startswith(PREFIX)


def test_an_own_class_may_hold_what_it_likes_of_listed_types() -> None:
    """Its own code calls it, so that names of attributes say nothing."""
    text = step() + b"\n    def __init__(self):\n        self.transformers = {'a': [1]}\n        self.estimator = {}\n"
    with importable({"own_step.py": text}):
        content = skops.io.dumps(fitted())

    assert load_skops(content, trusted_types(), OwnCode({"own_step.py": text}))[0].transformers == {"a": [1]}


def test_a_part_of_a_library_in_it_is_still_checked() -> None:
    """As everywhere else in a model."""
    with importable(FILES):
        pipeline = fitted()
        inner = LogisticRegression().fit(ROWS, LABELS)
        inner.predict = "x"
        pipeline[0].model = inner
        content = skops.io.dumps(pipeline)

    with pytest.raises(Refused, match=r"^LogisticRegression\.predict replaces an attribute of its class$"):
        load_skops(content, trusted_types(), OwnCode(FILES))


def test_types_of_others_are_still_refused() -> None:
    """Own code brings trust in itself alone."""
    with importable(FILES):
        pipeline = fitted()
        pipeline[0].path = Path("/")
        content = skops.io.dumps(pipeline)

    with pytest.raises(Refused, match=r"does not list: pathlib\.\w+; give modules of your own"):
        load_skops(content, trusted_types(), OwnCode(FILES))


def renamed(content: bytes, old: str, new: str) -> bytes:
    """A skops file whose schema names something else."""
    written = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as source, zipfile.ZipFile(written, "w") as target:
        for each in source.namelist():
            data = source.read(each)
            target.writestr(each, data.replace(old.encode(), new.encode()) if each == "schema.json" else data)
    return written.getvalue()


def test_what_a_module_imports_is_not_its_own() -> None:
    """A file cannot name the functions of others by way of a trusted module."""
    files = FILES | {"own_step.py": FILES["own_step.py"] + b"\nfrom os import system\n"}
    with importable(files):
        content = renamed(skops.io.dumps(fitted()), '"__class__": "Step"', '"__class__": "system"')

    with pytest.raises(Refused, match=r"^it names own_step\.system, which that module does not define"):
        load_skops(content, trusted_types(), OwnCode(files))


def test_a_function_is_not_called_in_place_of_a_class() -> None:
    """Where a file has its name as that of an object's class."""
    files = {"own_step.py": step() + DOUBLE}
    with importable(files):
        content = renamed(skops.io.dumps(fitted()), '"__class__": "Step"', '"__class__": "change"')

    with pytest.raises(Refused, match=r"^it would make an object by the function own_step\.change$"):
        load_skops(content, trusted_types(), OwnCode(files))


def test_a_pickle_with_code_needs_both_settings(made: tuple[Path, list[Any]], root: Path) -> None:
    """It is what skops cannot hold."""
    directory, expected = root / "own" / "1", made[1][0]
    with importable(FILES):
        versions.rewrite(directory, PICKLE, pickle.dumps(fitted()))
    versions.edit(directory, lambda manifest: manifest["files"].pop(SKOPS))
    model = open_repository(Settings(models_dir=root, trust_code="own", allow_pickle=True)).get("own", "1")
    table = Table.from_rows(model.signature, ROWS.tolist())

    np.testing.assert_array_equal(model.runtime.predict(table).probabilities, expected)
    assert "ALLOW_PICKLE is not 1" in refusal(root, "1")
    settings = Settings(models_dir=root, allow_pickle=True)
    assert "TRUST_CODE=own" in open_repository(settings).entry("own").refused["1"]


def test_a_converted_model_imports_nothing_of_it(iris_dir: Path) -> None:
    """What serves one converted model stays small."""
    script = "import sys, service.app; service.app.main(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"MODELS_DIR": str(iris_dir), "PYTHONPATH": str(ROOT)}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not {"service.repository.own_code", "service.repository.skops_file"} & set(done.stdout.split())
