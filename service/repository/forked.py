"""Runs what may crash or hang in a forked child, so that the process that asks survives it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import selectors
import signal
import sys
import time
import warnings
from collections.abc import Callable

from service.repository import sandbox

_LONGEST_REASON = 64 * 1024
_LONGEST_SECONDS = 1e6
_MEANWHILE_SECONDS = 1.0
_PASSED = b"passed"


def run(check: Callable[[], object], seconds: float, heartbeat: Callable[[], object] = lambda: None) -> str | None:
    """
    Run `check` in a forked child, which may write no file (see `sandbox`).

    Args:
        check: what is run.
        seconds: the child is killed after so long.
        heartbeat: is called about once a second while the child runs; what it raises ends the child.

    Returns:
        None where it returned; otherwise why not: its exception, the signal that ended it, or the time that it took.

    Raises:
        OSError: there can be no child now.
    """
    source, sink = os.pipe()
    owner = os.getpid()
    try:
        pid = _start(check, sink, seconds)
    except OSError:
        os.close(source)
        raise
    finally:
        os.close(sink)
    status = None
    try:
        report = _read(source, seconds, heartbeat)
    finally:
        os.close(source)
        # A process that `heartbeat` forked comes by here when it exits, and the number may be another's by then.
        if os.getpid() == owner:
            status = _ended(pid)
    if report is None:
        return f"it did not finish within {seconds:g} seconds"
    if report == _PASSED:
        return None
    return report.decode(errors="replace") or f"it crashed ({_death(status)})"


def _start(check: Callable[[], object], sink: int, seconds: float) -> int:
    """Fork the child, which never leaves this function: outside it would go on as a second one of its parent."""
    owner = os.getpid()
    try:
        pid = _fork()
        if pid == 0:
            _report(check, sink, seconds)
        return pid
    finally:
        if os.getpid() != owner:
            os._exit(1)


def _fork() -> int:
    with warnings.catch_warnings():
        # The child computes and leaves by _exit: it takes no lock that a thread of ours could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _report(check: Callable[[], object], sink: int, seconds: float) -> None:
    faulthandler.disable()  # the parent tells of a crash, in one line
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    try:
        signal.setitimer(signal.ITIMER_REAL, min(2 * seconds, _LONGEST_SECONDS))  # should nobody be left to kill it
        _give_up_rights()
        _compute_in_one_thread()
        check()
        report = _PASSED
    except BaseException as ex:  # noqa: BLE001 (whatever it is, it is the answer)
        report = (str(ex) or type(ex).__name__).encode(errors="replace")[:_LONGEST_REASON]
    with contextlib.suppress(OSError):
        os.write(sink, report)


def _give_up_rights() -> None:
    """What holds without Landlock, too: no file may grow, and a crash leaves no core."""
    sandbox.enter()
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))


def _compute_in_one_thread() -> None:
    """
    Have OpenMP start no threads here.

    Those that it has started in the parent, as in a notebook in which a model was fitted, are none of the child's, and
    it would wait for them for ever. scikit-learn imports threadpoolctl: without it, nothing has used OpenMP.
    """
    threadpoolctl = sys.modules.get("threadpoolctl")
    if threadpoolctl is not None:
        threadpoolctl.threadpool_limits(1, user_api="openmp")


def _read(source: int, seconds: float, heartbeat: Callable[[], object]) -> bytes | None:
    """All that the child writes; None where it does not close its end in time."""
    chunks: list[bytes] = []
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(min(left, _MEANWHILE_SECONDS)):
                heartbeat()
                continue
            chunk = os.read(source, 65536)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
    return None


def _ended(pid: int) -> int | None:
    """The wait status of the child, which is killed; None where another part of the process has reaped it."""
    try:
        os.kill(pid, signal.SIGKILL)
        return os.waitpid(pid, 0)[1]
    except (ProcessLookupError, ChildProcessError):
        return None


def _death(status: int | None) -> str:
    if status is None:
        return "status unknown"
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"
