"""Correction of a machine's drift by a reference network that is measured beside all cells.

A machine's speed drifts by some per cent, and the reference shows it. But the reference has noise of its own. So the
strength β of the correction is fitted to random cells that are measured at several times, by least squares:
``log a − log b = β (log ref_a − log ref_b)``, with two readings a and b of one cell, readings ref_a and ref_b of the
reference beside them, and β between 0 and 1. The correction is judged on cells that β was not fitted to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_CELLS = 50  # to fit β


@dataclass(frozen=True)
class Correction:
    """A fitted correction.

    Attributes
    ----------
    exponent
        β.
    cells
        Number of cells that it was fitted to.
    uncorrected, corrected
        Median relative difference between two readings of a cell. ``corrected`` is cross-validated: each half of the
        cells is corrected with the β that the other half gives.
    """

    exponent: float
    cells: int
    uncorrected: float
    corrected: float


def fit(latency_ms: NDArray[np.float64], reference_ms: NDArray[np.float64]) -> Correction:
    """Fit a correction.

    Parameters
    ----------
    latency_ms, reference_ms
        Readings of random cells, and of the reference beside them, ``(passes, cells)``; not finite: no reading.
    """
    usable = np.isfinite(latency_ms).all(axis=0) & np.isfinite(reference_ms).all(axis=0)
    ours, reference = (np.diff(np.log(each[:, usable]), axis=0) for each in (latency_ms, reference_ms))
    half = np.arange(usable.sum()) % 2 == 0
    held_out = [
        ours[:, test] - exponent(ours[:, ~test], reference[:, ~test]) * reference[:, test] for test in (half, ~half)
    ]
    return Correction(
        exponent=round(exponent(ours, reference), 4),
        cells=int(usable.sum()),
        uncorrected=_median(ours),
        corrected=_median(np.concatenate(held_out, axis=1)),
    )


def exponent(ours: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """β, from log ratios of readings, ``(pairs of passes, cells)`` each; 0 with fewer than half of `FEWEST_CELLS`."""
    if ours.shape[1] < FEWEST_CELLS // 2 or not reference.any():
        return 0.0
    return float(np.clip((ours * reference).sum() / (reference**2).sum(), 0, 1))


def corrected(latency_ms: NDArray[np.float64], reference_ms: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Latencies scaled to the reference's median speed; same shapes."""
    return latency_ms * (np.nanmedian(reference_ms) / reference_ms) ** beta


def _median(log_ratios: NDArray[np.float64]) -> float:
    return round(float(np.median(np.abs(log_ratios))), 4) if log_ratios.size else float("nan")
