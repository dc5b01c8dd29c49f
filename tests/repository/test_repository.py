"""Only verified versions serve, and the reasons of all other versions are told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.app import open_repository
from service.errors import ModelNotFound, ModelNotReady
from service.repository.manifest import ONNX, SKOPS
from service.repository.repository import ModelRepository
from service.settings import Settings
from tests.support import versions
from tests.support.versions import BROKEN, copy_version, edit, flipped


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path) -> Path:
    """A models directory for one test, with iris/1."""
    shutil.copytree(iris_dir, tmp_path / "models")
    return tmp_path / "models"


def opened(root: Path, **settings: object) -> ModelRepository:
    return open_repository(Settings(models_dir=root, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_version_is_refused_and_the_lower_one_serves(root: Path, name: str) -> None:
    """The reason says what is wrong with the version."""
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
    """All other files and directories are ignored."""
    for name in ("0", "01", "1234567890", "latest", ".3.x", "+4", "٣"):
        shutil.copytree(root / "iris" / "1", root / "iris" / name)
    for name in (".hidden", "_x", "a b", "x" * 64, "ünde"):
        shutil.copytree(root / "iris", root / name)
    (root / "empty").mkdir()
    (root / "README").touch()

    assert list(opened(root).entries) == ["iris"]
    assert list(opened(root).entry("iris").versions) == ["1"]
    assert opened(root).entry("iris").refused == {}


def test_the_default_is_the_named_one_or_the_only_one_or_iris(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise the sentence lists the models."""
    (root / "iris").rename(root / "moved")
    edit(root / "moved" / "1", lambda manifest: manifest.update(name="moved"))
    assert opened(root).get().name == "moved"
    copy_version(root / "moved" / "1", root, "other", 1)
    with pytest.raises(ModelNotFound, match="no default model; there are moved, other"):
        opened(root).get()
    copy_version(root / "moved" / "1", root, "iris", 1)
    assert opened(root).get().name == "iris"
    assert opened(root, default_model="other").get().name == "other"
    assert "answers 404" in caplog.text
    caplog.clear()
    with pytest.raises(ModelNotFound, match="default model, nothing, is not there; there are iris, moved, other"):
        opened(root, default_model="nothing").get()
    assert "/prediction answers 404: The default model, nothing, is not there" in caplog.text


