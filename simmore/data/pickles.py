"""Pickles, read without running them.

A pickle may run any code while it loads. `restricted_loads` builds plain containers and numbers from one, and refuses
everything else.
"""

from __future__ import annotations

import gc
import io
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simmore.errors import DataError


class _NumberType:
    """Replaces a numpy dtype in an untrusted pickle: a number of known width, and its byte order."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
            raise pickle.UnpicklingError(f"a number type {str(code)[:40]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _number(kind: _NumberType, raw: bytes) -> float | int | bool:
    """A numpy scalar of an untrusted pickle as a plain number."""
    return np.frombuffer(raw, kind.dtype, count=1).item()


class _Array:
    """Replaces a numpy array of numbers in an untrusted pickle."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        self.values = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if fortran else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.values.astype(dtype or self.values.dtype)


# What benchmark files contain besides plain containers. Each name leads to a replacement defined here, so that
# numpy's own unpickling code never receives an argument from the file.
NUMBERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _NumberType,
    ("numpy", "ndarray"): _Array,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    NUMBERS[_module, "scalar"] = _number
    NUMBERS[_module, "_reconstruct"] = _Array


class _Restricted(pickle.Unpickler):
    """An unpickler that finds only the given names."""

    def __init__(self, file: io.BytesIO, allowed: dict[tuple[str, str], Callable[..., Any]]) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


class _Refused(Exception):
    """The name that a pickle asks for and does not get."""


def restricted_loads(
    content: bytes,
    file: str | Path = "the pickle",
    *,
    allowed: dict[tuple[str, str], Callable[..., Any]] | None = None,
) -> Any:
    """Unpickle plain containers, strings and numbers; nothing in `content` can run.

    Parameters
    ----------
    content
        The pickle.
    file
        Its name in error messages.
    allowed
        Replacement of each allowed ``(module, name)``; by default no name is allowed.

    Raises
    ------
    DataError
        If the pickle asks for another class or function, which is named, or if it is truncated or altered.
    """
    collecting = gc.isenabled()
    gc.disable()  # a table is many small lists, none of them garbage: the collector would double the time
    try:
        return _Restricted(io.BytesIO(content), allowed or {}).load()
    except _Refused as refused:
        raise DataError(
            f"{file} asks for {refused}, which a table of numbers does not need: it may want to run code. "
            "Nothing was run; get the file again from its source, and do not open it with pickle."
        ) from None
    except Exception as error:  # damaged bytes make the unpickler raise almost anything
        raise DataError(
            f"{file} is truncated or altered ({type(error).__name__}: {error}): get it again from its source."
        ) from error
    finally:
        if collecting:
            gc.enable()


def torch_list(file: Path) -> Any:
    """Read a plain list that ``torch.save`` wrote, without torch: a zip archive with a pickle in it."""
    with zipfile.ZipFile(file) as archive:
        return restricted_loads(archive.read("archive/data.pkl"), file)
