"""FastAPI with the booster's own library: a pydantic model for the body, class and probabilities out."""

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["MODEL_FILE"])
app = FastAPI()


class Request(BaseModel):
    instances: list[list[float]]


class Response(BaseModel):
    predictions: list[int]
    probabilities: list[list[float]]


@app.post("/predict")
async def predict(body: Request) -> Response:
    probabilities = model.predict_proba(np.array(body.instances))
    return Response(predictions=probabilities.argmax(axis=1).tolist(), probabilities=probabilities.tolist())
