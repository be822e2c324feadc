"""The public functions: search a device, load one, train a policy.

`import simmore` offers these and the names listed in ``simmore.__all__``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from simmore import devices, paths, proxies
from simmore.devices import Device
from simmore.errors import InputWarning
from simmore.strategies import BEST, BUDGET, Problem, Search, Session, Strategy, run

if TYPE_CHECKING:
    from simmore.rl.policy import Policy


def load_device(device: str | Path) -> Device:
    """A device by its name, or from a CSV with the columns ``arch,latency_ms`` of all cells or some.

    Parameters
    ----------
    device
        See `devices.load`; ``simmore devices`` lists the names. `data.csv_tables` describes the CSV.

    Raises
    ------
    ValueError
        For an unknown name, or a CSV that is not a latency table.
    LookupError
        For a measured device whose table is not on this machine and cannot be fetched.
    """
    return devices.load(str(device))


def search(
    device: str | Path | Device,
    strategy: str | Strategy | None = None,
    budget: int = BUDGET,
    start: int | str | None = None,
    seed: int | np.random.Generator = 0,
    weight: float = 1.0,
    max_latency_ms: float | None = None,
    *,
    dataset: str = "cifar10",
    score: str | ArrayLike = proxies.DEFAULT,
    max_params: float | None = None,
    without: Iterable[str] | None = None,
) -> Search:
    """Search for a cell that is fast on a device and scores well, from at most `budget` measured cells.

    Parameters
    ----------
    device
        Name of a device, path of a CSV, or any object with ``name`` and ``latency_ms(archs)``. If the object has a mask
        of cells ``measured``, the search asks for no other cells.
    strategy
        Name of a strategy (``simmore strategies`` lists them), a ``.safetensors`` policy, or an object with ``ask``;
        expected improvement if None.
    budget
        Distinct cells that may be measured, the start included.
    start
        First cell, in any form that `space.to_arch` reads; drawn if None.
    seed
        A seed or a generator.
    weight
        Weight of latency in the reward ``score + weight · ℓ̄``.
    max_latency_ms
        A latency limit; the highest score within it is then searched for, and `weight` has no effect.
    dataset
        Data set of the score: ``cifar10``, ``cifar100`` or ``ImageNet16-120``.
    score
        ``freerea`` (the paper's p), ``combined`` (ranks cells best), ``az`` or ``params``: see `proxies.SCORES`. Or an
        array ``(15625,)`` in NATS order, finite and not constant. The named scores have the distribution of p, so that
        `weight` means the same for each; an array keeps its own scale.
    max_params
        Largest number of parameters of a recommended cell, in millions.
    without
        Devices whose families are unknown to the strategy. If None: the device itself if it is the name of a stored
        table, because a search on it is an evaluation; nothing for a CSV or an object.

    Returns
    -------
    Search
        With ``arch``, ``arch_str``, ``latency_ms``, ``expected_regret``, ``trajectory`` and ``front``.

    Raises
    ------
    ValueError
        For an input that cannot be searched, with the reason.
    MeasurementFailed
        If the device fails.

    Warns
    -----
    InputWarning
        If no cell of a table keeps the latency limit, fewer than 1 % do, or every cell does, for example because it is
        in seconds; for a CSV, if something was ignored, combined or assumed.

    Examples
    --------
    >>> import simmore
    >>> found = simmore.search("nats_gpu", budget=5)
    >>> found.n_measured <= 5
    True
    """
    problem = Problem.of(dataset, score=score, weight=weight, max_latency_ms=max_latency_ms, max_params=max_params)
    without = evaluated_names(device) if without is None else tuple(without)
    unknown = sorted(set(without) - set(devices.NAMES))
    if unknown:
        raise ValueError(f"no device {', '.join(unknown)} to leave out: choose from {', '.join(devices.NAMES)}")
    target = load_device(device) if isinstance(device, str | Path) else device
    session = Session(strategy or BEST, problem.on(target), without=without, budget=budget, start=start, seed=seed)
    check_limit(target, max_latency_ms)
    return run(session, target)


def check_limit(device: Device, max_latency_ms: float | None) -> None:
    """Warn if no cell of a table is within a latency limit, if fewer than 1 % are, or if every cell is."""
    if max_latency_ms is None or not isinstance(device, devices.TableDevice | devices.AdditiveDevice):
        return
    latency_ms = devices.whole_table(device)
    latency_ms = latency_ms[np.isfinite(latency_ms)]
    low, high = latency_ms.min(), latency_ms.max()
    n_kept = int((latency_ms <= max_latency_ms).sum())
    if 0.01 * len(latency_ms) <= n_kept < len(latency_ms):
        return
    where, what = "outside", "every cell keeps it" if n_kept else "no cell keeps it"
    if 0 < n_kept < len(latency_ms):
        where, what = "at the lower end of", f"few cells keep it, {n_kept:,} of {len(latency_ms):,}"
    warnings.warn(
        f"the limit of {max_latency_ms:g} ms is {where} the latencies of {device.name}, {low:.4g} to {high:.4g} ms: "
        f"{what}; check that both are in ms.",
        InputWarning,
        stacklevel=3,
    )


def evaluated_names(device: str | Path | Device) -> tuple[str, ...]:
    """Devices that a search may not use: a stored table itself; none for a user's device."""
    if not isinstance(device, str) or device not in devices.NAMES:
        return ()
    return (device.removesuffix("_lut"),)


def train(without: Iterable[str] = (), *, steps: int = 500_000, seed: int = 0, dataset: str = "cifar10") -> Policy:
    """Train the paper's policy by PPO on synthetic devices (paper, section 4); an interrupted training continues.

    Parameters
    ----------
    without
        Devices that are left out of Ξ with their families.
    steps
        Transitions, a multiple of 5,000.
    seed
        Seed of everything that is drawn.
    dataset
        Data set of the score.

    Raises
    ------
    ValueError
        For a name that is not among the paper's devices, or a number of steps that is not a multiple of 5,000.
    MissingPackage
        If torch or stable-baselines3 is not installed.
    """
    from simmore.rl import training

    without = tuple(without)
    unknown = set(without) - set(devices.PAPER_DEVICES)
    if unknown:
        raise ValueError(f"not among the paper's devices: {', '.join(sorted(unknown))}")
    xi = devices.SyntheticDevices.fit(devices.without_family(devices.PAPER_DEVICES, without))
    settings = training.Settings(seed=seed, total_steps=steps)
    return training.train(settings, xi, proxies.stored_score(dataset), folder=paths.BUILD / "training").policy
