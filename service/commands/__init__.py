"""
The command line. Each command has a module with its arguments and its function `run`.

    run.py             parses the command line, runs the command, and reports each error in one sentence
    command.py         what all commands share: help, errors, exit status
    terminal.py        colours and progress on a terminal, plain lines in a pipe
    versions.py        the model versions that a command is about
    packages.py        the packages that only packaging needs, installed when `add` is first used
    locations.py       where the project's own files are
    add.py  check.py  list.py  show.py  remove.py  predict.py  serve.py  reload.py  key.py  openapi.py
"""
