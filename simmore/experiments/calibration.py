"""Calibration: how often the true range and the true regret are below the predictions of a search.

Expected improvement searches devices whose tables are known, without tables of other devices. After some measurements,
the samples of the posterior predict the range of the device, and the recommendation reports its expected regret. Both
are compared with the table. `rules` compares two recommendations of the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from simmore import devices, parallel
from simmore.devices import Device, Simulated, TableDevice, normalised_regret, reward
from simmore.experiments import comparison, statistics
from simmore.models.posterior import Sampler
from simmore.models.simulated import simulated_prior
from simmore.rl import context
from simmore.strategies import BEST, BUDGET, History, Problem, catalogue
from simmore.strategies.in_context import LearnedRecommendation
from simmore.strategies.recommendation import ranked, recommend

MEASURED = (3, 5, 10)
RULES = ["own heads", "posterior"]
COLUMNS = [
    *("source", "device", "start", "n_measured", "range_percentile"),
    *("predicted_regret", "true_regret"),
]
SEED = 1  # of the simulated devices: the prior is fitted to those of seed 0
_SAMPLES = 1_000  # of the range
_MEAN_MS = 10.0  # of a simulated device whose timer is exact


def simulated_devices(n: int, *, seed: int = SEED) -> list[Device]:
    """Simulated devices with measured tables; the step of a coarse timer is 1 ms, as on phones."""
    rng = np.random.default_rng(seed)
    drawn = Simulated.draw(n, rng)
    found: list[Device] = []
    for k in range(n):
        one = drawn[k : k + 1]
        latency = one.latency()
        measured = one.measure(latency, rng)[0].astype(np.float64)
        if one.step[0] > 0:
            table = np.round(measured / (float(one.step[0]) * float(latency.mean())))
        else:
            table = measured * (_MEAN_MS / measured.mean())
        found.append(TableDevice(f"simulated_{k}", table))
    return found


def searches(
    tested: Iterable[Device], source: str, *, n_starts: int = 4, problem: Problem | None = None, n_jobs: int = -1
) -> pd.DataFrame:
    """Search devices by expected improvement without tables, and compare predictions with true values.

    Parameters
    ----------
    tested
        Devices with the latency of all cells.
    source
        Their name in the column ``source``.
    n_starts
        Random starts per device; they differ from device to device.
    problem
        What is searched for; CIFAR-10 with the paper's reward if None.
    n_jobs
        See `parallel.unordered`.

    Returns
    -------
    pandas.DataFrame
        The columns `COLUMNS`, a row per search and number of measurements. ``range_percentile`` (0 to 100) is the share
        of the posterior's samples whose range is below the true one.
    """
    problem = problem or Problem.of()
    cases = [
        comparison.Case(BEST, device, problem, protocol="none", n_starts=n_starts, budget=BUDGET, seed=k)
        for k, device in enumerate(tested)
    ]
    order = {case.device.name: k for k, case in enumerate(cases)}
    parts = sorted(parallel.unordered(_judged, cases, n_jobs=n_jobs), key=lambda part: order[part["device"].iloc[0]])
    frame = pd.concat(parts, ignore_index=True)
    frame.insert(0, "source", source)
    return frame


def _judged(case: comparison.Case) -> pd.DataFrame:
    """Rows of `searches` for one device."""
    table, problem = devices.whole_table(case.device), case.problem
    regret = normalised_regret(reward(problem.score, table, weight=problem.weight), np.arange(len(table)))
    rows = []
    for start, session in comparison.searches(case):
        steps = list(zip(session.history.archs.tolist(), session.history.latency_ms.tolist(), strict=True))
        for n in MEASURED:
            history = History(steps[:n])
            found = recommend(session.rule, problem, history)
            assert found is not None and found.expected_regret is not None  # every cell of a table compiles
            below = (_range_ms(history) < np.ptp(table)).mean()
            rows.append((case.device.name, start, n, 100 * below, found.expected_regret, regret[found.arch]))
    return pd.DataFrame(rows, columns=COLUMNS[1:])


def rules(
    tested: Iterable[Device], source: str, *, n_starts: int = 4, problem: Problem | None = None, n_jobs: int = -1
) -> pd.DataFrame:
    """Regret of two recommendations from the same searches of the controller, with the network of each training seed.

    Parameters
    ----------
    tested, source, n_starts, problem, n_jobs
        See `searches`.

    Returns
    -------
    pandas.DataFrame
        By source and number of measurements: mean normalised regret of the recommendation by the network's ``own
        heads`` and by the ``posterior`` of the simulated prior; mean ``difference`` with its interval over devices.
    """
    problem = problem or Problem.of()
    cases = [
        comparison.Case("controller", device, problem, "none", n_starts, BUDGET, seed=k, training=training)
        for k, device in enumerate(tested)
        for training in catalogue.training_seeds("controller")
    ]
    found = pd.concat(parallel.unordered(_by_rule, cases, n_jobs=n_jobs))
    rows = {}
    for n, group in found.groupby("n_measured"):
        means = group.groupby("device")[RULES].mean()
        rows[source, n] = {
            **means.mean(),
            **statistics.interval(means[RULES[0]] - means[RULES[1]])._asdict(),
        }
    table = pd.DataFrame(rows).T.rename_axis(["source", "n_measured"])
    return table.rename(columns={"value": "difference"})


def _by_rule(case: comparison.Case) -> pd.DataFrame:
    """Regret of the recommendation by each of `RULES`, for one device and one network."""
    table, problem = devices.whole_table(case.device), case.problem
    regret = normalised_regret(reward(problem.score, table, weight=problem.weight), np.arange(len(table)))
    heads = LearnedRecommendation(context.load(f"controller_{case.training}"))
    rows = []
    for _, session in comparison.searches(case):
        steps = list(zip(session.history.archs.tolist(), session.history.latency_ms.tolist(), strict=True))
        for n in MEASURED:
            history = History(steps[:n])
            found = [regret[ranked(rule, problem, history)[0]] for rule in (heads, session.rule)]
            rows.append((case.device.name, n, *found))
    return pd.DataFrame(rows, columns=["device", "n_measured", *RULES])


def _range_ms(history: History) -> NDArray[np.float64]:
    """Samples of the range given the measurements, ``(samples,)`` in ms."""
    return _sampler().condition(history.archs, history.latency_ms).range_ms


@cache
def _sampler() -> Sampler:
    return Sampler(simulated_prior(), np.empty(0, dtype=np.int64), n=_SAMPLES, rng=np.random.default_rng(0))


def calibration_curves(frame: pd.DataFrame, levels: ArrayLike) -> pd.DataFrame:
    """How often the true range is below each quantile of the predicted one.

    Parameters
    ----------
    frame
        Of `searches`.
    levels
        Nominal shares, ``(levels,)`` in [0, 1].

    Returns
    -------
    pandas.DataFrame
        ``source, n_measured, nominal, observed``. A calibrated prediction has equal shares.
    """
    parts = []
    for (source, n), group in frame.groupby(["source", "n_measured"], sort=False):
        observed = statistics.performance_profile(group["range_percentile"] / 100, levels)
        parts.append(pd.DataFrame({"source": source, "n_measured": n, "nominal": levels, "observed": observed}))
    return pd.concat(parts, ignore_index=True)


def regret_bins(frame: pd.DataFrame, *, bins: int = 5) -> pd.DataFrame:
    """Mean predicted and true regret of searches with similar predictions.

    Parameters
    ----------
    frame
        Of `searches`.
    bins
        Groups of equal size, by predicted regret, for each source.

    Returns
    -------
    pandas.DataFrame
        ``source, n, predicted, true, low, high``: number of rows, means over devices, and the interval of the true
        mean; NaN where all searches are on one device.
    """
    rows: list[tuple[object, ...]] = []
    for source, group in frame.groupby("source", sort=False):
        ranks = group["predicted_regret"].rank(method="first")
        for _, part in group.groupby(pd.cut(ranks, bins, labels=False)):
            means = part.groupby("device")[["predicted_regret", "true_regret"]].mean()
            true = means["true_regret"].to_numpy()
            low, high = statistics.interval(true)[1:] if len(true) > 1 else (np.nan, np.nan)
            rows.append((source, len(part), means["predicted_regret"].mean(), true.mean(), max(low, 0.0), high))
    return pd.DataFrame(rows, columns=["source", "n", "predicted", "true", "low", "high"])


def summary(frame: pd.DataFrame, *, central: Sequence[float] = (0.5, 0.9)) -> pd.DataFrame:
    """Table by source and number of measurements.

    Returns
    -------
    pandas.DataFrame
        Shares of searches whose true range is below the predicted median, and in central parts of the prediction; mean
        predicted and true regret; share of searches whose true regret is at most the predicted one.
    """
    rows = {}
    for (source, n), group in frame.groupby(["source", "n_measured"], sort=False):
        percentile = group["range_percentile"]
        rows[source, n] = {
            "range below median": (percentile < 50).mean(),
            **{f"range in central {part:.0%}": (np.abs(percentile - 50) <= 50 * part).mean() for part in central},
            "predicted regret": group["predicted_regret"].mean(),
            "true regret": group["true_regret"].mean(),
            "true ≤ predicted": (group["true_regret"] <= group["predicted_regret"]).mean(),
        }
    return pd.DataFrame(rows).T.rename_axis(["source", "n_measured"])
