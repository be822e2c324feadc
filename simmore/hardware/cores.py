"""Cores of this machine that a measuring process has to itself, by a file lock on each core.

The operating system gives a lock back when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from simmore.errors import needs

with needs("filelock"):
    from filelock import FileLock, Timeout

WAIT_SECONDS = 600.0  # for cores that other processes measure on
_POLL_SECONDS = 0.02


class CannotMeasure(OSError):
    """Nothing can be measured on this machine now; the message says why."""


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextlib.contextmanager
def reserved(number: int, patience_seconds: float = WAIT_SECONDS) -> Iterator[list[int]]:
    """Take cores that no other measuring process has, and run on them alone meanwhile.

    A process that waits for cores holds the queue's lock, and others need this lock to take any: the process that waits
    longest is served first.

    Raises
    ------
    CannotMeasure
        If the cores do not become free within the patience, or if the process that started this one ends meanwhile.
    """
    home, parent, deadline = usable_cores(), os.getppid(), time.monotonic() + patience_seconds
    with contextlib.ExitStack() as held:
        taken: list[int] = []
        try:
            with _lock("queue").acquire(patience_seconds, _POLL_SECONDS, cancel_check=lambda: os.getppid() != parent):
                while True:
                    for core in home:
                        if len(taken) < number and core not in taken:
                            with contextlib.suppress(Timeout):
                                held.enter_context(_lock(f"core-{core}").acquire(blocking=False))
                                taken.append(core)
                    if len(taken) == number:
                        break
                    if time.monotonic() > deadline or os.getppid() != parent:
                        raise Timeout("")
                    time.sleep(_POLL_SECONDS)
        except Timeout as error:
            raise CannotMeasure(
                f"{number} of this machine's {len(home)} cores did not become free within {patience_seconds:g} s: "
                "other processes measure on them, and two measurements never share a core"
            ) from error
        _move_to(taken)
        try:
            yield taken
        finally:
            _move_to(home)


def _lock(name: str) -> FileLock:
    return FileLock(Path(tempfile.gettempdir()) / f"simmore-{name}.lock")


def _move_to(cores: Iterable[int]) -> None:
    """Let all threads of this process run on these cores alone, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        return
    os.sched_setaffinity(0, cores)
    for thread in Path("/proc/self/task").glob("*"):  # threads that a runtime keeps from the last measurement
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)
