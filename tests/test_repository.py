"""Only what verifies is served, and what does not is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.app import open_repository
from service.errors import ModelNotFound, ModelNotReady
from service.manifest import SKOPS
from service.repository import ModelRepository
from service.settings import Settings
from tests import models
from tests.models import BROKEN, copy_version, edit


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path) -> Path:
    """A models directory of the test's own, with iris/1."""
    shutil.copytree(iris_dir, tmp_path / "models")
    return tmp_path / "models"


def opened(root: Path, **settings: object) -> ModelRepository:
    return open_repository(Settings(models_dir=root, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_version_is_refused_and_the_lower_one_serves(root: Path, name: str) -> None:
    """With a reason that says what is wrong with it."""
    breaks, reason = BROKEN[name]
    breaks(copy_version(root / "iris" / "1", root))
    repository = opened(root)

    assert repository.get().version == 1
    assert list(repository.entry("iris").refused) == ["2"]
    assert repository.entry("iris").refused["2"].startswith(reason)
    assert repository.ready


def test_the_highest_version_serves_and_others_by_number(root: Path) -> None:
    """Ten is higher than nine."""
    for version in (2, 9, 10):
        copy_version(root / "iris" / "1", root, version=version)
    repository = opened(root)

    assert [model.version for model in repository.entry("iris").versions.values()] == [10, 9, 2, 1]
    assert repository.get().version == 10
    assert repository.get("iris", "9").version == 9


def test_only_names_and_numbers_of_the_contract_count(root: Path) -> None:
    """Whatever else lies in the directory is passed over."""
    for name in ("0", "01", "1234567890", "latest", ".3.x", "+4", "٣"):
        shutil.copytree(root / "iris" / "1", root / "iris" / name)
    for name in (".hidden", "_x", "a b", "x" * 64, "ünde"):
        shutil.copytree(root / "iris", root / name)
    (root / "empty").mkdir()
    (root / "README").touch()

    assert list(opened(root).entries) == ["iris"]
    assert list(opened(root).entry("iris").versions) == ["1"]
    assert opened(root).entry("iris").refused == {}


def test_the_default_is_the_named_one_or_the_only_one_or_iris(root: Path) -> None:
    """And where there is none of these, the sentence says what there is."""
    (root / "iris").rename(root / "moved")
    edit(root / "moved" / "1", lambda manifest: manifest.update(name="moved"))
    assert opened(root).get().name == "moved"
    copy_version(root / "moved" / "1", root, "other", 1)
    with pytest.raises(ModelNotFound, match="no default model; there are moved, other"):
        opened(root).get()
    copy_version(root / "moved" / "1", root, "iris", 1)
    assert opened(root).get().name == "iris"
    assert opened(root, default_model="other").get().name == "other"
    with pytest.raises(ModelNotFound):
        opened(root, default_model="nothing").get()


def test_refused_and_unknown_versions_differ(root: Path) -> None:
    """One is not ready, the other is not there."""
    (copy_version(root / "iris" / "1", root) / SKOPS).unlink()
    repository = opened(root)

    with pytest.raises(ModelNotReady):
        repository.get("iris", "2")
    with pytest.raises(ModelNotFound, match="it has 1"):
        repository.get("iris", "3")


def test_a_refresh_finds_what_is_new_and_drops_what_is_gone(root: Path) -> None:
    """Models that were handed out before go on answering."""
    repository = opened(root)
    before = repository.get()
    copy_version(root / "iris" / "1", root)
    repository.refresh()
    assert repository.get().version == 2
    shutil.rmtree(root / "iris" / "2")
    repository.refresh()

    assert repository.get().version == 1
    assert before.runtime.predict(before.instances.decode(b'{"instances": [[5, 3, 1, 0]]}')).predict.tolist() == [0]


def test_an_unreadable_directory_changes_nothing(root: Path) -> None:
    """What served goes on serving."""
    repository = opened(root)
    root.rename(root.with_name("away"))
    repository.refresh()

    assert repository.get().version == 1


def test_another_scikit_learn_refuses_only_what_scikit_learn_serves(root: Path) -> None:
    """Its pickles are its own business; a converted model is judged by its golden rows."""
    edit(root / "iris" / "1", lambda manifest: manifest["versions"].update({"scikit-learn": "1.0.2"}))

    assert opened(root).get().version == 1
    refused = opened(root, runtime="sklearn").entry("iris").refused
    assert refused["1"].startswith("model.skops: made by scikit-learn 1.0.2, and this is ")


def test_another_python_refuses_nothing(root: Path) -> None:
    """Neither format depends on it."""
    edit(root / "iris" / "1", lambda manifest: manifest["versions"].update(python="2.7.18"))

    assert opened(root).get().version == 1
    assert opened(root, runtime="sklearn").get().version == 1


def test_what_hangs_at_load_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that loads is not kept waiting."""
    import threading

    from service import loading

    monkeypatch.setattr(loading, "replay", lambda *_: threading.Event().wait())

    assert opened(root, trial_seconds=0.2).entry("iris").refused == {
        "1": "model.onnx: it did not finish within 0.2 seconds"
    }


def test_what_crashes_at_load_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that loads survives it."""
    import os

    from service import loading

    monkeypatch.setattr(loading, "replay", lambda *_: os.kill(os.getpid(), 9))

    assert opened(root).entry("iris").refused == {"1": "model.onnx: it crashed (SIGKILL)"}


def test_a_skops_file_with_an_unlisted_type_is_refused(root: Path) -> None:
    """The operator's list decides, not the file."""
    import skops.io

    models.rewrite(root / "iris" / "1", SKOPS, skops.io.dumps({"x": Path("/etc/passwd")}))
    reason = opened(root, runtime="sklearn").entry("iris").refused["1"]

    assert reason.startswith("model.skops: ")
    assert "conf/skops-types.txt does not list" in reason
