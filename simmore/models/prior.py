"""Priors over the latencies of a new device.

``log ℓ = a + m + V z + τ e``, where ``ℓ`` are the latencies of all cells. ``a`` is the device's unknown log scale,
``m`` the mean over devices, and ``z`` the coordinates of the device in the basis ``V``, the principal components of
many devices. ``z`` follows a mixture of Gaussians. The noise ``e`` is independent from cell to cell, and its scale
``τ`` is unknown. Another unit only changes ``a``, so that units do not matter.

The mixture also models the *range excess* of a device: how much noise and spikes widen the range of its table, relative
to the geometric mean of its latencies. The range without noise may be almost zero, so the excess is not relative to it.
A few measurements do not show the range excess, but it depends on the kind of device.

- `simulated.simulated_prior`: fitted to simulated devices. No table is used.
- `from_tables`: a prior plus components near devices whose tables are known.
- `gaussian_prior`: one Gaussian fitted to tables.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore.models.readings import COARSE, resolution

NOISE_SCALES = np.array([0.003, 0.01, 0.025, 0.06, 0.12, 0.25])  # values of τ, from almost exact to very noisy
_SCALE_SD = 10.0  # of the log scale a: wide enough for any unit
_TABLE_SHARE = 0.5  # weight of the components near known devices
# Covariances of the components near a known device, relative to the mean covariance of the other components. The
# smaller one has the highest likelihood on held-out design devices; the larger one is for less similar devices.
_TABLE_WIDTHS = (0.02, 0.2)
_EXCESS_SD = 0.5  # of the log range excess, around a known device's
_LEAST_EXCESS = 0.01  # floor of the range excess: noise hardly ever narrows a range
_NOISE_SD = 0.5  # of log τ, around a known device's
# A device whose fastest cell takes a larger share of the mean latency has a fixed cost that hides the work of a cell.
# The share is 0.2 to 0.25 on the phones among the design devices.
FIXED_COST = 0.5
_LEAST = 1e-3  # floor of a latency, relative to the mean: some cells do almost no work


@dataclass(frozen=True)
class Components:
    """K Gaussians over coordinates and the logarithm of the range excess, D = coordinates + 1.

    Attributes
    ----------
    weight
        ``(K,)``. Those of all components with a coarse timer sum to 1, and so do those of all others.
    centre, factor
        Mean ``(K, D)``, and lower Cholesky factor of the covariance ``(K, D, D)``. The range excess comes last.
    noise
        Weights of `NOISE_SCALES`, ``(K, T)``.
    coarse
        Whether the timer is coarse (`readings.COARSE`), ``(K,)``.
    """

    weight: NDArray[np.float64]
    centre: NDArray[np.float64]
    factor: NDArray[np.float64]
    noise: NDArray[np.float64]
    coarse: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Self:
        return type(self)(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})

    def mixed(self, others: Components, share: float) -> Components:
        """Mix with other components, which get a share of the weight of each kind of timer that they have."""
        shares = np.array([share if (others.coarse == kind).any() else 0.0 for kind in (False, True)])
        ours = replace(self, weight=self.weight * (1 - shares[self.coarse.astype(int)]))
        theirs = replace(others, weight=others.weight * share)
        both = (np.concatenate([getattr(one, field.name) for one in (ours, theirs)]) for field in fields(self))
        return Components(*both)

    @cached_property
    def root(self) -> NDArray[np.float64]:
        """Square roots of the covariances of scale, coordinates and range excess, ``(K, D + 1, D + 1)``."""
        root = np.zeros((len(self), self.centre.shape[1] + 1, self.centre.shape[1] + 1))
        root[:, 0, 0] = _SCALE_SD
        root[:, 1:, 1:] = self.factor
        return root


@dataclass(frozen=True)
class Prior:
    """A mixture of Gaussians over devices.

    Attributes
    ----------
    source
        The information that the prior uses, as text.
    mean, basis
        m ``(cells,)`` and V ``(cells, coordinates)``.
    components
        The components of the mixture.
    """

    source: str
    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    components: Components

    @cached_property
    def shape(self) -> NDArray[np.float64]:
        """Latencies of a typical device relative to their mean, ``(cells,)``."""
        one = self.components
        centre = (one.weight @ one.centre)[:-1] / one.weight.sum()
        shape = np.exp(self.mean + self.basis @ centre.astype(np.float32)).astype(np.float64)
        return np.asarray(shape / shape.mean())

    def of_timer(self, coarse: bool) -> Components:
        """Components that readings with a coarse or a fine timer may come from; all if none has such a timer.

        Most simulated devices with a coarse timer are phones, whose other programs cause spikes. A phone has no fixed
        cost above `FIXED_COST`. Where the readings show one, the components with a fine timer take the place of those
        with a coarse timer: a program that measures may round.
        """
        return self._by_timer[coarse]

    @cached_property
    def _by_timer(self) -> tuple[Components, Components]:
        every = self.components
        if every.coarse.all() or not every.coarse.any():
            return every, every
        log = self.mean[:, None] + self.basis @ every.centre[:, :-1].T.astype(np.float32)  # (cells, K)
        latency = np.exp(log - log.max(axis=0))
        fixed = latency.min(axis=0) > FIXED_COST * latency.mean(axis=0)
        return every[~every.coarse], every[every.coarse ^ fixed]

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Sample n devices: latencies without noise, in an arbitrary unit, ``(cells, n)``."""
        one = self.components
        k = rng.choice(len(one), n, p=one.weight / one.weight.sum())
        z = one.centre[k] + np.einsum("nij,nj->ni", one.factor[k], rng.standard_normal((n, one.centre.shape[1])))
        return np.exp(self.mean[:, None] + self.basis @ z[:, :-1].T.astype(np.float32))


