"""The search space: NATS-Bench's topology cells as strings, digits and indices.

A cell has four nodes and six edges, `EDGES`. Each edge holds one of five `OPERATIONS`, so there are 15,625 cells.
A cell has three representations:

- ``arch``: the NATS index, 0 … 15,624; all public tables are in this order;
- ``ops``: six digits 0–4, one per edge in the order of `EDGES`, each a place in `OPERATIONS`; an array ``(…, 6)``;
- ``arch_str``: NATS-Bench's string, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

Source: Dong et al. (2021), *NATS-Bench*; the paper's section 3.1 (its five positions and "identity" are a slip).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
N_OPERATIONS = len(OPERATIONS)
N_EDGES = len(EDGES)
N_ARCHS = N_OPERATIONS**N_EDGES

_PLACES = N_OPERATIONS ** np.arange(N_EDGES - 1, -1, -1)  # the base-5 value of each digit


@cache
def all_ops() -> NDArray[np.uint8]:
    """Digits of all cells, ``(cells, 6)``, in NATS order (read-only).

    NATS-Bench lists the cells in lexicographic order and shuffles them with Python's generator, seeded with 88.
    """
    cells = list(product(range(N_OPERATIONS), repeat=N_EDGES))
    random.Random(88).shuffle(cells)
    ops = np.array(cells, dtype=np.uint8)
    ops.setflags(write=False)
    return ops


@cache
def _arch_of_code() -> NDArray[np.int32]:
    """NATS index of each base-5 code, ``(cells,)`` (read-only): the inverse of NATS order."""
    table = np.empty(N_ARCHS, dtype=np.int32)
    table[all_ops() @ _PLACES] = np.arange(N_ARCHS, dtype=np.int32)
    table.setflags(write=False)
    return table


def to_ops(archs: ArrayLike) -> NDArray[np.uint8]:
    """Digits ``(…, 6)`` of NATS indices ``(…)``.

    Raises
    ------
    ValueError
        For an index outside 0 … 15,624.
    """
    archs = np.asarray(archs)
    if archs.size and (archs.dtype.kind not in "iu" or archs.min() < 0 or archs.max() >= N_ARCHS):
        raise ValueError(f"a NATS index is a whole number from 0 to {N_ARCHS - 1}, got {archs!r}")
    return all_ops()[archs]


def to_archs(ops: ArrayLike) -> NDArray[np.int32]:
    """NATS indices ``(…)`` of digits ``(…, 6)``.

    Raises
    ------
    ValueError
        For a last axis other than 6, or a digit other than 0–4.
    """
    ops = np.asarray(ops)
    if ops.ndim == 0 or ops.shape[-1] != N_EDGES:
        raise ValueError(f"a cell is {N_EDGES} digits, got an array of shape {ops.shape}")
    if ops.size and (ops.dtype.kind not in "iu" or ops.min() < 0 or ops.max() >= N_OPERATIONS):
        raise ValueError(f"an operation is a digit from 0 to {N_OPERATIONS - 1}, got {ops!r}")
    return _arch_of_code()[ops @ _PLACES]


def _string(ops: Iterable[int]) -> str:
    """NATS-Bench's string of six digits."""
    names = [f"{OPERATIONS[op]}~{source}" for op, (source, _) in zip(ops, EDGES, strict=True)]
    return "+".join(f"|{'|'.join(part)}|" for part in (names[:1], names[1:3], names[3:]))


@cache
def all_strings() -> tuple[str, ...]:
    """Strings of all cells, in NATS order."""
    return tuple(map(_string, all_ops().tolist()))


@cache
def _arch_of_string() -> dict[str, int]:
    """NATS index of each string."""
    return {string: arch for arch, string in enumerate(all_strings())}


def to_string(arch: int) -> str:
    """NATS-Bench's string of one cell.

    >>> to_string(0)
    '|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|'
    """
    return _string(to_ops(arch))


