"""What measurements add to a `Prior`: scale, noise level and component of the device, and draws of whole devices."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import space
from simmore.models.priors import NOISE_LEVELS, Prior, counts_whole_ms

SCALES = np.exp(np.linspace(-1.2, 1.2, 49))  # around the scale that the mean shape suggests
MODELLED = 60  # measurements that the model learns from: more of them say nothing new of its few unknowns
_JITTER = 1e-8
_BANDWIDTH = 0.7  # in log τ: how alike in noise two devices are
# A device whose range is unlike any known one's counts as one more device, its log stretch exponential with mean 1.
_UNLIKE = 8
_UNLIKE_STRETCH = -np.log(1 - (np.arange(_UNLIKE) + 0.5) / _UNLIKE)


def informative(
    archs: ArrayLike, latency_ms: ArrayLike, *, most: int = MODELLED
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The measured cells that a model can learn from: those that compile, the first `most` of them."""
    archs, latency = np.asarray(archs, dtype=np.int64), np.asarray(latency_ms, dtype=np.float64)
    compiles = np.flatnonzero(np.isfinite(latency))[:most]
    return archs[compiles], latency[compiles]


@dataclass(frozen=True)
class Posterior:
    """Scale, noise level and component, each integrated on a grid.

    Attributes
    ----------
    prior, archs, latency_ms
        What it was made of: measured cells ``(n,)`` and their latencies in ms.
    scales
        ``(S,)`` in ms.
    weights
        ``(levels, 1 + D, S)``, their sum is 1.
    factors
        Lower Cholesky factors of the measured cells' covariance, ``(levels, 2, n, n)``, for a unit scale.
    """

    prior: Prior
    archs: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    scales: NDArray[np.float64]
    weights: NDArray[np.float64]
    factors: NDArray[np.float64]

    @classmethod
    def of(cls, prior: Prior, archs: ArrayLike, latency_ms: ArrayLike, *, most: int = MODELLED) -> Posterior:
        """Of at least one measured cell that compiles, and of `most` at the most."""
        from scipy.special import softmax

        archs, y = informative(archs, latency_ms, most=most)
        n, centres = len(archs), prior.centres[:, archs]  # (1 + D, n)
        scales = np.exp(np.log(y / prior.mean[archs]).mean()) * SCALES
        covariance = np.stack([basis[archs] @ basis[archs].T for basis in prior.bases])  # (2, n, n)
        own = (NOISE_LEVELS[:, None] ** 2 * prior.noise[archs] + _JITTER)[:, None, :, None] * np.eye(n)
        factors = np.linalg.cholesky(covariance[None] + own)  # (levels, 2, n, n)
        # residuals are y/a − c: whitening y and every c once serves all scales
        white = np.linalg.solve(factors, np.column_stack([y, centres.T]))  # (levels, 2, n, 2 + D)
        white = white[:, prior.near, :, :]  # (levels, 1 + D, n, 2 + D): each component by its own factor
        white_y = white[..., 0]
        white_c = np.stack([white[:, k, :, 1 + k] for k in range(len(centres))], axis=1)  # (levels, 1 + D, n)
        a = 1 / scales
        square = (
            (white_y**2).sum(axis=-1)[..., None] * a**2
            - 2 * (white_y * white_c).sum(axis=-1)[..., None] * a
            + (white_c**2).sum(axis=-1)[..., None]
        )  # (levels, 1 + D, S)
        log_det = np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)[:, prior.near, None]
        log_weights = np.log(np.maximum(prior.weights, 1e-300))[:, None] - n * np.log(scales) - log_det - 0.5 * square
        return cls(prior, archs, y, scales, softmax(log_weights, axis=None), np.asarray(factors, dtype=np.float64))

    def mean_ms(self) -> NDArray[np.float64]:
        """Posterior mean of all latencies, ``(15625,)`` in ms."""
        from scipy.linalg import cho_solve

        prior, archs = self.prior, self.archs
        weighted = self.weights * self.scales
        mean = weighted.sum(axis=(0, 2)) @ prior.centres
        for level in range(len(NOISE_LEVELS)):
            for near, basis in enumerate(prior.bases):
                chosen = prior.near == near
                residual = self.weights[level, chosen].sum() * self.latency_ms
                residual = residual - weighted[level, chosen].sum(axis=1) @ prior.centres[:, archs][chosen]
                mean = mean + basis @ (basis[archs].T @ cho_solve((self.factors[level, near], True), residual))
        return mean