@pytest.mark.parametrize("exists", [True, False])
def test_without_a_model_the_log_names_the_directory(
    exists: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong MODELS_DIR is a common mistake."""
    root = tmp_path / "wrong"
    if exists:
        root.mkdir()
    with pytest.raises(ModelNotFound, match=r"^There is no model\.$"):
        opened(root).get()

    assert f"/prediction answers 404: There is no model. MODELS_DIR is {root}." in caplog.text
    assert (f"models directory {root} cannot be read: No such file or directory" in caplog.text) is not exists


def test_refused_and_unknown_versions_differ(root: Path) -> None:
    """A refused version is not ready (503); an unknown version does not exist (404)."""
    (copy_version(root / "iris" / "1", root) / SKOPS).unlink()
    repository = opened(root)

    with pytest.raises(ModelNotReady):
        repository.get("iris", "2")
    with pytest.raises(ModelNotFound, match="it has 1"):
        repository.get("iris", "3")


def test_a_refresh_finds_what_is_new_and_drops_what_is_gone(root: Path) -> None:
    """A model that was handed out before goes on answering."""
    repository = opened(root)
    before = repository.get()
    copy_version(root / "iris" / "1", root)
    repository.refresh()
    assert repository.get().version == 2
    shutil.rmtree(root / "iris" / "2")
    repository.refresh()

    assert repository.get().version == 1
    assert before.runtime.predict(
        before.decoders.instances.decode_rows(b'{"instances": [[5, 3, 1, 0]]}')
    ).predict.tolist() == [0]


def accidents() -> dict[str, Callable[[Path], object]]:
    """Accidents that may happen to the whole models directory."""

    def emptied(root: Path) -> None:
        shutil.rmtree(root)
        root.mkdir()

    def replaced(root: Path) -> None:
        shutil.rmtree(root)
        root.touch()

    def looped(root: Path) -> None:
        shutil.rmtree(root)
        root.symlink_to(root.name)

    return {"gone": shutil.rmtree, "emptied": emptied, "a file": replaced, "a link to itself": looped}


@pytest.mark.parametrize("name", accidents())
def test_an_accident_changes_nothing(root: Path, name: str) -> None:
    """All models go on serving. When the directory is back, the state is as before."""
    repository = opened(root)
    before = repository.get()
    shutil.copytree(root, root.with_name("kept"))
    accidents()[name](root)
    for _ in range(2):
        repository.refresh()
        assert repository.get() is before
        assert repository.ready
        assert repository.seen == {}

    if root.is_dir():
        root.rmdir()
    else:
        root.unlink(missing_ok=True)
    root.with_name("kept").rename(root)
    repository.refresh()
    assert repository.get() is before
    assert repository.seen.keys() == {"iris/1"}


def test_a_model_that_cannot_be_read_serves_on(root: Path) -> None:
    """The other models are still refreshed."""
    copy_version(root / "iris" / "1", root, "other", 1)
    repository = opened(root)
    before = repository.get("iris")
    shutil.move(root / "iris", root / ".iris")
    (root / "iris").symlink_to("iris")  # a link in a circle, which root cannot follow either
    copy_version(root / "other" / "1", root, "other", 2)
    repository.refresh()

    assert repository.get("iris") is before
    assert repository.get("other").version == 2
    assert repository.seen.keys() == {"iris", "other/1", "other/2"}


def test_a_model_that_is_gone_was_taken_back(root: Path) -> None:
    """If other models are still there."""
    copy_version(root / "iris" / "1", root, "other", 1)
    repository = opened(root)
    shutil.rmtree(root / "other")
    repository.refresh()

    assert list(repository.entries) == ["iris"]


def test_a_new_model_that_is_broken_does_not_end_readiness(root: Path) -> None:
    """At the start, readiness needs a version of each model."""
    repository = opened(root)
    flipped(copy_version(root / "iris" / "1", root, "other", 1) / ONNX)
    repository.refresh()

    assert repository.ready
    assert list(repository.entry("other").waiting) == ["1"]
    with pytest.raises(ModelNotReady):
        repository.get("other", "1")
    assert not opened(root).ready


def test_another_scikit_learn_refuses_only_what_scikit_learn_serves(root: Path) -> None:
    """Only the estimator depends on the release of scikit-learn. Golden rows check a converted model."""
    edit(root / "iris" / "1", lambda manifest: manifest["versions"].update({"scikit-learn": "1.0.2"}))

    assert opened(root).get().version == 1
    refused = opened(root, runtime="sklearn").entry("iris").refused
    assert refused["1"].startswith("model.skops: made by scikit-learn 1.0.2, but this service has ")


def test_another_python_refuses_nothing(root: Path) -> None:
    """Neither format depends on Python's release."""
    edit(root / "iris" / "1", lambda manifest: manifest["versions"].update(python="2.7.18"))

    assert opened(root).get().version == 1
    assert opened(root, runtime="sklearn").get().version == 1


def test_what_hangs_at_load_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that loads does not wait for it."""
    import threading

    from service.repository import loader

    monkeypatch.setattr(loader, "replay", lambda *_: threading.Event().wait())

    assert opened(root, trial_seconds=0.2).entry("iris").refused == {
        "1": "model.onnx: it did not finish within 0.2 seconds"
    }


def test_what_crashes_at_load_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that loads survives."""
    import os

    from service.repository import loader

    monkeypatch.setattr(loader, "replay", lambda *_: os.kill(os.getpid(), 9))

    assert opened(root).entry("iris").refused == {"1": "model.onnx: it crashed (SIGKILL)"}


def test_a_skops_file_with_an_unlisted_type_is_refused(root: Path) -> None:
    """The operator's list decides."""
    import skops.io

    versions.rewrite(root / "iris" / "1", SKOPS, skops.io.dumps({"x": Path("/etc/passwd")}))
    reason = opened(root, runtime="sklearn").entry("iris").refused["1"]

    assert reason.startswith("model.skops: ")
    assert "conf/skops-types.txt does not list" in reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m["files"].update({"a\0b": "0"}), "manifest.json has a file name with unprintable characters"),
        (lambda m: m["files"].update({"a\x1b[2Jb": "0"}), "manifest.json has a file name with unprintable characters"),
        (
            lambda m: m["features"][1].pop("example"),
            "model.onnx: the model does not accept the example: sepal_width must be a number",
        ),
        (lambda m: m["features"][1].update(example="x"), "model.onnx: the model does not accept the example: "),
        (lambda m: m.pop("classes"), "model.onnx: manifest.json has probabilities but no classes"),
        (lambda m: m.update(licence="\x1b[2J"), "manifest.json is not a manifest: "),
    ],
    ids=["NUL", "a control character", "no example", "another example", "no classes", "a member"],
)
def test_a_manifest_that_cannot_be_is_refused_with_a_sentence(
    root: Path, change: Callable[[dict[str, Any]], object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The sentence has neither a traceback nor control characters of a terminal."""
    edit(root / "iris" / "1", change)
    refused = opened(root).entry("iris").refused["1"]

    assert refused.startswith(reason)
    assert refused.isprintable()
    assert not any(record.exc_info for record in caplog.records)


def _alone(manifest: dict[str, Any], **changes: Any) -> None:
    """Leave the probabilities out."""
    del manifest["outputs"][1], manifest["golden"]["probabilities"]
    manifest.update(changes)


def _several(manifest: dict[str, Any], *counts: int) -> None:
    """Describe several outputs."""
    del manifest["classes"]
    manifest["output_classes"] = [[*range(count)] for count in counts]
    manifest["outputs"][0]["width"] = len(counts)


MISDESCRIBED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a class more": (
        lambda m: (m["classes"].append("Other"), m["outputs"][1].update(width=4)),
        "promises a list of 4 for each row by predict_proba, but the model gives a list of 3",
    ),
    "a class less": (lambda m: m["classes"].pop(), "has 2 classes, but 3 probabilities for each row"),
    "a class less, and a probability": (
        lambda m: (m["classes"].pop(), m["outputs"][1].update(width=2)),
        "classes",
    ),
    "a class twice": (lambda m: m["classes"].__setitem__(1, m["classes"][0]), "has a class twice"),
    "a dtype with room for a million letters": (
        lambda m: m["features"][1].update(dtype="S1000000"),
        "has a feature whose dtype has 1000000 bytes for each value",
    ),
    "a list of labels": (
        lambda m: m["outputs"][0].update(width=5),
        "promises a list of 5 for each row by predict, but the model gives one value",
    ),
    "strings": (lambda m: m["outputs"][0].update(strings=True), "promises strings as answers"),
    "another task": (
        lambda m: m.update(task="regressor"),
        "has the outputs predict, predict_proba, which no regressor has",
    ),
    "classes of a regressor": (lambda m: _alone(m, task="regressor"), "has classes, which no regressor has"),
    "a transformer": (
        lambda m: _alone(m, task="transformer", classes=None),
        "has the outputs predict, which no transformer has",
    ),
    "an output twice": (
        lambda m: m["outputs"].append(m["outputs"][1]),
        "has the outputs predict, predict_proba, predict_proba, which no classifier has",
    ),
    "no outputs": (lambda m: m.update(outputs=[]), ""),
    "several outputs": (lambda m: _several(m, 2, 1), ""),
    "both kinds of classes": (
        lambda m: m.update(output_classes=[[0, 1, 2]]),
        "has classes for one output and for several",
    ),
    "labels that are no positions": (
        lambda m: _alone(m, classes=["Setosa"]),
        "",
    ),
}


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
@pytest.mark.parametrize("name", MISDESCRIBED)
def test_a_manifest_that_describes_other_answers_is_refused(root: Path, name: str, runtime: Any) -> None:
    """The trial compares it with the answers to the golden rows. So no request meets the difference."""
    change, reason = MISDESCRIBED[name]
    edit(root / "iris" / "1", change)
    entry = opened(root, runtime=runtime).entry("iris")

    assert list(entry.versions) == []
    assert reason in entry.refused["1"]
    assert entry.refused["1"].isprintable()
