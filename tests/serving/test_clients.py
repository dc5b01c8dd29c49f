"""The official clients of the Open Inference Protocol, in every mode, against real servers."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.serving.conftest import ROOT
from tests.support.examples import EXAMPLES, Example

Tensors = dict[str, NDArray[Any]]
cached = cache(lambda name: EXAMPLES[name]())


@pytest.fixture(params=list(EXAMPLES))
def example(request: pytest.FixtureRequest) -> Example:
    """Each shipped model."""
    found: Example = cached(request.param)
    return found


@pytest.fixture
def client(base_url: str) -> Iterator[triton.InferenceServerClient]:
    """Triton's client."""
    with triton.InferenceServerClient(base_url.removeprefix("http://")) as found:
        yield found


def inputs(tensors: Tensors, binary: bool = True, module: Any = triton) -> list[Any]:
    """The client's inputs for these arrays."""
    found = []
    for name, array in tensors.items():
        datatype = "BYTES" if array.dtype.kind == "O" else np_to_triton_dtype(array.dtype)
        found.append(module.InferInput(name, list(array.shape), datatype))
        found[-1].set_data_from_numpy(array, binary_data=binary)
    return found


def outputs(result: Any) -> Tensors:
    """All outputs of a result, as the client decodes them."""
    return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}


def is_binary(result: Any) -> list[bool]:
    """Which outputs of a result came as binary data."""
    return ["binary_data_size" in output.get("parameters", {}) for output in result.get_response()["outputs"]]


def test_the_default_call_is_binary_both_ways(client: triton.InferenceServerClient, example: Example) -> None:
    """Line 1: all outputs, in the model's order, each as binary data."""
    result = client.infer(example.name, inputs(example.tensors))

    assert list(example.expected) == list(outputs(result))
    assert all(is_binary(result))
    example.check(outputs(result))


def test_json_both_ways_with_an_id_and_one_output(client: triton.InferenceServerClient, example: Example) -> None:
    """Line 2: the id comes back, and the answer holds only the requested output."""
    wanted = [triton.InferRequestedOutput("predict", binary_data=False)]
    result = client.infer(example.name, inputs(example.tensors, binary=False), outputs=wanted, request_id="42")

    assert list(outputs(result)) == ["predict"]
    assert ("42", example.name, "1") == tuple(
        result.get_response()[key] for key in ("id", "model_name", "model_version")
    )
    assert not any(is_binary(result))
    example.check(outputs(result))


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [(True, False), (False, True), (True, True), (False, False)])
def test_forms_may_differ(
    client: triton.InferenceServerClient, example: Example, binary_in: bool, binary_out: tuple[bool, ...]
) -> None:
    """Line 3: inputs and each output have their own form. The outputs have the order of the request."""
    names = list(reversed(example.expected))
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary) for name, binary in zip(names, binary_out, strict=False)
    ]
    result = client.infer(example.name, inputs(example.tensors, binary_in), outputs=wanted)

    assert names == list(outputs(result))
    assert list(binary_out)[: len(names)] == is_binary(result)
    example.check(outputs(result))


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compressed_requests(
    client: triton.InferenceServerClient, example: Example, algorithm: str, binary: bool
) -> None:
    """Line 4: the header gives the length of the JSON before compression."""
    for answer in (None, algorithm):
        result = client.infer(
            example.name,
            inputs(example.tensors, binary),
            request_compression_algorithm=algorithm,
            response_compression_algorithm=answer,
        )
        example.check(outputs(result))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_a_tensor_for_each_column(
    client: triton.InferenceServerClient, example: Example, binary: bool, shape: tuple[int, ...]
) -> None:
    """Line 6: by name, in any order, with shapes [n] and [n, 1], marked as a table."""
    columns = {name: column.reshape(shape) for name, column in reversed(example.columns.items())}
    result = client.infer(example.name, inputs(columns, binary), parameters={"content_type": "pd"})

    example.check(outputs(result))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int8, np.uint16, np.bool_])
def test_other_datatypes_are_cast(client: triton.InferenceServerClient, example: Example, dtype: type) -> None:
    """Line 7: values of another datatype get the same answer as in float64."""
    narrow = {name: cast(array, dtype) for name, array in example.tensors.items()}
    wide = {name: cast(array, np.float64) for name, array in narrow.items()}
    expected = outputs(client.infer(example.name, inputs(wide)))

    for binary in (True, False) if dtype is not np.float16 else (True,):
        for name, values in outputs(client.infer(example.name, inputs(narrow, binary))).items():
            np.testing.assert_array_equal(expected[name], values)


def cast(array: NDArray[Any], dtype: type) -> NDArray[Any]:
    """The same strings, or small numbers of another datatype, none of them missing."""
    return array if array.dtype.kind == "O" else (np.nan_to_num(array) % 2).astype(dtype)


def test_faults_reach_the_caller(client: triton.InferenceServerClient, example: Example) -> None:
    """Lines 8b and 9, and too many rows: the client shows the status and a sentence."""
    tensors = example.tensors
    many = {name: np.resize(array, (100_001, *array.shape[1:])) for name, array in tensors.items()}
    wrong = {"nope": np.zeros((2, 1)), "neither": np.zeros((2, 1))}
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("404", lambda: client.infer("nope", inputs(tensors))),
        ("404", lambda: client.infer(example.name, inputs(tensors), model_version="99")),
        ("400", lambda: client.infer(example.name, inputs(tensors), outputs=[triton.InferRequestedOutput("nope")])),
        ("422", lambda: client.infer(example.name, inputs(wrong))),
        ("413", lambda: client.infer(example.name, inputs(many))),
        ("400", lambda: client.load_model(example.name)),
        ("400", lambda: client.unload_model(example.name)),
    ]
    for status, call in calls:
        with pytest.raises(InferenceServerException) as caught:
            call()
        assert status == caught.value.status()
        assert caught.value.message().endswith(".")