def to_arch(cell: str | int | Sequence[int] | Sequence[str] | NDArray[np.integer]) -> int:
    """NATS index of one cell that a user names.

    Parameters
    ----------
    cell
        One of

        - the NATS index, as a number or as text: ``12``, ``"12"``;
        - NATS-Bench's string, with or without spaces around ``|``, ``+`` and ``~``;
        - six digits 0–4, as text or as a sequence: ``"421211"``, ``(4, 2, 1, 2, 1, 1)``, ``"(4, 2, 1, 2, 1, 1)"``.
          Digit k is the place in `OPERATIONS` of the operation on edge k of `EDGES`;
        - six names of `OPERATIONS`, in the order of `EDGES`.

        Six digits as text are ambiguous where they could also be an index with leading zeros, that is, where their
        number is below 15,625 (they start with 00 or 01): ``"000012"`` is refused.

    Raises
    ------
    ValueError
        If it is not a cell, or is ambiguous. The message says why, and shows a valid cell.

    Examples
    --------
    >>> to_arch("421211")
    0
    >>> to_arch(("avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_1x1", "skip_connect", "skip_connect"))
    0
    """
    if isinstance(cell, bool):
        raise _no_cell(str(cell))
    if isinstance(cell, int | np.integer):
        if 0 <= cell < N_ARCHS:
            return int(cell)
        raise _no_cell(str(cell), "a number is an index; six digits are a text or a sequence")
    if not isinstance(cell, str):
        return _arch_of_sequence(cell)
    text = re.sub(r"\s*([|+~])\s*", r"\1", cell.strip())
    if (arch := _arch_of_string().get(text)) is not None:
        return arch
    if re.fullmatch(r"[(\[]\s*[0-4](\s*,\s*[0-4]){5}\s*[)\]]", text):
        return _arch_of_sequence([int(digit) for digit in re.findall("[0-4]", text)])
    if not re.fullmatch("[0-9]{1,6}", text):
        raise _no_cell(text)
    number = int(text)
    if number < N_ARCHS and len(text) < N_EDGES:
        return number
    digits = [int(digit) for digit in text]
    if max(digits) >= N_OPERATIONS:
        raise _no_cell(text, f"an index has no leading zeros, so write {number}" if number < N_ARCHS else "")
    if len(digits) < N_EDGES:
        raise _no_cell(text)
    if number < N_ARCHS:
        raise ValueError(
            f"{text!r} is the NATS index {number} with leading zeros, or the six digits {', '.join(text)}: write "
            f"{number} for the index, or {_string(digits)!r} for the digits"
        )
    return int(to_archs(digits))


def _arch_of_sequence(cell: Sequence[int] | Sequence[str] | NDArray[np.integer]) -> int:
    """NATS index of six digits or of six names of operations."""
    parts = list(cell) if isinstance(cell, Sequence | np.ndarray) and len(cell) == N_EDGES else []
    if parts and all(isinstance(part, str) and part in OPERATIONS for part in parts):
        return int(to_archs([OPERATIONS.index(str(part)) for part in parts]))
    whole = all(isinstance(part, int | np.integer) and not isinstance(part, bool) for part in parts)
    if parts and whole and all(0 <= part < N_OPERATIONS for part in parts):
        return int(to_archs([int(part) for part in parts]))
    raise _no_cell(str(cell))


def _no_cell(text: str, why: str = "") -> ValueError:
    """The error for a text that is no cell, with the reason."""
    why = why or _fault(text)
    return ValueError(
        f"{text[:120]!r} is no cell of the search space{f' ({why})' if why else ''}: expected a NATS index from 0 to "
        f"{N_ARCHS - 1}, six digits from 0 to {N_OPERATIONS - 1}, or a string like {to_string(0)!r} "
        f"with the operations {', '.join(OPERATIONS)}"
    )


def _fault(text: str) -> str:
    """What is wrong with a text that is meant as NATS-Bench's string; empty if it is not."""
    if "~" not in text and "|" not in text:
        return ""
    edges = [edge for edge in re.split(r"[|+]", text) if edge]
    if len(edges) != N_EDGES:
        return f"it has {len(edges)} operations between bars instead of {N_EDGES}"
    for place, (edge, (source, _)) in enumerate(zip(edges, EDGES, strict=True), start=1):
        name, _, node = edge.partition("~")
        if name not in OPERATIONS:
            return f"operation {place} is {name[:40]!r}"
        if node != str(source):
            return f"operation {place} ends with {'~' + node[:40]!r} instead of '~{source}'"
    return "its bars and plus signs are not those of the example"


def operation_counts(archs: ArrayLike) -> NDArray[np.int64]:
    """Number of edges with each operation: ``(…)`` NATS indices to ``(…, 5)`` counts, which sum to 6."""
    return (to_ops(archs)[..., None] == np.arange(N_OPERATIONS)).sum(axis=-2)


@cache
def single_operation_archs() -> NDArray[np.int32]:
    """NATS indices of the five cells with one operation on all edges, ``(5,)``, in the order of `OPERATIONS`."""
    return to_archs(np.repeat(np.arange(N_OPERATIONS)[:, None], N_EDGES, axis=1))


def neighbours(arch: int) -> NDArray[np.int32]:
    """NATS indices of the cells that differ from a cell in one operation, ``(24,)``, ordered by edge, then by digit."""
    ops = to_ops(arch)
    changed = np.repeat(ops[None], N_EDGES * N_OPERATIONS, axis=0)
    edge, operation = np.divmod(np.arange(N_EDGES * N_OPERATIONS), N_OPERATIONS)
    changed[np.arange(len(changed)), edge] = operation
    return to_archs(changed[operation != ops[edge]])
