"""What measurements add to a `Prior`: the posterior of a device's latencies, and samples of whole devices from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import space
from simmore.models.priors import COARSE, Prior, resolution

SCALES = np.exp(np.linspace(-1.2, 1.2, 49))  # around the scale that the mean shape suggests
MODELLED = 60  # measurements that the model learns from: it has few unknowns, and more measurements add little
_JITTER = 1e-8
_BANDWIDTH = 0.7  # in log τ: how similar in noise two devices are
# A device whose range is unlike any known one's counts as one more device, its log inflation exponential with mean 1.
_UNLIKE = 8
_UNLIKE_INFLATION = -np.log(1 - (np.arange(_UNLIKE) + 0.5) / _UNLIKE)


# Of a reading's ratio to the mean shape, relative to the median ratio. On devices sampled from the prior of all tables
# no cell is slower by a factor of 8, and 0.3 % of the cells are faster by 16. Of the measured tables (each judged by
# the others), one cell of samsung_a50 is slower by 8. Only raspi4 and pixel3 have cells that are faster by 16, 2 % of
# theirs: compiled, such a cell is almost no work.
TOO_SLOW, TOO_FAST = 8.0, 16.0


def implausible(shape: NDArray[np.float64], archs: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.bool_]:
    """Which readings cannot be right beside the others, such as a latency that was typed in another unit.

    Such a reading is `TOO_SLOW` or `TOO_FAST` times the median in its ratio to the mean shape. Two readings cannot show
    which of them is wrong.

    Parameters
    ----------
    shape
        Mean shape of known devices, ``(cells,)``: `Prior.mean`.
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


