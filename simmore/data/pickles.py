"""Pickles, read without running them.

A pickle is a program: it may run any code while it loads, and a few bytes of it may ask for gigabytes or hours. Two
readers build plain containers and numbers from one, and refuse everything else:

- `restricted_loads`, fast, for files whose sha256 is pinned: nothing can run;
- `untrusted_loads`, for files that users bring: nothing can run, and time and memory are bounded as well.
"""

from __future__ import annotations

import gc
import io
import pickle
import pickletools
import re
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from simmore.errors import DataError

MAX_STEPS = 6_000_000  # of a pickle; HW-NAS-Bench's has at most 4.5 million
MAX_BYTES = 240_000_000  # of all that the steps build; the stack of 6 million steps and a file of 110 MB add to it
MAX_ARGUMENT = 1_000_000  # bytes of one text or array: one wide character makes Python store a text in fourfold size
MAX_NUMBER_KEYS = 20_000  # Python's hashes of numbers can be made to collide; a file of NATS-Bench has 7,474
MAX_SHARED_LENGTH = 256  # of a text that a pickle uses in several places; an architecture's string has 95 characters


class _Refused(Exception):
    """A class or function that a pickle asks for and that is refused."""


@contextmanager
def _explained(file: str | Path) -> Iterator[None]:
    """Turn what goes wrong in a pickle into a `DataError`; the garbage collector waits."""
    collecting = gc.isenabled()
    gc.disable()  # a table is many small lists, none of them garbage: the collector would double the time
    try:
        yield
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


class _Restricted(pickle.Unpickler):
    """An unpickler that refuses every class and function."""

    def find_class(self, module: str, name: str) -> Any:
        raise _Refused(f"{module}.{name}")


def restricted_loads(content: bytes, file: str | Path = "the pickle") -> Any:
    """Unpickle plain containers, strings and numbers from a file that is known by its sha256.

    Parameters
    ----------
    content
        The pickle.
    file
        Its name in error messages.

    Raises
    ------
    DataError
        If the pickle asks for a class or function, which is named, or if it is truncated or altered.
    """
    with _explained(file):
        return _Restricted(io.BytesIO(content)).load()


def torch_list(file: Path) -> Any:
    """Read a plain list that ``torch.save`` wrote, without torch: a zip archive with a pickle in it."""
    with zipfile.ZipFile(file) as archive:
        return restricted_loads(archive.read("archive/data.pkl"), file)


