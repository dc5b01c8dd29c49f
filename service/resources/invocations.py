"""/invocations, for the clients of MLflow and SageMaker; they ask /ping whether it is ready."""

from __future__ import annotations

from collections.abc import Mapping

import falcon

from service.codecs.rows.answers import csv_answer, json_lines_answer
from service.http.measurement import predict
from service.http.validation import Decode, Encode
from service.prediction import Prediction
from service.repository.model import Model
from service.resources.prediction import answer
from service.table import Table

_CSV = "text/csv"


class Invocations:
    """POST /invocations: rows for the default model in any form, answered in the type that the client accepts."""

    def __init__(self) -> None:
        self.decoders: Mapping[str, Decode] = {
            falcon.MEDIA_JSON: _json,
            _CSV: _csv,
            "application/jsonlines": _json_lines,
            "application/x-ndjson": _json_lines,
        }
        self.encoders: Mapping[str, Encode] = {
            falcon.MEDIA_JSON: answer,
            _CSV: _csv_answer,
            "application/jsonlines": _json_lines_answer,
            "application/x-ndjson": _json_lines_answer,
        }

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, model: Model, table: Table, encode: Encode, media_type: str
    ) -> None:
        """Predict every row."""
        resp.data = encode(model, predict(req, model, table))
        # Without a charset clients take text for Latin-1.
        resp.content_type = f"{media_type}; charset=utf-8" if media_type == _CSV else media_type


def _json(model: Model, body: bytes) -> Table:
    return model.decoders.mlflow.decode(body)


def _csv(model: Model, body: bytes) -> Table:
    return model.decoders.csv.decode(body)


def _json_lines(model: Model, body: bytes) -> Table:
    return model.decoders.instances.decode_lines(body)


def _csv_answer(model: Model, prediction: Prediction) -> bytes:
    return csv_answer(model.signature, prediction)


def _json_lines_answer(model: Model, prediction: Prediction) -> bytes:
    return json_lines_answer(model.signature, prediction)
