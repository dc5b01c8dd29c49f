"""The service against what a user would pick instead: `python -m bench.peers --help`."""