@dataclass(frozen=True)
class Devices:
    """Devices that agree with the measurements, one a draw, on some cells; all arrays in ms.

    Attributes
    ----------
    latency_ms
        ``(cells, draws)``, without a cell's own part.
    own_ms
        Standard deviation of a cell's own part, ``(cells, draws)``.
    fastest_ms, smooth_range_ms, range_ms
        ``(draws,)``: the fastest cell, the range that the smooth part spans, and the range of all cells.
    level
        Noise level τ, ``(draws,)``.
    scale_ms
        Scale a, ``(draws,)``.
    stretch_weights, stretches
        What the range of the smooth part is to be multiplied by, ``(draws, D + 8)`` and ``(D + 8,)``.
    least_range_ms
        The range that the measurements alone demand, ``(draws,)``.
    """

    latency_ms: NDArray[np.float32]
    own_ms: NDArray[np.float32]
    fastest_ms: NDArray[np.float64]
    smooth_range_ms: NDArray[np.float64]
    range_ms: NDArray[np.float64]
    level: NDArray[np.float64]
    scale_ms: NDArray[np.float64]
    stretch_weights: NDArray[np.float64]
    stretches: NDArray[np.float64]
    least_range_ms: NDArray[np.float64]

    def median_range_ms(self) -> float:
        """Posterior median of a device's range, max ℓ − min ℓ, the stretch integrated."""
        ranges = np.maximum(self.smooth_range_ms[:, None] * self.stretches, self.least_range_ms[:, None]).ravel()
        order = np.argsort(ranges)
        total = np.cumsum(self.stretch_weights.ravel()[order])
        return float(ranges[order][np.searchsorted(total, 0.5 * total[-1])])


