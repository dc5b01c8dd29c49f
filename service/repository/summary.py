"""Describes a model version for people: its features, outputs, runtime, speed, and a command to try it."""

from __future__ import annotations

import html
import mmap
import os
import shlex
import timeit
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from service.feature import Feature
from service.repository import forked
from service.repository.directory import open_file, path_of
from service.repository.fallback import fallback_sentence
from service.repository.manifest import ONNX, PICKLE, SKOPS, Manifest, read
from service.repository.model import Refused
from service.repository.skops_file import load_skops, types_of_environment
from service.runtimes.onnx_runtime import OnnxRuntime, onnx_session
from service.runtimes.runtime import Runtime
from service.runtimes.sklearn_runtime import SklearnRuntime
from service.settings import Settings
from service.signature import label_text
from service.table import Table

_MOST_FEATURES = 20
"""If there are more features, the summary shows only this number of them."""

_FEW = 6
"""The curl command names the features if there are at most this many; so many known categories are shown."""

_SECONDS = 60.0
"""The time that the load of a model may take, with a few predictions."""
_LIBRARIES = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}

_ADDRESS = "http://127.0.0.1:8000"


class Summary(Struct, frozen=True):
    """
    A summary in parts.

    Attributes:
        title: the model's name, version and task.
        parts: pairs of a heading and its lines.
    """

    title: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]

    def text(self) -> str:
        """The summary as plain text."""
        lines = [self.title, ""]
        for heading, content in self.parts:
            lines += [heading, *(f"  {line}" for line in content)]
        return "\n".join(lines)

    def html(self) -> str:
        """The summary as HTML, for a notebook."""
        rows = "".join(
            f'<tr><th style="text-align:left;vertical-align:top">{html.escape(heading)}</th>'
            f'<td style="text-align:left"><pre style="margin:0">{html.escape(chr(10).join(content))}</pre></td></tr>'
            for heading, content in self.parts
        )
        return f"<p><b>{html.escape(self.title)}</b></p><table>{rows}</table>"


def summary(directory: Path, *, next_steps: bool = True, trusted: bool = False) -> Summary:
    """
    Return the summary of a version on disk. It predicts the example row to measure the time.

    Args:
        directory: the directory of the version.
        next_steps: whether to show a command that asks the model.
        trusted: whether its own code may run, although TRUST_CODE does not name it.

    Raises:
        OSError, msgspec.MsgspecError: the version's files cannot be read.
    """
    manifest = read(directory)
    measured = [f"{took:.3f} ms  {kind}" for kind, took in speeds(directory, manifest, trusted=trusted).items()]
    parts = [
        ("It takes", (*_aligned(manifest.features),)),
        ("It gives", _given(manifest)),
        ("It serves through", (served(manifest), *filter(None, [fallback(directory, manifest)]))),
        ("One row takes", tuple(measured) or ("not measured, as nothing was run",)),
        ("On disk", (f"{size_of(directory) / 1e6:.2f} MB in {directory}",)),
    ]
    if manifest.code:
        parts.insert(3, ("Its own code", code_lines(manifest)))
    if next_steps:
        parts.append(("Ask it", (curl(manifest),)))
    return Summary(f"{manifest.name}/{manifest.version}: {_task(manifest)}", tuple(parts))


def size_of(directory: Path) -> int:
    """The bytes of a version's files."""
    return sum(each.stat().st_size for each in directory.rglob("*") if each.is_file())


def code_lines(manifest: Manifest) -> tuple[str, ...]:
    """The files of a version's own code, and the setting by which a service runs it."""
    shown = ", ".join(manifest.code[:_FEW]) + (" and more" if len(manifest.code) > _FEW else "")
    if manifest.runtime == "onnx":
        return shown, f"not needed to serve; `check --prove` runs it if TRUST_CODE={manifest.name} is set"
    return shown, f"the service runs it, and takes this version, only if TRUST_CODE={manifest.name} is set"


def fallback(directory: Path, manifest: Manifest) -> str | None:
    """
    The sentence that scikit-learn serves a version because its converted model cannot be loaded on this machine.

    None if the converted model can be loaded, or the version has no other file.
    """
    if manifest.runtime != "onnx" or SKOPS not in manifest.files or not manifest.proof.rows:
        return None
    try:
        loads = forked.run(lambda: onnx_session(_content(directory / ONNX)), _SECONDS) is None
    except OSError:  # the system cannot start a process now, so the answer is unknown
        return None
    return None if loads else fallback_sentence(ONNX, SKOPS)


def served(manifest: Manifest) -> str:
    """A text that names the runtime of a version, and the reason."""
    proof = manifest.proof
    if not proof.holds and manifest.booster is not None:
        return f"{_LIBRARIES[manifest.booster.library]}, because ONNX cannot serve it: {proof.reason}"
    if not proof.holds and PICKLE in manifest.files:
        return "scikit-learn, from a pickle, because skops cannot store it: it is only loaded with ALLOW_PICKLE=1"
    if not proof.holds:
        return f"scikit-learn, because ONNX cannot serve it: {proof.reason}"
    if not proof.rows:
        return f"ONNX Runtime; {proof.reason}"
    parts = ", ".join(f"{count} {part}" for part, count in proof.parts.items() if count)
    return f"ONNX Runtime: no label differs on {proof.rows} rows ({parts}), largest difference {proof.difference:.1e}"


