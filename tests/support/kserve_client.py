"""
KServe's own client, run by the interpreter of its environment.

Reads {"url", "model", "instances", "tensors": [{"name", "shape", "datatype", "data"}, ...]} from standard input and
writes what the client says of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

DTYPES = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}


def _request(case: dict[str, Any], binary: bool) -> InferRequest:
    inputs = []
    for tensor in case["tensors"]:
        array = np.array(tensor["data"], dtype=DTYPES[tensor["datatype"]]).reshape(tensor["shape"])
        each = InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        each.set_data_from_numpy(array, binary_data=binary)
        inputs.append(each)
    return InferRequest(case["model"], inputs, parameters={"binary_data_output": binary})


def _outputs(response: Any) -> dict[str, Any]:
    return {
        output.name: [each.decode() if isinstance(each, bytes) else each for each in output.as_numpy().tolist()]
        for output in response.outputs
    }


async def _v2(case: dict[str, Any]) -> dict[str, Any]:
    url, model = case["url"], case["model"]
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        found = {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, model),
            "unknown_ready": await client.is_model_ready(url, "nope"),
        }
        for form, binary in (("json", False), ("binary", True)):
            response = await client.infer(url, _request(case, binary), model_name=model)
            found[form] = _outputs(response)
            found[f"{form}_model"] = response.model_name
        try:
            await client.infer(url, _request(case, False), model_name="nope")
        except Exception as ex:  # noqa: BLE001 (it is the answer)
            found["error"] = str(ex)
    return found


async def _v1(case: dict[str, Any]) -> dict[str, Any]:
    url, model = case["url"], case["model"]
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        found = {"live": await client.is_server_live(url), "model_ready": await client.is_model_ready(url, model)}
        answer = await client.infer(url, {"instances": case["instances"]}, model_name=model)
        found["predictions"] = answer["predictions"]
        try:
            await client.infer(url, {"instances": [[]]}, model_name=model)
        except Exception as ex:  # noqa: BLE001 (it is the answer)
            found["error"] = str(ex)
    return found


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump({"v1": asyncio.run(_v1(given)), "v2": asyncio.run(_v2(given))}, sys.stdout)
