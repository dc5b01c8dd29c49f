"""The service beside the servers that a user could choose instead: `python -m bench.peers --help`."""