def curl(manifest: Manifest) -> str:
    """A command that asks the model about its example row."""
    names, values = manifest.signature.names, manifest.signature.example
    row: Any = dict(zip(names, values, strict=True)) if len(names) <= _FEW else values
    body = shlex.quote(msgspec.json.encode({"instances": [row]}).decode())
    return f"curl {_ADDRESS}/v1/models/{manifest.name}:predict -H 'Content-Type: application/json' -d {body}"


def described(feature: Feature) -> str:
    """A text with the values that a feature accepts, and the type of its column in the sample."""
    found = feature.wants
    if feature.categories is not None and feature.accepts_unknown:
        known = ", ".join(label_text(each) for each in feature.categories[:_FEW])
        found += f"; the model knows {known}{' and more' if len(feature.categories) > _FEW else ''}"
    if feature.range is not None:
        found += ", {:.6g} to {:.6g} in the sample".format(*feature.range)
    if feature.period is not None:
        found += ", {} to {} in the sample".format(*feature.period)
    return f"{found} (column of {feature.dtype})" if feature.dtype else found


def _aligned(features: tuple[Feature, ...]) -> list[str]:
    shown = features[:_MOST_FEATURES]
    width = max(len(each.name) for each in shown)
    lines = [f"{each.name:{width}s}  {each.type:8s}  {described(each)}" for each in shown]
    return lines if len(features) == len(shown) else [*lines, f"and {len(features) - len(shown)} more"]


def _task(manifest: Manifest) -> str:
    task = manifest.task.replace("_", " ")
    return f"{'an' if task[0] in 'aeiou' else 'a'} {task}"


def _given(manifest: Manifest) -> tuple[str, ...]:
    given = ", ".join(output.name for output in manifest.outputs)
    if manifest.classes is None:
        return (given,)
    more = len(manifest.classes) - _MOST_FEATURES
    shown = ", ".join(map(label_text, manifest.classes[:_MOST_FEATURES]))
    return given, f"of the classes {shown}{f' and {more} more' if more > 0 else ''}"


def speeds(directory: Path, manifest: Manifest, *, trusted: bool = False) -> dict[str, float]:
    """
    Milliseconds for the example row, by each runtime that has a file; the version's code runs only if trusted.

    A child measures, because the version may be one that the service refuses: a file that crashes or never loads.

    Raises:
        Refused: the version cannot be loaded.
        OSError: the system cannot start a process now.
    """
    if not trusted and manifest.code:
        trusted = Settings.from_environ(os.environ).trusts(manifest.name)
    converted = ONNX in manifest.files and fallback(directory, manifest) is None
    shared = mmap.mmap(-1, mmap.PAGESIZE)

    def measure() -> None:
        shared.write(msgspec.json.encode(_measured(directory, manifest, converted, trusted or not manifest.code)))

    fault = forked.run(measure, _SECONDS)
    if fault is not None:
        raise Refused(fault)
    return msgspec.json.decode(shared[:].rstrip(b"\0"), type=dict[str, float])


def _measured(directory: Path, manifest: Manifest, converted: bool, own: bool) -> dict[str, float]:
    signature = manifest.signature
    table = Table.from_rows(signature, [signature.example])
    runtimes: dict[str, Runtime] = {}
    if converted:
        runtimes["ONNX Runtime"] = OnnxRuntime.load(_content(directory / ONNX), signature)
    if own:
        # Its types may be unlisted, or its library may be missing.
        with suppress(Refused, ImportError):
            runtimes |= _own_runtime(directory, manifest)
    return {
        kind: min(timeit.repeat(lambda: runtime.predict(table), number=5, repeat=5)) / 5 * 1e3  # noqa: B023 (called here)
        for kind, runtime in runtimes.items()
    }


def _content(file: Path) -> bytes:
    with open_file(file) as content:
        return content.read()


def _own_runtime(directory: Path, manifest: Manifest) -> Mapping[str, Runtime]:
    """The runtime of the model's own library, by its name; empty if the model is a pickle."""
    if PICKLE in manifest.own_files or not set(manifest.own_files) <= set(manifest.files):
        return {}
    contents = {name: _content(path_of(directory, name)) for name in (*manifest.own_files, *manifest.code)}
    types, code = types_of_environment(), None
    if manifest.code:
        from service.repository.own_code import OwnCode

        code = OwnCode.of(contents)
    if manifest.booster is not None:
        from service.repository.booster_files import builder

        return {_LIBRARIES[manifest.booster.library]: builder(manifest, manifest.booster, contents, types, code)()}
    return {"scikit-learn": SklearnRuntime(load_skops(contents[SKOPS], types, code), manifest.signature)}
