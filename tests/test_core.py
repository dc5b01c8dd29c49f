"""A service of one converted model stays small: the rest of the code is imported by models, settings and requests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

SCRIPT = """
import json, sys
from pathlib import Path
from service import app
app.main()
ours = [each.__file__ for name, each in sys.modules.items() if name.partition(".")[0] == "service"]
installed = {each.partition(".")[0] for each in sys.modules if not each.startswith("service")}
lines = sum(len(Path(file).read_text(encoding="utf-8").splitlines()) for file in ours)
print(json.dumps({"lines": lines, "packages": sorted(installed)}))
"""

CORE = {"falcon", "msgspec", "numpy", "onnxruntime", "orjson", "prometheus_client"}
OTHERS = {"gunicorn", "joblib", "onnx", "pandas", "pyarrow", "scipy", "skl2onnx", "sklearn", "skops", "threadpoolctl"}


def test_one_converted_model_imports_little(iris_dir: Path) -> None:
    """At most 6,500 lines of ours and six packages."""
    environ = {**os.environ, "MODELS_DIR": str(iris_dir), "RUNTIME": "onnx"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environ, capture_output=True, check=True)

    found = msgspec.json.decode(done.stdout)
    assert 3000 < found["lines"] <= 6500
    assert set(found["packages"]) >= CORE
    assert not OTHERS & set(found["packages"])
