"""What ten measurements say of all 15,625 latencies: a Bayesian linear model over operation counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import devices, space
from simmore.experiments import statistics


@dataclass(frozen=True)
class BayesianLinear:
    """ℓ(h) = Σ_o count_o(h) · t(o) + noise, with the synthetic-device distribution Ξ as the prior of t.

    Attributes
    ----------
    mean_ms, sd_ms
        Prior mean and standard deviation of the operation latencies, ``(5,)``, for a device of unit scale.
    relative_noise
        Standard deviation of a measurement around the sum, as a share of the mean measured latency: what a LUT
        leaves unexplained on measured devices.
    """

    mean_ms: NDArray[np.float64]
    sd_ms: NDArray[np.float64]
    relative_noise: float = 0.05

    @classmethod
    def from_devices(cls, sampler: devices.SyntheticDevices) -> BayesianLinear:
        """The model whose prior is Ξ."""
        return cls(sampler.mean_ms, sampler.sd_ms)

    def operation_ms(self, archs: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.float64]:
        """Posterior mean of the operation latencies, ``(5,)`` in ms, from measured cells ``(n,)``.

        The prior is first scaled to the device (a GPU with a batch of 256 is no phone), so that an unknown unit of
        speed costs no measurement; values end up positive, as latencies are.
        """
        from scipy.linalg import cho_factor, cho_solve

        counts = devices.all_operation_counts()[np.asarray(archs)]  # (n, 5)
        measured = np.asarray(latency_ms, dtype=np.float64)
        expected = counts @ self.mean_ms
        scale = (measured @ expected) / (expected @ expected)
        mean, variance = scale * self.mean_ms, (scale * self.sd_ms) ** 2
        noise = (self.relative_noise * measured.mean()) ** 2
        precision = np.diag(1 / variance) + counts.T @ counts / noise  # (5, 5), however many cells were measured
        correction = cho_solve(cho_factor(precision), counts.T @ (measured - counts @ mean) / noise)
        return np.maximum(mean + correction, 1e-3 * mean)

    def predict(self, archs: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.float64]:
        """Latency of all cells, ``(15625,)`` in ms, predicted from measured cells ``(n,)``."""
        return devices.all_operation_counts() @ self.operation_ms(archs, latency_ms)

    def bounds_ms(self, archs: ArrayLike, latency_ms: ArrayLike) -> tuple[float, float]:
        """Fastest and slowest latency that the device is likely to show, in ms, never inside what was measured."""
        operation = self.operation_ms(archs, latency_ms)
        measured = np.asarray(latency_ms, dtype=np.float64)
        fastest = min(space.N_EDGES * operation.min(), measured.min())
        return float(fastest), float(max(space.N_EDGES * operation.max(), measured.max()))


def lut_kendall(device: devices.Device) -> float:
    """Kendall's τ of a device's latencies with its LUT, the sum of its operations' (the paper's section 2.1)."""
    truth = device.latency_ms(np.arange(space.N_ARCHS))
    lut = devices.AdditiveDevice("lut", devices.operation_latencies(device)).latency_ms(np.arange(space.N_ARCHS))
    compiles = np.isfinite(truth)
    return statistics.kendall(lut[compiles], truth[compiles])
