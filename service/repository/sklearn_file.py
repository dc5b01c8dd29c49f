"""The runtime of a file that scikit-learn serves. Only such models need its imports."""

from __future__ import annotations

import pickle
from collections.abc import Callable

from service.repository.manifest import PICKLE
from service.repository.skops_file import load_skops, trusted_types
from service.runtimes.runtime import Runtime
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.signature import Signature


def builder_of(file: str, artifact: bytes, signature: Signature) -> Callable[[], Runtime]:
    """The function that makes the runtime. It imports nothing itself, so each trial is short."""
    if file == PICKLE:
        return lambda: SklearnRuntime(pickle.loads(artifact), signature)  # noqa: S301 (the operator allows it)
    import skops.io  # noqa: F401

    types = trusted_types()
    return lambda: SklearnRuntime(load_skops(artifact, types), signature)
