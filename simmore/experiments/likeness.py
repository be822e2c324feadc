"""Similarity of devices, and whether the distribution of synthetic devices could have drawn them.

The paper warns that a controller may fail on a device outside of Ξ, the distribution that it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from simmore import space
from simmore.devices import Device, SyntheticDevices, operation_latencies


def kendall(latency_ms: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Kendall's τ_b between the latencies of every two devices.

    Parameters
    ----------
    latency_ms
        ``(15625,)`` by device; cells that are infinite or NaN on one of two devices are left out of their comparison.

    Returns
    -------
    DataFrame
        ``device_a, device_b, kendall``, each pair in both orders, and each device with itself.
    """
    # ranks in small integers: scipy sorts them faster, and the tie correction is the same
    finite = {name: np.isfinite(values) for name, values in latency_ms.items()}
    ranks = {
        name: stats.rankdata(np.where(finite[name], values, np.inf), method="dense").astype(np.int32)
        for name, values in latency_ms.items()
    }
    names, found = list(latency_ms), {}
    for i, a in enumerate(names):
        for b in names[: i + 1]:
            both = finite[a] & finite[b]
            tau = 1.0 if a == b else float(stats.kendalltau(ranks[a][both], ranks[b][both]).statistic)
            found[a, b] = found[b, a] = tau
    rows = [(a, b, found[a, b]) for a in names for b in names]
    return pd.DataFrame(rows, columns=["device_a", "device_b", "kendall"])


def within(
    distribution: SyntheticDevices, tested: Sequence[Device], *, n: int = 100_000, seed: int = 0
) -> pd.DataFrame:
    """Percentiles of a device's operation latencies, and of their shares, among devices that are sampled from Ξ.

    A search sees only latencies relative to its first one. So a device that is ten times as fast as any other may still
    be within Ξ: what matters are the operations' shares of their sum.

    Parameters
    ----------
    distribution
        Ξ.
    tested
        Devices, with operation latencies from their single-operation cells (`devices.operation_latencies`).
    n, seed
        Synthetic devices drawn, and the seed of the draw.

    Returns
    -------
    DataFrame
        A row per device and operation: ``device, operation, latency_ms``, ``percentile`` of the latency and ``share``,
        ``share_percentile`` of its share among Ξ's (0 to 100); and ``within``, whether every share of the device
        lies in the central 99 % of Ξ's.
    """
    drawn = distribution.sample(n, np.random.default_rng(seed))  # (n, 5)
    shares = drawn / drawn.sum(axis=1, keepdims=True)
    frames = []
    for device in tested:
        latency = operation_latencies(device)
        share = latency / latency.sum()
        percentile = 100 * (shares < share).mean(axis=0)
        frames.append(
            pd.DataFrame(
                {
                    "device": device.name,
                    "operation": space.OPERATIONS,
                    "latency_ms": latency,
                    "percentile": 100 * (drawn < latency).mean(axis=0),
                    "share": share,
                    "share_percentile": percentile,
                    "within": bool(((percentile >= 0.5) & (percentile <= 99.5)).all()),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
