"""Calls of a model server by Triton's and KServe's client libraries.

Run by `test_clients` in an environment that has them, with the server's port.
"""

import asyncio
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient.utils import InferenceServerException

COLUMNS: dict[str, tuple[str, Any]] = {
    "age": ("FP64", np.array([41.0, 23.0])),
    "hours": ("INT64", np.array([40, 20])),
    "married": ("BOOL", np.array([True, False])),
    "sex": ("BYTES", np.array(["Male", "Female"], dtype=object)),
}


def with_triton(port: int) -> list[float]:
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    assert client.is_server_live() and client.is_server_ready()
    assert client.get_server_metadata()["name"] == "ml-assets"
    assert client.is_model_ready("census")
    (version,) = client.get_model_metadata("census")["versions"]
    assert client.is_model_ready("census", version)
    assert not client.is_model_ready("census", "none")
    inputs = []
    for name, (datatype, values) in COLUMNS.items():
        item = triton.InferInput(name, [2], datatype)
        item.set_data_from_numpy(values, binary_data=False)
        inputs.append(item)
    wanted = [triton.InferRequestedOutput("probability", binary_data=False)]
    found = []
    for chosen in ("", version):
        result = client.infer(
            "census", inputs, model_version=chosen, outputs=wanted, request_id="7"
        )
        assert result.get_response()["id"] == "7"
        found.append(result.as_numpy("probability").tolist())
    for compression in ("gzip", "deflate"):
        result = client.infer(
            "census",
            inputs,
            outputs=wanted,
            request_compression_algorithm=compression,
        )
        found.append(result.as_numpy("probability").tolist())
    assert found == found[:1] * 4
    try:
        client.infer("none", inputs, outputs=wanted)
    except InferenceServerException as error:
        assert "the models here are census" in error.message(), error
    else:
        raise AssertionError("a model that is not there was asked")
    return list(found[0])


async def with_kserve(port: int) -> list[float]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    base = f"http://127.0.0.1:{port}"
    assert await client.is_server_live(base) and await client.is_server_ready(base)
    assert await client.is_model_ready(base, "census")
    inputs = []
    for name, (datatype, values) in COLUMNS.items():
        item = InferInput(name, [2], datatype)
        item.set_data_from_numpy(values, binary_data=False)
        inputs.append(item)
    request = InferRequest("census", inputs, request_id="7")
    answer = await client.infer(base, request, model_name="census")
    assert answer.id == "7" and answer.model_name == "census"
    (output,) = [item for item in answer.outputs if item.name == "probability"]
    await client.close()
    return list(output.data)


if __name__ == "__main__":
    number = int(sys.argv[1])
    answers = with_triton(number)
    assert answers == asyncio.run(with_kserve(number))
    print(*answers)
