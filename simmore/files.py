"""Files: read with a bound on their size; written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from simmore.errors import DataError


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step: under another name first, flushed to the disk, then renamed.

    Raises
    ------
    OSError
        If the file cannot be written, for example because the disk is full. An earlier file is unchanged.
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
            f"{path} cannot be written ({error.strerror}). Earlier results are unchanged: free some space or "
            "make the folder writable, and start again",
        ) from error


def read(path: Path, max_bytes: int, expected: str) -> bytes:
    """Read a file that a user names.

    Raises
    ------
    DataError
        If it is not a regular file, cannot be read, is empty, or has more than `max_bytes`. The message asks for the
        path of what is `expected`.
    """
    remedy = f"give the path of {expected}"
    try:
        if not path.is_file():  # reading a folder, a pipe or a device might never end
            what = "is not a regular file" if path.exists() else "does not exist"
            raise DataError(f"{path} {what}: {remedy}.")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{str(path)!r} cannot be read ({error}): {remedy}.") from error
    if not content or content.isspace():
        raise DataError(f"{path} is empty: {remedy}.")
    if len(content) > max_bytes:
        raise DataError(f"{path} is larger than {max_bytes // 10**6} MB: {remedy}.")
    return content


def check_writable(path: Path) -> None:
    """Check that a file can be written, before any work is done for it.

    Raises
    ------
    OSError
        If its folder does not exist or is not writable, or if a folder has its name.
    """
    if path.is_dir():
        raise OSError(f"{path} is a folder: name a file")
    if not path.parent.is_dir():
        raise OSError(f"the folder of {path} does not exist: create it, or name another")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent):  # its own name for every process
            pass
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror}): name a file in a writable folder") from error
