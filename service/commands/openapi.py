"""`openapi`: print the description of the service's endpoints."""

from __future__ import annotations

import argparse
from importlib import import_module

from service.commands.command import CommandError, Commands, add_models, with_models
from service.settings import Settings

_ABOUT = (
    """Print the OpenAPI document of the service with the models that there are, as GET /openapi.json answers it."""
)


def register(commands: Commands) -> None:
    """Add the command."""
    add_models(commands.add("openapi", run, "print the OpenAPI document", _ABOUT, "> openapi.json"))


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Print it."""
    try:
        print_document = import_module("service.http.openapi").run
    except ModuleNotFoundError:
        raise CommandError("This release has no OpenAPI document.") from None
    return int(print_document(with_models(settings, given)))
