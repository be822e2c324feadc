"""Reserve cores of this machine for one measuring process, by a file lock on each core.

The operating system releases a lock when its process ends, also after a crash.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
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
def reserved(
    number: int, patience_seconds: float = WAIT_SECONDS, *, among: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Reserve cores that no other measuring process has, and run on these cores only.

    A process that waits for cores holds the lock of the queue, and every process needs this lock to take cores. So the
    process that has waited longest comes first.

    Parameters
    ----------
    number
        How many cores.
    among
        Numbers of the cores to choose from, in this order; all usable ones if None.

    Raises
    ------
    CannotMeasure
        If the cores do not become free within the patience, if the process that started this one ends meanwhile, or if
        the locks cannot be used.
    """
    home, parent, deadline = usable_cores(), os.getppid(), time.monotonic() + patience_seconds
    choice = home if among is None else list(among)
    with contextlib.ExitStack() as held:
        taken: list[int] = []
        try:
            with _lock("queue").acquire(patience_seconds, _POLL_SECONDS, cancel_check=lambda: os.getppid() != parent):
                while True:
                    for core in choice:
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
                f"{number} of the cores {_listed(choice)} did not become free within {patience_seconds:g} s: "
                "other processes measure on them, and two measurements never share a core"
            ) from error
        except OSError as error:
            raise CannotMeasure(f"the locks of the cores, in {_folder()}, cannot be used: {error}") from error
        _move_to(taken)
        try:
            yield taken
        finally:
            _move_to(home)


def _listed(choice: Sequence[int]) -> str:
    return ", ".join(map(str, choice))


def _folder() -> Path:
    """Folder of the locks, which all users share.

    It is not the temporary folder itself: Linux lets no user open another one's file there for writing.
    """
    return Path(tempfile.gettempdir()) / "simmore-locks"


def _lock(name: str) -> FileLock:
    """A lock that every user of this machine can take."""
    folder, file = _folder(), _folder() / f"{name}.lock"
    for path, mode in ((folder, 0o777), (file, 0o666)):  # the first process makes them, and opens them to all users
        if not path.exists():
            with contextlib.suppress(FileExistsError):
                path.mkdir() if path is folder else path.touch(exist_ok=False)
            with contextlib.suppress(PermissionError):  # another user was faster
                path.chmod(mode)
    return FileLock(file)


def _move_to(cores: Iterable[int]) -> None:
    """Restrict all threads of this process to these cores, where the system supports it."""
    if not hasattr(os, "sched_setaffinity"):
        return
    os.sched_setaffinity(0, cores)
    for thread in Path("/proc/self/task").glob("*"):  # threads that a runtime keeps from the last measurement
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)
