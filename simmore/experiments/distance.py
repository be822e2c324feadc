"""Regret on devices at growing distances from Ξ, the distribution that the paper's policy is trained on.

The paper leaves this open. Devices at growing distances are made in two ways: Ξ with wider Gaussians, and mixtures of
an additive device with a simulated one, whose structure Ξ does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simmore import devices
from simmore.devices import Device, Simulated, SyntheticDevices, TableDevice
from simmore.experiments import comparison
from simmore.strategies import BUDGET, Problem

WIDTHS = (0.5, 1.0, 2.0, 4.0)
SHARES = (0.25, 0.5, 0.75, 1.0)
_NEIGHBOURS = 1_000  # devices sampled from Ξ; the distance is to the nearest one
COLUMNS = ["kind", "device", "amount", "distance", "strategy", "start", "inference_regret", "simple_regret"]


def scaled(xi: SyntheticDevices, width: float, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Tables ``(n, cells)`` of devices from Ξ with its standard deviations times a width, without noise."""
    wider = SyntheticDevices(xi.mean_ms, width * xi.sd_ms)
    return wider.sample(n, rng) @ devices.all_operation_counts().T


def interpolated(xi: SyntheticDevices, share: float, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Tables ``(n, cells)`` between additive devices (share 0) and measured simulated ones (share 1), in logarithms."""
    additive = xi.sample(n, rng) @ devices.all_operation_counts().T
    drawn = Simulated.draw(n, rng)
    measured = drawn.measure(drawn.latency(), rng).astype(np.float64)
    return np.exp((1 - share) * np.log(additive / additive.mean(axis=1, keepdims=True))
                  + share * np.log(measured / measured.mean(axis=1, keepdims=True)))  # fmt: skip


def distances(latency_ms: NDArray[np.float64], xi: SyntheticDevices, *, seed: int = 0) -> NDArray[np.float64]:
    """Distance of tables ``(devices, cells)`` from Ξ, ``(devices,)``.

    It is the root mean square difference of the logarithms of latencies, each relative to their mean, to the nearest of
    1,000 devices that Ξ draws: 0.1 is a typical difference of 10 %. Cells without a finite latency do not count.
    """
    near = np.log(xi.sample(_NEIGHBOURS, np.random.default_rng([seed, 1])) @ devices.all_operation_counts().T)
    found = []
    for table in latency_ms:
        finite = np.isfinite(table)
        own, others = np.log(table[finite]), near[:, finite]
        difference = (others - others.mean(axis=1, keepdims=True)) - (own - own.mean())
        found.append(np.sqrt((difference**2).mean(axis=1)).min())
    return np.array(found)


def made(n: int, *, seed: int = 0) -> list[tuple[str, float, Device]]:
    """Kind (``width`` or ``structure``), amount, and device: n of each amount."""
    rng, xi = np.random.default_rng(seed), SyntheticDevices.fit()
    found: list[tuple[str, float, Device]] = []
    for kind, amounts, draw in (("width", WIDTHS, scaled), ("structure", SHARES, interpolated)):
        for amount in amounts:
            for k, table in enumerate(draw(xi, amount, n, rng)):
                found.append((kind, amount, TableDevice(f"{kind}_{amount:g}_{k}", table)))
    return found


def regrets(
    names: Sequence[str], problem: Problem, *, n: int = 8, n_starts: int = 3, real: Iterable[Device] = (), seed: int = 0
) -> pd.DataFrame:
    """Search made and real devices without other devices' tables, ten measurements from every start.

    Parameters
    ----------
    names
        Strategies.
    n, n_starts
        Devices of each kind and amount, and random starts on each.
    real
        Real devices, of the kind ``real``.

    Returns
    -------
    pandas.DataFrame
        The columns `COLUMNS`, a row per search; the amount of a real device is 0.
    """
    cases = [*made(n, seed=seed), *(("real", 0.0, device) for device in real)]
    frame = comparison.compare(
        [device for _, _, device in cases], problem, protocol="none", names=names, n_starts=n_starts, budget=BUDGET
    )
    table = np.stack([devices.whole_table(device) for _, _, device in cases])
    facts = pd.DataFrame({
        "device": [device.name for _, _, device in cases],
        "kind": [kind for kind, _, _ in cases],
        "amount": [amount for _, amount, _ in cases],
        "distance": distances(table, SyntheticDevices.fit()),
    })  # fmt: skip
    return comparison.at(frame).merge(facts, on="device")[COLUMNS]
