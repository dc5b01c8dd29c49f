"""RowDecoders: all decoders of rows for one model, made once when the model is loaded."""

from __future__ import annotations

from service.codecs.mlflow import MLflowDecoder
from service.codecs.rows.csv_rows import CSVDecoder
from service.codecs.rows.instances import Instances
from service.signature import Signature


class RowDecoders:
    """
    The decoders of one model, shared by all its requests.

    Attributes:
        instances: JSON with the member "instances", and JSON lines.
        mlflow: JSON in each of MLflow's shapes.
        csv: CSV, with or without a header.
    """

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self.instances = Instances(signature, max_rows)
        self.mlflow = MLflowDecoder(signature, max_rows)
        self.csv = CSVDecoder(signature, max_rows)