class _NumberType:
    """Stands for a numpy dtype: a number of known width, and its byte order."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
            raise pickle.UnpicklingError(f"a number type {str(code)[:40]!r}")
        self.dtype = np.dtype(code)

    def build(self, state: tuple[Any, ...]) -> _NumberType:
        self.dtype = self.dtype.newbyteorder(state[1])
        return self


class _EmptyArray:
    """Stands for a numpy array of numbers until its content follows."""

    def __init__(self, *_: object) -> None:
        pass

    def build(self, state: tuple[Any, ...]) -> Any:
        _, shape, kind, fortran, raw = state
        values = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if fortran else "C")
        if not values.size:  # such an array may have any length, although it holds nothing
            raise pickle.UnpicklingError("an empty array")
        return values


def _number(kind: _NumberType, raw: bytes) -> float | int | bool:
    """A numpy scalar as a plain number."""
    return np.frombuffer(raw, kind.dtype, count=1).item()


def _ordered_dict() -> dict[Any, Any]:
    """An OrderedDict as a plain dict, which has the same order and no attributes."""
    return {}


# What benchmark files contain besides plain containers. Each name leads to a stand-in defined here, so that numpy's
# own unpickling code never receives an argument from the file.
_NAMES: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered_dict,
    "numpy dtype": _NumberType,
    "numpy ndarray": _EmptyArray,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _NAMES[f"{_module} scalar"] = _number
    _NAMES[f"{_module} _reconstruct"] = _EmptyArray

_VALUES = frozenset(  # steps that put a value of their own on the stack
    "INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE "
    "BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8".split()
)
_NEW: dict[str, Callable[[], Any]] = {  # steps that put a constant or an empty container there
    **{"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False},
    **{"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple},
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = frozenset({"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_STAND_INS = (_NumberType, type, type(_number))
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_MEMOIZE, _BINFLOAT, _SHORT_BINUNICODE, _BININT1 = b"\x94G\x8cK"
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})


def untrusted_loads(content: bytes, file: str | Path = "the pickle") -> Any:
    """Unpickle plain containers, strings and numbers from a file that is not trusted.

    Parameters
    ----------
    content
        The pickle.
    file
        Its name in error messages.

    Returns
    -------
    object
        Built of None, numbers below 2⁶³, texts, bytes, lists, tuples, sets, dicts (OrderedDict becomes dict) and numpy
        arrays of numbers. It is a tree: no container is in two places, so that reading it takes time and memory in
        proportion to the file. Keys are scalars or tuples of scalars.

    Raises
    ------
    DataError
        If the pickle asks for another class or function, which is named, if it is not such a tree, if it exceeds one
        of the bounds `MAX_STEPS`, `MAX_BYTES`, `MAX_ARGUMENT` and `MAX_NUMBER_KEYS`, or if it is truncated or altered.

    Notes
    -----
    Python's own unpickler is not used. `pickletools` reads the steps of the pickle and does not carry them out; those
    that a table needs are carried out here. No step calls anything but the stand-ins of this module, or reserves
    memory before the bytes are there.
    """
    with _explained(file):
        return _carry_out(content)


class _Used:
    """What the steps of a pickle have used of the bounds so far."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.n_number_keys = 0

    def add(self, n_bytes: int) -> None:
        """Count bytes."""
        self.n_bytes += n_bytes
        if self.n_bytes > MAX_BYTES:
            raise pickle.UnpicklingError(f"its content takes more than {MAX_BYTES // 10**6} MB")

    def new(self, value: Any) -> Any:
        """The value itself, counted."""
        self.add(sys.getsizeof(value))
        return value

    def keys(self, values: list[Any]) -> list[Any]:
        """The values themselves, counted: scalars or tuples of scalars, as hashing a nested tuple might never end."""
        self.add(48 * len(values))  # places in a table
        for value in values:
            if type(value) is tuple and _SCALARS.issuperset(map(type, value)):
                self.n_number_keys += len(value)
            elif type(value) not in _SCALARS:
                raise pickle.UnpicklingError("a nested key")
            elif type(value) not in (str, bytes):
                self.n_number_keys += 1
        if self.n_number_keys > MAX_NUMBER_KEYS:
            raise pickle.UnpicklingError(f"more than {MAX_NUMBER_KEYS:,} numbers in keys")
        return values


