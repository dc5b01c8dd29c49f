"""The files that pin packages: an older pip must be able to install them too."""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = {"requirements-dev.txt": ".venv", "requirements-kserve.txt": ".venv-kserve"}


def pinned_extras(file: str) -> dict[str, set[str]]:
    """The extras that the file pins with each package."""
    lines = re.findall(r"^\S+==\S+", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(line.name): line.extras for line in map(Requirement, lines)}


def wanted_extras(environment: str, packages: set[str]) -> dict[str, set[str]]:
    """The extras that these packages, as they are installed in the environment, ask of each other."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    installed = distributions(path=[str(ROOT / environment / "lib" / version / "site-packages")])
    asked = [
        requirement
        for package in installed
        if canonicalize_name(package.name) in packages
        for requirement in map(Requirement, package.requires or ())
        if requirement.extras and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    ]
    return {canonicalize_name(requirement.name): requirement.extras for requirement in asked}


@pytest.mark.parametrize("file", LOCKS)
def test_an_extra_that_a_package_asks_for_is_pinned_with_its_package(file: str) -> None:
    pinned = pinned_extras(file)
    wanted = wanted_extras(LOCKS[file], set(pinned))
    assert wanted
    assert {name: extras - pinned[name] for name, extras in wanted.items() if extras - pinned[name]} == {}
