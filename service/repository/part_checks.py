"""
Checks arrays of a fitted estimator that compiled code uses as indices without checks, and parts that can read files.

As in `tree_checks`, each check states for one kind of part what `fit` guarantees. `CHECKS` lists all checks.
"""

# ruff: noqa: SLF001 (what `fit` wrote has private names, too)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from service.repository import tree_checks
from service.repository.checking import Unsafe, derives, inside, require, width_of


def check(part: Any) -> None:
    """
    Run the checks of a part's class and of its base classes.

    Raises:
        Unsafe: the arrays and values of the part do not fit together.
    """
    for kind in type(part).__mro__:
        if kind.__name__ in CHECKS and kind.__module__.partition(".")[0] in ("sklearn", "scipy", "numpy"):
            try:
                CHECKS[kind.__name__](part)
            except Unsafe:
                raise
            except Exception as ex:  # an attribute is missing or has another type: `fit` did not write it
                raise Unsafe(f"{type(part).__name__} does not have the parts that it is made of: {ex}") from ex


def _text_reader(part: Any) -> None:
    require(part.input == "content", part, "would read the files that a request names: fit it with input='content'")


def _vocabulary(part: Any) -> None:
    """Each word or key has a column of a sparse table. The table has as many columns as there are words or keys."""
    if "vocabulary_" in vars(part):
        words = part.vocabulary_
        require(type(words) is dict and words, part, "has no vocabulary")
        require(inside(list(words.values()), 0, len(words)), part, "assigns a word to a column that does not exist")


def _neighbors(part: Any) -> None:
    if "_fit_X" not in vars(part):
        return
    points, tree = part._fit_X, part._tree
    require(points.ndim == 2 and points.shape[1] == width_of(part), part, "has neighbors of a wrong shape")
    require(part.n_samples_fit_ == points.shape[0], part, "has a wrong number of neighbors")
    require(tree is None or np.shape(tree.data) == points.shape, part, "has a tree that does not fit its neighbors")
    if derives(part, "ClassifierMixin"):
        labels = np.asarray(part._y)
        require(len(labels) == points.shape[0], part, "does not have one label for each neighbor")
        require((vars(part).get("n_neighbors") or 1) <= len(labels), part, "asks for more neighbors than there are")
        if not part.outputs_2d_:
            require(labels.ndim == 1 and inside(labels, 0, len(part.classes_)), part, "has a label that is no class")


def _iterative_imputer(part: Any) -> None:
    """Each step of the imputation has a regressor, which is called, and the features that it reads and writes."""
    for step in vars(part).get("imputation_sequence_", ()):
        require(type(step).__name__ == "_ImputerTriplet", part, "has a step that is no imputation")
        require(derives(step.estimator, "BaseEstimator"), part, "has a step without an estimator")
        features = np.append(step.neighbor_feat_idx, step.feat_idx)
        require(inside(features, 0, width_of(part)), part, "imputes a feature that does not exist")


def _k_means(part: Any) -> None:
    if "cluster_centers_" in vars(part):
        shape = np.shape(part.cluster_centers_)
        require(len(shape) == 2 and shape[1] == width_of(part), part, "has centers with another number of features")
    if "_n_threads" in vars(part):
        part._n_threads = 1  # `fit` stored the number of threads of its own machine


def _bisecting_k_means(part: Any) -> None:
    if "_bisecting_tree" not in vars(part):
        return
    pending, seen, width = [part._bisecting_tree], set(), width_of(part)
    while pending:
        node = pending.pop()
        require(id(node) not in seen, part, "has a tree whose branches meet")
        seen.add(id(node))
        require(np.shape(node.center) == (width,), part, "has centers with another number of features")
        if node.left is not None:
            pending += [node.left, node.right]


def _support_vectors(part: Any) -> None:
    """LIBSVM reads the size of one array, and assumes that other arrays have the same size."""
    if "support_vectors_" not in vars(part):
        return
    vectors, coefficients, sparse, width = part.support_vectors_, part._dual_coef_, part._sparse, width_of(part)
    classes = len(part._n_support)
    pairs = classes * (classes - 1) // 2
    count = vectors.shape[0] if sparse else len(part.support_)
    precomputed = part.kernel == "precomputed" or callable(part.kernel)
    require(type(sparse) is bool and hasattr(vectors, "indptr") == sparse, part, "has support vectors of a wrong type")
    require(not (sparse and precomputed), part, "has a kernel that takes no sparse rows")
    require(precomputed or vectors.shape == (count, width), part, "has support vectors of a wrong shape")
    require(
        not precomputed or inside(part.support_, 0, part.shape_fit_[0]), part, "names a row that it was not fitted on"
    )
    require(classes >= 2 and coefficients.shape == (classes - 1, count), part, "has coefficients of a wrong shape")
    require(not sparse or coefficients.data.size == (classes - 1) * count, part, "has gaps in its coefficients")
    require(np.shape(part._intercept_) == (pairs,), part, "does not have one intercept for each pair of classes")
    if derives(part, "ClassifierMixin"):
        counts = np.asarray(part._n_support)
        require(inside(counts, 0, count + 1) and counts.sum() == count, part, "has wrong counts of support vectors")
        require({len(part._probA), len(part._probB)} in ({0}, {pairs}), part, "has wrong parameters of probabilities")


