"""Priors over the latencies of a new device: what is known of it before it is measured.

``ℓ = a (c_k + X w + τ e)``. ``a`` is the device's unknown scale and ``τ`` its unknown noise scale. ``k`` is the unknown
mixture component with centre ``c_k``. ``X w`` is Gaussian. The residual ``e`` is independent from cell to cell.

- `mixture_prior`: other devices' tables. Component 0 is broad, around their mean shape; the others are near
  one device each.
- `linear_prior`: the operation costs of Ξ, the distribution of synthetic devices. No table is used.
- `covariance_prior`: mean and covariance of other devices' tables.

A shape is a table divided by its mean over all cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import devices
from simmore.models.features import feature_blocks, shapes, smooth_parts
from simmore.models.variances import NOISE_SCALES, Variances

TABLES = "tables of other devices"
SUMS = "sums of operation latencies of other devices, because no tables are on this machine"
_SMALLEST_SCALE = 0.03  # of a known device that its smooth part explains entirely
COARSE = 0.03  # of the mean latency: a timer with such a step is coarse, because its rounding is as large as the noise
_DIGITS = 6  # of a reading, beyond which a timer counts as exact
_TOLERANCE = 1e-9  # relative, of a multiple of a step: floating-point numbers are not exact decimals
_LINEAR_NOISE, _COVARIANCE_NOISE = 0.08, 0.07  # residuals of the two plain models, relative to the mean latency


@dataclass(frozen=True)
class Inflation:
    """By how much the range of a device's table exceeds the range of its smooth part.

    Attributes
    ----------
    noise_scale, log_factor, resolution
        Of each known device, ``(D,)``: its τ, the logarithm of the factor, and the step of its timer relative to its
        mean latency (0: no step).
    """

    noise_scale: NDArray[np.float64]
    log_factor: NDArray[np.float64]
    resolution: NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """A mixture of K Gaussians over the shape of a device.

    Attributes
    ----------
    source
        Which information the prior is made of, for the record.
    mean
        Mean shape, ``(cells,)``.
    centres, weights, kind
        Of the components: centre ``(K, cells)``, weight ``(K,)``, and which of the `bases` it has, ``(K,)``.
    bases
        X times the standard deviations of w, each ``(cells, k)``.
    noise
        Variance of the residual at τ = 1, ``(cells,)``.
    noise_scales
        Possible values of τ, ``(T,)``.
    inflation
        None for a model whose smooth part spans the whole range.
    """

    source: str
    mean: NDArray[np.float64]
    centres: NDArray[np.float64]
    weights: NDArray[np.float64]
    kind: NDArray[np.int64]
    bases: tuple[NDArray[np.float64], ...]
    noise: NDArray[np.float64]
    noise_scales: NDArray[np.float64]
    inflation: Inflation | None = None


def _single(source: str, mean: NDArray[np.float64], basis: NDArray[np.float64], noise: float) -> Prior:
    """One Gaussian: mean ``(cells,)``, basis ``(cells, k)`` and the standard deviation of the residual."""
    return Prior(
        source=source,
        mean=mean,
        centres=mean[None],
        weights=np.ones(1),
        kind=np.zeros(1, dtype=np.int64),
        bases=(basis,),
        noise=np.full(len(mean), noise**2),
        noise_scales=np.ones(1),
    )


def linear_prior(xi: devices.SyntheticDevices) -> Prior:
    """Operation counts, with Ξ as the prior of the operations' latencies."""
    counts = devices.all_operation_counts()  # (cells, operations)
    mean = counts @ xi.mean_ms
    scale = mean.mean()
    return _single("operation latencies of other devices (Ξ)", mean / scale, counts * xi.sd_ms / scale, _LINEAR_NOISE)


def covariance_prior(latency_ms: NDArray[np.float64]) -> Prior:
    """Mean and covariance of known devices' shapes ``(D, cells)``, and a little of every operation."""
    shape = shapes(latency_ms)
    mean = shape.mean(axis=0)
    deviations = (shape - mean).T / np.sqrt(len(shape) - 1)
    basis = np.column_stack([deviations, devices.all_operation_counts() / 60])
    return _single(TABLES, mean, basis, _COVARIANCE_NOISE)


def mixture_prior(latency_ms: NDArray[np.float64], variances: Variances, source: str = TABLES) -> Prior:
    """The mixture that known devices' tables ``(D, cells)``, in ms, give."""
    shape = shapes(latency_ms)
    mean, centres, n = shape.mean(axis=0), smooth_parts(shape), len(shape)
    blocks = ((shape - mean).T / np.sqrt(n), *feature_blocks())
    noise = variances.s0 + variances.s1 * mean**2
    broad, local = (
        np.concatenate([block * np.sqrt(v) for block, v in zip(blocks, widths, strict=True)], axis=1)
        for widths in (variances.broad, variances.local)
    )
    return Prior(
        source=source,
        mean=mean,
        centres=np.concatenate([mean[None], centres]),
        weights=np.r_[variances.p_broad, np.full(n, (1 - variances.p_broad) / n)],
        kind=np.r_[0, np.ones(n, dtype=np.int64)],
        bases=(broad, local),
        noise=noise,
        noise_scales=NOISE_SCALES,
        inflation=Inflation(
            noise_scale=np.sqrt(((shape - centres) ** 2 / noise).mean(axis=1)).clip(_SMALLEST_SCALE),
            log_factor=np.log(np.ptp(shape, axis=1) / np.ptp(centres, axis=1)),
            resolution=np.array([resolution(table) / table.mean() for table in latency_ms]),
        ),
    )


def resolution(latency_ms: ArrayLike) -> float:
    """The step of a timer: the largest power of ten that all readings ``(n,)`` are multiples of, in their unit.

    0 if the readings show no step. Fewer than three readings have at least two digits: a zero at the end of a number is
    too often a digit like any other.

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
