"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it: aside, flushed to the disk, then renamed.

    Raises
    ------
    OSError
        If it can't be written, a full disk for example; what stood there before still does.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise OSError(
            error.errno,
            f"{path} could not be written ({error.strerror}); what was finished before is kept: make room, or let the "
            "folder be written to, and start again",
        ) from error