def test_everything_about_the_server_and_its_models(client: triton.InferenceServerClient, example: Example) -> None:
    """Line 10: health, metadata, index, statistics and configuration, with and without a version."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert [example.name] == [
        line["name"] for line in client.get_model_repository_index() if line["name"] == example.name
    ]
    assert not client.is_model_ready("nope")
    for version in ("", "1"):
        assert client.is_model_ready(example.name, version)
        metadata = client.get_model_metadata(example.name, version)
        assert list(example.tensors) == [tensor["name"] for tensor in metadata["inputs"]]
        assert list(example.expected) == [tensor["name"] for tensor in metadata["outputs"]]
        assert metadata["versions"] == ["1"]
        assert example.name == client.get_model_config(example.name, version)["name"]
        statistics = client.get_inference_statistics(example.name, version)["model_stats"]
        assert [(example.name, "1")] == [(line["name"], line["version"]) for line in statistics]
    assert example.name in [line["name"] for line in client.get_inference_statistics()["model_stats"]]


def test_metadata_are_enough_to_build_a_request(client: triton.InferenceServerClient, example: Example) -> None:
    """A client without other knowledge sends a request made from the metadata."""
    for tensor in client.get_model_metadata(example.name)["inputs"]:
        array = example.tensors[tensor["name"]]
        datatype = "BYTES" if array.dtype.kind == "O" else np_to_triton_dtype(array.dtype)
        assert (tensor["datatype"], tensor["shape"][1:]) == (datatype, list(array.shape[1:]))


def test_the_asynchronous_client(base_url: str, example: Example) -> None:
    """Line 11: it calls its JSON application/octet-stream."""

    async def call() -> list[Any]:
        async with triton_aio.InferenceServerClient(base_url.removeprefix("http://")) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(example.name)
            assert await client.get_model_repository_index()
            assert await client.get_inference_statistics()
            with pytest.raises(InferenceServerException, match="no such model"):
                await client.infer("nope", inputs(example.tensors, module=triton_aio))
            return [
                await client.infer(
                    example.name,
                    inputs(example.tensors, binary, triton_aio),
                    request_compression_algorithm=algorithm,
                )
                for binary in (True, False)
                for algorithm in (None, "gzip", "deflate")
            ]

    for result in in_a_loop(call()):
        example.check(outputs(result))


def in_a_loop(call: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    """The result of a coroutine, run in its own thread: other tests with a browser keep a loop in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, call).result()


@pytest.fixture(scope="module")
def kserve_answers(base_url: str, kserve_python: Path) -> Any:
    """The output of KServe's client for a model; one run for each server and model."""

    @cache
    def run(name: str) -> Any:
        example = cached(name)
        tensors = [
            {
                "name": name,
                "shape": array.shape,
                "datatype": "BYTES" if array.dtype.kind == "O" else np_to_triton_dtype(array.dtype),
                "data": array.ravel().tolist(),
            }
            for name, array in example.tensors.items()
        ]
        case = {"url": base_url, "model": name, "instances": example.instances, "tensors": tensors}
        command = [kserve_python, ROOT / "tests" / "support" / "kserve_client.py"]
        done = subprocess.run(command, input=json.dumps(case), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_kserves_client_on_v2(kserve_answers: Any, example: Example) -> None:
    """Line 12: health, both forms, and the sentence of an error."""
    answer = kserve_answers(example.name)["v2"]

    assert [answer[key] for key in ("live", "ready", "model_ready", "unknown_ready")] == [True, True, True, False]
    for form in ("json", "binary"):
        example.check({name: np.array(values, example.expected[name].dtype) for name, values in answer[form].items()})
        assert example.name == answer[f"{form}_model"]
    assert answer["error"].startswith("There is no such model; ")


def test_kserves_client_on_v1(kserve_answers: Any, example: Example) -> None:
    """Line 12: / says that it is alive, instances are predicted, and the sentence of an error shows."""
    answer = kserve_answers(example.name)["v1"]
    expected = example.expected["predict"]

    assert [answer["live"], answer["model_ready"]] == [True, True]
    example.check({"predict": np.array(answer["predictions"], expected.dtype)})
    assert answer["error"].startswith("The row has 0 of ")


@pytest.mark.parametrize("binary", [True, False])
def test_mlservers_batch_client(base_url: str, example: Example, binary: bool) -> None:
    """Line 13: `mlserver infer` joins eight requests, calls everything JSON, and splits the answer by rows."""
    tensors = {name: array[:20] for name, array in example.tensors.items()}

    async def call() -> list[Any]:
        async with triton_aio.InferenceServerClient(base_url.removeprefix("http://")) as client:
            return [
                await client.infer(
                    example.name,
                    inputs({name: array[at : at + 8] for name, array in tensors.items()}, binary, triton_aio),
                    outputs=[],
                    request_id=f"batch-{at}",
                    headers={
                        "content-type": "application/json",
                        "seldon-puid": f"batch-{at}",
                        "x-request-id": f"batch-{at}",
                    },
                )
                for at in range(0, 20, 8)
            ]

    results = in_a_loop(call())

    assert [f"batch-{at}" for at in range(0, 20, 8)] == [result.get_response()["id"] for result in results]
    lines = [np.concatenate([result.as_numpy(name) for result in results]) for name in example.expected]
    for (name, expected), values in zip(example.expected.items(), lines, strict=True):
        part = Example(example.manifest, example.columns, {name: expected[:20]})
        part.check({name: values})
