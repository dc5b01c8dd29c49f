"""`add`: package a fitted model from a file as a version that the service can load."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from service.commands import packages
from service.commands.command import CommandError, Commands, Exit, add_models, add_version, program, with_models
from service.commands.terminal import Steps, painted
from service.repository.slower import slower
from service.repository.summary import summary
from service.settings import Settings

_ABOUT = """Package a fitted model for serving. FILE is a .joblib, .pkl, .skops or .onnx file, a booster's own file
(.ubj, .json, .txt, .cbm), or the directory of an MLflow or skops model. Loading a pickle runs its code, so package
only pickles that you trust.

The features, their types and the classes are read from the model and from sample rows. The sample has a few hundred
rows like the training data, as CSV or Parquet with a header. Without --data, `add` looks for a sample beside the model:
the model's input example, or a .csv or .parquet file with the name of the model, sample, X_train, train, training or
data.

The model is converted to ONNX, and the answers of both are compared row by row. ONNX serves only if no label differs.

If the model needs modules of your own, name them with --code: `add` copies them beside the model. The service runs them
only if its setting TRUST_CODE names the model."""

_NEXT = """Serve it
  {program} serve           starts the service
  {program} reload          tells a running service (not needed with MODELS_POLL_SECONDS)
  docker compose kill -s HUP api      tells a service that runs in containers"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "add", run, "package a fitted model for serving", _ABOUT, "wine model.joblib --data sample.csv"
    )
    parser.add_argument("name", metavar="NAME", help="the model's name in the URL")
    parser.add_argument("file", metavar="FILE", type=Path, help="the fitted model")
    parser.add_argument("--data", metavar="SAMPLE.csv", type=Path, help="rows like the training data")
    add_version(parser, "the version's number; default: the highest plus one")
    parser.add_argument("--classes", metavar="A,B,C", help="names for the classes, in the order of classes_")
    parser.add_argument(
        "--code",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="a module, a package or a directory of modules of your own that the model needs; may be repeated",
    )
    parser.add_argument("--dry-run", action="store_true", help="do all steps, but write nothing")
    add_models(parser)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Package the model, and print a summary of the new version."""
    packages.need_packaging()
    from service.packaging.errors import PackagingError

    root = with_models(settings, given).models_dir
    try:
        _add(given, root)
    except PackagingError as ex:
        raise CommandError(str(ex)) from ex
    return Exit.DONE


def _add(given: argparse.Namespace, root: Path) -> None:
    from service.packaging import source
    from service.packaging.add import add
    from service.packaging.version_directory import place

    home, number = place(root, given.name, given.version)
    found_source = source.find(given.file, given.data)
    steps = Steps()
    with _target(home.parent, dry_run=given.dry_run) as target:
        directory = add(
            given.name,
            found_source,
            version=number,
            classes=given.classes.split(",") if given.classes else None,
            root=Path(target),
            report=steps.begin,
            code=[*given.code, *filter(None, [found_source.code])],
        )
        steps.begin("measuring")
        found = summary(directory, next_steps=not given.dry_run, trusted=True)
        warning = slower(directory, root / given.name, trusted=True)
        steps.begin("done")
        steps.end()
    title, _, text = found.text().partition("\n")
    print(f"\n{painted(title, 'bold')}\n{text.replace(str(target), str(root))}")
    if warning:
        print(f"\n{painted('Warning', 'yellow')}: {warning}")
    print("\nNothing was written (--dry-run)." if given.dry_run else _NEXT.format(program=program()))


def _target(root: Path, *, dry_run: bool) -> AbstractContextManager[Path | str]:
    return tempfile.TemporaryDirectory() if dry_run else nullcontext(root)
