"""RowDecoders: everything that decodes rows for one model, made once when the first request needs it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from service.codecs.rows.instances import Instances
from service.signature import Signature

if TYPE_CHECKING:
    from service.codecs.mlflow import MLflowDecoder
    from service.codecs.rows.csv_rows import CSVDecoder


class RowDecoders:
    """
    The decoders of one model, shared by all its requests. Few services need all, so the others are not imported.

    Attributes:
        instances: JSON with the member "instances", and JSON lines.
    """

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self.instances = Instances(signature, max_rows)

    @cached_property
    def mlflow(self) -> MLflowDecoder:
        """JSON in each of MLflow's shapes."""
        from service.codecs.mlflow import MLflowDecoder

        return MLflowDecoder(self._signature, self._max_rows)

    @cached_property
    def csv(self) -> CSVDecoder:
        """CSV, with or without a header."""
        from service.codecs.rows.csv_rows import CSVDecoder

        return CSVDecoder(self._signature, self._max_rows)
