"""Saves the model as MLflow's, and becomes MLflow's server."""

import os
import shutil
import sys
from pathlib import Path

import joblib
import mlflow

directory = Path(os.environ["SCRATCH"]) / "model"
shutil.rmtree(directory, ignore_errors=True)
mlflow.sklearn.save_model(joblib.load(os.environ["MODEL_FILE"]), directory, serialization_format="cloudpickle")
program = str(Path(sys.executable).with_name("mlflow"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
options = ["--env-manager", "local", "--workers", "2", "--host", "127.0.0.1", "--port", os.environ["PORT"]]
os.execv(program, [program, "models", "serve", "--model-uri", str(directory), *options])
