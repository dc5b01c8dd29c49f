"""`add` and `save_model` take the modules that an estimator needs, or say what to do with it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from service.__main__ import main
from service.app import open_repository
from service.errors import InvalidInput
from service.packaging import save_model
from service.packaging.errors import PackagingError
from service.packaging.own_modules import gather, importable, needed
from service.repository.manifest import SKOPS, read
from service.settings import Settings
from service.table import Table
from tests.conftest import ROOT
from tests.support.own_code import LABELS, ROWS, fitted, step

HELPER = b"def change(X):\n    return X * 2\n"
FILES = {"own_step.py": step("import helper", value="helper.change(np.asarray(X))"), "helper.py": HELPER}
TRAIN = """
import sys; sys.path.insert(0, "code")
import joblib, numpy as np, pandas as pd, pickle, skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
{classes}
rng = np.random.default_rng(0)
rows = pd.DataFrame(rng.normal(size=(80, 3)), columns=["a", "b", "c"])
model = make_pipeline(Step(), LogisticRegression()).fit(rows, (rows.a > rows.b).astype(int))
joblib.dump(model, "model.joblib")
open("model.skops", "wb").write(skops.io.dumps(model))
rows.to_csv("model.csv", index=False)
np.save("expected.npy", model.predict_proba(rows))
"""


def write(directory: Path, files: dict[str, bytes]) -> Path:
    """Put modules below a directory."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def train(directory: Path, classes: str = "from own_step import Step") -> None:
    """A model that a script of somebody else left there, with its sample."""
    command = [sys.executable, "-c", TRAIN.format(classes=classes)]
    subprocess.run(command, cwd=directory, check=True, env={"PYTHONPATH": ""})


@pytest.mark.parametrize("file", ["model.joblib", "model.skops"])
def test_add_takes_the_modules_and_says_what_to_set(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory of modules; those that are not needed are left out, and this process knows none of them after it."""
    write(tmp_path / "code", FILES | {"train.py": b"raise SystemExit", "notes.txt": b"", "broken.py": b"("})
    train(tmp_path)
    arguments = ["add", "own", str(tmp_path / file), "--code", str(tmp_path / "code"), "--models", str(tmp_path / "m")]

    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "code/helper.py, code/own_step.py\n" in shown
    assert "only if TRUST_CODE=own is set" in shown
    assert ", which no converter knows\n" in shown
    assert not {"own_step", "helper"} & set(sys.modules)
    model = open_repository(Settings(models_dir=tmp_path / "m", trust_code="own")).get("own")
    table = Table.from_rows(model.signature, pd.read_csv(tmp_path / "model.csv").to_numpy().tolist())
    expected = np.load(tmp_path / "expected.npy")  # of a table whose columns lie elsewhere in memory
    probabilities = model.runtime.predict(table).probabilities
    assert probabilities is not None
    np.testing.assert_allclose(probabilities, expected, rtol=1e-12)


def test_the_code_of_an_mlflow_model_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It lies in the model's directory, which names it."""
    write(tmp_path / "code", FILES)
    train(tmp_path)
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function:\n    code: code\n    env:\n      conda: conda.yaml\n"
        "    loader_module: mlflow.sklearn\n  sklearn:\n    code: code\n    pickled_model: model.joblib\n"
    )

    assert main(["add", "own", str(tmp_path), "--models", str(tmp_path / "m")]) == 0
    assert "code/helper.py, code/own_step.py\n" in capsys.readouterr().out


def test_code_beside_a_file_that_is_no_pickle_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A skops file runs no code, so the modules beside it run only if the user names them."""
    ran = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n".encode()
    write(tmp_path / "code", FILES)
    train(tmp_path)
    write(tmp_path / "code", {"own_step.py": ran + FILES["own_step.py"], "threadpoolctl.py": ran})
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function:\n    code: code\n  sklearn:\n    code: code\n    pickled_model: model.skops\n"
    )
    add = ["add", "own", str(tmp_path), "--models", str(tmp_path / "m")]
    code = [f"--code={tmp_path / 'code' / name}" for name in FILES]

    assert main(add) == 1
    assert "does not list: own_step.Step" in (said := capsys.readouterr().err)
    assert "(--code)" in said
    assert not (tmp_path / "ran").exists()
    assert main([*add, *code]) == 0


def test_the_commands_tell_of_the_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` refuses it unless it is trusted; `show` runs nothing of it then, and `list` never does."""
    with importable(FILES):
        save_model(fitted(), ROWS, name="own", root=tmp_path, code=FILES)
    models = ["--models", str(tmp_path)]

    assert main(["check", *models]) == 1
    assert "set TRUST_CODE=own\n" in capsys.readouterr().out
    assert main(["show", "own", *models]) == 0
    assert "not measured" in capsys.readouterr().out
    assert main(["list", *models]) == 0
    assert "sklearn" in capsys.readouterr().out
    monkeypatch.setenv("TRUST_CODE", "own")
    assert main(["check", *models]) == 0
    assert "own/1: ok, serves through sklearn_skops" in capsys.readouterr().out
    assert main(["show", "own", *models]) == 0
    assert " ms  scikit-learn" in capsys.readouterr().out
    assert main(["remove", "own", "--yes", *models]) == 0
    assert not (tmp_path / "own").exists()


