"""Posterior of a device's latencies given measurements, and whole devices sampled from it; symbols as in `prior`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore.models.prior import NOISE_SCALES, Prior
from simmore.models.readings import COARSE, resolution

_NEGLIGIBLE = 1e-4  # weight relative to the largest, below which a component is left out
_LEAST_NOISE = 1e-4  # relative: a timer has fewer digits than a floating-point number
_MOST_EXCESS = np.log(10)  # largest log range excess: no device is in the tails of the Gaussians


@dataclass(frozen=True)
class Posterior:
    """Mixture of C Gaussians over log scale, coordinates and log range excess, D = coordinates + 2.

    Attributes
    ----------
    prior, archs, latency_ms
        The prior, the measured cells ``(n,)`` and their latencies ``(n,)`` in ms.
    weight, noise_scale
        Weight and noise scale τ of each component, ``(C,)``. Components with negligible weight are left out.
    centre, spread
        Mean ``(C, D)``, and a square root S of the covariance S Sᵀ, ``(C, D, D)``.
    log_evidence
        Log density of the log latencies under the prior.
    """

    prior: Prior
    archs: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    weight: NDArray[np.float64]
    noise_scale: NDArray[np.float64]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    log_evidence: float

    @classmethod
    def of(cls, prior: Prior, archs: ArrayLike, latency_ms: ArrayLike) -> Posterior:
        """The posterior given at least one measured cell; all latencies are finite."""
        archs, y = np.asarray(archs, dtype=np.int64), np.asarray(latency_ms, dtype=np.float64)
        n, log = len(archs), np.log(y)
        step = resolution(y)
        coarse = step > COARSE * np.exp(log.mean())
        one = prior.of_timer(bool(coarse))
        design = np.column_stack([np.ones(n), prior.basis[archs], np.zeros(n)])  # (n, D)
        seen = log - prior.mean[archs] - log.mean()  # the scale is relative to the mean, whatever the unit
        # rounding adds the variance of a uniform error
        deviation = np.sqrt(NOISE_SCALES[:, None] ** 2 + (step / y) ** 2 / 12 + _LEAST_NOISE**2)  # (T, n)
        # Whitened by the noise, then rotated: m = min(n, D) numbers hold all that depends on the component. Only m × m
        # matrices are factorised for every τ and component; larger ones only for components with weight.
        rotation, reduced = np.linalg.qr(design / deviation[:, :, None])  # (T, n, m), (T, m, D)
        white = np.einsum("tnm,tn->tm", rotation, seen / deviation)
        centre = np.column_stack([np.zeros(len(one)), one.centre])  # (K, D)
        apart = white[:, None] - np.einsum("tmd,kd->tkm", reduced, centre)
        effect = reduced[:, None] @ one.root  # (T, K, m, D)
        covariance = effect @ np.swapaxes(effect, 2, 3) + np.eye(effect.shape[2])
        factor = np.linalg.cholesky(covariance)
        explained = np.linalg.solve(factor, apart[..., None])[..., 0]
        unexplained = ((seen / deviation) ** 2).sum(axis=1) - (white**2).sum(axis=1)  # (T,)
        constant = 2 * np.log(deviation).sum(axis=1) + unexplained + n * np.log(2 * np.pi)
        log_det = 2 * np.log(np.diagonal(factor, axis1=2, axis2=3)).sum(axis=2)
        with np.errstate(divide="ignore"):
            log_weight = np.log(one.weight) + np.log(one.noise.T)  # (T, K)
        log_weight = log_weight - 0.5 * (log_det + (explained**2).sum(axis=2) + constant[:, None])
        largest = log_weight.max()
        t, k = np.nonzero(log_weight > largest + np.log(_NEGLIGIBLE))
        weight = np.exp(log_weight[t, k] - largest)
        # the measurements shrink m directions of the prior: (I + AᵀA)^(−1/2) from the eigenvectors of I + A Aᵀ
        values, vectors = np.linalg.eigh(covariance[t, k])  # (C, m), (C, m, m)
        vectors = np.swapaxes(vectors, 1, 2)
        directions, root = vectors @ effect[t, k], one.root[k]  # (C, m, D), (C, D, D)
        along = root @ np.swapaxes(directions, 1, 2)  # (C, D, m)
        deviations = np.sqrt(values)[:, None]
        spread = root - (along / (deviations * (1 + deviations))) @ directions
        found = centre[k] + (along @ ((vectors @ apart[t, k][..., None]) / values[..., None]))[..., 0]
        found[:, 0] += log.mean()
        evidence = float(largest + np.log(np.exp(log_weight - largest).sum()))
        return cls(prior, archs, y, weight / weight.sum(), NOISE_SCALES[t], found, spread, evidence)

    def predicted_ms(self) -> NDArray[np.float64]:
        """Predicted latencies of all cells, ``(cells,)`` in ms: the exponential of their mean logarithms."""
        a, z = self._split(self.weight @ self.centre)
        return np.exp(a + self.prior.mean + self.prior.basis @ z).astype(np.float64)

    def deviation_ms(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Posterior standard deviation of the latencies of some cells, without noise, ``(cells,)`` in ms."""
        design = np.column_stack([np.ones(len(cells)), self.prior.basis[cells], np.zeros(len(cells))])
        mean = self.weight @ self.centre
        apart = self.centre - mean
        covariance = np.einsum("c,ci,cj->ij", self.weight, apart, apart)
        covariance += np.einsum("c,cik,cjk->ij", self.weight, self.spread, self.spread)
        relative = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", design, covariance, design), 0))
        a, z = self._split(mean)
        return np.asarray(relative * np.exp(a + self.prior.mean[cells] + self.prior.basis[cells] @ z))

    @staticmethod
    def _split(found: NDArray[np.float64]) -> tuple[np.float32, NDArray[np.float32]]:
        return np.float32(found[0]), found[1:-1].astype(np.float32)


