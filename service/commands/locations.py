"""The paths of the project's own files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The directory of a clone; /app in the image. The package is installed as a link to it, never as a copy."""

CONF = ROOT / "conf"