def _carry_out(content: bytes) -> Any:
    """The value that the steps of a pickle build."""
    used = _Used()
    stack: list[Any] = []
    marks: list[int] = []
    shared: dict[int, Any] = {}  # what later steps may use again; containers are left out
    n_memoized = 0

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for name, argument in _steps(content):
        if name in _VALUES:
            if type(argument) is int and not -(2**63) <= argument < 2**63:
                raise pickle.UnpicklingError("an integer of more than 64 bits")
            stack.append(used.new(argument))
        elif name in _PUTS:
            value = stack[-1]
            if len(value) <= MAX_SHARED_LENGTH if type(value) in (str, bytes) else isinstance(value, _STAND_INS):
                used.add(120)  # an entry of `shared` and its number
                shared[n_memoized if argument is None else argument] = value
            n_memoized += 1
            if argument is not None and argument > len(content):
                raise pickle.UnpicklingError("a place beyond the end")
        elif name in _GETS:
            if argument not in shared:
                raise pickle.UnpicklingError("a container or a long text in several places")
            stack.append(shared[argument])
        elif name in _NEW:
            stack.append(used.new(_NEW[name]()))
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("SETITEM", "SETITEMS", "DICT"):
            items = since_mark() if name != "SETITEM" else [stack.pop(-2), stack.pop()]
            if name == "DICT":
                stack.append(used.new({}))
            _exactly(dict, stack[-1]).update(zip(used.keys(items[::2]), items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            items = since_mark() if name == "APPENDS" else [stack.pop()]
            _exactly(list, stack[-1]).extend(items)
        elif name == "ADDITEMS":
            items = since_mark()
            _exactly(set, stack[-1]).update(used.keys(items))
        elif name == "LIST":
            stack.append(used.new(since_mark()))
        elif name == "TUPLE":
            stack.append(used.new(tuple(since_mark())))
        elif name in _SHORT_TUPLES:
            length = _SHORT_TUPLES[name]
            stack[-length:] = [used.new(tuple(stack[-length:]))]
        elif name in ("GLOBAL", "STACK_GLOBAL", "INST"):
            wanted = argument if name != "STACK_GLOBAL" else " ".join([stack.pop(-2), stack.pop()])
            if wanted not in _NAMES or name == "INST":
                raise _Refused(wanted.replace(" ", ".")[:100])
            stack.append(_NAMES[wanted])
        elif name == "REDUCE":
            arguments, function = _exactly(tuple, stack.pop()), stack.pop()
            if not any(function is known for known in _NAMES.values()):
                raise pickle.UnpicklingError("a call of something that is no function")
            stack.append(used.new(function(*arguments)))
        elif name == "BUILD":
            state = _exactly(tuple, stack.pop())
            stack[-1] = _exactly((_NumberType, _EmptyArray), stack[-1]).build(state)
        elif name == "STOP":
            value = stack.pop()
            if stack or marks:
                raise pickle.UnpicklingError("values are left over")
            return value
        elif name != "PROTO" and not (name == "FRAME" and argument <= len(content)):
            raise pickle.UnpicklingError(f"the step {name}")
    raise AssertionError("the steps end with STOP or an error")


def _exactly(kind: Any, value: Any) -> Any:
    """The value, checked to be of the given kind."""
    if not isinstance(value, kind):
        raise pickle.UnpicklingError(f"a {type(value).__name__} where it cannot be")
    return value


class _Arguments(io.BytesIO):
    """The bytes of a pickle, for the arguments of its steps, which are refused where they are long."""

    def read(self, size: int | None = -1) -> bytes:
        """At most `MAX_ARGUMENT` bytes."""
        if size is None or not 0 <= size <= MAX_ARGUMENT:
            raise pickle.UnpicklingError(f"a text or array of more than {MAX_ARGUMENT:,} bytes")
        return super().read(size)

    def readline(self, size: int | None = -1) -> bytes:
        """A line, cut off at `MAX_ARGUMENT` bytes."""
        return super().readline(MAX_ARGUMENT)


def _steps(content: bytes) -> Iterator[tuple[str, Any]]:
    """Name and argument of each step of a pickle, like `pickletools.genops`, but bounded and three times as fast."""
    stream, position = _Arguments(content), 0
    for _ in range(MAX_STEPS):
        code = content[position]
        position += 1
        if code == _MEMOIZE:  # the most frequent steps are read here
            yield "MEMOIZE", None
        elif code == _BINFLOAT:
            yield "BINFLOAT", struct.unpack_from(">d", content, position)[0]
            position += 8
        elif code == _SHORT_BINUNICODE:
            start = position + 1
            position = start + content[position]
            yield "SHORT_BINUNICODE", content[start:position].decode("utf-8", "surrogatepass")
        elif code == _BININT1:
            yield "BININT1", content[position]
            position += 1
        else:
            opcode = _OPCODES[code]
            stream.seek(position)
            yield opcode.name, opcode.arg and opcode.arg.reader(stream)
            position = stream.tell()
    raise pickle.UnpicklingError(f"more than {MAX_STEPS:,} steps")