def _one_hot(part: Any) -> None:
    """Each category has a column of a sparse table."""
    if "_n_features_outs" not in vars(part):
        return
    columns = part._n_features_outs
    require(len(part.categories_) == len(columns) == width_of(part), part, "does not have categories for each feature")
    require(inside(columns, 0, np.inf), part, "has no number of columns")
    for i, categories in enumerate(part.categories_):
        require(_in_order(categories), part, "has categories that are not sorted")
        codes = np.arange(len(categories))
        if part._infrequent_enabled and part._infrequent_indices[i] is not None:
            require(inside(part._infrequent_indices[i], 0, len(codes)), part, "has a rare category that does not exist")
            codes = np.asarray(part._default_to_infrequent_mappings[i])
            require(codes.shape == (len(categories),), part, "does not map each category to a rare one or itself")
        most = codes.max(initial=-1)
        dropped = None if part._drop_idx_after_grouping is None else part._drop_idx_after_grouping[i]
        require(dropped is None or inside([dropped], 0, most + 1), part, "drops a category that it does not have")
        require(inside(codes, 0, columns[i] + (dropped is not None)), part, "has more categories than columns")


def _in_order(categories: Any) -> bool:
    """
    Whether numbers are sorted and differ, with at most one NaN, at the end: scikit-learn finds them by binary search.

    True for texts and objects, which scikit-learn looks up in a dictionary.
    """
    if categories.dtype.kind in "OUS":
        return True
    missing = np.isnan(categories) if categories.dtype.kind == "f" else np.zeros(len(categories), dtype=bool)
    numbers = categories[~missing]
    return bool(missing[: len(numbers)].sum() == 0 and missing.sum() <= 1 and (numbers[:-1] < numbers[1:]).all())


def _spline(part: Any) -> None:
    degree, knots, values = part.k, part.t, part.c
    require(isinstance(degree, int | np.integer) and 0 <= degree <= 100, part, "has no degree")
    require(knots.ndim == 1 and len(knots) >= 2 * degree + 2, part, "has too few knots")
    require(np.isfinite(knots).all() and (np.diff(knots) >= 0).all(), part, "has knots that are not sorted")
    require(len(values) >= len(knots) - degree - 1, part, "has too few coefficients")
    require(part.extrapolate in (True, False, "periodic"), part, "has no rule for values outside its knots")
    require(vars(part).get("axis", 0) == 0, part, "has coefficients along another axis")


def _sparse(part: Any) -> None:
    require(part.format in ("csr", "csc"), part, "has a sparse format that no estimator uses")
    part.check_format(full_check=True)


def _random_state(part: Any) -> None:
    """The state of a generator has the index of its next number."""
    state = part.get_state(legacy=False) if hasattr(part, "get_state") else part.bit_generator.state
    kind = state["bit_generator"]
    known = kind == "PCG64" or (kind == "MT19937" and 0 <= state["state"]["pos"] <= 624)
    require(known, part, "has a state that no seed gives")


def asks(part: Any) -> bool:
    """Whether the check of a part calls another part, so that the other part must be checked first."""
    return derives(part, "BaseGradientBoosting")


CHECKS: dict[str, Callable[[Any], None]] = {
    "BSpline": _spline,
    "BaseDecisionTree": tree_checks.decision_tree,
    "BaseForest": tree_checks.forest,
    "BaseGradientBoosting": tree_checks.gradient_boosting,
    "BaseHistGradientBoosting": tree_checks.histogram_boosting,
    "BaseLibSVM": _support_vectors,
    "BinaryTree32": tree_checks.ball_or_k_d_tree,
    "BinaryTree64": tree_checks.ball_or_k_d_tree,
    "BisectingKMeans": _bisecting_k_means,
    "CountVectorizer": _vocabulary,
    "DictVectorizer": _vocabulary,
    "Generator": _random_state,
    "IsolationForest": tree_checks.isolation_forest,
    "IterativeImputer": _iterative_imputer,
    "NeighborsBase": _neighbors,
    "OneHotEncoder": _one_hot,
    "RandomState": _random_state,
    "Tree": tree_checks.tree,
    "_BaseKMeans": _k_means,
    "_VectorizerMixin": _text_reader,
    "_spbase": _sparse,
}
"""The checks, by names of classes: a class itself would need an import, even if the model does not need its library."""
