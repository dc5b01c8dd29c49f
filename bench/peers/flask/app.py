"""The tutorial: Flask, joblib, request.get_json."""

import os

import joblib
from flask import Flask, jsonify, request

model = joblib.load(os.environ["MODEL_FILE"])
app = Flask(__name__)


@app.post("/predict")
def predict():
    rows = request.get_json()["instances"]
    return jsonify(predictions=model.predict(rows).tolist())
