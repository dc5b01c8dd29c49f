"""Arrays are written as the same JSON that Python would write."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.codecs.json_arrays import json_array

FLOATS = st.sampled_from([np.float64, np.float32, np.float16]).flatmap(
    lambda dtype: arrays.arrays(
        dtype,
        arrays.array_shapes(max_dims=2),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
INTEGERS = arrays.arrays(st.sampled_from([np.int64, np.uint8, np.bool_]), arrays.array_shapes(max_dims=2))


@given(FLOATS | INTEGERS, st.booleans())
def test_an_array_is_read_as_it_was(array: Any, transposed: bool) -> None:
    """To the last bit of a float64, for arrays in any memory order."""
    array = array.T if transposed else array

    assert json.loads(bytes(json_array(array))) == array.tolist()
