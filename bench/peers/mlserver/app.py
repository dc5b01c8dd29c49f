"""Writes MLServer's two settings files, and becomes MLServer."""

import json
import os
import sys
from pathlib import Path

RUNTIMES = {
    ".joblib": "mlserver_sklearn.SKLearnModel",
    ".ubj": "mlserver_xgboost.XGBoostModel",
    ".txt": "mlserver_lightgbm.LightGBMModel",
    ".cbm": "mlserver_catboost.CatboostModel",
}

model = Path(os.environ["MODEL_FILE"])
port = int(os.environ["PORT"])
directory = Path(os.environ["SCRATCH"])
settings = {
    "host": "127.0.0.1",
    "http_port": port,
    "grpc_port": port - 10_000,
    "metrics_port": port - 12_000,
    "parallel_workers": 2,
    "debug": False,
}
model_settings = {
    "name": "iris",
    "implementation": RUNTIMES[model.suffix],
    "parameters": {"uri": str(model), "version": "1"},
}
(directory / "settings.json").write_text(json.dumps(settings))
(directory / "model-settings.json").write_text(json.dumps(model_settings))
program = str(Path(sys.executable).with_name("mlserver"))
os.execv(program, [program, "start", str(directory)])
