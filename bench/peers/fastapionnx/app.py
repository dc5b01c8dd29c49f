"""FastAPI with the model converted by its user: a pydantic model for the body, one ONNX Runtime session a worker."""

import os
from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
name = Path(os.environ["MODEL_FILE"]).stem
session = onnxruntime.InferenceSession(Path(os.environ["MODELS_DIR"]) / name / "1" / "model.onnx", options)
entry = session.get_inputs()[0]
app = FastAPI()


class Request(BaseModel):
    instances: list[list[float]]


class Response(BaseModel):
    predictions: list[int]
    probabilities: list[list[float]]


@app.post("/predict")
async def predict(body: Request) -> Response:
    rows = np.array(body.instances, dtype=DTYPES[entry.type])
    labels, probabilities = session.run(None, {entry.name: rows})[:2]
    return Response(predictions=labels.tolist(), probabilities=probabilities.tolist())
