"""
The command line, one module for each command: its arguments and what it does.

    run.py             parses, runs, and makes a sentence of each error
    command.py         what all commands share: help, errors, exit status
    terminal.py        colours and progress on a terminal, plain lines in a pipe
    versions.py        the model versions that a command is about
    packages.py        the packages that only packaging needs, installed when `add` is first used
    locations.py       where the project's own files are
    add.py  check.py  list.py  show.py  remove.py  predict.py  serve.py  reload.py  key.py  openapi.py
"""
