"""`openapi`: print the description of the service's endpoints."""

from __future__ import annotations

import argparse
import logging

import msgspec

from service.commands.command import Commands, add_models, with_models
from service.settings import Settings

_ABOUT = """Print the OpenAPI document of the service and its present models, the same as GET /openapi.json answers."""


def register(commands: Commands) -> None:
    """Add the command."""
    add_models(commands.add("openapi", run, "print the OpenAPI document", _ABOUT, "> openapi.json"))


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Print the document."""
    from service.app import create_app, open_repository

    logging.getLogger("service").addHandler(logging.NullHandler())  # standard output is for the document
    settings = with_models(settings, given)
    app = create_app(settings, open_repository(settings))
    print(msgspec.json.format(app.openapi.body(), indent=2).decode())
    return 0
