"""Cores of this machine that a measuring process has to itself: a lock on each keeps others off."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

WAIT_SECONDS = 600.0  # for cores that others measure on


class CannotMeasure(OSError):
    """Nothing can be measured here now: no process could be started, or no core is free."""


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextlib.contextmanager
def reserved(number: int, patience_seconds: float = WAIT_SECONDS) -> Iterator[list[int]]:
    """Take cores that no other measuring process has, and run on them alone meanwhile.

    Who waits holds the one lock that everybody else must have to ask for cores: it is next.

    Raises
    ------
    CannotMeasure
        If there are not as many within the patience.
    """
    home = usable_cores()
    with contextlib.ExitStack() as held:
        taken: list[int] = []
        with _lock_file("queue") as queue:
            waiting = _Waiting(f"{number} of this machine's {len(home)} cores", patience_seconds)
            while not _locked(queue):
                waiting.go_on()
            for core in itertools.cycle(home):
                file = _lock_file(f"core-{core}")
                if core not in taken and _locked(file):
                    held.enter_context(file)
                    taken.append(core)
                else:
                    file.close()
                if len(taken) == number:
                    break
                if core == home[-1]:
                    waiting.go_on()
        _move_to(taken)
        try:
            yield taken
        finally:
            _move_to(home)


class _Waiting:
    """Waits, a little at a time, while there is patience and whoever wanted to measure is still there."""

    def __init__(self, what: str, patience_seconds: float) -> None:
        self._what, self._patience, self._parent = what, patience_seconds, os.getppid()
        self._deadline = time.monotonic() + patience_seconds

    def go_on(self) -> None:
        if os.getppid() != self._parent:
            sys.exit("whoever wanted to measure is gone")
        if time.monotonic() > self._deadline:
            raise CannotMeasure(
                f"{self._what} did not become free within {self._patience:g} s: others measure on them, and two "
                "measurements never share a core"
            )
        time.sleep(0.02)


def _lock_file(name: str) -> IO[bytes]:
    return (Path(tempfile.gettempdir()) / f"simmore-{name}.lock").open("ab")


def _locked(file: IO[bytes]) -> bool:
    """Take the lock of a file, if nobody has it; closing the file gives it back."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _move_to(cores: Iterable[int]) -> None:
    """Let all threads of this process run on these cores alone, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        return
    os.sched_setaffinity(0, cores)
    for thread in Path("/proc/self/task").iterdir():  # those that a runtime keeps from the last measurement
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)
