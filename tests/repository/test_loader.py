"""Files that attack the service, or that only some settings allow."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import Birch
from sklearn.ensemble import RandomForestClassifier

from service.app import open_repository
from service.packaging import save_model
from service.prediction import Prediction
from service.repository.loader import replay
from service.repository.manifest import BOOSTERS, ONNX, PICKLE, SKOPS, Golden, digest, read
from service.repository.model import Refused
from service.repository.skops_file import load_skops, trusted_types
from service.settings import Settings
from service.table import Table
from tests.support import versions


class Touches:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        """Run a command."""
        return os.system, (f"touch {self.path}",)


def refusal(root: Path, **settings: Any) -> str:
    """The reason for the refusal of the only version."""
    entry = next(iter(open_repository(Settings(models_dir=root, **settings)).entries.values()))
    assert list(entry.versions) == []
    return next(iter(entry.refused.values()))


@pytest.fixture
def version(iris_dir: Path, tmp_path: Path) -> Path:
    """A version that scikit-learn serves; each test breaks it in its own way."""
    directory = versions.copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=1)
    versions.edit(directory, lambda manifest: manifest.update(runtime="sklearn"))
    return directory


def test_a_pickle_is_not_touched_unless_allowed(version: Path, tmp_path: Path) -> None:
    """Its code does not run. If pickles are allowed, the code runs in the trial, and cannot start a program there."""
    versions.rewrite(version, PICKLE, pickle.dumps(Touches(tmp_path / "touched")))
    versions.edit(version, lambda manifest: manifest["files"].pop(SKOPS))

    assert refusal(version.parent.parent) == "model.pkl: a pickle can run any code, and ALLOW_PICKLE is not 1"
    assert not (tmp_path / "touched").exists()
    assert refusal(version.parent.parent, allow_pickle=True) == "model.pkl: 'int' object has no attribute 'classes_'"
    assert not (tmp_path / "touched").exists()


def test_a_pickle_named_skops_is_not_unpickled(version: Path, tmp_path: Path) -> None:
    """It is no zip archive."""
    versions.rewrite(version, SKOPS, pickle.dumps(Touches(tmp_path / "touched")))

    assert refusal(version.parent.parent) == "model.skops: not a skops file"
    assert not (tmp_path / "touched").exists()


def test_a_name_that_is_no_text_is_told_as_far_as_it_goes(version: Path) -> None:
    """JSON may hold half of a surrogate pair, which UTF-8 cannot encode. The trial must still end with a reason."""
    content = io.BytesIO()
    schema = {"__class__": "\ud800", "__module__": "os", "__loader__": "ObjectNode", "__id__": 1, "content": None}
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("schema.json", json.dumps({**schema, "protocol": 2, "_skops_version": "0.11"}))
    versions.rewrite(version, SKOPS, content.getvalue())

    assert refusal(version.parent.parent).startswith(
        "model.skops: types that conf/skops-types.txt does not list: os.?; "
    )


def test_an_archive_that_expands_without_end_is_refused(version: Path) -> None:
    """The archive's directory already tells the size, before a file in it is read."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(300 * 1024**2))
    versions.rewrite(version, SKOPS, content.getvalue())

    assert "which no model does" in refusal(version.parent.parent)


def test_a_model_that_only_a_pickle_holds_serves_where_that_is_allowed(tmp_path: Path) -> None:
    """Skops cannot write Birch."""
    rows = np.random.default_rng(0).normal(size=(60, 2))
    model = Birch(n_clusters=3).fit(rows)
    directory = save_model(model, rows, name="birch", root=tmp_path)

    assert set(read(directory).files) == {PICKLE}
    assert refusal(tmp_path).startswith("model.pkl: a pickle can run any code")
    served = open_repository(Settings(models_dir=tmp_path, allow_pickle=True)).get()
    answer = served.runtime.predict(Table.from_matrix(served.signature, rows))
    assert answer.predict.tolist() == model.predict(rows).tolist()


def test_loaded_estimators_compute_in_one_thread() -> None:
    """For any number of jobs with which they were fitted."""
    import skops.io

    forest = RandomForestClassifier(3, n_jobs=-1, random_state=0).fit([[0.0], [1.0]], [0, 1])

    assert load_skops(skops.io.dumps(forest), trusted_types()).n_jobs == 1


def test_an_unlisted_type_is_named() -> None:
    """So the operator can decide whether to list it."""
    import skops.io

    with pytest.raises(Refused, match=r"conf/skops-types\.txt does not list: .*PosixPath"):
        load_skops(skops.io.dumps({"x": Path("/")}), trusted_types())


def test_what_is_loaded_is_what_was_hashed(version: Path) -> None:
    """Each file of the manifest is checked, also a file that does not serve."""
    versions.flipped(version / ONNX)

    assert refusal(version.parent.parent) == "model.onnx: its sha256 is not the one in manifest.json"
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_golden_rows_have_an_answer_each(version: Path) -> None:
    """If a manifest has fewer answers than golden rows, it is refused, even if the model gives as few answers."""
    manifest = read(version)

    class Few:
        platform = "few"

        def predict(self, _: Table) -> Prediction:
            return Prediction(np.array([0]))

    with pytest.raises(Refused, match="the model gives 1 answers for 2 golden rows"):
        replay(Few(), manifest.signature, Golden(manifest.golden.rows[:2], [0]))


def test_a_booster_without_its_library_is_refused(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says how to install it."""
    versions.rewrite(version, BOOSTERS["xgboost"], b"{}")
    booster = {"library": "xgboost", "version": "3.2.0", "classifier": True}
    versions.edit(version, lambda manifest: manifest.update(runtime="xgboost", booster=booster))
    monkeypatch.setitem(sys.modules, "xgboost", None)

    assert refusal(version.parent.parent, runtime="sklearn") == (
        "model.ubj: it needs xgboost, which is not installed: pip install --no-deps -r requirements-boosters.txt; "
        "an image takes them by --build-arg BOOSTERS=1"
    )
