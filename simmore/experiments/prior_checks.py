"""Prior predictive checks: whether devices drawn from a distribution look like real ones.

Each statistic turns a device's table into a number that does not depend on the unit. Its values for draws from two
distributions, the paper's Ξ and simulated devices, are compared with those of real devices. Only the design devices
(`devices.DESIGN_DEVICES`) are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from simmore import devices, space
from simmore.devices import Device, Simulated, SyntheticDevices

COLUMNS = ["source", "device", "class", "statistic", "value"]
DRAWN = "drawn"  # class of a device that is not real
_REFERENCE = "nor_conv_3x3"  # the operation that shares are relative to
_FITTED = 1_000  # cells that the additive model is fitted to
_SLOWEST = 0.999  # quantile
_DECIMALS = 6  # of the noise: removes rounding errors of floating-point numbers
_CHUNK = 200  # devices that are simulated together: bounds the memory
_CLASS = {family: name for name, families in devices.CLASSES.items() for family in families}


def operation_shares(latency_ms: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Latency of the cell with one operation on all edges, relative to the cell of 3×3 convolutions.

    Parameters
    ----------
    latency_ms
        ``(devices, cells)``, as for all functions of this module.

    Returns
    -------
    dict
        ``(devices,)`` for each of the other four operations, under the name ``share_<operation>``.
    """
    single = latency_ms[:, space.single_operation_archs()].astype(np.float64)  # (devices, operations)
    share = single / single[:, [space.OPERATIONS.index(_REFERENCE)]]
    return {f"share_{name}": share[:, k] for k, name in enumerate(space.OPERATIONS) if name != _REFERENCE}


def flops_correlation(latency_ms: NDArray[np.floating]) -> NDArray[np.float64]:
    """Spearman's rank correlation of latency with FLOPs over all cells, ``(devices,)``."""
    from scipy.stats import rankdata

    flops = rankdata(space.flops(np.arange(space.N_ARCHS)))
    return np.array([np.corrcoef(flops, rankdata(row))[0, 1] for row in latency_ms])


def additivity(latency_ms: NDArray[np.floating], *, seed: int = 0) -> NDArray[np.float64]:
    """R² of a linear model of operation counts, ``(devices,)``, fitted to 1,000 random cells, on all other cells."""
    order = np.random.default_rng(seed).permutation(space.N_ARCHS)
    fitted, others = order[:_FITTED], order[_FITTED:]
    counts, latency = devices.all_operation_counts(), latency_ms.astype(np.float64).T  # (cells, devices)
    # the counts sum to the number of edges, so that they hold the intercept
    operations = np.linalg.lstsq(counts[fitted], latency[fitted])[0]
    unexplained = (latency[others] - counts[others] @ operations).var(axis=0)
    return np.asarray(1 - unexplained / latency[others].var(axis=0))


def range_tail(latency_ms: NDArray[np.floating]) -> NDArray[np.float64]:
    """Slowest cell relative to the 99.9 % quantile, ``(devices,)``: 1 without spikes."""
    return np.asarray(latency_ms.max(axis=1) / np.quantile(latency_ms, _SLOWEST, axis=1))


def fastest(latency_ms: NDArray[np.floating]) -> NDArray[np.float64]:
    """Fastest cell relative to the mean, ``(devices,)``: near 1 where a fixed overhead dominates."""
    return np.asarray(latency_ms.min(axis=1) / latency_ms.mean(axis=1))


def twin_noise(latency_ms: NDArray[np.floating]) -> NDArray[np.float64]:
    """Median absolute logarithm of the ratio of two `twins`, ``(devices,)``: 0.02 is a typical difference of 2 %."""
    one, other = twins()
    ratio = latency_ms[:, one].astype(np.float64) / latency_ms[:, other]
    return np.round(np.median(np.abs(np.log(ratio)), axis=1), _DECIMALS)


