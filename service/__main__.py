"""The command line: `python -m service COMMAND`."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any import that starts threads

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from service.app import create_app, open_repository
from service.settings import Settings, SettingsError

_NEXT = """
It serves when the service starts. One that runs takes it by itself where MODELS_POLL_SECONDS is set; else tell it:
  pkill -HUP -o -f 'gunicorn -c conf/gunicorn.py'    one that was started by make serve or gunicorn
  docker compose kill -s HUP api                     one in containers"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status says whether it succeeded."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "verify every model version below MODELS_DIR; exit 1 where one is refused"
    check = commands.add_parser("check", help=text, description=text)
    check.set_defaults(run=_check)
    text = "print the OpenAPI document of the models that serve, as GET /openapi.json gives it"
    openapi = commands.add_parser("openapi", help=text, description=text)
    openapi.set_defaults(run=_openapi)
    text = "package the model in FILE for serving: a .joblib, .pkl, .skops or .onnx file (a pickle runs what is in it)"
    add = commands.add_parser("add", help=text, description=text)
    add.add_argument("name", metavar="NAME", help="the model's name in the URL")
    add.add_argument("file", metavar="FILE", type=Path, help="the fitted model")
    add.add_argument("--data", metavar="SAMPLE.csv", type=Path, required=True, help="rows like those of the fit")
    add.add_argument("--version", metavar="N", type=int, help="its number; one more than the highest without it")
    add.add_argument("--classes", metavar="A,B,C", help="what to call the classes, in the order of classes_")
    add.set_defaults(run=_add)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(Settings.from_environ(os.environ), parsed))
    except SettingsError as ex:
        parser.error(str(ex))


def _check(settings: Settings, _: argparse.Namespace) -> int:
    logging.getLogger("service").addHandler(logging.NullHandler())  # the log of a load is what is printed here
    repository = open_repository(settings)
    refused = False
    for name, entry in repository.entries.items():
        for version, model in entry.versions.items():
            print(f"{name}/{version}: ok, serves through {model.runtime.platform}")
        for version, reason in entry.refused.items():
            print(f"{name}/{version}: refused: {reason}")
            refused = True
    if not repository.entries:
        print(f"There is no model below {settings.models_dir}.")
    return int(refused or not repository.ready)


def _openapi(settings: Settings, _: argparse.Namespace) -> int:
    logging.getLogger("service").addHandler(logging.NullHandler())
    app = create_app(settings, open_repository(settings))
    print(msgspec.json.format(app.openapi.body(), indent=2).decode())
    return 0


def _add(settings: Settings, given: argparse.Namespace) -> int:
    from service.packaging.add import add, summary
    from service.packaging.errors import PackagingError

    started = time.monotonic()

    def report(step: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {step}", flush=True)

    classes = given.classes.split(",") if given.classes else None
    try:
        directory = add(
            given.name,
            given.file,
            given.data,
            version=given.version,
            classes=classes,
            root=settings.models_dir,
            report=report,
        )
    except PackagingError as ex:
        print(f"python -m service add: {ex}", file=sys.stderr)
        return 1
    report("done")
    print()
    print(summary(directory))
    print(_NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
