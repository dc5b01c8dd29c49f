"""/invocations, for the clients of MLflow and SageMaker; they ask /ping whether it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import falcon
import msgspec

from service.loading import Model
from service.middleware import Decode, Encode
from service.resources import prediction
from service.resources.shapes import Shapes
from service.settings import Settings
from service.table import Table

CSV = "text/csv"
JSON_LINES = ("application/jsonlines", "application/x-ndjson")
_encoder = msgspec.json.Encoder()


class Invocations:
    """POST /invocations: rows for the default model in any form, answered in the type that the client accepts."""

    def __init__(self, settings: Settings) -> None:
        # Models are few and never replaced in a worker.
        self._shapes = lru_cache(lambda model: Shapes(model.signature, settings.max_rows))
        self.decoders: Mapping[str, Decode] = {falcon.MEDIA_JSON: self._json}
        self.encoders: Mapping[str, Encode] = {falcon.MEDIA_JSON: prediction.answer}

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, model: Model, table: Table, encode: Encode, media_type: str
    ) -> None:
        """Predict every row."""
        resp.data = encode(model, model.runtime.predict(table))
        resp.content_type = media_type

    def _json(self, model: Model, body: bytes) -> Table:
        shapes: Shapes = self._shapes(model)
        return shapes.decode(body)