def test_without_its_module_a_pickle_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which names the option."""
    write(tmp_path / "code", FILES)
    train(tmp_path)

    assert main(["add", "own", str(tmp_path / "model.joblib"), "--models", str(tmp_path / "m")]) == 1
    assert "needs the module own_step: if it is yours, add --code own_step.py" in capsys.readouterr().err


def test_a_pickle_of_a_scripts_own_class_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is of __main__, which is another module wherever it is opened."""
    train(tmp_path, FILES["own_step.py"].decode().replace("import helper", "").replace("helper.change", ""))

    assert main(["add", "own", str(tmp_path / "model.joblib"), "--models", str(tmp_path / "m")]) == 1
    assert "Move it to the top level of a module, fit the model again" in capsys.readouterr().err


def refusal(tmp_path: Path, estimator: Any, code: Any = ()) -> str:
    """Why `save_model` refuses an estimator."""
    with pytest.raises(PackagingError) as raised:
        save_model(estimator, ROWS, name="own", root=tmp_path, code=code)
    assert not (tmp_path / "own" / "1").exists()
    return str(raised.value)


def test_a_lambda_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Nothing can import it."""
    estimator = make_pipeline(FunctionTransformer(lambda rows: rows * 2), LogisticRegression()).fit(ROWS, LABELS)

    assert "are not at the top level of a module" in refusal(tmp_path, estimator)


def test_a_class_of_a_notebook_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """It is of __main__ there."""
    with importable(FILES):
        estimator = fitted()
        kind = type(estimator[0])
        kind.__module__ = "__main__"
        main_module = sys.modules["__main__"]
        main_module.Step = kind  # type: ignore[attr-defined]
        try:
            said = refusal(tmp_path, estimator)
        finally:
            del main_module.Step

    assert "are not at the top level of a module: __main__.Step; move them there, fit the model again" in said


def test_without_its_code_an_estimator_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """As the service would refuse it."""
    with importable(FILES):
        said = refusal(tmp_path, fitted())

    assert "does not list: own_step.Step; give modules of your own to save_model (code=[...])" in said


def test_other_code_than_that_of_the_fit_is_refused(tmp_path: Path) -> None:
    """As if the file was edited after the notebook had imported it."""
    with importable(FILES):
        said = refusal(tmp_path, fitted(), FILES | {"helper.py": HELPER.replace(b"2", b"-2")})

    assert "answered differently" in said
    assert said.endswith("give the modules that the model was fitted with.")


KINDS = """
import enum
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import Ridge


class Kind(enum.Enum):
    A = 1


class Nearest(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_, self.n_features_in_ = np.unique(y), X.shape[1]
        self.means_ = {str(each): X[y == each].mean(axis=0) for each in self.classes_}
        return self

    def predict(self, X):
        far = [((np.asarray(X) - self.means_[str(each)]) ** 2).sum(axis=1) for each in self.classes_]
        return self.classes_[np.argmin(far, axis=0)]


class Squared(Ridge):
    def predict(self, X):
        return super().predict(X) ** 2


class Plain:
    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))


class Enumerated(Ridge):
    def fit(self, X, y):
        self.kind_ = Kind.A
        return super().fit(X, y)
"""


@pytest.mark.parametrize("kind", ["Nearest", "Squared"])
def test_an_estimator_of_ones_own_is_served(kind: str, tmp_path: Path) -> None:
    """At the end, and derived from one of scikit-learn's, whose converter would not know what it changes."""
    files = {"own_kinds.py": KINDS.encode()}
    with importable(files):
        estimator = getattr(import_module("own_kinds"), kind)().fit(ROWS, LABELS)
        save_model(estimator, ROWS, name="own", root=tmp_path, code=files)
    model = open_repository(Settings(models_dir=tmp_path, trust_code="own")).get("own")

    prediction = model.runtime.predict(Table.from_rows(model.signature, ROWS.tolist()))
    np.testing.assert_array_equal(prediction.predict, estimator.predict(ROWS))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Plain", r"^Plain does not say what it is: derive it from sklearn\.base\.BaseEstimator"),
        ("Enumerated", r"; the attributes of its classes must be numbers, texts, arrays"),
    ],
)
def test_a_class_that_cannot_be_served_is_refused_with_the_way_out(kind: str, reason: str, tmp_path: Path) -> None:
    """In a sentence."""
    files = {"own_kinds.py": KINDS.encode()}
    with importable(files):
        estimator = getattr(import_module("own_kinds"), kind)().fit(ROWS, LABELS)
        with pytest.raises(PackagingError, match=reason):
            save_model(estimator, ROWS, name="own", root=tmp_path, code=files)


