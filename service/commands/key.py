"""`key`: make an API key."""

from __future__ import annotations

import argparse

from service.commands.command import CommandError, Commands, Exit, add_json, print_json
from service.commands.terminal import painted
from service.settings import Settings

_ABOUT = """Make a random API key of 256 bits. It is shown once; the file in API_KEYS_FILE holds only its digest.
Add the line to that file, then run reload or send SIGHUP. To revoke the key, remove the line and reload."""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("key", run, "make an API key", _ABOUT, "alice --expires 2027-12-31")
    parser.add_argument("name", metavar="NAME", help="whose key it is, for logs and metrics")
    parser.add_argument("--expires", metavar="DATE", help="the last day (UTC) that it is valid, or a date and time")
    add_json(parser)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Print the key and the line."""
    from service.http.keys import KeyFileError, new_key

    try:
        key, line = new_key(given.name, given.expires)
    except KeyFileError as ex:
        raise CommandError(f"{ex}.") from None
    if given.json:
        print_json({"key": key, "line": line})
    else:
        print(f"{painted('The key', 'bold')}, shown once; send it as Authorization: Bearer KEY, or as X-API-Key: KEY")
        print(f"  {key}")
        print(f"{painted('The line', 'bold')} for the file that API_KEYS_FILE names")
        print(f"  {line}")
    return Exit.DONE
