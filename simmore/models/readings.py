"""Checks of latency readings: the resolution of the timer, and implausible readings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

COARSE = 0.03  # a timer with a larger step, relative to the mean latency, is coarse: it rounds by as much as the noise
_DIGITS = 6  # a timer that shows more digits than this counts as exact
_TOLERANCE = 1e-9  # relative error of a multiple of a step: floating-point numbers are not exact decimals
# Bounds of a reading's ratio to a typical device, relative to the median ratio.
TOO_SLOW, TOO_FAST = 8.0, 16.0
AGREEMENT = 1.25  # largest ratio of two readings that confirm each other


def resolution(latency_ms: ArrayLike) -> float:
    """The step of a timer: the largest power of ten that all readings ``(n,)`` are multiples of, in their unit.

    0 if the readings show no step. Of fewer than three readings, at least two digits count as significant: a final zero
    may be chance.

    >>> resolution([14.0, 9.0, 21.0]), resolution([0.014, 0.009, 0.021]), resolution([14.0, 9.0, 2 ** 0.5])
    (1.0, 0.001, 0.0)
    """
    y = np.asarray(latency_ms, dtype=np.float64)
    coarsest = int(np.floor(np.log10(y.min()))) - (len(y) < 3)
    for exponent in range(coarsest, int(np.floor(np.log10(np.median(y)))) - _DIGITS, -1):
        multiples = y / 10.0**exponent
        if (np.abs(multiples - np.round(multiples)) <= _TOLERANCE * multiples).all():
            return float(10.0**exponent)
    return 0.0


def implausible(shape: NDArray[np.floating], archs: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.bool_]:
    """Which readings are implausible given the others, such as a latency that was typed in another unit.

    Their ratio to a typical device is more than `TOO_SLOW` times the median ratio, or less than the median divided by
    `TOO_FAST`. Fewer than three readings are all plausible: they do not show which of them is wrong.

    Parameters
    ----------
    shape
        Latencies of a typical device in any unit, ``(cells,)``: `Prior.shape`.
    archs, latency_ms
        Measured cells and their latencies in one unit, ``(n,)`` each; infinite where a cell failed.

    Returns
    -------
    ndarray of bool
        ``(n,)``; False for a cell that failed.
    """
    archs, latency = np.asarray(archs, dtype=np.int64), np.asarray(latency_ms, dtype=np.float64)
    finite = np.isfinite(latency)
    if finite.sum() < 3:
        return np.zeros(len(latency), dtype=bool)
    ratio = latency / shape[archs]
    known = np.sort(ratio[finite])
    middle = known[(len(known) - 1) // 2]  # a reading, not the mean of two, so that it is plausible itself
    return finite & ((ratio > TOO_SLOW * middle) | (ratio * TOO_FAST < middle))


def agree(a_ms: float, b_ms: float) -> bool:
    """Whether two readings of a cell confirm each other."""
    return max(a_ms, b_ms) <= AGREEMENT * min(a_ms, b_ms)
