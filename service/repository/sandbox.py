"""
Gives up the rights that a process does not need for predictions, so that a crafted model file cannot use them.

Linux enforces this by no_new_privs and Landlock, for the calling thread and all threads and processes that it starts.
A process cannot get the rights back.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = (1 << bit for bit in (0, 1, 2, 3, 14))
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""The number of rights to files that Landlock knows, by the version since which it knows them. Version 2: 14."""
_BIND_TCP, _CONNECT_TCP = 1, 2
_SIGNALS_AND_ABSTRACT_SOCKETS = 3


def landlock_version() -> int:
    """The version of this kernel's Landlock; 0 if it has no Landlock, or if a seccomp filter forbids its use."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _call(_CREATE_RULESET, None, 0, _ASK_VERSION))


def enter(writable: Iterable[Path] = (), *, connects: bool = False) -> bool:
    """
    Give up rights of this process.

    It can no longer gain rights by starting a program (setuid). If the kernel has Landlock, it also cannot start any
    program, write or remove files, bind or connect TCP sockets, or signal processes outside the sandbox. It can still
    read files and use open descriptors.

    Args:
        writable: files and directories that may still be written. Paths that do not exist are ignored.
        connects: whether the process may open TCP connections.

    Returns:
        Whether Landlock enforces the rules.
    """
    if not sys.platform.startswith("linux"):
        return False
    version = landlock_version()
    if _libc().prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or not version:
        return False
    ruleset = _ruleset(version, connects=connects)
    if ruleset < 0:
        return False
    try:
        for path in (Path(os.devnull), *writable):
            with suppress(FileNotFoundError):
                _allow(ruleset, path, version)
        return _call(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _ruleset(version: int, *, connects: bool) -> int:
    """A descriptor of a ruleset with the rights that are given up; a negative number if the kernel refuses it."""
    net = (_BIND_TCP | (0 if connects else _CONNECT_TCP)) if version >= 4 else 0
    scoped = _SIGNALS_AND_ABSTRACT_SOCKETS if version >= 6 else 0
    attributes = struct.pack("=QQQ", _changes(version) | _EXECUTE, net, scoped)
    return _call(_CREATE_RULESET, attributes, len(attributes), 0)


def _allow(ruleset: int, path: Path, version: int) -> None:
    """Allow writes to a file, or to everything below a directory."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _changes(version)
        if not path.is_dir():
            rights &= _WRITE_FILE | _TRUNCATE
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _changes(version: int) -> int:
    """The bits of all rights to files that Landlock knows, except the rights to read and to execute."""
    known = max(count for since, count in _FILE_RIGHTS.items() if since <= version)
    return (1 << known) - 1 & ~(_EXECUTE | _READ_FILE | _READ_DIR)


def _call(number: int, *arguments: object) -> int:
    words = (ctypes.c_long(each) if isinstance(each, int) else each for each in (number, *arguments))
    return int(_libc().syscall(*words))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