def test_a_function_of_a_module_is_served(tmp_path: Path) -> None:
    """FunctionTransformer with a function of one's own."""
    files = {"helper.py": HELPER}
    with importable(files):
        import helper  # type: ignore[import-not-found]

        estimator = make_pipeline(FunctionTransformer(helper.change), LogisticRegression()).fit(ROWS, LABELS)
        save_model(estimator, ROWS, name="own", root=tmp_path, code=files)
        expected = estimator.predict_proba(ROWS)
    model = open_repository(Settings(models_dir=tmp_path, trust_code="own")).get("own")

    table = Table.from_rows(model.signature, ROWS.tolist())
    np.testing.assert_array_equal(model.runtime.predict(table).probabilities, expected)


def test_code_that_refuses_some_rows_is_compared_on_the_others(tmp_path: Path) -> None:
    """A quotient has no value at 0; what the estimator cannot compute is refused, as by the estimator."""
    files = {"own_step.py": step(value="np.asarray(X) / np.asarray(X)[:, :1]")}
    with importable(files):
        estimator = fitted()
        save_model(estimator, ROWS, name="own", root=tmp_path, code=files)
        expected = estimator.predict_proba(ROWS)
    model = open_repository(Settings(models_dir=tmp_path, trust_code="own")).get("own")

    table = Table.from_rows(model.signature, ROWS.tolist())
    np.testing.assert_array_equal(model.runtime.predict(table).probabilities, expected)
    with pytest.raises(InvalidInput):
        model.runtime.predict(Table.from_rows(model.signature, [[0.0, 0.0, 1.0]]))


def test_a_transformer_that_changes_the_rows_in_place_answers_as_it_does(tmp_path: Path) -> None:
    """As many do with the columns of a table, who forget to copy it; each output is computed from the rows as given."""
    text = step(inside="X['a'] = X['a'] * -3\n        X['d'] = X['a'] + X['b']", value="X")
    rows = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    with importable({"own_step.py": text}):
        from own_step import Step  # type: ignore[import-not-found]

        estimator = make_pipeline(Step(), LogisticRegression()).fit(rows.copy(), LABELS)
        save_model(estimator, rows, name="own", root=tmp_path, code={"own_step.py": text})
        labels, expected = estimator.predict(rows.copy()), estimator.predict_proba(rows.copy())
    model = open_repository(Settings(models_dir=tmp_path, trust_code="own")).get("own")

    prediction = model.runtime.predict(Table.from_rows(model.signature, ROWS.tolist()))
    np.testing.assert_array_equal(prediction.predict, labels)
    np.testing.assert_array_equal(prediction.probabilities, expected)


def test_a_converted_model_needs_no_code(tmp_path: Path) -> None:
    """A search is left out with what it scored by."""
    files = {"helper.py": b"def score(estimator, X, y):\n    return estimator.score(X, y)\n"}
    with importable(files):
        import helper

        search = GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}, scoring=helper.score).fit(ROWS, LABELS)
        path = save_model(search, ROWS, name="own", root=tmp_path, code=files)

    assert (read(path).runtime, read(path).code) == ("onnx", ())
    assert not open_repository(Settings(models_dir=tmp_path)).entry("own").refused


