"""A skops file may name some methods of pandas' DataFrame, and only where a FunctionTransformer calls them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.feature_selection import SelectKBest
from sklearn.preprocessing import FunctionTransformer

from service.repository.frame_methods import METHODS
from service.repository.model import Refused
from service.repository.skops_file import load_skops, trusted_types
from tests.support.crafted import altered, attributes, node, plain

NAME = "service.repository.frame_methods"


def loaded(content: bytes) -> Any:
    """The estimator in a file, by the service's own list of types."""
    return load_skops(content, trusted_types())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_is_found_again(name: str) -> None:
    """The transformer calls the method that it was made with."""
    method = getattr(pd.DataFrame, name)

    assert loaded(skops.io.dumps(FunctionTransformer(method))).func is method


@pytest.mark.parametrize("name", ["eval", "query", "pipe", "apply", "to_csv", "to_numpy", "to_pickle", "__init__"])
def test_other_methods_are_refused(name: str) -> None:
    """Some write files, some run code that is in their arguments, and one takes any amount of memory."""
    content = skops.io.dumps(FunctionTransformer(getattr(pd.DataFrame, name)))

    with pytest.raises(Refused, match=name):
        loaded(content)


@pytest.mark.parametrize("dtype", ["S1000000", {"a": "S1000000"}, {"a": "1000000f8"}])
def test_a_dtype_that_takes_any_amount_of_memory_is_refused(dtype: object) -> None:
    """It would take megabytes for each number of a request."""
    content = skops.io.dumps(FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": dtype}))

    with pytest.raises(Refused, match=r"FunctionTransformer\.kw_args has a dtype of \d000000 bytes for each item"):
        loaded(content)


@pytest.mark.parametrize("dtype", ["float32", str, "category", {"a": "Int64", "b": "datetime64[ns, UTC]"}])
def test_other_dtypes_are_taken(dtype: object) -> None:
    """NumPy does not know all of pandas' names."""
    content = skops.io.dumps(FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": dtype}))

    assert loaded(content).kw_args == {"dtype": dtype}


def test_a_method_in_another_place_is_refused() -> None:
    """There, scikit-learn would call it with other arguments."""
    content = skops.io.dumps(SelectKBest(pd.DataFrame.drop))

    with pytest.raises(Refused, match=r"SelectKBest\.score_func holds service\.repository\.frame_methods\.drop"):
        loaded(content)


@pytest.mark.parametrize(
    "made",
    [
        node("ConstructorFromReduceNode", f"{NAME}.drop", node("TupleNode", "builtins.tuple", [plain([1])])),
        node("FunctionNode", f"{NAME}.METHODS"),
        node("FunctionNode", f"{NAME}.to_csv"),
        node("ObjectNode", "pandas.core.frame.drop"),
        node("FunctionNode", "pandas.core.frame.drop") | {"__class__": ["drop"]},
    ],
    ids=["a call", "another name", "another method", "an object", "a list for a name"],
)
def test_a_crafted_name_is_refused(made: dict[str, Any]) -> None:
    """No file calls a method while it is loaded."""

    def change(schema: dict[str, Any]) -> None:
        attributes(schema)["func"] = made

    with pytest.raises(Refused, match=r"does not list: (service\.repository\.frame_methods|pandas\.core\.frame)\."):
        loaded(altered(FunctionTransformer(np.log1p), change))
