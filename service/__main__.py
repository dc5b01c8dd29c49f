"""The command line: `model-server COMMAND`, or `python -m service COMMAND`."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any import that starts threads

import sys
from collections.abc import Sequence

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status: 0 if it succeeded."""
    try:
        from service.commands.run import run_command  # takes a moment: Ctrl-C must print no traceback

        return run_command(arguments)
    except KeyboardInterrupt:
        print("\nInterrupted: nothing was written.", file=sys.stderr)
        return _INTERRUPTED


def run() -> None:
    """The entry point of `model-server`: run the command in the shell's arguments."""
    sys.exit(main())


if __name__ == "__main__":
    run()
