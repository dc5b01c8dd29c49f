"""`python -m service add`: the results for a model's file and a CSV file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
import sklearn
import skops.io
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from service.__main__ import main
from service.commands import packages
from service.commands.command import CommandError
from service.packaging import save_model
from service.repository.manifest import ONNX, read

TEXTS = ["good film", "bad film", "awful bad thing"] * 7


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models directory; the settings name it."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def added(directory: Path, estimator: Any, sample: pd.DataFrame, *options: str) -> int:
    """Add an estimator as m, by files in a directory; return the exit status."""
    joblib.dump(estimator, directory / "m.joblib")
    sample.to_csv(directory / "m.csv", index=False)
    return main(["add", "m", str(directory / "m.joblib"), "--data", str(directory / "m.csv"), *options])


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence with which the command ended."""
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("python -m service add: ")


def test_texts_are_the_only_column(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If there are several columns, nothing tells which one holds the texts."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 0] * 7)

    assert added(tmp_path, model, pd.DataFrame({"message": TEXTS, "label": [1, 0, 0] * 7})) == 1
    assert "a CSV file of one column" in sentence(capsys)
    assert not root.exists()
    assert added(tmp_path, model, pd.DataFrame({"message": TEXTS})) == 0
    assert read(root / "m" / "1").signature.names == ("message",)


def score(estimator: Any, rows: Any, target: Any) -> float:
    """A measure of one's own, which no list of types contains."""
    return float(estimator.score(rows, target))


def test_a_model_of_types_that_are_not_listed_serves_as_onnx(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the ONNX model is timed."""
    rows, labels = load_iris(return_X_y=True)
    model = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [2]}, cv=2, scoring=score)

    assert added(tmp_path, model.fit(rows, labels), pd.DataFrame(rows)) == 0
    assert read(root / "m" / "1").runtime == "onnx"
    assert "ms  ONNX Runtime" in capsys.readouterr().out


def test_an_archive_that_is_no_skops_file_says_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The archive holds something else, or is broken."""
    pd.DataFrame({"a": [1.0]}).to_csv(tmp_path / "m.csv", index=False)
    for member, said in (("hello.txt", "m.skops: not a skops file."), ("schema.json", "m.skops cannot be loaded: ")):
        with zipfile.ZipFile(tmp_path / "m.skops", "w") as archive:
            archive.writestr(member, "[]")
        assert main(["add", "m", str(tmp_path / "m.skops"), "--data", str(tmp_path / "m.csv")]) == 1
        assert sentence(capsys).startswith(said)
    assert not root.exists()


def test_classes_have_names_of_their_own(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is given twice and a name that is missing get different sentences."""
    rows, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=2000).fit(rows, labels)

    assert added(tmp_path, model, pd.DataFrame(rows), "--classes", "A,A,B") == 1
    assert sentence(capsys) == "The names of the classes must all be different; ['A', 'A', 'B'] are not."
    assert not root.exists()


def iris(directory: Path) -> pd.DataFrame:
    """A fitted model in m.joblib, and the rows that it was fitted on."""
    rows: pd.DataFrame
    rows, labels = load_iris(return_X_y=True, as_frame=True)
    joblib.dump(LogisticRegression(max_iter=2000).fit(rows, labels), directory / "m.joblib")
    return rows


@pytest.mark.parametrize("beside", ["m.csv", "sample.csv", "X_train.parquet", "train.csv"])
def test_the_sample_is_found_beside_the_model(
    beside: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file has a name that training data usually has."""
    rows = iris(tmp_path)
    if beside.endswith("csv"):
        rows.to_csv(tmp_path / beside, index=False)
    else:
        rows.to_parquet(tmp_path / beside)

    assert main(["add", "m", str(tmp_path / "m.joblib")]) == 0
    assert f"reading {beside}, found beside m.joblib" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a crash", "half a file", "text"])
def test_a_parquet_file_that_cannot_be_read_ends_in_a_sentence(
    name: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child reads it first. If the reader crashes there, the command goes on."""
    rows, sample = iris(tmp_path), tmp_path / "sample.parquet"
    rows.to_parquet(sample)
    if name == "a crash":
        monkeypatch.setattr(pd, "read_parquet", lambda _: os.kill(os.getpid(), signal.SIGSEGV))
    else:
        sample.write_bytes(sample.read_bytes()[:1000] if name == "half a file" else b"PAR1 no PAR1")

    assert main(["add", "m", str(tmp_path / "m.joblib")]) == 1
    said = sentence(capsys)
    assert said.startswith("sample.parquet cannot be read: ")
    assert ("it crashed (SIGSEGV)" in said) == (name == "a crash")
    assert said.endswith("Give a CSV file with a header.")
    assert not root.exists()


def test_without_a_sample_it_says_where_to_put_one(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command writes nothing."""
    iris(tmp_path)
    assert main(["add", "m", str(tmp_path / "m.joblib")]) == 1
    assert sentence(capsys).startswith("There are no sample rows: add --data SAMPLE.csv, a few hundred rows like those")
    assert not root.exists()


def test_a_model_that_is_not_there_is_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before its sample is looked for."""
    assert main(["add", "m", str(tmp_path / "m.joblib")]) == 1
    assert sentence(capsys).endswith("m.joblib does not exist: give the file or the directory of a model.")


def test_a_dry_run_shows_all_and_writes_nothing(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output also has the number that the version would have."""
    iris(tmp_path).to_csv(tmp_path / "m.csv", index=False)
    (root / "m" / "6").mkdir(parents=True)
    assert main(["add", "m", str(tmp_path / "m.joblib"), "--dry-run"]) == 0

    shown = capsys.readouterr().out
    assert "m/7: a classifier" in shown
    assert f"MB in {root}/m/7" in shown
    assert shown.endswith("Nothing was written (--dry-run).\n")
    assert [each.name for each in (root / "m").iterdir()] == ["6"]


def test_an_mlflow_model_brings_its_own_sample(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the directory is named."""
    rows = iris(tmp_path)
    (tmp_path / "saved").mkdir()
    (tmp_path / "m.joblib").rename(tmp_path / "saved" / "model.pkl")
    example = rows[:40].to_json(orient="split", index=False)
    (tmp_path / "saved" / "input_example.json").write_text(example)
    (tmp_path / "saved" / "MLmodel").write_text(
        "flavors:\n  sklearn:\n    code: null\n    pickled_model: model.pkl\n    sklearn_version: 1.9.1\n"
        "saved_input_example_info:\n  artifact_path: input_example.json\n  pandas_orient: split\n  type: dataframe\n"
    )

    assert main(["add", "m", str(tmp_path / "saved")]) == 0
    assert "reading input_example.json, the model's input example" in capsys.readouterr().out
    assert read(root / "m" / "1").signature.names == tuple(rows.columns)


def test_the_summary_says_how_to_go_on(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a curl command for this very model."""
    iris(tmp_path).to_csv(tmp_path / "m.csv", index=False)
    assert main(["add", "m", str(tmp_path / "m.joblib")]) == 0

    shown = capsys.readouterr().out
    assert "  sepal length (cm)  float     a number, 4.3 to 7.9 in the sample" in shown
    assert (
        "curl http://127.0.0.1:8000/v1/models/m:predict -H 'Content-Type: application/json' -d '{\"instances\":"
        in shown
    )
    assert "python -m service serve" in shown
    assert "python -m service reload" in shown


def test_a_notebook_shows_the_summary(tmp_path: Path) -> None:
    """The path that `save_model` returns has the summary as HTML."""
    rows, labels = load_iris(return_X_y=True, as_frame=True)
    rows = rows.rename(columns={"sepal length (cm)": "<b>length</b>"})
    directory = save_model(LogisticRegression(max_iter=2000).fit(rows, labels), rows, name="m", root=tmp_path)

    assert directory == tmp_path / "m" / "1"
    assert isinstance(directory, Path)
    html = directory._repr_html_()  # type: ignore[attr-defined]
    assert html.startswith("<p><b>m/1: a classifier</b></p><table>")
    assert "&lt;b&gt;length&lt;/b&gt;" in html
    assert "<b>length" not in html


def test_what_is_missing_for_packaging_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If make did not make the environment, the command does not change it."""
    monkeypatch.setattr("service.commands.packages._NEEDED", ("no_such_package",))
    monkeypatch.setattr("service.commands.packages.ROOT", tmp_path)
    assert main(["add", "m", str(tmp_path / "m.joblib"), "--data", "x.csv"]) == 1
    assert sentence(capsys).startswith("This environment cannot package models: it lacks no_such_package. In a")


def test_the_environment_of_make_gets_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packages are installed once, from pinned and hashed requirements, and the command says so."""
    commands: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1 if len(commands) > 1 else 0)

    monkeypatch.setattr(packages, "_NEEDED", ("no_such_package",))
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))
    monkeypatch.setattr("subprocess.run", run)
    packages.need_packaging()
    assert "--require-hashes" in commands[0]
    assert commands[0][-1] == str(tmp_path / "requirements-packaging.txt")
    assert capsys.readouterr().out.startswith(
        "Installing, once, the packages that `add` needs (requirements-packaging.txt)"
    )
    with pytest.raises(CommandError, match=r"The installation failed: see the lines above, or run `make install`\."):
        packages.need_packaging()


@pytest.mark.parametrize("name", ["m.sav", "m.joblib.gz"])
def test_other_names_of_pickles(name: str, root: Path, tmp_path: Path) -> None:
    """Also compressed files, with a sample of the same name."""
    rows, species = load_iris(return_X_y=True, as_frame=True)
    joblib.dump(LogisticRegression(max_iter=1000).fit(rows, species), tmp_path / name)
    rows.to_csv(tmp_path / "m.csv", index=False)

    assert main(["add", "m", str(tmp_path / name)]) == 0
    assert read(root / "m" / "1").signature.names == tuple(rows.columns)


def test_a_skops_directory(root: Path, tmp_path: Path) -> None:
    """Its config.json names the model's file, and holds the sample."""
    rows, species = load_iris(return_X_y=True, as_frame=True)
    skops.io.dump(LogisticRegression(max_iter=1000).fit(rows, species), tmp_path / "model.skops")
    example = {name: rows[name].tolist() for name in rows.columns}
    config = {"sklearn": {"model": {"file": "model.skops"}, "model_format": "skops", "example_input": example}}
    (tmp_path / "config.json").write_text(json.dumps(config))

    assert main(["add", "m", str(tmp_path)]) == 0
    assert read(root / "m" / "1").signature.names == tuple(rows.columns)


def test_an_mlflow_model_of_onnx(root: Path, tmp_path: Path) -> None:
    """The flavor names the graph's file."""
    rows, species = load_iris(return_X_y=True)
    directory = save_model(LinearRegression().fit(rows, species), rows, name="o", root=tmp_path / "o")
    (tmp_path / "model.onnx").write_bytes((directory / ONNX).read_bytes())
    (tmp_path / "MLmodel").write_text("flavors:\n  onnx:\n    data: model.onnx\n    onnx_version: 1.0\n")
    pd.DataFrame(rows).to_csv(tmp_path / "model.csv", index=False)

    assert main(["add", "m", str(tmp_path)]) == 0
    assert read(root / "m" / "1").task == "regressor"


def mlflow_model(directory: Path, text: str) -> Any:
    """An MLflow model with this text in its MLmodel file, and its rows."""
    rows, species = load_iris(return_X_y=True, as_frame=True)
    joblib.dump(LogisticRegression(max_iter=1000).fit(rows, species), directory / "model.pkl")
    (directory / "MLmodel").write_text(text)
    return rows


SKLEARN = "flavors:\n  sklearn:\n    pickled_model: model.pkl\n    sklearn_version: {}\n"


def test_an_mlflow_model_without_rows_names_its_columns(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its signature, which YAML folds, has the types of the columns, but neither ranges nor categories."""
    signature = (
        'signature:\n  inputs: \'[{"type": "double", "name": "sepal length (cm)", "required": true}, {"type":\n'
        '    "double", "name": "it\'\'s wide", "required": true}]\'\n  outputs: null\n'
    )
    mlflow_model(tmp_path, SKLEARN.format(sklearn.__version__) + signature)

    assert main(["add", "m", str(tmp_path)]) == 1
    assert "a few hundred rows with the columns sepal length (cm), it's wide, or log the model with input_example" in (
        capsys.readouterr().err
    )


def test_an_mlflow_model_of_another_scikit_learn_is_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its pickle is opened."""
    mlflow_model(tmp_path, SKLEARN.format("0.24.2")).to_csv(tmp_path / "model.csv", index=False)
    (tmp_path / "model.pkl").write_bytes(b"no pickle")

    assert main(["add", "m", str(tmp_path)]) == 1
    assert f"was made by scikit-learn 0.24.2, but this is {sklearn.__version__}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("MLmodel", b"\xff", "MLmodel is not UTF-8: see byte 0."),
        ("config.json", b'{"sklearn": "\xff"}', "config.json does not name a scikit-learn model"),
        ("config.json", b"[" * 100_000, "config.json does not name a scikit-learn model"),
    ],
)
def test_a_description_that_cannot_be_read_is_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes, sentence: str
) -> None:
    """The sentence blames the file, and not this program."""
    (tmp_path / file).write_bytes(content)

    assert main(["add", "m", str(tmp_path)]) == 1
    assert sentence in capsys.readouterr().err


class Sampler(BaseEstimator):  # type: ignore[misc]
    """What a sampler of imbalanced-learn looks like once it is fitted."""

    def fit_resample(self, rows: Any, target: Any) -> Any:
        """Do nothing."""
        return rows, target


@pytest.mark.parametrize("search", [False, True])
def test_samplers_are_left_out(search: bool, tmp_path: Path) -> None:
    """They do nothing but in `fit`, and no other library has to be there to serve."""
    rows, species = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, species)
    sampled = Pipeline([("scale", model[0]), ("sample", Sampler()), ("classify", model[1])])
    given: Any = sampled
    if search:
        given = GridSearchCV(sampled, {})
        given.best_estimator_ = sampled

    manifest = read(save_model(given, rows, name="m", root=tmp_path))

    assert manifest.runtime == "onnx"
    assert manifest.golden.predict == model.predict(manifest.golden.rows).tolist()
