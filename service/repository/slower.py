"""Whether a version serves by a slower runtime than the version before it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from service.repository.directory import VERSION
from service.repository.manifest import Manifest, read
from service.repository.model import Refused
from service.repository.summary import speeds


def slower(directory: Path, root: Path | None = None, *, trusted: bool = False) -> str | None:
    """
    Measure whether a version that scikit-learn serves is slower than the version before it, which ONNX Runtime serves.

    Args:
        directory: the version.
        root: the directory of the model's other versions; the parent of `directory` by default.
        trusted: whether its own code may run, although TRUST_CODE does not name it.

    Raises:
        OSError, msgspec.MsgspecError: the manifest of the version cannot be read.
    """
    manifest = read(directory)
    home = root or directory.parent
    numbers = [int(each.name) for each in home.glob("*") if VERSION.fullmatch(each.name)]
    below = [number for number in numbers if number < manifest.version]
    if manifest.runtime != "sklearn" or not below:
        return None
    before = home / str(max(below))
    try:
        earlier = read(before)
        if earlier.runtime != "onnx":
            return None
        now = speeds(directory, manifest, trusted=trusted).get("scikit-learn")
        then = speeds(before, earlier).get("ONNX Runtime")
    except (Refused, OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # the service refuses it, too
        return None
    if now is None or then is None or now <= then:
        return None
    return _sentence(manifest, earlier, now, then)


def _sentence(manifest: Manifest, earlier: Manifest, now: float, then: float) -> str:
    return (
        f"{manifest.name}/{manifest.version} serves by scikit-learn, and {earlier.name}/{earlier.version} by ONNX "
        f"Runtime: a row takes {now:.3f} ms instead of {then:.3f} ms. The reason: {manifest.proof.reason}."
    )
