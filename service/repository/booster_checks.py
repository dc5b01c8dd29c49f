"""
Checks the trees of a booster that was read from its library's own file.

The libraries do not check the indices in a tree. An index past its array reads or writes foreign memory. If a child
leads back to an earlier node, the prediction of a row never ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service import private_names
from service.repository.checking import Unsafe, inside

Ints = NDArray[np.int64]


def checked_content(library: str, content: bytes) -> bytes:
    """
    The content of a booster's file that its library may read.

    LightGBM's text is checked first, because LightGBM follows the trees as soon as it is asked for them. It is read
    without the sizes of its trees: a wrong size would make LightGBM read a tree outside the text that was checked.

    Raises:
        Unsafe: the trees of a text do not fit together.
    """
    if library != "lightgbm":
        return content
    text = content.decode()
    with _refusing():
        _lightgbm(text)
    return re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE).encode()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Unsafe:
        raise
    except Exception as ex:  # the library itself writes every part, and each with its type
        raise Unsafe(f"the booster does not have the parts that it is made of: {ex!r}") from ex


def check(library: str, estimator: Any) -> None:
    """
    Check the trees that a library has read.

    Args:
        library: its name.
        estimator: the object that `runtimes.boosters.load` returns.

    Raises:
        Unsafe: its trees do not fit together.
    """
    if library in CHECKS:
        with _refusing():
            CHECKS[library](estimator)


def _require(holds: object, fault: str) -> None:
    if not holds:
        raise Unsafe(f"the booster {fault}")


def _reached(left: Ints, right: Ints, split: NDArray[np.bool_]) -> Ints:
    """The nodes with a split that a row can reach from the first node."""
    level, met, found = np.zeros(1, dtype=np.int64), 0, []
    while level.size:
        _require(inside(level, 0, len(split)), "has a child that does not exist")
        met += level.size
        _require(met <= len(split), "has a tree whose branches meet")
        inner = level[split[level]]
        found.append(inner)
        level = np.concatenate((left[inner], right[inner]))
    return np.concatenate(found)


def _xgboost(estimator: Any) -> None:
    learner = msgspec.json.decode(bytes(estimator.get_booster().save_raw("json")))["learner"]
    sizes, booster = learner["learner_model_param"], learner["gradient_booster"]
    width = int(sizes["num_feature"])
    groups = max(1, int(sizes["num_class"]), int(sizes.get("num_target", 1)))
    if booster["name"] == "gblinear":
        _require(len(booster["model"]["weights"]) == (width + 1) * groups, "does not have one weight for each feature")
        return
    dart = booster["name"] == "dart"
    model = booster["gbtree"]["model"] if dart else booster["model"]
    trees, ends = model["trees"], np.asarray(model.get("iteration_indptr", [0]), dtype=np.int64)
    _require(not dart or len(booster["weight_drop"]) == len(trees), "does not have one weight for each tree")
    _require(
        inside(np.asarray(model["tree_info"], dtype=np.int64), 0, groups),
        "adds a tree to an output that does not exist",
    )
    _require(inside(ends, 0, len(trees) + 1) and (np.diff(ends) >= 0).all(), "has rounds with trees that do not exist")
    for each in trees:
        _xgboost_tree(each, width)


def _xgboost_tree(tree: Mapping[str, Any], width: int) -> None:
    left, right, features = (
        np.asarray(tree[name], dtype=np.int64) for name in ("left_children", "right_children", "split_indices")
    )
    _require(len(left) == len(right) == len(features), "has a tree whose arrays differ in length")
    found = _reached(left, right, left != -1)
    _require(inside(features[found], 0, width), "asks for a feature that it does not take")


def _lightgbm(text: str) -> None:
    _require("\r" not in text and "\0" not in text, "has line ends that LightGBM does not write")
    head, *trees = text.partition("\nend of trees")[0].split("\nTree=")
    facts = _facts(head)
    width, classes, each_round = (
        int(facts[name]) for name in ("max_feature_idx", "num_class", "num_tree_per_iteration")
    )
    _require(width >= 0 and 1 <= each_round <= classes, "does not give one value for each class")
    _require(len(trees) % each_round == 0, "has a round without all its trees")
    named = [each.partition(":")[2] for each in facts.get("objective", "").split() if each.startswith("num_class:")]
    _require(all(int(each) == classes for each in named), "has an objective for another number of classes")
    for tree in map(_facts, trees):
        _lightgbm_tree(tree, width + 1)


def _lightgbm_tree(tree: Mapping[str, str], width: int) -> None:
    leaves = int(tree["num_leaves"])
    _require(leaves >= 1, "has a tree without leaves")
    _require(inside(_ints(tree, "leaf_features"), 0, width), "asks for a feature that it does not take")
    if leaves == 1:
        return
    inner = leaves - 1
    left, right, features, kinds = (
        _ints(tree, name) for name in ("left_child", "right_child", "split_feature", "decision_type")
    )
    lengths = {len(each) for each in (left, right, features, kinds)}
    _require(lengths == {inner}, "has a tree whose arrays differ in length")
    left, right = (np.where(child < 0, inner + ~child, child) for child in (left, right))  # leaves stand behind
    found = _reached(left, right, np.arange(inner + leaves) < inner)
    _require(inside(features[found], 0, width), "asks for a feature that it does not take")
    by_category = found[kinds[found] & 1 == 1]
    if by_category.size:
        sets, words = _ints(tree, "cat_boundaries"), _ints(tree, "cat_threshold")
        asked = np.array(tree["threshold"].split(), dtype=np.float64)[by_category]
        _require(inside(asked.astype(np.int64), 0, len(sets) - 1), "has a node without its set of categories")
        _require(inside(sets, 0, len(words) + 1) and (np.diff(sets) >= 0).all(), "has no sets of categories")


def _catboost(estimator: Any) -> None:
    """
    Check the features, and the trees that are not oblivious: their nodes say how far behind them their children are.

    CatBoost checks the sizes of oblivious trees itself. It makes an array for each position of a row: if two features
    share a position, another feature has no array.
    """
    if fault := private_names.missing("catboost"):
        raise Unsafe(fault)
    model = estimator.model
    kinds = ("float", "cat", "text", "embedding")
    positions = sorted(each for kind in kinds for each in getattr(model, f"_get_{kind}_feature_indices")())
    _require(positions == list(range(len(positions))), "has features that share a position, or an unused position")
    if model._object._is_oblivious():  # noqa: SLF001 (its own plots ask so)
        return
    for tree, leaves in enumerate(model.get_tree_leaf_counts()):
        steps = np.array(model._get_tree_step_nodes(tree), dtype=np.int64).reshape(-1, 2)  # noqa: SLF001
        values = np.array(model._get_tree_node_to_leaf(tree), dtype=np.int64)  # noqa: SLF001
        _require(len(values) == len(steps), "has a tree whose arrays differ in length")
        ends = np.arange(len(steps))[:, None] + steps
        _require(inside(ends, 0, len(steps)), "has a child that does not exist")
        _require(inside(values[(steps == 0).any(axis=1)], 0, leaves), "has a node without a value")


def _facts(block: str) -> dict[str, str]:
    """The members of a block of LightGBM's text, by their names."""
    pairs = [*_pairs(block)]
    facts = dict(pairs)
    _require(len(facts) == len(pairs), "has a member twice")
    return facts


def _pairs(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, _, value = line.partition("=")
        yield name, value


def _ints(tree: Mapping[str, str], name: str) -> Ints:
    return np.array(tree.get(name, "").split(), dtype=np.int64)


CHECKS: Mapping[str, Callable[[Any], None]] = {"xgboost": _xgboost, "catboost": _catboost}
"""The checks of loaded boosters, by the names of libraries."""