def log_shapes(latency: NDArray[np.floating]) -> NDArray[np.float32]:
    """Log latencies of tables ``(devices, cells)`` minus their mean over cells: the scale of a device is unknown."""
    floor = _LEAST * latency.mean(axis=1, keepdims=True)
    log = np.log(np.maximum(latency, floor)).astype(np.float32)
    return log - log.mean(axis=1, keepdims=True)


def log_range_excess(smooth: NDArray[np.floating], measured: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log range excess, ``(devices,)``, from tables without noise and with noise, ``(devices, cells)`` each."""
    excess = (np.ptp(measured, axis=1) - np.ptp(smooth, axis=1)) / np.exp(np.log(smooth).mean(axis=1))
    return np.asarray(np.log(np.maximum(excess, _LEAST_EXCESS)), dtype=np.float64)


def principal_components(log: NDArray[np.float32], n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean ``(cells,)`` and basis ``(cells, n)`` of log shapes ``(devices, cells)``; basis vectors of mean square 1."""
    mean = log.mean(axis=0)
    deviations = log - mean
    values, vectors = np.linalg.eigh((deviations @ deviations.T).astype(np.float64))
    n = min(n, int((values > 1e-9 * values[-1]).sum()))
    first = vectors[:, ::-1][:, :n] / np.sqrt(values[::-1][:n])
    return mean, (deviations.T @ first.astype(np.float32)) * np.float32(np.sqrt(log.shape[1]))


def coordinates(log: NDArray[np.float32], mean: NDArray[np.float32], basis: NDArray[np.float32]) -> NDArray[np.float32]:
    """Coordinates of log shapes ``(devices, cells)`` in a basis, ``(devices, coordinates)``, by least squares."""
    return np.asarray((log - mean) @ basis / np.float32(len(mean)))


def noise_weights(log_scale: ArrayLike, sd: ArrayLike) -> NDArray[np.float64]:
    """Weights ``(…, T)`` of `NOISE_SCALES` where log τ is Gaussian with this mean and standard deviation ``(…)``."""
    distance = (np.log(NOISE_SCALES) - np.asarray(log_scale)[..., None]) / np.asarray(sd)[..., None]
    weights = np.exp(-0.5 * distance**2) + 0.01  # no noise scale is impossible
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def from_tables(prior: Prior, latency_ms: NDArray[np.float64], source: str) -> Prior:
    """A prior plus components near known devices, which are fitted to their tables ``(devices, cells)`` in ms."""
    log, one = log_shapes(latency_ms), prior.components
    z, residual = _robust_coordinates(log, prior)
    excess = log_range_excess(np.exp(log - residual), np.exp(log))
    noise = np.log(1.4826 * np.median(np.abs(residual), axis=1))
    coarse = np.array([resolution(table) > COARSE * table.mean() for table in latency_ms])
    shared = np.einsum("k,kij,klj->il", one.weight / one.weight.sum(), one.factor, one.factor)
    n, d, repeats = len(log), one.centre.shape[1], len(_TABLE_WIDTHS)
    factor = np.zeros((repeats, d, d))
    for width, lower in zip(_TABLE_WIDTHS, factor, strict=True):
        lower[:-1, :-1] = np.sqrt(width) * np.linalg.cholesky(shared[:-1, :-1])
        lower[-1, -1] = _EXCESS_SD
    near = Components(
        weight=np.repeat(1 / (repeats * np.where(coarse, coarse.sum(), n - coarse.sum())), repeats),
        centre=np.repeat(np.column_stack([z, excess]), repeats, axis=0),
        factor=np.tile(factor, (n, 1, 1)),
        noise=np.repeat(noise_weights(noise, _NOISE_SD), repeats, axis=0),
        coarse=np.repeat(coarse, repeats),
    )
    return replace(prior, source=source, components=one.mixed(near, _TABLE_SHARE))


def _robust_coordinates(
    log: NDArray[np.float32], prior: Prior, *, iterations: int = 3
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates and residuals of log shapes by a robust fit (Huber), which gives single spikes little weight."""
    deviations = (log - prior.mean).astype(np.float64)
    basis = np.column_stack([np.ones(len(prior.mean)), prior.basis])
    found = []
    for y in deviations:
        w = np.ones(len(y))
        for _ in range(iterations):
            weighted = basis * w[:, None]
            solution = np.linalg.solve(weighted.T @ basis, weighted.T @ y)
            residual = np.abs(y - basis @ solution)
            w = 1 / np.maximum(1, residual / (2 * 1.4826 * np.median(residual)))
        found.append(solution)
    solutions = np.array(found)
    return solutions[:, 1:], deviations - solutions @ basis.T


def gaussian_prior(latency_ms: NDArray[np.float64], source: str, *, noise: float, n: int = 12) -> Prior:
    """One Gaussian with the mean and covariance of tables ``(devices, cells)``, and noise of one scale."""
    log = log_shapes(latency_ms)
    mean, basis = principal_components(log, n)
    z = coordinates(log, mean, basis).astype(np.float64)
    d = z.shape[1] + 1
    covariance = np.diag(np.full(d, 1e-6))
    covariance[:-1, :-1] += np.cov(z.T)
    kinds = np.array([False, True])  # the same for both kinds of timer
    components = Components(
        weight=np.ones(2),
        centre=np.tile(np.append(z.mean(axis=0), np.log(_LEAST_EXCESS)), (2, 1)),
        factor=np.tile(np.linalg.cholesky(covariance), (2, 1, 1)),
        noise=np.tile(noise_weights(np.log(noise), 0.1), (2, 1)),
        coarse=kinds,
    )
    return Prior(source, mean, basis, components)