def informative(
    prior: Prior, archs: ArrayLike, latency_ms: ArrayLike, *, most: int = MODELLED
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The measured cells that a model can learn from: those with plausible latencies, the first `most` of them."""
    archs, latency = np.asarray(archs, dtype=np.int64), np.asarray(latency_ms, dtype=np.float64)
    usable = np.isfinite(latency) & ~implausible(prior.mean, archs, latency)
    first = np.flatnonzero(usable)[:most]
    return archs[first], latency[first]


@dataclass(frozen=True)
class Posterior:
    """Scale, noise scale and component of a device, each integrated on a grid.

    Attributes
    ----------
    prior, archs, latency_ms
        What it was made of: measured cells ``(n,)`` and their latencies in ms.
    scales
        ``(S,)`` in ms.
    weights
        ``(T, K, S)`` for noise scale, component and scale; their sum is 1.
    step
        Step of the timer relative to the mean latency. Rounding adds the variance of a uniform error, step² / 12.
    factors
        Lower Cholesky factors of the measured cells' covariance, ``(T, bases, n, n)``, for a unit scale.
    """

    prior: Prior
    archs: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    scales: NDArray[np.float64]
    weights: NDArray[np.float64]
    step: float
    factors: NDArray[np.float64]

    @classmethod
    def of(cls, prior: Prior, archs: ArrayLike, latency_ms: ArrayLike, *, most: int = MODELLED) -> Posterior:
        """The posterior given at least one measured cell that compiles; see `informative`."""
        from scipy.special import softmax

        archs, y = informative(prior, archs, latency_ms, most=most)
        n, centres = len(archs), prior.centres[:, archs]  # (K, n)
        scale = np.exp(np.log(y / prior.mean[archs]).mean())
        scales, step = scale * SCALES, float(resolution(y) / scale)
        covariance = np.stack([basis[archs] @ basis[archs].T for basis in prior.bases])  # (bases, n, n)
        residual = prior.noise_scales[:, None] ** 2 * prior.noise[archs] + step**2 / 12 + _JITTER  # (T, n)
        factors = np.linalg.cholesky(covariance[None] + residual[:, None, :, None] * np.eye(n))  # (T, bases, n, n)
        # residuals are y/a − c: whitening y and every c once serves all scales
        white = np.linalg.solve(factors, np.column_stack([y, centres.T]))  # (T, bases, n, 1 + K)
        white = white[:, prior.kind, :, :]  # (T, K, n, 1 + K): each component by its own factor
        white_y = white[..., 0]
        white_c = np.stack([white[:, k, :, 1 + k] for k in range(len(centres))], axis=1)  # (T, K, n)
        a = 1 / scales
        square = (
            (white_y**2).sum(axis=-1)[..., None] * a**2
            - 2 * (white_y * white_c).sum(axis=-1)[..., None] * a
            + (white_c**2).sum(axis=-1)[..., None]
        )  # (T, K, S)
        log_det = np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)[:, prior.kind, None]
        log_weights = np.log(np.maximum(prior.weights, 1e-300))[:, None] - n * np.log(scales) - log_det - 0.5 * square
        weights = softmax(log_weights, axis=None)
        return cls(prior, archs, y, scales, weights, step, np.asarray(factors, dtype=np.float64))

    def mean_ms(self) -> NDArray[np.float64]:
        """Posterior mean of all latencies, ``(cells,)`` in ms."""
        from scipy.linalg import cho_solve

        prior, archs = self.prior, self.archs
        weighted = self.weights * self.scales
        mean = weighted.sum(axis=(0, 2)) @ prior.centres
        for t in range(len(prior.noise_scales)):
            for kind, basis in enumerate(prior.bases):
                chosen = prior.kind == kind
                residual = self.weights[t, chosen].sum() * self.latency_ms
                residual = residual - weighted[t, chosen].sum(axis=1) @ prior.centres[:, archs][chosen]
                mean = mean + basis @ (basis[archs].T @ cho_solve((self.factors[t, kind], True), residual))
        return mean

    def smooth_deviation_ms(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Posterior standard deviation of the smooth part X w of some cells, ``(cells,)`` in ms, the scale known."""
        from scipy.linalg import solve_triangular

        variance = np.zeros(len(cells))
        square = (self.weights * self.scales**2).sum(axis=2)  # (T, K)
        for kind, basis in enumerate(self.prior.bases):
            covariance = basis[self.archs] @ basis[cells].T  # (n, cells)
            total = (basis[cells] ** 2).sum(axis=1)
            for t in range(len(self.prior.noise_scales)):
                white = solve_triangular(self.factors[t, kind], covariance, lower=True)
                variance += square[t, self.prior.kind == kind].sum() * (total - (white**2).sum(axis=0))
        return np.sqrt(np.maximum(variance, 0))


@dataclass(frozen=True)
class Devices:
    """Samples of devices that agree with the measurements, on some cells; all latencies in ms.

    Attributes
    ----------
    latency_ms
        Smooth part of the cells' latencies, ``(cells, samples)``.
    residual_ms
        Standard deviation of a cell's residual, ``(cells, samples)``.
    fastest_ms, range_ms
        Fastest cell, and range of all cells, ``(samples,)``.
    noise_scale, scale_ms
        τ and a, ``(samples,)``.
    smooth_range_ms, least_range_ms
        Range that the smooth part spans, and the range that the measurements alone demand, ``(samples,)``.
    inflations, inflation_weights
        Factors by which the range may exceed the smooth part's, ``(F,)``, and their weights ``(samples, F)``.
    """

    latency_ms: NDArray[np.float32]
    residual_ms: NDArray[np.float32]
    fastest_ms: NDArray[np.float64]
    range_ms: NDArray[np.float64]
    noise_scale: NDArray[np.float64]
    scale_ms: NDArray[np.float64]
    smooth_range_ms: NDArray[np.float64]
    least_range_ms: NDArray[np.float64]
    inflations: NDArray[np.float64]
    inflation_weights: NDArray[np.float64]

    def median_range_ms(self) -> float:
        """Posterior median of a device's range, max ℓ − min ℓ, with the inflation integrated."""
        ranges = np.maximum(self.smooth_range_ms[:, None] * self.inflations, self.least_range_ms[:, None]).ravel()
        order = np.argsort(ranges)
        total = np.cumsum(self.inflation_weights.ravel()[order])
        return float(ranges[order][np.searchsorted(total, 0.5 * total[-1])])


class Sampler:
    """Samples devices from the posterior by Matheron's rule, with the same random numbers whatever is measured.

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
        self._w = [rng.standard_normal((basis.shape[1], n)) for basis in prior.bases]
        self._bases = [basis[self.cells].astype(np.float32) for basis in prior.bases]
        # (cells, samples) each
        self._smooth = [
            (basis[self.cells] @ w).astype(np.float32) for basis, w in zip(prior.bases, self._w, strict=True)
        ]
        self._centres = prior.centres[:, self.cells].astype(np.float32)
        self._u, self._u_inflation = ((rng.permutation(n) + 0.5) / n for _ in range(2))
        self._e = rng.standard_normal((MODELLED, n))
        self._residual = np.sqrt(prior.noise[self.cells]).astype(np.float32)
        self._inflations = np.ones(1)
        if prior.inflation is not None:
            distance = (np.log(prior.noise_scales)[:, None] - np.log(prior.inflation.noise_scale)) / _BANDWIDTH
            self._alike = np.exp(-0.5 * distance**2)  # (T, D)
            self._inflations = np.exp(np.r_[prior.inflation.log_factor, _UNLIKE_INFLATION])

    def condition(self, archs: ArrayLike, latency_ms: ArrayLike, *, prior: Prior | None = None) -> Devices:
        """Samples that agree with measured cells ``(n,)`` and their latencies in ms, at least one of them finite.

        Parameters
        ----------
        prior
            Takes the place of the sampler's prior; it may differ in the components' weights alone.
        """
        prior = prior or self.prior
        posterior = Posterior.of(prior, archs, latency_ms)
        weights = posterior.weights
        picked = np.searchsorted(np.cumsum(weights.ravel()), self._u).clip(0, weights.size - 1)
        t, k, s = np.unravel_index(picked, weights.shape)
        scale, noise_scale = posterior.scales[s], prior.noise_scales[t]
        latency = self._latency(posterior, t, k, scale)
        y = posterior.latency_ms
        fastest = np.maximum(np.minimum(latency.min(axis=0), y.min()), 0)
        smooth_range = np.maximum(latency.max(axis=0), y.max()) - fastest
        inflation_weights = self._inflation_weights(t, posterior.step)
        past = self._u_inflation[:, None] > np.cumsum(inflation_weights, axis=1)
        inflation = self._inflations[past.sum(axis=1).clip(0, len(self._inflations) - 1)]
        least = np.maximum(y.max() - fastest, 1e-9 * y.max())
        return Devices(
            latency_ms=latency,
            residual_ms=self._residual[:, None] * (noise_scale * scale).astype(np.float32),
            fastest_ms=fastest,
            range_ms=np.maximum(smooth_range * inflation, least),
            noise_scale=noise_scale,
            scale_ms=scale,
            smooth_range_ms=smooth_range,
            least_range_ms=least,
            inflations=self._inflations,
            inflation_weights=inflation_weights,
        )

    def _latency(
        self, posterior: Posterior, t: NDArray[np.int64], k: NDArray[np.int64], scale: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Latencies of the cells, ``(cells, samples)`` in ms: prior samples, corrected to fit the measurements."""
        prior, archs = posterior.prior, posterior.archs
        whitening = np.linalg.inv(posterior.factors)
        precisions = np.swapaxes(whitening, -1, -2) @ whitening  # (T, bases, n, n): one product serves all samples
        latency = np.empty((len(self.cells), self.n), dtype=np.float32)
        residual = self._e[: len(archs)] * np.sqrt(
            prior.noise_scales[t] ** 2 * prior.noise[archs, None] + posterior.step**2 / 12
        )
        for kind, basis in enumerate(prior.bases):
            j = np.flatnonzero(prior.kind[k] == kind)
            if not len(j):
                continue
            sampled = prior.centres[:, archs][k[j]].T + basis[archs] @ self._w[kind][:, j] + residual[:, j]
            wrong = posterior.latency_ms[:, None] / scale[j] - sampled  # (n, samples of this kind)
            wrong = np.einsum("jmn,nj->mj", precisions[t[j], kind], wrong)
            correction = self._bases[kind] @ (basis[archs].T @ wrong).astype(np.float32)
            latency[:, j] = self._centres[k[j]].T + self._smooth[kind][:, j] + correction
        return latency * scale.astype(np.float32)

    def _inflation_weights(self, t: NDArray[np.int64], step: float) -> NDArray[np.float64]:
        """Weights of the inflations, ``(samples, F)``: known devices with such a timer, by similar noise; others.

        A coarse timer is one whose step is coarse relative to the latencies, in whatever unit.
        """
        if self.prior.inflation is None:
            return np.ones((self.n, 1))
        known = self._alike[t] * ((self.prior.inflation.resolution > COARSE) == (step > COARSE))
        weights = np.column_stack([known, np.full((self.n, _UNLIKE), 1 / _UNLIKE)])
        return weights / weights.sum(axis=1, keepdims=True)


def prior_shapes(prior: Prior, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Shapes of n devices sampled from the prior, ``(cells, n)``, without residuals."""
    component = rng.choice(len(prior.weights), n, p=prior.weights)
    shape = np.empty((space.N_ARCHS, n), dtype=np.float32)
    for kind, basis in enumerate(prior.bases):
        j = np.flatnonzero(prior.kind[component] == kind)
        w = rng.standard_normal((basis.shape[1], len(j))).astype(np.float32)
        shape[:, j] = prior.centres[component[j]].T.astype(np.float32) + basis.astype(np.float32) @ w
    return shape


def extreme_cells(prior: Prior, *, n: int = 200, rng: np.random.Generator) -> NDArray[np.int64]:
    """Cells that are the fastest or the slowest of some device sampled from a prior, in order."""
    shape = prior_shapes(prior, n, rng)
    return np.unique(np.concatenate([shape.argmin(axis=0), shape.argmax(axis=0)]))
