"""Predicting all latencies of a device from a few random cells: HELP's table 3, and the curve over many samples.

The paper argues that LUTs rank real latencies poorly and that predictors need hundreds of samples (section 2). Both are
tested here and compared with models that know other devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import devices, parallel, space
from simmore.errors import needs
from simmore.experiments import statistics
from simmore.models.known import tables
from simmore.models.posterior import Posterior
from simmore.models.prior import Prior, from_tables
from simmore.models.simulated import SOURCE, simulated_prior

# HELP's split (Lee et al. 2021): methods that use other devices use the training devices.
TRAIN_DEVICES = (
    *("1080ti_1", "1080ti_32", "1080ti_256", "silver_4114", "silver_4210r"),
    *("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"),
)
TEST_DEVICES = ("titan_rtx_256", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga")
# Published: Spearman from ten samples (HELP, FLOPs) and from 900 (BRP-NAS), of the test devices in order.
PUBLISHED: dict[str, tuple[float, ...]] = {
    "HELP (published)": (0.987, 0.989, 0.802, 0.890, 0.940, 0.985),
    "BRP-NAS, 900 samples (published)": (0.814, 0.796, 0.666, 0.847, 0.811, 0.801),
    "FLOPs (published)": (0.950, 0.826, 0.765, 0.846, 0.437, 0.900),
}
_GPUS = ("1080ti_1", "2080ti_1", "titan_rtx_1", "titanx_1", "titanxp_1")
_CPUS = ("silver_4114", "silver_4210r", "gold_6226", "gold_6240")
_PHONES = ("essential_ph_1", "samsung_s7", "samsung_a50", "pixel2")
# Known devices, and devices of other classes that are predicted with them.
SPLITS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "GPUs → all others": (_GPUS, (*_CPUS, *_PHONES, "pixel3", "raspi4", "eyeriss", "fpga")),
    "phones and CPUs → GPUs": ((*_PHONES, *_CPUS), _GPUS),
    "accelerators and raspi4 → CPUs": (("eyeriss", "fpga", "raspi4"), _CPUS),
}
_SIMULATED, _MIXTURE = "simulated devices, no tables (ours)", "mixture of devices (ours)"
SAMPLES = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
DRAWS = 20
_LINEAR_NOISE = 0.08  # noise scale of the linear model, relative to the mean latency
_COSTLY = 100  # samples above which a quarter of the draws is enough: they differ little by then

Method = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.float64]]
"""Maps measured cells ``(n,)`` and their latencies in ms to predictions for all cells ``(15625,)``.

A prediction is a latency, or any value that ranks the cells in the same way."""


def tested_devices() -> list[devices.Device]:
    """HELP's test devices whose tables are on this machine; NATS-Bench's own GPU if there are none."""
    return devices.available(TEST_DEVICES) or [devices.load("nats_gpu")]


def known_training_devices() -> list[str]:
    """Names of HELP's training devices whose tables are on this machine."""
    return [device.name for device in devices.available(TRAIN_DEVICES)]


