"""Correction of a machine's drift by a reference cell that is measured beside all others.

A machine's speed drifts by some per cent, and the reference shows it. But the reference has noise of its own. How much
of it to use is fitted on pairs of cells that have the same layers (`space.live_ops`) and were measured at different
times: ``log a − log b = β (log ref_a − log ref_b)`` by least squares, with β between 0 and 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from simmore import space

FEWEST_PAIRS = 100  # to fit β


def same_network(archs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of cells with the same layers, ``(pairs, 2)``; no cell is in two pairs."""
    groups: dict[int, list[int]] = {}
    for arch in archs.tolist():
        groups.setdefault(_networks()[arch], []).append(arch)
    pairs = [group[k : k + 2] for group in groups.values() for k in range(0, len(group) - 1, 2)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@cache
def _networks() -> list[int]:
    """For each cell the first cell that has the same layers."""
    first: dict[tuple[int, ...], int] = {}
    return [first.setdefault(space.live_ops(arch), arch) for arch in range(space.N_ARCHS)]


def exponent(latency_ms: NDArray[np.float64], reference_ms: NDArray[np.float64]) -> float:
    """β, from the latency of all cells and of the reference at the same time, ``(cells,)``; NaN: not measured.

    It is 0 with fewer than `FEWEST_PAIRS`.
    """
    ours, reference = _log_ratios(latency_ms, reference_ms)
    if len(ours) < FEWEST_PAIRS or not reference.any():
        return 0.0
    return float(np.clip((ours @ reference) / (reference @ reference), 0, 1))


def corrected(latency_ms: NDArray[np.float64], reference_ms: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Latencies scaled to the reference's median speed, ``(cells,)``."""
    return latency_ms * (np.nanmedian(reference_ms) / reference_ms) ** beta


def median_difference(latency_ms: NDArray[np.float64]) -> float:
    """Median relative difference within the pairs of cells with the same layers; NaN if there are none."""
    ratios = _log_ratios(latency_ms, latency_ms)[0]
    return float(np.median(np.abs(ratios))) if len(ratios) else float("nan")


def _log_ratios(
    latency_ms: NDArray[np.float64], reference_ms: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log ratio of the latency, and of the reference, in each pair of measured cells: ``(pairs,)`` each."""
    first, second = same_network(np.flatnonzero(np.isfinite(latency_ms))).T
    return np.log(latency_ms[first] / latency_ms[second]), np.log(reference_ms[first] / reference_ms[second])
