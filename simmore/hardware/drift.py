"""How fast a machine was just then: a reference that is measured beside everything else takes its drift out.

A machine is some per cent faster at one time than at another, and the reference shows it; but the reference has noise
of its own. How much of it to believe, cells say that are one network (`space.live_ops`) and were measured at
different times: ``log a − log b = β (log ref_a − log ref_b)`` by least squares, β from 0 to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore import space

FEWEST_PAIRS = 100  # to say anything of β


def same_network(archs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of cells that are one network, ``(pairs, 2)``; no cell is in two of them."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for arch in archs.tolist():
        groups.setdefault(space.live_ops(arch), []).append(arch)
    pairs = [group[k : k + 2] for group in groups.values() for k in range(0, len(group) - 1, 2)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def exponent(latency_ms: NDArray[np.float64], reference_ms: NDArray[np.float64]) -> float:
    """β, from the latency of all cells and the reference's at the time, NaN where a cell was not measured.

    Returns
    -------
    float
        0 with fewer than `FEWEST_PAIRS`.
    """
    pairs = _measured_pairs(latency_ms)
    ours, reference = (np.log(values[pairs[:, 0]] / values[pairs[:, 1]]) for values in (latency_ms, reference_ms))
    if len(ours) < FEWEST_PAIRS or not reference.any():
        return 0.0
    return float(np.clip((ours @ reference) / (reference @ reference), 0, 1))


def corrected(latency_ms: NDArray[np.float64], reference_ms: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Latencies as they would have been at the reference's median speed."""
    return latency_ms * (np.nanmedian(reference_ms) / reference_ms) ** beta


def median_difference(latency_ms: NDArray[np.float64]) -> float:
    """How far apart cells are that are one network, relative; NaN if there are no such cells."""
    pairs = _measured_pairs(latency_ms)
    if not len(pairs):
        return float("nan")
    return float(np.median(np.abs(np.log(latency_ms[pairs[:, 0]] / latency_ms[pairs[:, 1]]))))


def _measured_pairs(latency_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    return same_network(np.flatnonzero(np.isfinite(latency_ms)))
