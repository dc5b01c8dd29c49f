"""/invocations, for the clients of MLflow and SageMaker; they ask /ping whether it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import falcon
import msgspec

from service.codecs.mlflow import Shapes
from service.codecs.rows import answers
from service.codecs.rows.answers import csv_answer, json_lines_answer
from service.codecs.rows.csv_rows import CSVTable
from service.http.measurement import predict
from service.http.validation import Decode, Encode
from service.repository.model import Model
from service.settings import Settings
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
            falcon.MEDIA_JSON: answers.answer,
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
