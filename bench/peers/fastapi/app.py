"""FastAPI's usual way: a pydantic model for the body, an async endpoint."""

import os

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["MODEL_FILE"])
app = FastAPI()


class Request(BaseModel):
    instances: list[list[float]]


class Response(BaseModel):
    predictions: list[int]


@app.post("/predict")
async def predict(body: Request) -> Response:
    return Response(predictions=model.predict(body.instances).tolist())
