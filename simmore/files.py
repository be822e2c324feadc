"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step: under another name first, flushed to the disk, then renamed.

    Raises
    ------
    OSError
        If the file cannot be written, for example because the disk is full. An earlier file stays as it was.
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
            f"{path} cannot be written ({error.strerror}). What was finished before is kept: free some space or "
            "make the folder writable, and start again",
        ) from error
