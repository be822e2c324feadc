"""Ξ, the distribution of synthetic devices.

Source: the paper's section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simmore import data, space
from simmore.devices.device import AdditiveDevice
from simmore.devices.groups import PAPER_DEVICES


@dataclass(frozen=True)
class SyntheticDevices:
    """Ξ: one independent Gaussian per operation (paper, section 3.2).

    A device is a sample ξ = [t(o)], the latency of each operation o. The latency of a cell is the sum over its
    operations. Latencies are positive: a value ≤ 0 is sampled again.

    Attributes
    ----------
    mean_ms, sd_ms
        ``(5,)``, in the order of `space.OPERATIONS`.
    fitted_to
        Names of the devices that the two were computed from.
    """

    mean_ms: NDArray[np.float64]
    sd_ms: NDArray[np.float64]
    fitted_to: tuple[str, ...] = ()

    @classmethod
    def fit(cls, names: Iterable[str] = PAPER_DEVICES) -> SyntheticDevices:
        """Fit to named devices: mean and (population) standard deviation of each operation.

        Raises
        ------
        ValueError
            For a device without per-operation latencies (`data.device_operations`), or fewer than two devices.
        """
        names = tuple(names)
        known = data.device_operations()
        unknown = sorted(set(names) - set(known.index))
        if unknown or len(names) < 2:
            raise ValueError(f"at least two of the devices {', '.join(known.index)}; unknown: {unknown or 'none'}")
        table = known.loc[list(names), list(space.OPERATIONS)].to_numpy(dtype=np.float64)
        return cls(table.mean(axis=0), table.std(axis=0), names)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Sample n devices: operation latencies in ms, ``(n, 5)``."""
        drawn = rng.normal(self.mean_ms, self.sd_ms, size=(n, len(self.mean_ms)))
        while (refused := drawn <= 0).any():
            again = rng.normal(self.mean_ms, self.sd_ms, size=drawn.shape)
            drawn = np.where(refused, again, drawn)
        return drawn

    def device(self, rng: np.random.Generator, name: str = "synthetic") -> AdditiveDevice:
        """Sample one device."""
        return AdditiveDevice(name, self.sample(1, rng)[0])

    def mean_device(self) -> AdditiveDevice:
        """The device whose operations have their mean latencies."""
        return AdditiveDevice("mean", self.mean_ms)
