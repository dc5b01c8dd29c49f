"""`add` takes a booster's own file, and says what to do if it cannot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import joblib
import msgspec
import numpy as np
import pandas as pd
import pytest
import xgboost

from service.__main__ import main
from service.packaging import save_model
from service.repository.manifest import read
from service.settings import Settings
from tests.boosters.models import NAMES, cat, labels, lgb, matrix, values, xgb
from tests.support.app import make_client

ROWS = pd.DataFrame(matrix(0.0), columns=["a", "b", "c", "d", "e"])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models directory, that the settings name, beside a sample."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    ROWS.assign(target=1).to_csv(tmp_path / "sample.csv", index=False)
    return tmp_path / "models"


def answers(root: Path, rows: Any) -> Any:
    """The predictions of the model called m for these rows."""
    client = make_client(Settings(models_dir=root))
    body = msgspec.json.encode({"instances": rows.to_numpy().tolist()})
    return client.simulate_post("/v1/models/m:predict", body=body).json


BOOSTERS: dict[str, tuple[Callable[[], Any], str]] = {
    "xgboost-ubj": (lambda: xgb().fit(ROWS, labels(2)).get_booster(), "m.ubj"),
    "xgboost-json": (lambda: xgb().fit(ROWS, labels(3)).get_booster(), "m.json"),
    "xgboost-softmax": (
        lambda: xgboost.train(
            {"objective": "multi:softmax", "num_class": 3}, xgboost.DMatrix(ROWS, labels(3)), num_boost_round=10
        ),
        "m.ubj",
    ),
    "xgboost-values": (lambda: xgb("XGBRegressor").fit(ROWS, values()).get_booster(), "m.json"),
    "lightgbm-two": (lambda: lgb().fit(ROWS, labels(2)).booster_, "m.txt"),
    "lightgbm-three": (lambda: lgb().fit(ROWS, labels(3)).booster_, "m.txt"),
    "lightgbm-values": (lambda: lgb("LGBMRegressor").fit(ROWS, values()).booster_, "m.txt"),
    "catboost-two": (lambda: cat().fit(ROWS, labels(2)), "m.cbm"),
    "catboost-three": (lambda: cat().fit(ROWS, labels(3)), "m.cbm"),
    "catboost-values": (lambda: cat("CatBoostRegressor").fit(ROWS, values()), "m.cbm"),
}


def own_answer(booster: Any, rows: Any) -> Any:
    """The output of a library's own object: probabilities, labels or values."""
    if isinstance(booster, xgboost.Booster):
        return booster.predict(xgboost.DMatrix(rows))
    if isinstance(booster, catboost.CatBoostClassifier):
        return booster.predict_proba(rows)
    return booster.predict(rows)


@pytest.mark.parametrize("name", sorted(BOOSTERS))
@pytest.mark.parametrize("pickled", [False, True])
def test_an_own_file_answers_as_the_booster(name: str, pickled: bool, root: Path, tmp_path: Path) -> None:
    """The booster comes from its own file or from a pickle; probabilities and values are those of the library."""
    make, file = BOOSTERS[name]
    booster = make()
    if pickled:
        file = "m.joblib"
        joblib.dump(booster, tmp_path / file)
    else:
        booster.save_model(str(tmp_path / file))
    assert main(["add", "m", str(tmp_path / file)]) == 0
    rows = ROWS.iloc[::3] * 1.3
    answer, expected = answers(root, rows), own_answer(booster, rows)
    if "probabilities" in answer:
        given = np.array(answer["probabilities"])
        given = given[:, 1] if expected.ndim == 1 else given
        if name == "xgboost-softmax":
            given = np.array(answer["predictions"])
    else:
        given = np.array(answer["predictions"])
    assert np.abs(given - expected).max() <= 1e-6 * max(1.0, np.abs(expected).max())


def test_features_are_found_by_name(root: Path, tmp_path: Path) -> None:
    """The sample also holds the target, which is ignored."""
    lgb().fit(ROWS, labels(2)).booster_.save_model(str(tmp_path / "m.txt"))
    assert main(["add", "m", str(tmp_path / "m.txt"), "--classes", "no,yes"]) == 0
    manifest = read(root / "m" / "1")
    assert manifest.signature.names == tuple(ROWS.columns)
    assert manifest.classes == ("no", "yes")


