"""
Checks the arrays of a fitted estimator that compiled code follows without looking, and what reads files.

As in `tree_checks`, each check says for one kind of part what `fit` guarantees. The end lists all that is checked.
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
    Check a part by the checks of its class and of the classes that this is derived from.

    Raises:
        Unsafe: what it holds does not fit together.
    """
    for kind in type(part).__mro__:
        if kind.__name__ in CHECKS and kind.__module__.partition(".")[0] in ("sklearn", "scipy", "numpy"):
            try:
                CHECKS[kind.__name__](part)
            except Unsafe:
                raise
            except Exception as ex:  # what is missing, or has another type, is not what `fit` wrote
                raise Unsafe(f"{type(part).__name__} does not have the parts that it is made of: {ex}") from ex


def _text_reader(part: Any) -> None:
    require(part.input == "content", part, "would read the files that a request names: fit it with input='content'")


def _vocabulary(part: Any) -> None:
    """Words and keys become columns of a sparse table, whose width is their number."""
    if "vocabulary_" in vars(part):
        words = part.vocabulary_
        require(type(words) is dict and words, part, "has no vocabulary")
        require(inside(list(words.values()), 0, len(words)), part, "gives a word a column that is none")


def _neighbors(part: Any) -> None:
    if "_fit_X" not in vars(part):
        return
    points, tree = part._fit_X, part._tree
    require(points.ndim == 2 and points.shape[1] == width_of(part), part, "has neighbors of another width")
    require(part.n_samples_fit_ == points.shape[0], part, "has another number of neighbors")
    require(tree is None or np.shape(tree.data) == points.shape, part, "has a tree of other neighbors")
    if derives(part, "ClassifierMixin"):
        labels = np.asarray(part._y)
        require(len(labels) == points.shape[0], part, "has other labels than neighbors")
        require((vars(part).get("n_neighbors") or 1) <= len(labels), part, "asks for more neighbors than there are")
        if not part.outputs_2d_:
            require(labels.ndim == 1 and inside(labels, 0, len(part.classes_)), part, "has a label that is no class")


def _k_means(part: Any) -> None:
    if "cluster_centers_" in vars(part):
        shape = np.shape(part.cluster_centers_)
        require(len(shape) == 2 and shape[1] == width_of(part), part, "has centers of another width")
    if "_n_threads" in vars(part):
        part._n_threads = 1  # it has those of the machine that fitted it


def _bisecting_k_means(part: Any) -> None:
    if "_bisecting_tree" not in vars(part):
        return
    pending, seen, width = [part._bisecting_tree], set(), width_of(part)
    while pending:
        node = pending.pop()
        require(id(node) not in seen, part, "has a tree whose branches meet")
        seen.add(id(node))
        require(np.shape(node.center) == (width,), part, "has centers of another width")
        if node.left is not None:
            pending += [node.left, node.right]


def _support_vectors(part: Any) -> None:
    """LIBSVM takes the sizes of its arrays from one another."""
    if "support_vectors_" not in vars(part):
        return
    vectors, coefficients, sparse, width = part.support_vectors_, part._dual_coef_, part._sparse, width_of(part)
    classes = len(part._n_support)
    pairs = classes * (classes - 1) // 2
    count = vectors.shape[0] if sparse else len(part.support_)
    precomputed = part.kernel == "precomputed" or callable(part.kernel)
    require(type(sparse) is bool and hasattr(vectors, "indptr") == sparse, part, "has no support vectors of its kind")
    require(not (sparse and precomputed), part, "has a kernel of another kind")
    require(precomputed or vectors.shape == (count, width), part, "has support vectors of another shape")
    require(
        not precomputed or inside(part.support_, 0, part.shape_fit_[0]), part, "names a row that it was not fitted on"
    )
    require(classes >= 2 and coefficients.shape == (classes - 1, count), part, "has other coefficients than vectors")
    require(not sparse or coefficients.data.size == (classes - 1) * count, part, "has gaps in its coefficients")
    require(np.shape(part._intercept_) == (pairs,), part, "has other intercepts than pairs of classes")
    if derives(part, "ClassifierMixin"):
        counts = np.asarray(part._n_support)
        require(inside(counts, 0, count + 1) and counts.sum() == count, part, "counts other vectors than it has")
        require({len(part._probA), len(part._probB)} in ({0}, {pairs}), part, "has probabilities of other classes")


def _one_hot(part: Any) -> None:
    """Categories become columns of a sparse table."""
    if "_n_features_outs" not in vars(part):
        return
    columns = part._n_features_outs
    require(len(part.categories_) == len(columns) == width_of(part), part, "has categories of other features")
    require(inside(columns, 0, np.inf), part, "has no number of columns")
    for i, categories in enumerate(part.categories_):
        require(_in_order(categories), part, "has categories in no order")
        codes = np.arange(len(categories))
        if part._infrequent_enabled and part._infrequent_indices[i] is not None:
            require(inside(part._infrequent_indices[i], 0, len(codes)), part, "has a rare category that is none")
            codes = np.asarray(part._default_to_infrequent_mappings[i])
            require(codes.shape == (len(categories),), part, "has other rare categories")
        most = codes.max(initial=-1)
        dropped = None if part._drop_idx_after_grouping is None else part._drop_idx_after_grouping[i]
        require(dropped is None or inside([dropped], 0, most + 1), part, "drops a category that it does not have")
        require(inside(codes, 0, columns[i] + (dropped is not None)), part, "has more categories than columns")


def _in_order(categories: Any) -> bool:
    """Whether a search among numbers finds each in its place; other categories are looked up in a table."""
    if categories.dtype.kind in "OUS":
        return True
    missing = np.isnan(categories) if categories.dtype.kind == "f" else np.zeros(len(categories), dtype=bool)
    numbers = categories[~missing]
    return bool(missing[: len(numbers)].sum() == 0 and missing.sum() <= 1 and (numbers[:-1] < numbers[1:]).all())


def _spline(part: Any) -> None:
    degree, knots, values = part.k, part.t, part.c
    require(isinstance(degree, int | np.integer) and 0 <= degree <= 100, part, "has no degree")
    require(knots.ndim == 1 and len(knots) >= 2 * degree + 2, part, "has too few knots")
    require(np.isfinite(knots).all() and (np.diff(knots) >= 0).all(), part, "has knots in no order")
    require(len(values) >= len(knots) - degree - 1, part, "has too few coefficients")
    require(part.extrapolate in (True, False, "periodic"), part, "does not say what is outside its knots")
    require(vars(part).get("axis", 0) == 0, part, "has coefficients along another axis")


def _sparse(part: Any) -> None:
    require(part.format in ("csr", "csc"), part, "is a sparse format that no estimator has")
    part.check_format(full_check=True)


def _random_state(part: Any) -> None:
    """A generator reads its next number at a place that its state names."""
    state = part.get_state(legacy=False) if hasattr(part, "get_state") else part.bit_generator.state
    kind = state["bit_generator"]
    known = kind == "PCG64" or (kind == "MT19937" and 0 <= state["state"]["pos"] <= 624)
    require(known, part, "has a state that no seed gives")


def asks(part: Any) -> bool:
    """Whether the check of a part asks another part for its values, which is then to be checked before."""
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
    "NeighborsBase": _neighbors,
    "OneHotEncoder": _one_hot,
    "RandomState": _random_state,
    "Tree": tree_checks.tree,
    "_BaseKMeans": _k_means,
    "_VectorizerMixin": _text_reader,
    "_spbase": _sparse,
}
"""The checks, by the names of classes: so nothing is imported that the model does not need."""