@dataclass(frozen=True)
class Devices:
    """Devices sampled from the posterior, on some cells; all latencies in ms.

    Attributes
    ----------
    latency_ms
        Latencies without noise, ``(cells, samples)``.
    residual_ms
        Standard deviation of a cell's noise, ``(cells, samples)``.
    fastest_ms, range_ms
        Fastest cell, and range of all cells, ``(samples,)``.
    """

    latency_ms: NDArray[np.float32]
    residual_ms: NDArray[np.float32]
    fastest_ms: NDArray[np.float64]
    range_ms: NDArray[np.float64]


class Sampler:
    """Samples devices from the posterior. The random numbers do not depend on the measurements.

    Parameters
    ----------
    prior
        Prior over the device.
    cells
        NATS indices of the cells of interest, ``(cells,)``.
    n
        Number of samples.
    rng
        Draws the random numbers.
    """

    def __init__(self, prior: Prior, cells: NDArray[np.int64], *, n: int, rng: np.random.Generator) -> None:
        self.prior, self.cells, self.n = prior, np.asarray(cells), n
        extremes = extreme_cells(prior, rng=rng)
        self._all = np.union1d(self.cells, extremes)  # the range of a sample is over these
        self._own = np.searchsorted(self._all, self.cells)
        self._mean, self._basis = prior.mean[self._all], prior.basis[self._all]
        self._u = (rng.permutation(n) + 0.5) / n
        self._e = rng.standard_normal((n, prior.basis.shape[1] + 2))

    def condition(self, archs: ArrayLike, latency_ms: ArrayLike) -> Devices:
        """Samples given at least one measured cell: cells ``(n,)`` and their finite latencies ``(n,)`` in ms."""
        posterior = Posterior.of(self.prior, archs, latency_ms)
        picked = np.searchsorted(np.cumsum(posterior.weight), self._u).clip(0, len(posterior.weight) - 1)
        z = posterior.centre[picked]
        for component in np.unique(picked):
            mine = picked == component
            z[mine] += self._e[mine] @ posterior.spread[component].T
        unit = np.log(posterior.latency_ms).mean()  # keeps the numbers near 1
        log = self._mean[:, None] + self._basis @ z[:, 1:-1].T.astype(np.float32)
        latency = np.exp(log + (z[:, 0] - unit).astype(np.float32)) * np.float32(np.exp(unit))
        y = posterior.latency_ms
        fastest = np.minimum(latency.min(axis=0), y.min()).astype(np.float64)
        smooth = np.maximum(latency.max(axis=0), y.max()) - fastest
        least = np.maximum(y.max() - fastest, 1e-9 * y.max())
        latency = latency[self._own]
        return Devices(
            latency_ms=latency,
            residual_ms=latency * posterior.noise_scale[picked].astype(np.float32),
            fastest_ms=fastest,
            # prior mean and basis have a mean of 0 over cells, so that exp(a) is the geometric mean
            range_ms=np.maximum(smooth + np.exp(z[:, 0] + np.minimum(z[:, -1], _MOST_EXCESS)), least),
        )


def extreme_cells(prior: Prior, *, n: int = 200, rng: np.random.Generator) -> NDArray[np.int64]:
    """Cells that are the fastest or the slowest of one of n devices sampled from a prior, sorted."""
    latency = prior.sample(n, rng)
    return np.union1d(latency.argmin(axis=0), latency.argmax(axis=0))
