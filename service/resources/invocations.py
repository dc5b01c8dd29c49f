"""/invocations, for the clients of MLflow and SageMaker; they ask /ping whether it is ready."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import lru_cache

import falcon
import msgspec

from service.codecs.mlflow import Shapes
from service.codecs.rows.csv_rows import CSVTable
from service.http.measurement import predict
from service.http.middleware import Decode, Encode
from service.repository.loader import Model
from service.resources import prediction
from service.runtimes.runtime import Prediction
from service.settings import Settings
from service.signature import label_text
from service.table import Table

_CSV = "text/csv"

_encoder = msgspec.json.Encoder()


class Invocations:
    """POST /invocations: rows for the default model in any form, answered in the type that the client accepts."""

    def __init__(self, settings: Settings) -> None:
        # A worker's models are few, and never replaced.
        self._shapes = lru_cache(lambda model: Shapes(model.signature, settings.max_rows))
        self._max_rows = settings.max_rows
        self.decoders: Mapping[str, Decode] = {
            falcon.MEDIA_JSON: self._json,
            _CSV: self._csv,
            "application/jsonlines": _json_lines,
            "application/x-ndjson": _json_lines,
        }
        self.encoders: Mapping[str, Encode] = {
            falcon.MEDIA_JSON: prediction.answer,
            _CSV: csv_answer,
            "application/jsonlines": json_lines_answer,
            "application/x-ndjson": json_lines_answer,
        }

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, model: Model, table: Table, encode: Encode, media_type: str
    ) -> None:
        """Predict every row."""
        resp.data = encode(model, predict(req, model, table))
        # Clients take text for Latin-1 where nothing is said.
        resp.content_type = f"{media_type}; charset=utf-8" if media_type == _CSV else media_type

    def _json(self, model: Model, body: bytes) -> Table:
        shapes: Shapes = self._shapes(model)
        return shapes.decode(body)

    def _csv(self, model: Model, body: bytes) -> Table:
        return CSVTable(model.signature, self._max_rows).decode(body)


def _json_lines(model: Model, body: bytes) -> Table:
    return model.instances.decode_lines(body)


def csv_answer(model: Model, predicted: Prediction) -> bytes:
    """One line a row: its label or number, or its numbers where there are several."""
    text = io.StringIO()
    labels = prediction.labels(model.signature, predicted)
    rows = (label if isinstance(label, list) else [label] for label in labels)
    csv.writer(text, lineterminator="\n").writerows([*map(label_text, row)] for row in rows)
    return text.getvalue().encode()


def json_lines_answer(model: Model, predicted: Prediction) -> bytes:
    """One object a row: what GET /prediction says of it, without the model's name and version."""
    return _encoder.encode_lines(prediction.rows(model.signature, predicted))
