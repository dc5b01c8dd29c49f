"""The commands of the pages about the command line give the output that the pages show."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

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
    """A directory with the iris model and the program."""
    shutil.copytree(ROOT / "models" / "iris", tmp_path / "models" / "iris")
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


def test_every_page_is_in_the_table_of_contents() -> None:
    """docs/README.md links each."""
    contents = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert pages <= set(re.findall(r"\]\(([a-z-]+\.md)\)", contents))
