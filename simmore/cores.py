"""Cores of this machine that a measuring process has to itself: a lock on each keeps others off."""

from __future__ import annotations

import contextlib
import fcntl
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

    Raises
    ------
    CannotMeasure
        If there are not as many within the patience.
    """
    home, parent = usable_cores(), os.getppid()
    deadline = time.monotonic() + patience_seconds
    while True:
        with contextlib.ExitStack() as locks:
            taken: list[int] = []
            for core in home:
                file = locks.enter_context((Path(tempfile.gettempdir()) / f"simmore-core-{core}.lock").open("ab"))
                if len(taken) < number and _locked(file):
                    taken.append(core)
            if len(taken) == number:
                _move_to(taken)
                try:
                    yield taken
                finally:
                    _move_to(home)
                return
        if os.getppid() != parent:
            sys.exit("whoever wanted to measure is gone")
        if time.monotonic() > deadline:
            raise CannotMeasure(
                f"{number} of this machine's {len(home)} cores did not become free within {patience_seconds:g} s: "
                "others measure on them, and two measurements never share a core"
            )
        time.sleep(0.2)


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
