"""Reads the trees of boosters from each library's own dump. Trees that do not split by numbers are refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.packaging.boosters import library_of
from service.packaging.conversion.errors import NotConvertible
from service.packaging.conversion.forests import NODE

Nodes = NDArray[Any]


class Trees(NamedTuple):
    """
    A booster's trees.

    Attributes:
        nodes: for each tree its nodes, of the dtype `NODE`, and the target to which its leaves are added.
        base: the start value of the sum, shape (targets,).
        scale: the factor of the sum.
        objective: the library's name of the objective.
    """

    nodes: list[tuple[Nodes, int]]
    base: NDArray[np.float64]
    scale: float
    objective: str


def trees_of(model: Any) -> Trees:
    """
    Read the trees of a booster.

    Raises:
        NotConvertible: a tree splits by categories or has other parts that cannot be converted, or is too deep.
    """
    read = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}[str(library_of(model))]
    try:
        return read(model)
    except RecursionError:
        raise NotConvertible("trees of so many levels") from None


def splits_of(model: Any) -> NDArray[np.float64]:
    """The (feature, threshold) pairs of a booster, float64, shape (splits, 2); empty if it cannot be converted."""
    try:
        found = [nodes[nodes["is_leaf"] == 0] for nodes, _ in trees_of(model).nodes]
    except NotConvertible:
        return np.empty((0, 2))
    pairs = [np.stack([each["feature_idx"], each["num_threshold"]], axis=1) for each in found]
    return np.concatenate(pairs).astype(np.float64)


def _xgboost(model: Any) -> Trees:
    """A node goes left if the number is less than the threshold."""
    booster = model.get_booster()
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    boosted = learner["gradient_booster"]
    if boosted["name"] not in ("gbtree", "dart"):
        raise NotConvertible(f"a booster of the kind {boosted['name']}")
    forest = boosted.get("gbtree", boosted)["model"]
    best = booster.attr("best_iteration")
    count = len(forest["trees"]) if best is None else forest["iteration_indptr"][int(best) + 1]
    weights = boosted.get("weight_drop", [1.0] * count)
    shape = learner["learner_model_param"]
    targets = max(1, int(shape["num_class"]), int(shape["num_target"]))
    base = np.array(json.loads(shape["base_score"]), dtype=np.float64).reshape(-1)
    nodes = [
        (_xgboost_nodes(tree, np.float32(weight)), target)
        for tree, target, weight in zip(
            forest["trees"][:count], forest["tree_info"][:count], weights[:count], strict=True
        )
    ]
    return Trees(nodes, np.resize(base, targets), 1.0, learner["objective"]["name"])


def _xgboost_nodes(tree: Any, weight: np.float32) -> Nodes:
    if int(tree["tree_param"]["size_leaf_vector"]) > 1 or any(tree["split_type"]):
        raise NotConvertible("splits of categories, or leaves of several values")
    nodes = np.zeros(len(tree["left_children"]), dtype=NODE)
    nodes["left"], nodes["right"] = tree["left_children"], tree["right_children"]
    nodes["is_leaf"] = nodes["left"] < 0
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    nodes["num_threshold"], nodes["value"] = conditions, conditions * weight
    nodes["feature_idx"], nodes["missing_go_to_left"] = tree["split_indices"], tree["default_left"]
    return nodes


def _lightgbm(model: Any) -> Trees:
    """A node goes left if the number is at most the threshold."""
    booster = getattr(model, "booster", None) or model.booster_
    dump = booster.dump_model()
    targets = dump["num_tree_per_iteration"]
    nodes = [(_nested(tree["tree_structure"], _lightgbm_node), i % targets) for i, tree in enumerate(dump["tree_info"])]
    iterations = len(nodes) // targets
    scale = 1.0 / iterations if dump["average_output"] and iterations else 1.0
    return Trees(nodes, np.zeros(targets), scale, dump.get("objective", "custom"))


def _lightgbm_node(part: Any) -> tuple[Any, ...]:
    if "split_feature" not in part:
        if part.get("leaf_coeff"):
            raise NotConvertible("linear trees")
        return (float(part["leaf_value"]),)
    if part["decision_type"] != "<=" or part["missing_type"] == "Zero":
        raise NotConvertible("splits of categories, or zeros for missing values")
    threshold = float(part["threshold"])
    left = part["default_left"] if part["missing_type"] == "NaN" else threshold >= 0
    return part["split_feature"], threshold, left, part["left_child"], part["right_child"]


def _catboost(model: Any) -> Trees:
    """A node goes left if the number is at most the border."""
    model = getattr(model, "model", model)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "model.json"
        model.save_model(str(file), format="json")
        dump = json.loads(file.read_text(encoding="utf-8"))
    scale, base = dump["scale_and_bias"]
    features = {each["feature_index"]: each for each in dump["features_info"]["float_features"]}
    places = {index: (each["flat_feature_index"], each["nan_value_treatment"]) for index, each in features.items()}

    def split(condition: Any) -> tuple[int, float, bool]:
        if condition["split_type"] != "FloatFeature":
            raise NotConvertible("splits of categories")
        place, gaps = places[condition["float_feature_index"]]
        return place, float(np.float32(condition["border"])), gaps != "AsTrue"

    nodes = []
    for tree in dump.get("oblivious_trees", dump.get("trees", [])):
        nodes += [(each, target) for target, each in enumerate(_catboost_nodes(tree, split, len(base)))]
    loss = str(model.get_all_params().get("loss_function", "custom"))
    return Trees(nodes, np.array(base, dtype=np.float64), float(scale), loss)


def _catboost_nodes(tree: Any, split: Any, targets: int) -> list[Nodes]:
    """The nodes of a tree, as a separate tree for each target."""

    def of(target: int) -> Any:
        def node(part: Any) -> tuple[Any, ...]:
            if isinstance(part, dict):
                if "split" in part:
                    return *split(part["split"]), part["left"], part["right"]
                return (float(np.ravel(part["value"])[target]),)
            level, leaf = part  # an oblivious tree: all nodes of a level have the same split
            if level == len(tree["splits"]):
                return (float(tree["leaf_values"][leaf * targets + target]),)
            return *split(tree["splits"][level]), (level + 1, leaf), (level + 1, leaf | 1 << level)

        return node

    return [_nested((0, 0) if "leaf_values" in tree else tree, of(target)) for target in range(targets)]


def _nested(root: Any, look: Any) -> Nodes:
    """
    Flatten a nested tree to an array of nodes.

    Args:
        root: the root of the tree.
        look: a function that returns (value,) for a leaf, and (feature, threshold, whether gaps go left, left part,
            right part) for a branch.
    """
    nodes: list[tuple[Any, ...]] = []

    def add(part: Any) -> int:
        place = len(nodes)
        found = look(part)
        nodes.append((1, found[0], -1, -1, 0, 0.0, 0))
        if len(found) > 1:
            feature, threshold, left, *sides = found
            children = [add(each) for each in sides]
            nodes[place] = (0, 0.0, *children, feature, threshold, left)
        return place

    add(root)
    return np.array(nodes, dtype=NODE)