class Draws:
    """Draws devices from the posterior by Matheron's rule; the random numbers are the same whatever is measured.

    Parameters
    ----------
    prior
        Of the device.
    cells
        NATS indices of the cells that are looked at, ``(cells,)``.
    n
        Draws.
    seed
        Of the random numbers.
    """

    def __init__(self, prior: Prior, cells: NDArray[np.int64], *, n: int = 384, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.prior, self.cells, self.n = prior, np.asarray(cells), n
        self._w = rng.standard_normal((prior.bases[0].shape[1], n))
        self._bases = [basis[self.cells].astype(np.float32) for basis in prior.bases]
        self._smooth = [(basis[self.cells] @ self._w).astype(np.float32) for basis in prior.bases]  # (cells, n)
        self._centres = prior.centres[:, self.cells].astype(np.float32)
        self._u, self._u_stretch = ((rng.permutation(n) + 0.5) / n for _ in range(2))
        self._e = rng.standard_normal((MODELLED, n))
        distance = (np.log(NOISE_LEVELS)[:, None] - np.log(prior.level)) / _BANDWIDTH
        self._alike = np.exp(-0.5 * distance**2)  # (levels, D)
        self._stretches = np.exp(np.r_[prior.log_stretch, _UNLIKE_STRETCH])
        self._own = np.sqrt(prior.noise[self.cells]).astype(np.float32)

    def condition(self, archs: ArrayLike, latency_ms: ArrayLike) -> Devices:
        """Devices that agree with measured cells ``(n,)`` and their latencies in ms, at least one of them finite."""
        posterior = Posterior.of(self.prior, archs, latency_ms)
        weights = posterior.weights
        picked = np.searchsorted(np.cumsum(weights.ravel()), self._u).clip(0, weights.size - 1)
        t, k, s = np.unravel_index(picked, weights.shape)
        scale, level = posterior.scales[s], NOISE_LEVELS[t]
        latency = self._latency(posterior, t, k, scale)
        y = posterior.latency_ms
        fastest = np.maximum(np.minimum(latency.min(axis=0), y.min()), 0)
        smooth_range = np.maximum(latency.max(axis=0), y.max()) - fastest
        stretch_weights = self._stretch_weights(t, counts_whole_ms(y))
        past = self._u_stretch[:, None] > np.cumsum(stretch_weights, axis=1)
        stretch = self._stretches[past.sum(axis=1).clip(0, len(self._stretches) - 1)]
        least = np.maximum(y.max() - fastest, 1e-9)
        return Devices(
            latency_ms=latency,
            own_ms=self._own[:, None] * (level * scale).astype(np.float32),
            fastest_ms=fastest,
            smooth_range_ms=smooth_range,
            range_ms=np.maximum(smooth_range * stretch, least),
            level=level,
            scale_ms=scale,
            stretch_weights=stretch_weights,
            stretches=self._stretches,
            least_range_ms=least,
        )

    def with_prior(self, prior: Prior) -> Draws:
        """The same draws under a prior that differs in its components' weights alone."""
        other = copy(self)
        other.prior = prior
        return other

    def _latency(
        self, posterior: Posterior, t: NDArray[np.int64], k: NDArray[np.int64], scale: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Latencies of the cells, ``(cells, n)`` in ms: draws from the prior, corrected by what they get wrong."""
        from scipy.linalg import cho_solve

        prior, archs = self.prior, posterior.archs
        near = prior.near[k]
        latency = np.empty((len(self.cells), self.n), dtype=np.float32)
        own = np.sqrt(prior.noise[archs])[:, None] * self._e[: len(archs)] * NOISE_LEVELS[t]
        for kind, basis in enumerate(prior.bases):
            j = np.flatnonzero(near == kind)
            if not len(j):
                continue
            drawn = prior.centres[:, archs][k[j]].T + basis[archs] @ self._w[:, j] + own[:, j]
            wrong = posterior.latency_ms[:, None] / scale[j] - drawn  # (measured, draws of this kind)
            for level in np.unique(t[j]):
                same = t[j] == level
                wrong[:, same] = cho_solve((posterior.factors[level, kind], True), wrong[:, same])
            correction = self._bases[kind] @ (basis[archs].T @ wrong).astype(np.float32)
            latency[:, j] = self._centres[k[j]].T + self._smooth[kind][:, j] + correction
        return latency * scale.astype(np.float32)

    def _stretch_weights(self, t: NDArray[np.int64], whole_ms: bool) -> NDArray[np.float64]:
        """Weights of the stretches, ``(n, D + 8)``: known devices with such a timer, by likeness in noise; others."""
        known = self._alike[t] * (self.prior.whole_ms == whole_ms)
        weights = np.column_stack([known, np.full((self.n, _UNLIKE), 1 / _UNLIKE)])
        return weights / weights.sum(axis=1, keepdims=True)


def prior_shapes(prior: Prior, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Shapes of n devices drawn from the prior, ``(15625, n)``, without a cell's own part."""
    w = rng.standard_normal((prior.bases[0].shape[1], n)).astype(np.float32)
    component = rng.choice(len(prior.weights), n, p=prior.weights)
    shape = np.empty((space.N_ARCHS, n), dtype=np.float32)
    for kind, basis in enumerate(prior.bases):
        j = np.flatnonzero(prior.near[component] == kind)
        shape[:, j] = prior.centres[component[j]].T.astype(np.float32) + basis.astype(np.float32) @ w[:, j]
    return shape
