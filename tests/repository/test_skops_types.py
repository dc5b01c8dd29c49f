"""A file of the operator's extends the types that skops may build."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skops.io
from scipy.sparse import csc_array, csc_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import LabelSpreading

from service.app import main, open_repository
from service.packaging import save_model
from service.repository.model import Refused
from service.repository.skops_file import load_skops, trusted_types
from service.settings import Settings, SettingsError
from tests.support.own_code import LABELS, ROWS, fitted, step


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A library that is installed, with a transformer that no list of ours has."""
    module = ModuleType("own_step")
    monkeypatch.setitem(sys.modules, "own_step", module)
    exec(step(), module.__dict__)  # noqa: S102 (our own text)
    return module


def types_file(directory: Path, text: str) -> Path:
    """A file of the operator's."""
    file = directory / "types.txt"
    file.write_text(text, encoding="utf-8")
    return file


def test_types_in_the_file_are_built(library: ModuleType, tmp_path: Path) -> None:
    """Beside those that are listed anyway; comments and empty lines are left out."""
    content = skops.io.dumps(fitted())
    types = trusted_types(types_file(tmp_path, "# ours\n\nown_step.Step  # a transformer\n"))

    assert types == [*trusted_types(), "own_step.Step"]
    np.testing.assert_array_equal(load_skops(content, types).predict(ROWS), fitted().predict(ROWS))
    with pytest.raises(Refused, match=r"list types of libraries in the file that SKOPS_TYPES_FILE names$"):
        load_skops(content, trusted_types())


def test_the_service_heeds_the_file(library: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does the packaging, which tries what the service would say."""
    file = types_file(tmp_path, "own_step.Step\n")
    root = tmp_path / "models"
    monkeypatch.setenv("SKOPS_TYPES_FILE", str(file))
    monkeypatch.setattr("service.packaging.artifacts.fresh_load.refusal", lambda *given: None)
    save_model(fitted(), ROWS, name="own", root=root)

    assert not open_repository(Settings(models_dir=root, skops_types_file=file)).entry("own").refused
    assert "does not list: own_step.Step" in open_repository(Settings(models_dir=root)).entry("own").refused["1"]


DANGEROUS = {
    "builtins.eval": (eval, r"FunctionTransformer\.func holds builtins\.eval"),
    "numpy.load": (np.load, r"FunctionTransformer\.reader_ holds numpy\.load"),
    "builtins.exec": (exec, r"FunctionTransformer\.func holds builtins\.exec"),
}
"""Functions that a careless list allows, and what is said of them."""


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_the_structure_refuses_stays_refused(name: str, tmp_path: Path) -> None:
    """However it is listed: functions of Python and NumPy are only where scikit-learn has them."""
    function, reason = DANGEROUS[name]
    pipeline = make_pipeline(FunctionTransformer(), LogisticRegression()).fit(ROWS, LABELS)
    pipeline[0].func = function
    if name == "numpy.load":
        pipeline[0].func, pipeline[0].reader_ = None, function
    content = skops.io.dumps(pipeline)

    with pytest.raises(Refused, match=reason):
        load_skops(content, trusted_types(types_file(tmp_path, f"{name}\n")))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "SKOPS_TYPES_FILE: {file} cannot be read: No such file or directory."),
        ("own_step.Step\nStep\n", "SKOPS_TYPES_FILE: line 2 of {file} is not a name such as package.module.Type."),
        ("own step.Step\n", "SKOPS_TYPES_FILE: line 1 of {file} is not a name such as package.module.Type."),
        ("a.b, c.d\n", "SKOPS_TYPES_FILE: line 1 of {file} is not a name such as package.module.Type."),
        ("__main__.<lambda>\n", "SKOPS_TYPES_FILE: line 1 of {file} is not a name such as package.module.Type."),
        (b"\xff", "SKOPS_TYPES_FILE: {file} cannot be read: it is not UTF-8."),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_start(
    text: str | bytes | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence that names the setting."""
    file = tmp_path / "types.txt"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setenv("SKOPS_TYPES_FILE", str(file))
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))

    with pytest.raises(SettingsError):
        open_repository(Settings(models_dir=tmp_path, skops_types_file=file))
    with pytest.raises(SystemExit) as raised:
        main()
    assert str(raised.value) == sentence.format(file=file)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """As Docker makes one where a file that is to be mounted is missing."""
    with pytest.raises(SettingsError, match=r"cannot be read: Is a directory\.$"):
        trusted_types(tmp_path)


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (np.clip, {"a_min": -1, "a_max": 1}),
        (np.digitize, {"bins": [0.0, 1.0]}),
        (np.nan_to_num, {"nan": -1.0}),
        (np.round, {"decimals": 1}),
        (np.around, {}),
    ],
)
def test_functions_of_numpy_that_answer_each_cell_are_listed(function: Any, options: dict[str, Any]) -> None:
    """A FunctionTransformer may call them without a file of the operator's."""
    pipeline = make_pipeline(FunctionTransformer(function, kw_args=options), LogisticRegression()).fit(ROWS, LABELS)
    built = load_skops(skops.io.dumps(pipeline), trusted_types())
    np.testing.assert_array_equal(built.predict_proba(ROWS), pipeline.predict_proba(ROWS))


@pytest.mark.parametrize("kind", [csc_matrix, csc_array])
def test_sparse_tables_by_columns_are_listed(kind: Any) -> None:
    """An estimator keeps the table of the fit: a step before it, such as a MissingIndicator, gives one by columns."""
    model = LabelSpreading(kernel="knn").fit(kind(ROWS), LABELS)
    built = load_skops(skops.io.dumps(model), trusted_types())
    np.testing.assert_array_equal(built.predict_proba(ROWS), model.predict_proba(ROWS))
