"""
Model files that only listed types are in, and that attack all the same: by what is called, or by arrays that compiled
code follows out of memory.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import skops.io
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 (it lets IterativeImputer be imported)
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel, f_classif
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.multioutput import RegressorChain
from sklearn.neighbors import KDTree, KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, SplineTransformer, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils._bunch import Bunch
from sklearn.utils.validation import check_array

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 4))
VALUES = ROWS @ np.arange(4.0)
LABELS = np.arange(60) % 3
TEXTS = ["a cat", "a dog", "two birds"] * 20

Craft = Callable[[], Any]
CRAFTED: dict[str, tuple[Craft, str]] = {}
"""The function that makes an estimator or a file, and a part of its refusal."""


def crafted(reason: str) -> Callable[[Craft], Craft]:
    """Add a craft; its name is that of the function."""

    def add(craft: Craft) -> Craft:
        CRAFTED[craft.__name__.replace("_", " ")] = (craft, reason)
        return craft

    return add


def content(made: Any) -> bytes:
    """The content of the file that a craft makes."""
    return made if isinstance(made, bytes) else bytes(skops.io.dumps(made))


def altered(estimator: Any, change: Callable[[dict[str, Any]], object], files: dict[str, bytes] | None = None) -> bytes:
    """The file of an estimator with a changed schema."""
    source, target = io.BytesIO(skops.io.dumps(estimator)), io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        schema = json.loads(old.read("schema.json"))
        change(schema)
        for name in old.namelist():
            new.writestr(name, json.dumps(schema) if name == "schema.json" else old.read(name))
        for name, extra in (files or {}).items():
            new.writestr(name, extra)
    return target.getvalue()


def attributes(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    """The nodes of the attributes of an estimator, or of a part of it by the names of attributes."""
    for name in path:
        schema = schema["content"]["content"][name]
    found: dict[str, Any] = schema["content"]["content"]
    return found


def node(kind: str, name: str, content: Any = None) -> dict[str, Any]:
    """A node of a schema."""
    module, _, what = name.rpartition(".")
    return {"__class__": what, "__module__": module, "__loader__": kind, "content": content}


def plain(value: Any) -> dict[str, Any]:
    """The node of a value that JSON has."""
    return {**node("JsonNode", "builtins.str", json.dumps(value)), "is_json": True}


# Calls of functions that must not be called


@crafted("StackingRegressor.estimators_ holds a numpy.ndarray, and would be called as an estimator")
def an_array_that_is_written_to_a_file() -> Any:
    path = FunctionTransformer(functools.partial(np.ravel))
    stack = StackingRegressor([("a", Ridge())]).fit(ROWS, VALUES)
    stack.estimators_, stack.stack_method_ = [np.frombuffer(b"#!/bin/sh\n", dtype=np.uint8)], ["tofile"]
    return Pipeline([("path", path), ("stack", stack)])


@crafted("StackingRegressor.stack_method_ names the method 'tofile', which predicts nothing")
def a_method_that_is_none_for_predictions() -> Any:
    stack = StackingRegressor([("a", Ridge())]).fit(ROWS, VALUES)
    stack.stack_method_ = ["tofile"]
    return stack


@crafted("RegressorChain.chain_method_ names the method '__init__', which predicts nothing")
def a_method_of_a_chain() -> Any:
    chain = RegressorChain(Ridge()).fit(ROWS, np.c_[VALUES, VALUES])
    chain.chain_method_ = "__init__"
    return chain


def _imputer(**changes: Any) -> Any:
    """An imputer of which one step is changed."""
    rows = ROWS.copy()
    rows[::3, 0] = np.nan
    model = make_pipeline(IterativeImputer(), Ridge()).fit(rows, VALUES)
    steps = model[0].imputation_sequence_
    steps[0] = steps[0]._replace(**changes)
    return model


@crafted("IterativeImputer has a step without an estimator")
def a_step_of_an_imputer_that_is_no_estimator() -> Any:
    return _imputer(estimator=Bunch(predict="ravel"))


@crafted("IterativeImputer imputes a feature that does not exist")
def a_step_of_an_imputer_that_writes_elsewhere() -> Any:
    return _imputer(feat_idx=99)


@crafted("FrozenEstimator.estimator holds a numpy.ndarray, and would be called as an estimator")
def an_array_that_is_frozen() -> Any:
    return make_pipeline(FrozenEstimator(np.arange(3)), Ridge().fit(ROWS, VALUES))


@crafted("Pipeline.steps holds a sklearn.utils._bunch.Bunch, and would be called as an estimator")
def a_dictionary_with_the_methods_of_an_estimator() -> Any:
    return Pipeline([("bunch", Bunch(transform=np.ravel, fit=np.ravel)), ("last", Ridge().fit(ROWS, VALUES))])


@crafted("VotingRegressor.estimators_ holds a sklearn.tree._tree.Tree, and would be called as an estimator")
def a_tree_that_is_given_rows_by_another() -> Any:
    vote = VotingRegressor([("a", Ridge())]).fit(ROWS, VALUES)
    vote.estimators_ = [DecisionTreeRegressor().fit(ROWS, VALUES).tree_]
    return vote


@crafted("Ridge.anything holds a Tree, which belongs in tree_")
def a_tree_in_another_place() -> Any:
    ridge = Ridge().fit(ROWS, VALUES)
    ridge.anything = DecisionTreeRegressor().fit(ROWS, VALUES).tree_
    return ridge


@crafted("LinearRegression.predict replaces an attribute of its class")
def a_function_for_a_method() -> Any:
    model = LinearRegression().fit(ROWS, VALUES)
    model.predict = np.ravel
    return model


@crafted("LogisticRegression._parameter_constraints replaces an attribute of its class")
def parameters_without_rules() -> Any:
    model = LogisticRegression().fit(ROWS, LABELS)
    model._parameter_constraints = {}  # noqa: SLF001
    return model


@crafted("SVC._impl replaces an attribute of its class")
def a_machine_of_another_kind() -> Any:
    model = SVC().fit(ROWS, LABELS)
    model._impl = "epsilon_svr"  # noqa: SLF001
    return model


@crafted("FunctionTransformer.func holds numpy.ravel with arguments")
def a_function_with_arguments() -> Any:
    return make_pipeline(FunctionTransformer(functools.partial(np.ravel, order="F")), Ridge().fit(ROWS, VALUES))


@crafted("FunctionTransformer.func holds <ufunc 'add'>, which conf/skops-types.txt does not list")
def a_function_that_is_not_listed() -> Any:
    return make_pipeline(FunctionTransformer(np.add), Ridge().fit(ROWS, VALUES))


@crafted("FunctionTransformer.func holds sklearn.cluster._kmeans._kmeans_single_lloyd")
def compiled_code_that_is_given_any_arrays() -> Any:
    lloyd = BisectingKMeans(2).fit(ROWS)._kmeans_single  # noqa: SLF001
    given = {"sample_weight": np.zeros(1), "centers_init": np.zeros((9, 9)), "n_threads": 1}
    return make_pipeline(FunctionTransformer(lloyd, kw_args=given), Ridge().fit(ROWS, VALUES))


@crafted("SVC.kernel holds numpy.exp")
def a_function_for_a_kernel() -> Any:
    model = SVC().fit(ROWS, LABELS)
    model.kernel = np.exp
    return model


@crafted("SelectFromModel.importance_getter holds sklearn.metrics._classification.accuracy_score")
def a_function_that_is_given_an_estimator() -> Any:
    select = SelectFromModel(Ridge(), importance_getter=accuracy_score)
    select.estimator_ = Ridge().fit(ROWS, VALUES)
    return make_pipeline(select, Ridge().fit(ROWS, VALUES))


@crafted("FunctionTransformer.func holds sklearn.neighbors._kd_tree.KDTree")
def a_class_for_a_function() -> Any:
    return make_pipeline(FunctionTransformer(KDTree), Ridge().fit(ROWS, VALUES))


@crafted("FunctionTransformer.feature_names_out holds sklearn.feature_selection")
def a_function_for_names() -> Any:
    return make_pipeline(FunctionTransformer(feature_names_out=f_classif), Ridge().fit(ROWS, VALUES))


@crafted("it is a numpy.ndarray, which predicts nothing")
def an_array() -> Any:
    return np.arange(3)


@crafted("The 'passthrough' parameter of StackingRegressor must be an instance of 'bool'")
def a_parameter_that_no_fit_takes() -> Any:
    stack = StackingRegressor([("a", Ridge())]).fit(ROWS, VALUES)
    stack.passthrough = "x"
    return stack


# Objects that must not be built


@crafted("it would build a List by numpy.mean")
def a_list_that_calls_a_function() -> bytes:
    return altered(Ridge(), lambda schema: attributes(schema).update(x=node("ListNode", "numpy.mean", [plain(1)])))


@crafted("it would build a ConstructorFromReduce by numpy.mean")
def a_constructor_that_is_a_function() -> bytes:
    made = node("ConstructorFromReduceNode", "numpy.mean", node("TupleNode", "builtins.tuple", [plain([1])]))
    return altered(Ridge(), lambda schema: attributes(schema).update(x=made))


@crafted("it would make keys by numpy.mean")
def keys_that_are_made_by_a_function() -> bytes:
    keys = node("ListNode", "builtins.list", [node("FunctionNode", "numpy.mean")])
    made = {**node("DictNode", "builtins.dict", {"1": plain(1)}), "key_types": keys}
    return altered(Ridge(), lambda schema: attributes(schema).update(x=made))


@crafted("it would make keys by numpy.mean")
def keys_that_are_named_before() -> bytes:
    first = {**node("ListNode", "builtins.list", [node("FunctionNode", "numpy.mean")]), "__id__": 1}
    again = {**node("ListNode", "builtins.list", [node("TypeNode", "builtins.str")]), "__id__": 1}
    made = {**node("DictNode", "builtins.dict", {"1": plain(1)}), "key_types": again}
    return altered(Ridge(), lambda schema: attributes(schema).update(x=first, y=made))


@crafted("it would make numbers by numpy.mean")
def numbers_that_are_made_by_a_function() -> bytes:
    def change(schema: dict[str, Any]) -> None:
        array = attributes(schema)["coef_"]
        array.update({"__class__": "mean", "__module__": "numpy"})

    return altered(Ridge().fit(ROWS, VALUES), change)


@crafted("it would build a Loss by numpy.mean")
def a_loss_that_is_a_function() -> bytes:
    made = {
        **node("LossNode", "numpy.mean", {**node("DictNode", "builtins.dict", {}), "key_types": _no_keys()}),
        "__reduce__": {"args": node("TupleNode", "builtins.tuple", [plain([1])])},
    }
    return altered(Ridge(), lambda schema: attributes(schema).update(x=made))


def _no_keys() -> dict[str, Any]:
    return node("ListNode", "builtins.list", [])


@crafted("it has an array that is not in NumPy's format")
def an_archive_for_an_array() -> bytes:
    archive = io.BytesIO()
    np.savez(archive, x=np.arange(3))

    def change(schema: dict[str, Any]) -> None:
        attributes(schema)["coef_"]["file"] = "archive"

    return altered(Ridge().fit(ROWS, VALUES), change, {"archive": archive.getvalue()})


@crafted("it has a tree with wrong numbers of classes")
def a_tree_of_more_outputs_than_numbers_of_classes() -> bytes:
    def change(schema: dict[str, Any]) -> None:
        attributes(schema)["tree_"]["__reduce__"]["args"]["content"][2] = plain(10**9)

    return altered(DecisionTreeRegressor().fit(ROWS, VALUES), change)


@crafted("it has a table that expands to")
def a_table_that_expands_without_end() -> bytes:
    table = io.BytesIO()
    with zipfile.ZipFile(table, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes(300 * 1024**2))
    made = {**node("SparseMatrixNode", "scipy.sparse._csr.csr_matrix"), "type": "scipy", "file": "table"}
    return altered(Ridge(), lambda schema: attributes(schema).update(x=made), {"table": table.getvalue()})


# Files that must not be read


@crafted("CountVectorizer would read the files that a request names: fit it with input='content'")
def texts_that_are_names_of_files() -> Any:
    return make_pipeline(CountVectorizer(input="filename").set_params(vocabulary=["a"]).fit([]), KMeans())


@crafted("HashingVectorizer would read the files that a request names")
def texts_that_are_names_of_files_to_hash() -> Any:
    return make_pipeline(HashingVectorizer(input="filename"), Ridge())


@crafted("TfidfVectorizer would read the files that a request names")
def texts_that_are_files() -> Any:
    return make_pipeline(TfidfVectorizer(input="file"), Ridge())


# Arrays that lead compiled code out of its memory


def _tree(change: Callable[[dict[str, Any]], object]) -> Any:
    """A decision tree with a changed state."""
    model = DecisionTreeRegressor(max_depth=3).fit(ROWS, VALUES)
    state = model.tree_.__getstate__()
    state["nodes"], state["values"] = state["nodes"].copy(), state["values"].copy()
    change(state)
    model.tree_.__setstate__(state)
    return model


@crafted("Tree has a left child that is not a later node")
def a_left_child_far_away() -> Any:
    return _tree(lambda state: state["nodes"]["left_child"].__setitem__(0, 10**9))


@crafted("Tree has a right child that is not a later node")
def a_child_before_its_parent() -> Any:
    return _tree(lambda state: state["nodes"]["right_child"].__setitem__(1, 0))


@crafted("Tree has a left child that is not a later node")
def a_child_that_is_negative() -> Any:
    return _tree(lambda state: state["nodes"]["left_child"].__setitem__(0, -7))


@crafted("Tree asks for a feature that it does not take")
def a_feature_far_away() -> Any:
    return _tree(lambda state: state["nodes"]["feature"].__setitem__(0, 10**6))


@crafted("DecisionTreeRegressor takes another number of features than its tree")
def a_tree_for_wider_rows() -> Any:
    model = DecisionTreeRegressor(max_depth=3).fit(ROWS, VALUES)
    model.n_features_in_ = 1
    return model


@crafted("DecisionTreeRegressor does not say how many features it takes")
def a_tree_for_rows_of_any_width() -> Any:
    model = DecisionTreeRegressor(max_depth=3).fit(ROWS, VALUES)
    del model.n_features_in_
    return model


@crafted("Tree has more nodes than it holds")
def a_tree_without_nodes() -> Any:
    def change(state: dict[str, Any]) -> None:
        state["nodes"], state["values"], state["node_count"] = state["nodes"][:0], state["values"][:0], 0

    return _tree(change)


@crafted("RandomForestRegressor has a tree for another number of features")
def a_forest_with_a_wider_tree() -> Any:
    model = RandomForestRegressor(2).fit(ROWS[:, :1], VALUES)
    model.estimators_[1] = DecisionTreeRegressor(max_depth=3).fit(ROWS, VALUES)
    return model


@crafted("IsolationForest has a wrong choice of features")
def a_forest_that_chooses_fewer_features() -> Any:
    model = IsolationForest(n_estimators=2, max_features=2, random_state=0).fit(ROWS)
    model.estimators_features_[0] = np.array([0])
    return model


@crafted("GradientBoostingRegressor has a wrong number of trees in each stage")
def boosting_into_columns_that_are_not_there() -> Any:
    model = GradientBoostingRegressor(n_estimators=2).fit(ROWS, VALUES)
    model.estimators_ = np.repeat(model.estimators_, 9, axis=1)
    return model


@crafted("GradientBoostingRegressor begins with another number of values than it adds to")
def boosting_from_fewer_columns() -> Any:
    model = GradientBoostingRegressor(n_estimators=2).fit(ROWS, VALUES)
    model.estimators_, model.n_trees_per_iteration_ = np.repeat(model.estimators_, 9, axis=1), 9
    return model


@crafted("GradientBoostingRegressor begins with an estimator that calls functions of its own")
def boosting_from_fewer_rows() -> Any:
    model = GradientBoostingRegressor(n_estimators=2).fit(ROWS, VALUES)
    model.init_ = make_pipeline(FunctionTransformer(np.ravel), DummyRegressor().fit(ROWS, VALUES))
    return model


@crafted("GradientBoostingClassifier has a tree for another number of features or values")
def boosting_by_trees_of_classes() -> Any:
    model = GradientBoostingClassifier(n_estimators=1).fit(ROWS, LABELS)
    model.estimators_[0, 0] = RandomForestRegressor(1).fit(ROWS, np.c_[VALUES, VALUES]).estimators_[0]
    return model


def _histogram(change: Callable[[Any], object], column: int | None = None) -> Any:
    """A histogram-based gradient boosting model. If a feature is named, it is a category."""
    rows = np.c_[LABELS, ROWS]
    named = None if column is None else [column]
    model = HistGradientBoostingRegressor(max_iter=2, categorical_features=named, min_samples_leaf=2)
    change(model.fit(rows, VALUES + 5 * LABELS))
    return model


def _node(field: str, value: Any) -> Callable[[Any], object]:
    """Change a field of the first node."""
    return lambda model: model._predictors[0][0].nodes[field].__setitem__(0, value)  # noqa: SLF001


@crafted("TreePredictor has a left child that is not a later node")
def a_left_child_of_a_histogram_far_away() -> Any:
    return _histogram(_node("left", 4 * 10**9))


@crafted("TreePredictor asks for a feature that it does not take")
def a_feature_of_a_histogram_far_away() -> Any:
    return _histogram(_node("feature_idx", 10**9))


@crafted("TreePredictor has a node without its set of categories")
def a_set_of_categories_far_away() -> Any:
    def change(model: Any) -> None:
        nodes = model._predictors[0][0].nodes  # noqa: SLF001
        nodes["is_categorical"][0], nodes["feature_idx"][0], nodes["bitset_idx"][0] = 1, 0, 4 * 10**9

    return _histogram(change, 0)


@crafted("HistGradientBoostingRegressor has a category code that is not a whole number from 0 to 255")
def a_category_far_away() -> Any:
    return _histogram(lambda model: model._bin_mapper.bin_thresholds_.__setitem__(0, np.array([1e9])), 0)  # noqa: SLF001


@crafted("HistGradientBoostingRegressor lacks bins for a feature")
def bins_of_fewer_features() -> Any:
    return _histogram(lambda model: setattr(model._bin_mapper, "is_categorical_", np.zeros(1)))  # noqa: SLF001


@crafted("PCA takes another number of features")
def a_preprocessor_that_gives_fewer_columns() -> Any:
    return _histogram(lambda model: setattr(model, "_preprocessor", PCA(1).fit(np.c_[LABELS, ROWS])))


@crafted("ColumnTransformer has a column twice, or not at all")
def a_preprocessor_that_leaves_columns_out() -> Any:
    def change(model: Any) -> None:
        steps = model._preprocessor.transformers_  # noqa: SLF001
        name, transformer, columns = steps[1]
        steps[1] = (name, transformer, np.zeros_like(columns))

    return _histogram(change, 0)


def _neighbors(change: Callable[[list[Any]], object], **parameters: Any) -> Any:
    """A neighbors model with a changed state of its tree."""
    model = KNeighborsRegressor(leaf_size=5, **parameters).fit(ROWS, VALUES)
    state = [each.copy() if isinstance(each, np.ndarray) else each for each in model._tree.__getstate__()]  # noqa: SLF001
    change(state)
    model._tree.__setstate__(tuple(state))  # noqa: SLF001
    return model


@crafted("KDTree orders points that do not exist")
def a_point_far_away() -> Any:
    return _neighbors(lambda state: state[1].__setitem__(0, 10**9))


@crafted("KDTree has a node whose children have other points")
def a_node_with_more_points_than_there_are() -> Any:
    return _neighbors(lambda state: state[2]["idx_end"].__setitem__(-1, 60) or state[2]["idx_start"].__setitem__(-1, 0))


@crafted("KDTree has a node without children")
def a_last_node_that_is_no_leaf() -> Any:
    return _neighbors(lambda state: state[2]["is_leaf"].__setitem__(-1, 0))


@crafted("BallTree has bounds of a wrong shape")
def bounds_of_fewer_nodes() -> Any:
    return _neighbors(lambda state: state.__setitem__(3, state[3][:, :1]), algorithm="ball_tree")


@crafted("BallTree does not have the parts that it is made of")
def a_metric_for_fewer_features() -> Any:
    def change(state: list[Any]) -> None:
        state[11].__setstate__((3.0, np.ones(1), np.zeros((1, 1))))

    return _neighbors(change, algorithm="ball_tree", p=3, metric_params={"w": np.ones(4)})


@crafted("KNeighborsRegressor has neighbors of a wrong shape")
def neighbors_of_fewer_features() -> Any:
    model = KNeighborsRegressor(algorithm="brute").fit(ROWS, VALUES)
    model._fit_X = ROWS[:, :1].copy()  # noqa: SLF001
    return model


@crafted("KNeighborsClassifier has a label that is no class")
def a_label_far_away() -> Any:
    model = KNeighborsClassifier(algorithm="brute", metric="manhattan").fit(ROWS, LABELS)
    model._y[0] = 10**9  # noqa: SLF001
    return model


@crafted("RadiusNeighborsClassifier does not have one label for each neighbor")
def fewer_labels_than_neighbors() -> Any:
    model = RadiusNeighborsClassifier(radius=9, algorithm="brute").fit(ROWS, LABELS)
    model._y = model._y[:1]  # noqa: SLF001
    return model


@crafted("KNeighborsClassifier asks for more neighbors than there are")
def more_neighbors_than_there_are() -> Any:
    model = KNeighborsClassifier(algorithm="brute").fit(ROWS, LABELS)
    return model.set_params(n_neighbors=10**6)


@crafted("KMeans has centers with another number of features")
def centers_of_fewer_features() -> Any:
    model = KMeans(3, n_init=1).fit(ROWS)
    model.cluster_centers_ = model.cluster_centers_[:, :1].copy()
    return model


@crafted("BisectingKMeans has centers with another number of features")
def a_center_of_fewer_features() -> Any:
    model = BisectingKMeans(3).fit(ROWS)
    model._bisecting_tree.left.center = np.zeros(1)  # noqa: SLF001
    return model


@crafted("BisectingKMeans has a tree whose branches meet")
def a_tree_that_doubles_at_each_level() -> Any:
    model = BisectingKMeans(3).fit(ROWS)
    top = model._bisecting_tree  # noqa: SLF001
    top.left = top.right
    return model


def _machine(change: Callable[[Any], object], kind: type = SVC) -> Any:
    """A support vector machine with changed attributes."""
    model = kind().fit(ROWS, LABELS)
    change(model)
    return model


@crafted("SVC has coefficients of a wrong shape")
def fewer_coefficients_than_vectors() -> Any:
    return _machine(lambda model: setattr(model, "_dual_coef_", model._dual_coef_[:, :1].copy()))


@crafted("SVC has support vectors of a wrong shape")
def more_positions_than_vectors() -> Any:
    return _machine(lambda model: setattr(model, "support_", np.arange(10**6, dtype=np.int32)))


@crafted("SVC has wrong counts of support vectors")
def counts_of_other_vectors() -> Any:
    return _machine(lambda model: setattr(model, "_n_support", np.array([10**9, -(10**9), 1], dtype=np.int32)))


@crafted("SVC has coefficients of a wrong shape")
def more_classes_than_intercepts() -> Any:
    return _machine(lambda model: setattr(model, "_n_support", np.ones(999, dtype=np.int32)))


@crafted("SVR has support vectors of a wrong shape")
def vectors_of_fewer_features() -> Any:
    return _machine(lambda model: setattr(model, "support_vectors_", model.support_vectors_[:, :1].copy()), SVR)


@crafted("SVR names a row that it was not fitted on")
def a_kernel_of_rows_that_are_not_there() -> Any:
    model = SVR(kernel="precomputed").fit(ROWS @ ROWS.T, VALUES)
    model.support_ = model.support_ + 10**6
    return model


@crafted("CountVectorizer assigns a word to a column that does not exist")
def a_word_in_a_column_far_away() -> Any:
    vectorizer = CountVectorizer()
    model = make_pipeline(vectorizer, RandomForestRegressor(2)).fit(TEXTS, VALUES)
    vectorizer.vocabulary_["cat"] = 10**6
    return model


@crafted("DictVectorizer assigns a word to a column that does not exist")
def a_key_in_a_column_far_away() -> Any:
    vectorizer = DictVectorizer().fit([{"a": 1.0}])
    vectorizer.vocabulary_["a"] = 10**6
    return make_pipeline(vectorizer, Ridge())


def _encoder(change: Callable[[Any], object], **parameters: Any) -> Any:
    """A one-hot encoder with changed categories."""
    encoder = OneHotEncoder(**parameters).fit(np.c_[LABELS, LABELS % 2].astype(float))
    change(encoder)
    return make_pipeline(encoder, Ridge())


@crafted("OneHotEncoder has more categories than columns")
def fewer_columns_than_categories() -> Any:
    return _encoder(lambda encoder: setattr(encoder, "_n_features_outs", [1, 1]))


@crafted("OneHotEncoder has categories that are not sorted")
def categories_that_a_search_misses() -> Any:
    return _encoder(lambda encoder: encoder.categories_.__setitem__(0, np.array([2.0, 1.0, 0.0])))


@crafted("OneHotEncoder has more categories than columns")
def a_rare_category_in_a_column_far_away() -> Any:
    def change(encoder: Any) -> None:
        encoder._default_to_infrequent_mappings[0] = np.array([0, 1, 10**6])  # noqa: SLF001
        encoder._infrequent_indices[0] = np.array([0])  # noqa: SLF001

    return _encoder(change, min_frequency=2)


@crafted("BSpline has too few coefficients")
def a_spline_with_few_coefficients() -> Any:
    splines = SplineTransformer().fit(ROWS)
    splines.bsplines_[0].c = splines.bsplines_[0].c[:1].copy()
    return make_pipeline(splines, Ridge())


@crafted("a sparse table has an index outside its shape")
def a_sparse_table_with_an_index_far_away() -> Any:
    model = LogisticRegression().fit(ROWS, LABELS).sparsify()
    model.coef_ = scipy.sparse.csr_matrix(model.coef_)
    model.coef_.indices[0] = 10**6
    return model


@crafted("RandomState has a state that no seed gives")
def a_generator_that_reads_far_away() -> Any:
    state = np.random.RandomState(0)
    inner = state.get_state(legacy=False)
    inner["state"]["pos"] = 10**8
    state.set_state(inner)
    model = Ridge().fit(ROWS, VALUES)
    model.random_state = state
    return model


@crafted("StandardScaler.scale_ holds <ufunc 'add'>, which conf/skops-types.txt does not list")
def a_function_where_numbers_belong() -> Any:
    scaler = StandardScaler().fit(ROWS)
    scaler.scale_ = np.array([np.add] * 4, dtype=object)
    return make_pipeline(scaler, Ridge())


@crafted("LogisticRegression.classes_ has 4000000 bytes for each item")
def short_labels_with_room_for_long_ones() -> Any:
    model = LogisticRegression().fit(ROWS, LABELS)
    model.classes_ = np.array(["a", "b", "c"], dtype="U1000000")
    return model


def _dtype(step: Any, **parameters: Any) -> Any:
    """A step whose parameters were changed after the fit."""
    model = make_pipeline(step, DecisionTreeRegressor()).fit(pd.DataFrame(ROWS), VALUES)
    step.set_params(**parameters)
    return model


@crafted("OrdinalEncoder.dtype has a dtype of 1000000 bytes for each item")
def numbers_with_room_for_long_texts() -> Any:
    return _dtype(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), dtype="S1000000")


@crafted("OneHotEncoder.dtype has a dtype of 8000000 bytes for each item")
def a_million_numbers_for_each() -> Any:
    return _dtype(OneHotEncoder(handle_unknown="ignore"), dtype="1000000f8")


@crafted("FunctionTransformer.kw_args has a dtype of 1000000 bytes for each item")
def a_check_that_makes_room_for_long_texts() -> Any:
    return _dtype(FunctionTransformer(check_array), kw_args={"dtype": "S1000000"})


@crafted("FunctionTransformer.func has a dtype of 1000000 bytes for each item")
def a_check_with_arguments_that_makes_room_for_long_texts() -> Any:
    return _dtype(FunctionTransformer(check_array), func=functools.partial(check_array, dtype="S1000000"))