REFUSED = {
    "import importlib\nhelper = importlib.import_module('helper')": "calls import_module",
    "from importlib import import_module\nhelper = import_module('help' + 'er')": "calls import_module",
    "import importlib\nimport helper\nimportlib.reload(helper)": "uses importlib.reload",
    "import importlib.resources": "uses importlib.resources",
    "from importlib import resources": "uses importlib.resources",
    "import sys\nhelper = sys.modules['helper']": "uses sys.modules",
    "from sys import modules": "uses sys.modules",
    "import sys as other": "uses sys",
    "import sys\nsys.path.append('.')": "uses sys.path",
    "import pkgutil": "uses pkgutil",
    "import runpy": "uses runpy",
    "text = open(__file__)": "uses __file__",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_finds_modules_by_other_means_is_refused(text: str) -> None:
    """Also in functions, with the line and what to write instead."""
    inside = "def later():\n    " + text.replace("\n", "\n    ") + "\n"
    for each in (text, inside):
        with pytest.raises(PackagingError, match=REFUSED[text]) as raised:
            needed({"own_step.py": each.encode(), "helper.py": HELPER}, ["own_step"])
        assert "line " in str(raised.value)
        assert str(raised.value).endswith(("in a function.", "in the function.", "in an attribute."))


def test_what_no_reading_can_find_is_refused_by_a_trial(tmp_path: Path) -> None:
    """A new process knows no module of the fit's."""
    find = "getattr(__import__('importlib'), 'import_' + 'module')('helper')"
    files = FILES | {"own_step.py": step(value=f"{find}.change(np.asarray(X))")}
    with importable(files):
        said = refusal(tmp_path, fitted(), files)

    assert "No module named 'helper'" in said


def test_another_library_may_be_imported_by_its_name(tmp_path: Path) -> None:
    """As some do that is not always there."""
    text = b"import importlib\nimport importlib.metadata\nnp = importlib.import_module('numpy')\n"

    assert needed({"own_step.py": text}, ["own_step"]) == {"own_step.py": text}


def test_files_are_found_as_an_import_finds_them(tmp_path: Path) -> None:
    """A module, a package, and a directory of them; what no import can name is left out."""
    files = {"one.py": b"1", "pack/__init__.py": b"", "pack/deep/two.py": b"2", "pack/deep/more/__init__.py": b"3"}
    others = {"pack/x.pyc": b"", "pack/__pycache__/one.py": b"", ".venv/x.py": b"", "a-b/x.py": b"", "1.py": b""}
    root = write(tmp_path / "src", files | others)

    assert gather([root]) == files
    assert gather([root / "one.py", root / "pack"]) == files
    assert gather([root / "pack" / "deep" / ".." / ".."]) == files
    assert gather([str(root / "pack" / "deep")]) == {"two.py": b"2", "more/__init__.py": b"3"}


def linked(root: Path) -> Path:
    (root / "linked.py").symlink_to("one.py")
    return root


def linked_directory(root: Path) -> Path:
    (root / "linked").symlink_to("pack")
    return root


def twice(root: Path) -> Path:
    write(root / "pack", {"one.py": b"2", "__init__.py": b""})
    return root


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (lambda root: [linked(root)], r"linked\.py is a link"),
        (lambda root: [linked_directory(root)], r"linked is a link"),
        (lambda root: [root / "nowhere"], r"this file or directory does not exist\.$"),
        (lambda root: [write(root / "empty", {"x.txt": b""})], r"there is no Python module in .*: give \.py files\.$"),
        (
            lambda root: [root / "one.py", write(root / "other", {"one.py": b"2"}) / "one.py"],
            r"one\.py was given twice",
        ),
        (lambda root: [write(root, {"x.txt": b""}) / "x.txt"], r"x\.txt cannot be imported"),
        (lambda root: [write(root, {"big.py": b"#" * 10_000_001})], r"more than 10 MB of modules"),
    ],
)
def test_what_cannot_be_taken_is_refused(given: Any, reason: str, tmp_path: Path) -> None:
    """In a sentence that says what to give."""
    root = write(tmp_path, {"one.py": b"1", "pack/__init__.py": b""})

    with pytest.raises(PackagingError, match=reason):
        gather(given(root))


@pytest.mark.parametrize("name", ["statistics.py", "numpy.py", "service/x.py"])
def test_a_module_with_the_name_of_another_is_refused_if_it_is_needed(name: str) -> None:
    """One would be taken for the other."""
    module = name.removesuffix(".py").replace("/", ".")
    files = {"own_step.py": f"import {module}\n".encode(), name: b""}

    with pytest.raises(PackagingError, match=r"has the name of a library, .*: rename the module, and fit again"):
        needed(files, ["own_step"])
    assert needed({"own_step.py": b"", name: b""}, ["own_step"]) == {"own_step.py": b""}


def test_text_that_is_no_python_is_refused_if_it_is_needed() -> None:
    """With its line."""
    with pytest.raises(PackagingError, match=r"own_step\.py is not valid Python for this interpreter"):
        needed({"own_step.py": b"print 1\n"}, ["own_step"])


def test_the_files_are_readable_to_all(tmp_path: Path) -> None:
    """Whatever the umask, as the containers serve as another user."""
    files = {"own_step.py": step("import parts.helper"), "parts/__init__.py": b"", "parts/helper.py": b""}
    with importable(files):
        path = save_model(fitted(), ROWS, name="own", root=tmp_path, code=files)

    modes = {each.name: each.stat().st_mode & 0o777 for each in (path / "code").rglob("*")}
    assert modes == {"own_step.py": 0o644, "parts": 0o755, "__init__.py": 0o644, "helper.py": 0o644}
    assert (path / SKOPS).exists()
    assert ROOT not in path.parents