def flops(_: NDArray[np.int64], __: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiplications of all cells, relative to a 1×1 convolution; nothing is measured.

    The network doubles its channels where it halves the image, so that an edge costs the same in every stage.
    """
    return devices.all_operation_counts() @ np.array([0.0, 0.0, 1.0, 9.0, 0.0])


@cache
def _one_hot() -> NDArray[np.float64]:
    """Operations of all cells, edge by edge, ``(15625, 30)``."""
    return np.eye(space.N_OPERATIONS)[space.all_ops()].reshape(space.N_ARCHS, -1)


def ridge(archs: NDArray[np.int64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """A linear model of the operations on the edges, on the target's samples alone."""
    with needs("sklearn"):
        from sklearn.linear_model import Ridge

    return Ridge(alpha=0.1).fit(_one_hot()[archs], latency_ms).predict(_one_hot())


def boosted_trees(archs: NDArray[np.int64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gradient-boosted trees on the operations and their counts, on the target's samples alone."""
    with needs("sklearn"):
        from sklearn.ensemble import GradientBoostingRegressor

    features = np.column_stack([_one_hot(), devices.all_operation_counts()])
    model = GradientBoostingRegressor(n_estimators=100, max_depth=4, subsample=0.8, random_state=0)
    return model.fit(features[archs], latency_ms).predict(features)


@cache
def known_prior(names: tuple[str, ...]) -> Prior:
    """The prior of simulated devices and of named ones; without their tables, of simulated devices alone."""
    known = devices.available(names)
    return from_tables(simulated_prior(), tables(known), f"{SOURCE} and tables") if known else simulated_prior()


def mixture(archs: NDArray[np.int64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ours: the posterior of simulated devices mixed with HELP's training devices."""
    return Posterior.of(known_prior(TRAIN_DEVICES), archs, latency_ms).predicted_ms()


def simulated(archs: NDArray[np.int64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ours, without any table: the posterior of simulated devices."""
    return Posterior.of(simulated_prior(), archs, latency_ms).predicted_ms()


@cache
def _operations_prior() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of operation latencies of HELP's training devices, in units of the mean latency."""
    xi = devices.SyntheticDevices.fit(name for name in devices.PAPER_DEVICES if name in TRAIN_DEVICES)
    scale = (devices.all_operation_counts() @ xi.mean_ms).mean()
    return xi.mean_ms / scale, xi.sd_ms / scale


def bayesian_linear(archs: NDArray[np.int64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """A linear model of operation counts whose prior is the synthetic-device distribution, as ridge regression."""
    mean, sd = _operations_prior()
    counts = devices.all_operation_counts()
    scale = latency_ms.mean() / (counts[archs] @ mean).mean()
    design = counts[archs] * sd
    residual = latency_ms / scale - counts[archs] @ mean
    gram = design.T @ design + _LINEAR_NOISE**2 * np.eye(space.N_OPERATIONS)
    return scale * (counts @ (mean + sd * np.linalg.solve(gram, design.T @ residual)))


METHODS: dict[str, Method] = {
    "FLOPs": flops,
    "linear, target alone": ridge,
    "boosted trees, target alone": boosted_trees,
    "Bayesian linear": bayesian_linear,
    _SIMULATED: simulated,
    _MIXTURE: mixture,
}


def few_shot(
    tested: Sequence[devices.Device],
    *,
    samples: Sequence[int] = SAMPLES,
    draws: int = DRAWS,
    methods: Sequence[str] = tuple(METHODS),
    helps_cells: bool = False,
    n_jobs: int = -1,
) -> pd.DataFrame:
    """Predict every device by every method from random samples of every size, the same for all methods.

    Parameters
    ----------
    tested, samples, methods
        Devices, numbers of samples, and names of `METHODS`.
    draws
        Random samples of each size.
    helps_cells
        Compare on the cells of HELP's own evaluation instead of all (`compared`). The samples stay the same; HELP
        reads ten fixed reference latencies besides them.
    n_jobs
        See `parallel.unordered`.

    Returns
    -------
    pandas.DataFrame
        ``method, device, samples, draw, spearman, kendall`` of predicted against measured latency. The
        LUT has five samples, which are not random: the cells of one operation alone.
    """
    repeats = {n: draws if n <= _COSTLY else max(draws // 4, 1) for n in samples}
    tasks = [
        (device, n, draw, tuple(methods), helps_cells)
        for device in tested
        for n in samples
        for draw in range(repeats[n])
    ]
    tasks = sorted(tasks, key=lambda task: -task[1])
    results = parallel.unordered(_predict, tasks, n_jobs=n_jobs)
    rows = [row for part in tqdm(results, total=len(tasks), desc="predicting", disable=None) for row in part]
    rows += [_lut(device, helps_cells) for device in tested]
    frame = pd.DataFrame(rows, columns=["method", "device", "samples", "draw", "spearman", "kendall"])
    order = {name: k for k, name in enumerate([*methods, "LUT"])}
    places = {device.name: k for k, device in enumerate(tested)}
    key = {"method": order, "device": places}
    by = ["method", "device", "samples", "draw"]
    return frame.sort_values(by, key=lambda c: c.map(key[c.name]) if c.name in key else c).reset_index(drop=True)


def across_classes(*, samples: Sequence[int] = (10, 20), draws: int = DRAWS, n_jobs: int = -1) -> pd.DataFrame:
    """Predict devices of other classes of hardware than the known devices (`SPLITS`), from random samples.

    Returns
    -------
    pandas.DataFrame
        ``split, method, device, samples, draw, spearman``. The methods are the mixture, with the split's known devices,
        and simulated devices alone. Empty where a known device's table is missing.
    """
    tasks = []
    for split, (known, others) in SPLITS.items():
        if len(devices.available(known)) == len(known):
            tasks += [(split, device, n, draw) for device in devices.available(others) for n in samples
                      for draw in range(draws)]  # fmt: skip
    bar = tqdm(parallel.unordered(_across, tasks, n_jobs=n_jobs), total=len(tasks), desc="predicting", disable=None)
    rows = sorted(row for part in bar for row in part)
    return pd.DataFrame(rows, columns=["split", "method", "device", "samples", "draw", "spearman"])


def _across(task: tuple[str, devices.Device, int, int]) -> list[tuple[str, str, str, int, int, float]]:
    split, device, n, draw = task
    truth = devices.whole_table(device)
    compiles = np.flatnonzero(np.isfinite(truth))
    archs = np.random.default_rng([draw, n]).choice(compiles, n, replace=False)
    rows = []
    for name, prior in ((_MIXTURE, known_prior(SPLITS[split][0])), (_SIMULATED, simulated_prior())):
        predicted = Posterior.of(prior, archs, truth[archs]).predicted_ms()
        rows.append((split, name, device.name, n, draw, _ranked(predicted[compiles], truth[compiles])[0]))
    return rows


Row = tuple[str, str, int, int, float, float]


def compared(truth: NDArray[np.float64], *, helps_cells: bool = False) -> NDArray[np.int64]:
    """Cells that a prediction of a table is compared on: all that compile, or those of HELP's own evaluation.

    HELP's are cells 900 to 1899 without the fastest and the slowest 10 % of them.

    Source: ``loader.py`` of the authors' code (Lee et al. 2021).
    """
    if not helps_cells:
        return np.flatnonzero(np.isfinite(truth))
    return 900 + np.argsort(truth[900:1900], kind="stable")[100:900]


def _predict(task: tuple[devices.Device, int, int, tuple[str, ...], bool]) -> list[Row]:
    """All methods on one random sample."""
    device, n, draw, methods, helps_cells = task
    truth = devices.whole_table(device)
    compiles = np.flatnonzero(np.isfinite(truth))
    archs = np.random.default_rng([draw, n]).choice(compiles, n, replace=False)
    cells, rows = compared(truth, helps_cells=helps_cells), []
    for name in methods:
        predicted = METHODS[name](archs, truth[archs])[cells]
        rows.append((name, device.name, n, draw, *_ranked(predicted, truth[cells])))
    return rows


def _lut(device: devices.Device, helps_cells: bool = False) -> Row:
    """The sum of a device's operations, from its five cells of one operation alone."""
    truth = devices.whole_table(device)
    cells = compared(truth, helps_cells=helps_cells)
    table = devices.all_operation_counts() @ devices.operation_latencies(device)
    return ("LUT", device.name, space.N_OPERATIONS, 0, *_ranked(table[cells], truth[cells]))


def _ranked(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """Spearman and Kendall; 0 for a prediction that is the same for all cells."""
    if np.ptp(predicted) == 0:
        return 0.0, 0.0
    return statistics.spearman(predicted, truth), statistics.kendall(predicted, truth)


def table(frame: pd.DataFrame, samples: int = 10, column: str = "spearman") -> pd.DataFrame:
    """HELP's table 3: mean over draws of each method on each device, and over devices with its interval over draws."""
    rows = {}
    for method, part in frame[(frame["samples"] == samples) | (frame["method"] == "LUT")].groupby("method", sort=False):
        by_draw = part.pivot_table(index="draw", columns="device", values=column, sort=False)
        row = by_draw.mean().to_dict() | {"mean": by_draw.to_numpy().mean()}
        if len(by_draw) > 1:
            _, row["low"], row["high"] = statistics.interval(by_draw.mean(axis=1))
        rows[method] = row
    return pd.DataFrame(rows).T


def lut_kendall(device: devices.Device) -> float:
    """Kendall's τ of a device's latencies with its lookup table, the sum of its operations (paper, section 2.1)."""
    return _lut(device)[-1]


def additive_fit(device: devices.Device) -> float:
    """R² of the best sum of operation latencies, fitted to all of a device's cells: 1 if its table is such a sum."""
    truth = devices.whole_table(device)
    compiles = np.isfinite(truth)
    counts, truth = devices.all_operation_counts()[compiles], truth[compiles]
    residual = truth - counts @ np.linalg.lstsq(counts, truth)[0]
    return float(1 - residual.var() / truth.var())
