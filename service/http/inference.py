"""The step that all protocols share: a model predicts a table."""

from __future__ import annotations

from time import perf_counter

import falcon

from service.http.context import LATER, Request
from service.http.deadline import check_deadline
from service.http.validation import Encode
from service.monitoring.metrics import Inference
from service.prediction import Prediction
from service.repository.model import Model
from service.runtimes.onnx_runtime import OnnxRuntime
from service.table import FEW, Table


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


def respond(req: Request, resp: falcon.Response, model: Model, table: Table, encode: Encode) -> None:
    """Answer with a prediction. If the server allows it, a few rows of a converted model are predicted late."""
    later = req.env.get(LATER)
    if later is not None and table.row_count <= FEW and isinstance(model.runtime, OnnxRuntime):
        later.make, resp.stream = lambda: encode(model, predict(req, model, table)), ()
    else:
        resp.data = encode(model, predict(req, model, table))
