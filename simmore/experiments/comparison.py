"""All strategies on equal budgets: every measured device, left out with its family, from the same random starts.

A strategy does not know its budget, so that one search of 20 measurements holds those of 1 … 19: the answer after each
is chosen from what was measured until then.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import data, devices, parallel, paths, space
from simmore.devices import rewards
from simmore.files import replace
from simmore.strategies import catalogue as strategies
from simmore.strategies import loop, recommendation

LARGEST_BUDGET = 20
STARTS = 50
SEED = 0
_TRAINED = {
    "controller": "acquisition_*.safetensors",
    "paper": "controller_paper.safetensors",
    **dict.fromkeys(("trpo", "a2c", "no_history", "target_only"), "ablations.safetensors"),
}


def measured_devices() -> list[devices.Device]:
    """The paper's devices whose tables are to be had, 17 of them; without any, NATS-Bench's own GPU, always there."""
    return devices.available(name for name in devices.PAPER_DEVICES if name != "edgegpu") or [devices.load("nats_gpu")]


def compare(
    tested: Sequence[devices.Device],
    score: NDArray[np.float64],
    *,
    names: Sequence[str] = tuple(strategies.STRATEGIES),
    n_starts: int = STARTS,
    budget: int = LARGEST_BUDGET,
    n_jobs: int = -1,
    folder: Path | None = None,
) -> pd.DataFrame:
    """Search every device from every start with every strategy.

    Parameters
    ----------
    tested, names
        Devices and strategies.
    score
        p of all cells, ``(15625,)``.
    n_starts, budget
        Random starts, the same on every device, and distinct cells measured.
    n_jobs
        Processes.
    folder
        Where finished parts (a strategy on a device) are kept; an interrupted comparison goes on from them.

    Returns
    -------
    pandas.DataFrame
        ``strategy, device, seed, budget, regret, regret_best``: normalised regret of the answer, and of the best cell
        measured, after each number of measurements.
    """
    folder = folder or paths.BUILD / "comparison"
    tasks, parts = [], {}
    for name in sorted(names, key=lambda name: name not in ("controller", strategies.BEST)):  # the longest first
        for device in tested:
            task = _Task(name, device, score, n_starts, budget)
            file = folder / f"{task.digest()}.csv"
            if file.exists():
                parts[name, device.name] = pd.read_csv(file)
            else:
                tasks.append((task, file))
    bar = tqdm(total=len(tasks) + len(parts), initial=len(parts), desc="comparing", unit=" parts", disable=None)
    with bar:
        for part in parallel.unordered(_run, tasks, n_jobs=n_jobs):
            parts[part["strategy"].iloc[0], part["device"].iloc[0]] = part
            bar.update()
    return pd.concat([parts[name, device.name] for name in names for device in tested], ignore_index=True)


class _Task:
    """One strategy on one device."""

    def __init__(
        self, strategy: str, device: devices.Device, score: NDArray[np.float64], n_starts: int, budget: int
    ) -> None:
        self.strategy, self.device, self.score = strategy, device, score
        self.n_starts, self.budget = n_starts, budget

    def digest(self) -> str:
        """A name that no other result has: of what is searched, and of the code and tables that search."""
        named = f"{self.strategy} {self.device.name} {self.n_starts} {self.budget} {SEED} {bool(data.mirror())}"
        contents = hashlib.sha256(named.encode())
        contents.update(self.score.tobytes())
        contents.update(self.device.latency_ms(np.arange(space.N_ARCHS)).tobytes())
        for file in _behind(self.strategy):
            contents.update(file.read_bytes())
        return f"{self.strategy}-{self.device.name}-{contents.hexdigest()[:12]}"


def _behind(strategy: str) -> list[Path]:
    """The code and the package's own tables that a strategy's results come from."""
    tables = ["prior_variances.json", *sorted(file.name for file in paths.TABLES.glob(_TRAINED.get(strategy, "-")))]
    return sorted(paths.PACKAGE.rglob("*.py")) + [paths.TABLES / name for name in tables]


def _run(task_file: tuple[_Task, Path]) -> pd.DataFrame:
    task, file = task_file
    part = evaluate(task.strategy, task.device, task.score, n_starts=task.n_starts, budget=task.budget)
    buffer = io.StringIO()
    part.to_csv(buffer, index=False, float_format="%.5g")
    replace(file, buffer.getvalue().encode())
    return pd.read_csv(io.StringIO(buffer.getvalue()))  # as a later run reads it


def evaluate(
    name: str,
    device: devices.Device,
    score: NDArray[np.float64],
    *,
    n_starts: int = STARTS,
    budget: int = LARGEST_BUDGET,
) -> pd.DataFrame:
    """One strategy on one device, from all starts, as `compare` has it."""
    strategy = strategies.make(name, device.name)
    values = rewards.reward(score, device.latency_ms(np.arange(space.N_ARCHS)))
    expected = recommendation.expected_range(device.name)
    starts = np.random.default_rng(SEED).integers(space.N_ARCHS, size=n_starts)
    rows: list[tuple[Any, ...]] = []
    for seed, start in enumerate(starts):
        rng = np.random.default_rng([SEED, seed])
        found = loop.search(device, strategy, start=int(start), budget=budget, seed=rng, score=score, model=expected)
        cells = found.trajectory.drop_duplicates("arch")
        regrets = rewards.normalised_regret(values, cells["arch"])
        for n in range(1, budget + 1):
            if n <= len(cells):  # a search that ended sooner keeps its answer
                answer = loop.choose(cells.iloc[:n], expected)
                regret = regrets[int(np.flatnonzero(cells["arch"].to_numpy() == answer)[0])]
            rows.append((name, device.name, seed, n, regret, regrets[:n].min()))
    return pd.DataFrame(rows, columns=["strategy", "device", "seed", "budget", "regret", "regret_best"])
