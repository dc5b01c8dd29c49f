"""/v2: the Open Inference Protocol over HTTP, with the extensions that `EXTENSIONS` lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import falcon
import msgspec
from msgspec import Struct

from service import __version__
from service.codecs.tensors.body import HEADER
from service.http.body import read_body
from service.http.context import Request
from service.http.inference import predict
from service.http.problems import Problem
from service.monitoring.metrics import Metrics
from service.repository.model import Model
from service.repository.repository import ModelRepository
from service.resources import inference_body
from service.resources.statistics import Statistics
from service.settings import Settings

if TYPE_CHECKING:
    from service.codecs.tensors.codec import TensorCodec, TensorRequest
    from service.codecs.tensors.inputs import TensorMetadata

NAME = "service"
EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics")
"""The extensions of the protocol that this service implements completely."""

_encoder = msgspec.json.Encoder()


class Server:
    """GET /v2: the name and version of the server, and the protocol's extensions that it has."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Describe the server."""
        resp.data = _encoder.encode({"name": NAME, "version": __version__, "extensions": EXTENSIONS})

    on_head = on_get


class Live:
    """GET /v2/health/live: the process answers."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.data = b'{"live":true}'

    on_head = on_get


class Ready:
    """GET /v2/health/ready: all models serve."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 or 503."""
        if not self._repository.ready:
            raise Problem(503, "Not every model is ready: /readyz has the reasons.", members={"ready": False})
        resp.data = b'{"ready":true}'

    on_head = on_get


class ModelMetadata:
    """GET /v2/models/{name}[/versions/{version}]: the tensors that a model takes and gives."""

    def __init__(self, repository: ModelRepository, metrics: Metrics) -> None:
        self._repository = repository
        self._statistics = Statistics(repository, metrics)

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, version: str | None = None) -> None:
        """Describe the model. /v2/models/stats answers with the statistics, unless a model has the name `stats`."""
        if name == "stats" and version is None and name not in self._repository.entries:
            self._statistics.on_get(req, resp)
            return
        from service.codecs.tensors import inputs, outputs

        model = self._repository.get(name, version)
        metadata = {
            "name": model.name,
            "versions": list(self._repository.entry(name).versions),
            "platform": model.runtime.platform,
            "inputs": inputs.describe(model.signature),
            "outputs": outputs.describe(model.signature),
        }
        resp.data = _encoder.encode(metadata)

    on_head = on_get


class ModelReady:
    """GET /v2/models/{name}[/versions/{version}]/ready: the model serves."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, version: str | None = None) -> None:
        """Answer 200, 404 or 503."""
        model = self._repository.get(name, version)
        resp.data = _encoder.encode({"name": model.name, "ready": True})

    on_head = on_get


class ModelConfig:
    """GET /v2/models/{name}[/versions/{version}]/config: the metadata in the words of Triton's configuration."""

    def __init__(self, repository: ModelRepository, settings: Settings) -> None:
        self._repository = repository
        self._max_rows = settings.max_rows

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, version: str | None = None) -> None:
        """Describe the model."""
        from service.codecs.tensors import inputs, outputs

        model = self._repository.get(name, version)
        config = {
            "name": model.name,
            "platform": model.runtime.platform,
            "max_batch_size": model.signature.most_rows(self._max_rows),
            "input": [_configured(each) for each in inputs.describe(model.signature)],
            "output": [_configured(each) for each in outputs.describe(model.signature)],
        }
        resp.data = _encoder.encode(config)

    on_head = on_get


class Infer:
    """POST /v2/models/{name}[/versions/{version}]/infer: tensors in, tensors out."""

    def __init__(self, settings: Settings) -> None:
        self._max_rows = settings.max_rows

    @cached_property
    def _codec(self) -> TensorCodec:
        """Made at the first request, so a service without tensor requests does not import the codec."""
        from service.codecs.tensors.codec import TensorCodec

        return TensorCodec(self._max_rows)

    def read(self, req: Request, model: Model, most: int) -> Mapping[str, object]:
        """Read the tensors of a request, and the names of the wanted outputs."""
        return {"request": self._codec.decode_request(model.signature, inference_body.read(req, most))}

    def on_post(self, req: Request, resp: falcon.Response, model: Model, request: TensorRequest) -> None:
        """Predict every row."""
        prediction = predict(req, model, request.table)
        answer = self._codec.encode_answer(model.signature, request, prediction, model.name, model.version)
        resp.data = answer.content
        if answer.json_length is not None:
            resp.content_type = "application/octet-stream"
            resp.set_header(HEADER, str(answer.json_length))


class RepositoryIndex:
    """POST /v2/repository/index: the state of every version on disk, and the reason if a version does not serve."""

    def __init__(self, repository: ModelRepository, settings: Settings) -> None:
        self._repository = repository
        self._max_body_bytes = settings.max_body_bytes

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the versions. The body `{"ready": true}` leaves out versions that do not serve."""
        only_ready = _only_ready(read_body(req, self._max_body_bytes))
        resp.data = _encoder.encode([each for each in self._versions() if each.state == "READY" or not only_ready])

    def _versions(self) -> Iterator[Indexed]:
        for name, entry in self._repository.entries.items():
            for version in entry.versions:
                yield Indexed(name, version, "READY", "")
            for state, versions in (("UNAVAILABLE", entry.refused), ("LOADING", entry.waiting)):
                for version in versions:
                    if version not in entry.versions:
                        yield Indexed(name, version, state, entry.faults[version])


class Indexed(Struct, frozen=True):
    """One line of the repository's index."""

    name: str
    version: str
    state: str
    reason: str


class Rollout:
    """POST /v2/repository/models/{name}/load and /unload: always refused, because only a rollout changes models."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Say how models are rolled out."""
        raise Problem(400, "Clients cannot load models: change the models directory, then send SIGHUP or run `reload`.")


class _Filter(Struct):
    ready: bool | None = None


def _only_ready(body: bytes) -> bool:
    """Whether the body of an index request asks for ready versions only; an empty body does not."""
    if not body.strip():
        return False
    from service.codecs.tensors.explain import check_repeats, fault
    from service.codecs.tensors.messages import MOST_UNKNOWN

    try:
        wanted = msgspec.json.decode(body, type=_Filter).ready
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as ex:
        raise fault(body, ex) from None
    check_repeats(body, MOST_UNKNOWN)
    return bool(wanted)


def _configured(tensor: TensorMetadata) -> dict[str, Any]:
    """A tensor in the words of Triton's configuration; its shape there lacks the dimension of the rows."""
    datatype = "TYPE_STRING" if tensor.datatype == "BYTES" else f"TYPE_{tensor.datatype}"
    return {"name": tensor.name, "data_type": datatype, "dims": tensor.shape[1:] or (1,)}
