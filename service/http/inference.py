"""The step that all protocols share: a model predicts a table."""

from __future__ import annotations

from time import perf_counter

from service.http.context import Request
from service.http.deadline import check_deadline
from service.monitoring.metrics import Inference
from service.prediction import Prediction
from service.repository.model import Model
from service.table import Table


def predict(req: Request, model: Model, table: Table) -> Prediction:
    """
    Let a model predict a table, and note the prediction for the metrics.

    Raises:
        Problem: 504 if the client's deadline is past; 400 if the header with the deadline is no whole number.
        InvalidInput: the model cannot compute with these values.
    """
    check_deadline(req)
    started = perf_counter()
    prediction = model.runtime.predict(table)
    req.context.inference = Inference(model, table, prediction, perf_counter() - started)
    return prediction
