"""
Runs a function that may crash or hang in a forked child, so that the calling process survives.

The fork is hand-made and not `multiprocessing`: the caller is Gunicorn's master, whose `waitpid(-1)` would take the
child's status from `multiprocessing`. `_ended` accepts that.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import selectors
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator

from service.repository import sandbox

_LONGEST_REASON = 64 * 1024
_LONGEST_SECONDS = 1e6
_MEANWHILE_SECONDS = 1.0
_PASSED = b"passed"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)


def run(check: Callable[[], object], seconds: float, heartbeat: Callable[[], object] = lambda: None) -> str | None:
    """
    Run `check` in a forked child, which may not write files (see `sandbox`).

    Args:
        check: the function to run.
        seconds: the child is killed after this time.
        heartbeat: is called about once a second while the child runs. If it raises, the child is killed.

    Returns:
        None if `check` returned. Otherwise the reason: the text of its exception, the signal that ended the child, or
        the time limit.

    Raises:
        OSError: the system cannot start a process now.
    """
    source, sink = os.pipe()
    owner = os.getpid()
    pid = status = None
    try:
        try:
            with _signals_wait():
                pid = _start(check, sink, seconds)
        finally:
            os.close(sink)
        report = _read(source, seconds, heartbeat)
    finally:
        os.close(source)
        # `heartbeat` may fork workers. When one of them exits through this frame it must not reap `pid`: that id may
        # belong to another process by then.
        if pid is not None and os.getpid() == owner:
            status = _ended(pid)
    if report is None:
        return f"it did not finish within {seconds:g} seconds"
    if report == _PASSED:
        return None
    return report.decode(errors="replace") or f"it crashed ({_death(status)})"


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Handle signals after the fork. While `os.fork` calls other code, Python ignores exceptions of their handlers."""
    came: list[int] = []
    here = threading.current_thread() is threading.main_thread()  # no other thread may set a handler
    handlers = {each: handler for each in _SIGNALS if here and callable(handler := signal.getsignal(each))}
    try:
        for number in handlers:
            signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for each in came:
            os.kill(os.getpid(), each)


def _start(check: Callable[[], object], sink: int, seconds: float) -> int:
    """Fork the child. It must not return from here: it would do its parent's work a second time."""
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
        # Python warns of a fork beside threads: one could hold a lock that the child needs. This child only computes
        # and leaves by _exit, so it needs no lock of ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _report(check: Callable[[], object], sink: int, seconds: float) -> None:
    faulthandler.disable()  # the parent reports a crash, in one line
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    try:
        signal.setitimer(signal.ITIMER_REAL, min(2 * seconds, _LONGEST_SECONDS))  # if the parent dies
        _drop_output(sink)
        _give_up_rights()
        _compute_in_one_thread()
        check()
        report = _PASSED
    except BaseException as ex:  # noqa: BLE001 (the caller gets any exception as text)
        report = (str(ex) or type(ex).__name__).encode(errors="replace")[:_LONGEST_REASON]
    with contextlib.suppress(OSError):
        os.write(sink, report)


def _drop_output(sink: int) -> None:
    """Drop what the check prints. If standard error is a file, this file may not grow: printing would be an error."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in {1, 2} - {sink}:
        os.dup2(null, descriptor)
    os.close(null)


def _give_up_rights() -> None:
    """Enter the sandbox. Limits that work without Landlock, too, forbid that files grow and that a crash dumps core."""
    sandbox.enter()
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))


def _compute_in_one_thread() -> None:
    """
    Make OpenMP compute in one thread.

    The parent may have started OpenMP threads, for example a notebook that fitted a model. A fork does not copy
    threads, so OpenMP in the child would wait for them for ever. scikit-learn imports threadpoolctl: if that is not
    imported, nothing has used OpenMP.
    """
    threadpoolctl = sys.modules.get("threadpoolctl")
    if threadpoolctl is not None:
        threadpoolctl.threadpool_limits(1, user_api="openmp")


def _read(source: int, seconds: float, heartbeat: Callable[[], object]) -> bytes | None:
    """All bytes that the child writes; None if it does not close its end of the pipe in time."""
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
    """Kill the child and return its wait status; None if other code of this process, such as Gunicorn, reaped it."""
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
