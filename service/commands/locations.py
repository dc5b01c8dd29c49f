"""Where the project's own files are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The directory of a clone; /app in the image. The package is not copied when it is installed, only found there."""

CONF = ROOT / "conf"