@pytest.mark.parametrize("suffix", [".ubj", ".json", ".txt", ".cbm"])
@pytest.mark.parametrize("content", [b"", b"tree\n", b'{"a": 1}'])
def test_another_file_is_refused(
    suffix: str, content: bytes, root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The sentence says how to write a file that the service takes."""
    (tmp_path / f"m{suffix}").write_bytes(content)
    assert main(["add", "m", str(tmp_path / f"m{suffix}")]) == 1
    assert "Write the file by the model's method save_model." in capfd.readouterr().err
    assert not root.exists()


def test_a_missing_library_is_named(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence also has the command that installs the library."""
    (tmp_path / "m.ubj").write_bytes(b"{}")
    monkeypatch.delitem(sys.modules, "service.runtimes.boosters.xgboost_model", raising=False)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    assert main(["add", "m", str(tmp_path / "m.ubj")]) == 1
    assert "pip install --no-deps -r requirements-boosters.txt" in capfd.readouterr().err


def test_names_with_brackets(root: Path, tmp_path: Path) -> None:
    """CatBoost takes any name, and so does the service."""
    rows = ROWS.set_axis(NAMES, axis="columns")
    rows.to_csv(tmp_path / "sample.csv", index=False)
    model = cat().fit(rows, labels(2))
    model.save_model(str(tmp_path / "m.cbm"))
    assert main(["add", "m", str(tmp_path / "m.cbm")]) == 0
    assert answers(root, rows)["predictions"] == model.predict(rows).tolist()


MLFLOW: dict[str, tuple[Callable[[], Any], str]] = {
    "xgboost": (lambda: xgb().fit(ROWS, labels(2)), "model.xgb"),
    "lightgbm": (lambda: lgb().fit(ROWS, labels(2)).booster_, "model.lgb"),
    "catboost": (lambda: cat().fit(ROWS, labels(2)), "model.cb"),
}


@pytest.mark.parametrize("flavor", sorted(MLFLOW))
def test_an_mlflow_model_of_a_booster(flavor: str, root: Path, tmp_path: Path) -> None:
    """Its directory is enough: the flavor names the file, and the input example is the sample."""
    make, file = MLFLOW[flavor]
    model, directory = make(), tmp_path / "mlflow"
    directory.mkdir()
    written = directory / file.replace(".xgb", ".ubj")
    model.save_model(str(written))
    written.rename(directory / file)
    (directory / "MLmodel").write_text(
        f"flavors:\n  python_function:\n    data: {file}\n    loader_module: mlflow.{flavor}\n"
        f"  {flavor}:\n    code: null\n    data: {file}\n"
        "saved_input_example_info:\n  artifact_path: input_example.json\n  type: dataframe\n"
    )
    (directory / "input_example.json").write_text(ROWS.to_json(orient="split", index=False))
    assert main(["add", "m", str(directory)]) == 0
    expected = own_answer(model, ROWS) if flavor != "xgboost" else model.predict_proba(ROWS)[:, 1]
    given = np.array(answers(root, ROWS)["probabilities"])
    assert np.abs((given if expected.ndim == 2 else given[:, 1]) - expected).max() <= 1e-6


def test_a_pickle_without_its_library_says_what_to_install(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no module of one's own."""
    joblib.dump(xgb().fit(matrix(), labels(2)), tmp_path / "model.joblib")
    monkeypatch.setitem(sys.modules, "xgboost.sklearn", None)

    assert main(["add", "m", str(tmp_path / "model.joblib"), "--models", str(root)]) == 1
    assert (
        "needs xgboost, which is not installed: pip install --no-deps -r requirements-boosters.txt"
        in capsys.readouterr().err
    )


def test_a_model_of_strings_says_why_its_library_serves(root: Path) -> None:
    """Its trees split by categories, for which there is no exact conversion."""
    rows = pd.DataFrame({"city": ["Ulm", "Rom", "Oslo"] * 40, "size": np.arange(120.0)})
    model = cat(cat_features=["city"]).fit(rows, rows["city"] == "Rom")

    assert read(save_model(model, rows, name="m", root=root)).proof.reason == "no conversion: splits of categories"