@cache
def twins() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of cells whose latencies differ only by noise on a device that adds its operations, ``(pairs,)`` each.

    Two twins have the same canonical form. This alone is not enough: frameworks that run eagerly execute edges that the
    output does not need, and compilers keep a convolution of a zero. So twins also have the same number of each
    operation, both over all edges and over the edges that lead to the output.
    """
    cells = np.arange(space.N_ARCHS)
    ops = space.all_ops()
    needed = np.where(space.live_edges(cells), ops, space.N_OPERATIONS)
    counted = np.sort(ops, axis=1), np.sort(needed, axis=1)
    groups: dict[object, list[int]] = {}
    for form, archs in space.canonical_classes().items():
        for arch in archs:
            groups.setdefault((form, *(order[arch].tobytes() for order in counted)), []).append(arch)
    pairs = [pair for group in groups.values() for pair in pairwise(group)]
    one, other = np.array(pairs, dtype=np.int64).T
    return one, other


def statistics(latency_ms: NDArray[np.floating]) -> pd.DataFrame:
    """All statistics of tables ``(devices, cells)`` without failed cells: a row per device, a column per statistic."""
    return pd.DataFrame({
        **operation_shares(latency_ms),
        "flops_correlation": flops_correlation(latency_ms),
        "additivity": additivity(latency_ms),
        "range_tail": range_tail(latency_ms),
        "fastest": fastest(latency_ms),
        "twin_noise": twin_noise(latency_ms),
    })  # fmt: skip


def checks(real: Iterable[Device], *, n: int = 500, seed: int = 0) -> pd.DataFrame:
    """Statistics of n devices from each distribution, and of real devices.

    Returns
    -------
    pandas.DataFrame
        The columns `COLUMNS`, a row per device and statistic: ``source`` is ``xi``, ``simulated`` or ``real``, and
        ``class`` the class of hardware of a real device, `DRAWN` for others.
    """
    rng = np.random.default_rng(seed)
    parts = [_rows("xi", SyntheticDevices.fit().sample(n, rng) @ devices.all_operation_counts().T)]
    simulated = Simulated.draw(n, rng)
    for start in range(0, n, _CHUNK):
        some = simulated[start : start + _CHUNK]
        parts.append(_rows("simulated", some.measure(some.latency(), rng), first=start))
    real = list(real)
    if real:
        names = [device.name for device in real]
        parts.append(_rows("real", np.stack([devices.whole_table(device) for device in real]), names))
    return pd.concat(parts, ignore_index=True)


def _rows(
    source: str, latency_ms: NDArray[np.floating], names: list[str] | None = None, *, first: int = 0
) -> pd.DataFrame:
    """Rows of `checks` for tables of one source."""
    frame = statistics(latency_ms)
    frame.insert(0, "source", source)
    frame.insert(1, "device", names or [f"{source}_{first + k}" for k in range(len(frame))])
    own = [_CLASS.get(devices.family(name), name) for name in names] if names else DRAWN
    frame.insert(2, "class", own)
    return frame.melt(COLUMNS[:3], var_name="statistic")


def percentiles(frame: pd.DataFrame) -> pd.DataFrame:
    """Where real devices lie in both distributions.

    Parameters
    ----------
    frame
        Result of `checks`.

    Returns
    -------
    pandas.DataFrame
        ``device, class, statistic, value``, and its percentile (0 to 100) among the devices of ``xi`` and of
        ``simulated``; equal values count half.
    """
    real = frame[frame["source"] == "real"].drop(columns="source").reset_index(drop=True)
    for source in ("xi", "simulated"):
        drawn = {name: part["value"].to_numpy() for name, part in frame[frame["source"] == source].groupby("statistic")}
        real[source] = [
            percentile(drawn[name], value) for name, value in zip(real["statistic"], real["value"], strict=True)
        ]
    return real


def percentile(drawn: ArrayLike, value: float) -> float:
    """Percentile of a value among drawn ones ``(n,)``; equal values count half.

    >>> percentile([1.0, 2.0, 2.0, 3.0], 2.0)
    50.0
    """
    drawn = np.asarray(drawn)
    return float(50 * ((drawn < value).mean() + (drawn <= value).mean()))


def typical(found: pd.DataFrame, by: str, *, level: float = 0.95) -> pd.DataFrame:
    """Share of real devices' statistics in the central part of both distributions (columns ``xi``, ``simulated``).

    Parameters
    ----------
    found
        Result of `percentiles`.
    by
        ``statistic``, ``device`` or ``class``: what the rows are.
    level
        Size of the central part.
    """
    tail = 50 * (1 - level)
    inside = found[["xi", "simulated"]].apply(lambda column: column.between(tail, 100 - tail))
    return inside.groupby(found[by], sort=False).mean()
