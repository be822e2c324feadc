"""Arrays that many callers share, and the project's own files of them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.errors import DataError


def read_only(values: NDArray[Any]) -> NDArray[Any]:
    """Return the array itself, made read-only, because it is cached."""
    values.setflags(write=False)
    return values


def load_columns(file: Path, remedy: str) -> dict[str, NDArray[Any]]:
    """Numeric columns of one of the project's own ``.npz`` tables, ``(…, cells)`` each.

    Raises
    ------
    DataError
        If the file is damaged or a column does not have one number per cell; the message ends with `remedy`.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is truncated or altered ({error}): {remedy}.") from error
    for name, values in columns.items():
        if values.shape[-1:] != (space.N_ARCHS,) or values.dtype.kind not in "biuf":
            raise DataError(f"{file}: {name!r} does not have one number per cell: {remedy}.")
    return columns
