"""The commands of the pages about the command line give the output that the pages show."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SHIPPED

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
_MEASURED = re.compile(r"^ *[\d.]+ s  |in [\d.]+ s, [\d,]+ rows/s|^  [\d.]+ ms|^  [\d.]+ MB in \S+", re.MULTILINE)


def page(name: str) -> list[tuple[str, str]]:
    """The blocks of a page that are executed: their language and text."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return re.findall(r"^```(console|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def alike(text: str) -> tuple[str, list[float]]:
    """A text without measured figures: its words, and its numbers separately."""
    text = _MEASURED.sub("*", text).replace("python -m service", "model-server")
    return _NUMBER.sub("#", text), [float(each.replace(",", "")) for each in _NUMBER.findall(text)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the models of a clone and the program."""
    for name in SHIPPED:
        shutil.copytree(ROOT / "models" / name, tmp_path / "models" / name)
    program = tmp_path / "bin" / "model-server"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m service "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run(command: str, directory: Path) -> str:
    """The output of a shell command."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "MODELS_DIR": str(directory / "models")}
    environ["PATH"] = f"{directory / 'bin'}:{environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=directory, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stdout
    return done.stdout


@pytest.mark.parametrize("name", ["score-files.md", "add-a-model.md"])
def test_everything_shown_happens(name: str, directory: Path) -> None:
    """Block by block. If a block shows a file by `cat`, the file exists from then on."""
    blocks = page(name)
    for language, text in blocks:
        if language == "python":
            subprocess.run([sys.executable, "-c", text], cwd=directory, check=True)
            continue
        command, _, shown = text.removeprefix("$ ").partition("\n")
        if command.startswith("cat "):
            (directory / command.removeprefix("cat ")).write_text(shown)
            continue
        words, numbers = alike(run(command, directory).replace(str(directory) + "/", ""))
        assert words == alike(shown)[0]
        assert numbers == pytest.approx(alike(shown)[1], rel=1e-5)
    assert len(blocks) >= 3


def blocks_below(heading: str, language: str) -> list[str]:
    """The blocks of this language in a section of add-a-model.md."""
    text = (ROOT / "docs" / "add-a-model.md").read_text(encoding="utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_a_model_is_packaged_in_an_environment_with_another_scikit_learn(directory: Path) -> None:
    """All lines but the one that fetches it; the packages of the first environment are there."""
    fit, *_ = (text for language, text in page("add-a-model.md") if language == "python")
    subprocess.run([sys.executable, "-c", fit], cwd=directory, check=True)
    commands, _ = blocks_below("Another version of scikit-learn", "sh")
    lines = [line.replace(".venv/bin/python", sys.executable) for line in commands.splitlines() if "pip " not in line]

    shown = run(" && ".join(lines), directory)

    assert "wine/1: a classifier" in shown
    assert (directory / "models" / "wine" / "1" / "manifest.json").exists()


def test_the_versions_of_scikit_learn_that_are_shown_are_those_that_are_meant() -> None:
    """The one inside is the pinned one; the image and the environment have one other."""
    text = (ROOT / "docs" / "add-a-model.md").read_text(encoding="utf-8")
    pinned = re.search(r"^scikit-learn==\S+", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    shown = re.findall(r"scikit-learn==[\d.]*\d", text)

    assert pinned is not None
    assert shown[0] == pinned[0]
    assert shown[1] == shown[2] != pinned[0]


def test_the_image_has_what_its_recipe_uses() -> None:
    """A virtual environment at the place that pip is told, and the user who runs the service."""
    (recipe,) = blocks_below("Another version of scikit-learn", "dockerfile")
    image = (ROOT / "Dockerfile.api").read_text(encoding="utf-8")

    assert "python -m venv --without-pip /opt/venv" in image
    assert re.search(r"--python (\S+)/bin/python", recipe)[1] == "/opt/venv"  # type: ignore[index]
    assert recipe.splitlines()[-1] in image.splitlines()


def test_every_page_is_in_the_table_of_contents() -> None:
    """docs/README.md links each."""
    contents = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert pages <= set(re.findall(r"\]\(([a-z-]+\.md)\)", contents))
