"""Gaussian models of one device's latency, greedy or with a confidence bound: the yardsticks of few-shot prediction.

Two models of a shape of mean 1, ``m + B w + noise``: operation counts whose prior is the synthetic-device
distribution (HELP's few-shot setting, with a model that needs no training), and known devices' covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import devices
from simmore.models import acquisition
from simmore.models.posterior import informative
from simmore.models.priors import Prior, known_devices, shapes, tables
from simmore.strategies.loop import Measure

_SCALE_SD = 3.0  # of the device's scale around the one that the measured cells suggest: as good as unknown


@dataclass(frozen=True)
class GaussianModel:
    """A Gaussian prior of a device's shape.

    Attributes
    ----------
    mean, basis
        m ``(15625,)`` and B ``(15625, k)``, w standard normal.
    noise
        Standard deviation of what they leave unexplained.
    """

    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    noise: float

    @classmethod
    def linear(cls, tested: str, _: Prior) -> GaussianModel:
        """Operation counts, with Ξ, fitted without the tested device's family, as the prior of their latencies."""
        pool = devices.without_family(devices.PAPER_DEVICES, [tested.removesuffix("_lut")])
        synthetic = devices.SyntheticDevices.fit(pool)
        mean = devices.all_operation_counts() @ synthetic.mean_ms
        return cls(mean / mean.mean(), devices.all_operation_counts() * synthetic.sd_ms / mean.mean(), 0.08)

    @classmethod
    def covariance(cls, tested: str, prior: Prior) -> GaussianModel:
        """Mean and covariance of known devices' shapes, and a little of every operation."""
        shape = shapes(tables(known_devices((tested,))))
        deviations = (shape - prior.mean).T / np.sqrt(len(shape) - 1)
        return cls(prior.mean, np.column_stack([deviations, devices.all_operation_counts() / 60]), 0.07)

    @cached_property
    def _features(self) -> NDArray[np.float64]:
        return np.column_stack([self.basis, _SCALE_SD * self.mean])

    def predict(
        self, archs: ArrayLike, latency_ms: ArrayLike, cells: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Mean and standard deviation of the shape of cells ``(cells,)``, and the scale in ms that they stand for."""
        from scipy.linalg import cho_factor, cho_solve, solve_triangular

        archs, y = informative(archs, latency_ms)
        scale = float(np.exp(np.log(y / self.mean[archs]).mean()))
        seen, wanted = self._features[archs], self._features[cells]
        factor = cho_factor(seen @ seen.T + self.noise**2 * np.eye(len(archs)), lower=True)
        covariance = wanted @ seen.T  # (cells, n)
        mean = self.mean[cells] + covariance @ cho_solve(factor, y / scale - self.mean[archs])
        white = solve_triangular(factor[0], covariance.T, lower=True)
        variance = (wanted**2).sum(axis=1) - (white**2).sum(axis=0)
        return mean, np.sqrt(np.maximum(variance, 1e-9)), scale


class GaussianSearch:
    """Measure the cell with the highest p − (m − κ s) / range, m and s the posterior's mean and deviation.

    Parameters
    ----------
    model
        Of the device.
    prior
        Where the candidates come from (`acquisition.candidates`).
    bound
        κ: 0 is greedy, 1 an optimistic confidence bound.
    """

    def __init__(self, model: GaussianModel, prior: Prior, *, bound: float) -> None:
        self._model, self._prior, self._bound = model, prior, bound
        self._made: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None

    def _candidates(self, score: NDArray[np.float64]) -> NDArray[np.int64]:
        if self._made is None or self._made[0] is not score:
            self._made = score, acquisition.candidates(self._prior, score)
        return self._made[1]

    def __call__(
        self, score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
    ) -> None:
        cells = self._candidates(score)
        archs, latency = [start], [measure(start)]
        while len(archs) < min(budget, len(cells)):
            gain = self._gain(score, cells, archs, latency)
            gain[np.isin(cells, archs)] = -np.inf
            archs.append(int(cells[gain.argmax()]))
            latency.append(measure(archs[-1]))

    def _gain(
        self, score: NDArray[np.float64], cells: NDArray[np.int64], archs: list[int], latency: list[float]
    ) -> NDArray[np.float64]:
        """Optimistic reward of the cells, up to a constant."""
        if not np.isfinite(latency).any():
            return score[cells] - self._model.mean[cells] / np.ptp(self._model.mean[cells])
        mean, deviation, scale = self._model.predict(archs, latency, cells)
        measured = np.asarray(latency)[np.isfinite(latency)] / scale
        range_ = mean.max() - max(min(mean.min(), measured.min()), 0)
        return score[cells] - (mean - self._bound * deviation) / max(range_, 1e-9)
