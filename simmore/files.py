"""Files: reading with a bound on the size, atomic writing, and results that an earlier run kept."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from simmore.errors import DataError

Kept = TypeVar("Kept")


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step: under another name first, flushed to the disk, then renamed.

    If several processes or threads write one file, it holds the complete content of the last one.

    Raises
    ------
    OSError
        If the file cannot be written, for example because the disk is full. An earlier file is unchanged.
    """
    target = path.resolve()  # a link stays a link
    aside = target.with_name(f".{uuid.uuid4().hex}.part")  # `tempfile` would make a file that only its owner may read
    try:
        _check_regular(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path} cannot be written ({error.strerror or error}). Earlier results are unchanged: free some space or "
            "make the folder writable, and start again",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


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


def read_kept(path: Path, parse: Callable[[bytes], Kept]) -> Kept | None:
    """Read a result that an earlier run kept in a file: a checkpoint, a part of a job, a record.

    Parameters
    ----------
    path
        The file.
    parse
        Makes a result of the file's content; raises any exception if the content is wrong.

    Returns
    -------
    Kept or None
        None if there is no file, or a damaged one, which is then set aside: the result has to be computed again.

    Raises
    ------
    OSError
        If the file is there but cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return parse(content)
    except ImportError:  # says nothing about the file
        raise
    except Exception as error:  # damaged content may make a reader raise anything
        set_aside(path, error)
        return None


def set_aside(path: Path, why: object) -> Path:
    """Rename a damaged file to ``<name>.unreadable``, say so on the error stream, and return the new path."""
    aside = path.with_name(f"{path.name}.unreadable")
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        path.replace(aside)
    reason = " ".join(f"{type(why).__name__}: {why}".split()) if isinstance(why, Exception) else why
    print(f"{path} is damaged and is computed again; it is now {aside.name} ({str(reason)[:200]})", file=sys.stderr)
    return aside


def check_writable(path: Path) -> None:
    """Check that a file can be written, before any work is done for it.

    Raises
    ------
    OSError
        If its folder does not exist or is not writable, or if a folder or a device has its name.
    """
    _check_regular(path)
    if not path.parent.is_dir():
        raise OSError(f"the folder of {path} does not exist: create it, or name another")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent):  # its own name for every process
            pass
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror}): name a file in a writable folder") from error


def _check_regular(path: Path) -> None:
    """Refuse a folder, and a device such as ``/dev/null``, which renaming would replace by a file."""
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is a {'folder' if path.is_dir() else 'device or pipe'}: name a file")
