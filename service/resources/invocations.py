"""/invocations, for the clients of MLflow and SageMaker. They ask /ping whether the service is ready."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import falcon

from service.codecs.rows.answers import csv_answer, json_lines_answer
from service.http.context import Request
from service.http.inference import respond
from service.http.validation import Decode, Encode, RowResource
from service.prediction import Prediction
from service.repository.model import Model
from service.resources.prediction import answer
from service.settings import Settings
from service.table import Table

_log = logging.getLogger(__name__)

_CSV = "text/csv"
_PARQUET = "application/vnd.apache.parquet"
_ARROW = "application/vnd.apache.arrow.stream"


class Invocations(RowResource):
    """POST /invocations: rows for the default model in any form, answered in the type that the client accepts."""

    def __init__(self, settings: Settings) -> None:
        columnar = _columnar(settings.max_rows) if settings.arrow else ({}, {})
        self.decoders: Mapping[str, Decode] = {
            falcon.MEDIA_JSON: _json,
            _CSV: _csv,
            "application/jsonlines": _json_lines,
            "application/x-ndjson": _json_lines,
            **columnar[0],
        }
        self.encoders: Mapping[str, Encode] = {
            falcon.MEDIA_JSON: answer,
            _CSV: _csv_answer,
            "application/jsonlines": _json_lines_answer,
            "application/x-ndjson": _json_lines_answer,
            **columnar[1],
        }

    def on_post(
        self, req: Request, resp: falcon.Response, model: Model, table: Table, encode: Encode, media_type: str
    ) -> None:
        """Predict every row."""
        respond(req, resp, model, table, encode)
        # Without a charset, clients would decode the text as Latin-1.
        resp.content_type = f"{media_type}; charset=utf-8" if media_type == _CSV else media_type


def _columnar(max_rows: int) -> tuple[Mapping[str, Decode], Mapping[str, Encode]]:
    """The decoders and encoders of Parquet and Arrow; both are empty if pyarrow is not installed."""
    try:
        from service.codecs.columnar import bodies
    except ModuleNotFoundError as ex:
        _log.warning("ARROW=1 has no effect: %s is not installed; requirements-arrow.txt has it", ex.name)
        return {}, {}
    return {
        _PARQUET: lambda model, body: bodies.decode_parquet(model.signature, body, model.signature.most_rows(max_rows)),
        _ARROW: lambda model, body: bodies.decode_stream(model.signature, body, model.signature.most_rows(max_rows)),
    }, {
        _PARQUET: lambda model, prediction: bodies.parquet_answer(model.signature, prediction),
        _ARROW: lambda model, prediction: bodies.stream_answer(model.signature, prediction),
    }


def _json(model: Model, body: bytes) -> Table:
    return model.decoders.mlflow.decode_rows(body)


def _csv(model: Model, body: bytes) -> Table:
    return model.decoders.csv.decode_rows(body)


def _json_lines(model: Model, body: bytes) -> Table:
    return model.decoders.instances.decode_lines(body)


def _csv_answer(model: Model, prediction: Prediction) -> bytes:
    return csv_answer(model.signature, prediction)


def _json_lines_answer(model: Model, prediction: Prediction) -> bytes:
    return json_lines_answer(model.signature, prediction)
