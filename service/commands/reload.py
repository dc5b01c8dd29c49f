"""`reload`: tell a service that runs to look at its models and keys again, and wait for the outcome."""

from __future__ import annotations

import argparse
import os
import signal
import time

from service.commands.command import CommandError, Commands, Exit, add_json, print_json, program
from service.commands.terminal import painted
from service.processes.announcement import State, living, path_of, read
from service.settings import Settings

_ABOUT = """Tell a service on this machine to read its models and API keys again, as SIGHUP does, and wait until it is
done. No request is lost. The exit status is 1 if a version was refused.

The service is found by its port. --port may be left out if only one service runs. Each service writes its process id
to /dev/shm/model-server-PORT.json. In containers: docker compose exec --index 1 api model-server reload."""

_SECONDS = 600.0
_LOOK_SECONDS = 0.05


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("reload", run, "tell a running service to look at its models again", _ABOUT, "--port 8000")
    parser.add_argument("--port", metavar="N", help="the port of the service")
    add_json(parser)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Send SIGHUP, wait, and print the versions that serve."""
    before = _found(given.port)
    try:
        os.kill(before.pid, signal.SIGHUP)
    except PermissionError:
        raise CommandError(f"The service (process {before.pid}) belongs to another user: use sudo.") from None
    state = _after(before)
    if given.json:
        print_json({"serves": state.serves, "refused": state.refused, "waiting": state.waiting})
    else:
        _print(state)
    return Exit.FAILED if state.refused else Exit.DONE


def _found(port: str | None) -> State:
    if port is not None:
        state = read(path_of(port))
        if state is None:
            raise CommandError(
                f"No service of yours runs on port {port}; `{program()} serve --port {port}` starts one."
            )
        return state
    there = living()
    if not there:
        raise CommandError(f"No service of yours runs here; `{program()} serve` starts one.")
    if len(there) > 1:
        raise CommandError(f"Several services run here: add --port {' or '.join(each.address for each in there)}.")
    return there[0]


def _after(before: State) -> State:
    """Wait for the service's next look at its models; return its state."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        state = read(path_of(before.address))
        if state is None:
            raise CommandError("The service has ended meanwhile; its log says why.")
        if state.looks > before.looks:
            return state
        time.sleep(_LOOK_SECONDS)
    raise CommandError(f"The service has not answered within {_SECONDS:.0f} s; its log says why.")


def _print(state: State) -> None:
    for name, versions in state.serves.items():
        shown = ", ".join(map(str, versions)) or painted("none", "red")
        print(f"{name}: {painted('serves', 'green')} {shown}")
    for label, reason in state.refused.items():
        print(f"{label}: {painted('refused', 'red')}: {reason}")
    for label, reason in state.waiting.items():
        print(f"{label}: {painted('waited for', 'yellow')}: {reason}")
