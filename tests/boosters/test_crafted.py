"""A booster's file whose trees do not fit together is refused, before a row is led out of memory or round and round."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost

from service.packaging import boosters
from service.packaging.errors import PackagingError
from service.repository import booster_checks, booster_files
from service.repository.checking import Unsafe
from service.repository.manifest import BOOSTERS, Booster
from service.repository.model import Refused
from tests.boosters import models

NUMBERS = np.nan_to_num(models.matrix())
VALUES = models.values()

Document = dict[str, Any]


def xgboost_file(change: Callable[[Document, Document], object]) -> bytes:
    """A model with something else in it, in JSON; `change` takes the learner and its first tree."""
    fitted = xgboost.XGBRegressor(n_estimators=3, max_depth=3, n_jobs=1).fit(NUMBERS, VALUES)
    document = json.loads(bytes(fitted.get_booster().save_raw("json")))
    learner = document["learner"]
    change(learner, learner["gradient_booster"]["model"]["trees"][0])
    return json.dumps(document).encode()


def unsized(text: str) -> str:
    """A model without the lengths of its trees, which would end a process if they were wrong."""
    return re.sub("^tree_sizes=.*\n", "", text, flags=re.MULTILINE)


def lightgbm_file(name: str, place: int, value: int) -> bytes:
    """A model with another number in the arrays of that name, as text."""
    fitted = lightgbm.LGBMRegressor(n_estimators=3, num_leaves=7, n_jobs=1, verbose=-1)
    text = unsized(fitted.fit(NUMBERS, VALUES, categorical_feature=[4]).booster_.model_to_string())

    def changed(found: re.Match[str]) -> str:
        numbers = found[1].split()
        numbers[place] = str(value)
        return f"{name}={' '.join(numbers)}"

    return re.sub(rf"^{name}=(.+)$", changed, text, flags=re.MULTILINE).encode()


LEARNERS: dict[str, tuple[Callable[[Document, Document], object], str]] = {
    "a group": (
        lambda learner, tree: learner["gradient_booster"]["model"]["tree_info"].__setitem__(0, -500_000),
        "adds a tree to an output that does not exist",
    ),
    "rounds": (
        lambda learner, tree: learner["gradient_booster"]["model"].update(iteration_indptr=[0, 1_000_000, 2, 3]),
        "has rounds with trees that do not exist",
    ),
    "weights": (
        lambda learner, tree: learner.update(gradient_booster={"name": "gblinear", "model": {"weights": [1.0]}}),
        "does not have one weight for each feature",
    ),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_crafted_model_of_xgboost_is_refused(name: str) -> None:
    """XGBoost itself loads it."""
    change, reason = LEARNERS[name]
    booster = Booster("xgboost", xgboost.__version__, classifier=False)

    with pytest.raises(Refused, match=f"^the booster {reason}$"):
        booster_files.estimator(booster, {BOOSTERS["xgboost"]: xgboost_file(change)}, [])


NODES = {
    "a left child far away": ("left_children", 0, 1_000_000, "has a child that does not exist"),
    "a right child before all": ("right_children", 0, -1_000_000, "has a child that does not exist"),
    "a child that leads back": ("left_children", 1, 0, "has a tree whose branches meet"),
    "a feature far away": ("split_indices", 0, 1_000_000, "asks for a feature that it does not take"),
}


@pytest.mark.parametrize("name", NODES)
def test_a_crafted_tree_of_xgboost_is_refused(name: str) -> None:
    """Of an estimator that says of itself that it has such a tree; loading some of these ends a process."""
    array, place, value, reason = NODES[name]
    content = xgboost_file(lambda learner, tree: tree[array].__setitem__(place, value))

    class Read:
        """What has been read."""

        def get_booster(self) -> Read:
            """It is its own booster."""
            return self

        def save_raw(self, kind: str) -> bytes:
            """The file."""
            assert kind == "json"
            return content

    with pytest.raises(Unsafe, match=f"^the booster {reason}$"):
        booster_checks.check("xgboost", Read())


ARRAYS = {
    "a left child far away": ("left_child", 0, 1_000_000, "has a child that does not exist"),
    "a leaf far away": ("right_child", 0, -1_000_000, "has a child that does not exist"),
    "a child that leads back": ("left_child", 0, 0, "has a tree whose branches meet"),
    "a feature far away": ("split_feature", 0, 1_000_000, "asks for a feature that it does not take"),
    "a feature before all": ("split_feature", 0, -500_000, "asks for a feature that it does not take"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_crafted_tree_of_lightgbm_is_refused(name: str) -> None:
    """LightGBM itself loads it."""
    array, place, value, reason = ARRAYS[name]
    booster = Booster("lightgbm", lightgbm.__version__, classifier=False)

    with pytest.raises(Refused, match=f"^the booster {reason}$"):
        booster_files.estimator(booster, {BOOSTERS["lightgbm"]: lightgbm_file(array, place, value)}, [])


def test_categories_without_their_set_are_refused() -> None:
    """A node takes the number of its set from its threshold."""
    fitted = lightgbm.LGBMRegressor(n_estimators=1, num_leaves=7, n_jobs=1, verbose=-1, min_data_per_group=1)
    text = unsized(fitted.fit(NUMBERS, VALUES, categorical_feature=[4]).booster_.model_to_string())
    assert re.search("^num_cat=[1-9]", text, re.MULTILINE)
    text = re.sub("^threshold=.*$", lambda line: re.sub(r"[^ =]+(?!.*=)", "900000", line[0]), text, flags=re.MULTILINE)

    with pytest.raises(Unsafe, match=r"^the booster has a node without its set of categories$"):
        booster_checks.checked_content("lightgbm", text.encode())


@pytest.mark.parametrize("policy", ["SymmetricTree", "Lossguide", "Depthwise"])
def test_a_crafted_tree_of_catboost_is_refused(policy: str, tmp_path: Path) -> None:
    """If its trees are of many depths: then its nodes say how far behind them their children are."""
    fitted = catboost.CatBoostRegressor(iterations=2, depth=3, grow_policy=policy, **models.QUIET)
    file = tmp_path / "model.cbm"
    fitted.fit(NUMBERS, VALUES).save_model(str(file))
    content, booster = file.read_bytes(), Booster("catboost", catboost.__version__, classifier=False)
    booster_files.estimator(booster, {BOOSTERS["catboost"]: content}, [])
    if policy == "SymmetricTree":
        return
    step = np.array(fitted._get_tree_step_nodes(0)[0], dtype="<u2").tobytes()  # noqa: SLF001
    crafted = content.replace(step, np.array([step[0], 60_000], dtype="<u2").tobytes())
    assert crafted != content

    with pytest.raises(Refused, match=r"^the booster has a child that does not exist$"):
        booster_files.estimator(booster, {BOOSTERS["catboost"]: crafted}, [])


@pytest.mark.parametrize("policy", ["SymmetricTree", "Lossguide", "Depthwise"])
def test_features_of_catboost_that_share_a_position_are_refused(policy: str, tmp_path: Path) -> None:
    """CatBoost would look for the values of the position that is left out, and crash at the first row."""
    rows = NUMBERS[:, :4]
    fitted = catboost.CatBoostRegressor(iterations=2, depth=3, grow_policy=policy, **models.QUIET)
    file = tmp_path / "model.cbm"
    fitted.fit(rows, rows[:, 3]).save_model(str(file))
    content, four = file.read_bytes(), np.int32(3).tobytes()
    places = [found.start() for found in re.finditer(re.escape(four), content)]
    refusals = [refusal(file, content[:place] + bytes(4) + content[place + 4 :]) for place in places]

    assert refusal(file, content) == ""
    assert any("the booster has features that share a position, or an unused position" in each for each in refusals)


def refusal(file: Path, content: bytes) -> str:
    """Why a file is not read; empty if it is."""
    try:
        boosters.read(file, content)
    except PackagingError as ex:
        return str(ex)
    return ""


def far_parent(_: Document, tree: Document) -> None:
    """Let a node have a parent far from all nodes, which XGBoost follows while it reads the file."""
    tree["parents"][1] = 100_000_000


def test_a_file_at_which_a_library_crashes_ends_in_a_sentence(tmp_path: Path) -> None:
    """A child reads it first, so the command that adds the model goes on."""
    file = tmp_path / "model.json"

    with pytest.raises(PackagingError, match=r"^model.json is no model that XGBoost .* can read: it crashed \(SIG"):
        boosters.read(file, xgboost_file(far_parent))


def test_a_file_whose_trees_do_not_fit_together_ends_in_a_sentence(tmp_path: Path) -> None:
    """Before its rows are predicted."""
    content = lightgbm_file("left_child", 0, 1_000_000)

    with pytest.raises(PackagingError, match=r"^model.txt is no model that LightGBM .* can read: the booster has "):
        boosters.read(tmp_path / "model.txt", content)
