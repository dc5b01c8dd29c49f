"""A model file is refused if a part of it is not as scikit-learn makes it; all that scikit-learn makes is loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import skops.io
from scipy.interpolate import BSpline
from scipy.sparse import csr_array
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree._tree import Tree
from sklearn.utils import all_estimators

from service.repository.model import Refused
from service.repository.part_checks import CHECKS
from service.repository.skops_file import load_skops, trusted_types
from tests.support import crafted


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", crafted.CRAFTED)
def test_a_crafted_file_is_refused_with_a_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though all types in it are listed; it writes no file."""
    monkeypatch.chdir(tmp_path)
    craft, reason = crafted.CRAFTED[name]
    content = crafted.content(craft())
    assert set(skops.io.get_untrusted_types(data=content)) <= set(trusted_types())

    with pytest.raises(Refused) as refused:
        load_skops(content, trusted_types())
    assert re.match(reason, str(refused.value)), str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_every_check_is_of_a_class_that_there_is() -> None:
    """Were scikit-learn to rename one, its parts would no longer be checked."""
    kinds = [kind for _, kind in all_estimators()] + [BSpline, csr_array, BallTree, KDTree, Tree]
    names = {each.__name__ for kind in kinds for each in kind.__mro__}

    assert CHECKS.keys() - names <= {"BinaryTree32", "Generator", "RandomState"}
