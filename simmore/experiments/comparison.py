"""Comparison of all strategies: equal budgets, the same random starts, regrets from the full tables.

`searches` is the one loop over starts. `compare` turns its results into regrets, and keeps finished parts. A *protocol*
says which devices are searched, and what a strategy may know of others (`PROTOCOLS`).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import data, devices, parallel, paths
from simmore.devices import normalised_regret, reward
from simmore.files import read_kept, replace
from simmore.models.knowledge import Knowledge
from simmore.rl.policy import POLICIES
from simmore.strategies import BUDGET, STRATEGIES, History, Problem, Session, catalogue, measure, recommendation

LARGEST_BUDGET = 20
STARTS = 10
PROTOCOLS = {
    "family": "the tested device's own family is left out",
    "class": "the tested device's own class of hardware is left out",
    "blind": "devices that no choice of this project has seen; tables of all other devices are known",
    "none": "no table of another device is known",
}
SEED = 0
TARGET_ONLY = "target_only"  # the policy that was trained on the tested device alone
STRATEGY_NAMES = (*(name for name in STRATEGIES if name != "heldout"), TARGET_ONLY)
MAIN = (
    *("random", "mean_device", "fixed_cell", "lut_evolution", "linear_bound", "paper", "paper_blind", "controller"),
    *("controller_supervised", "controller_blind", catalogue.BEST),
)
"""The strategies that are compared under every protocol."""
PUBLISHED_STARTS = 5  # whose searches are published one by one: those of all starts would be a large file
_CODE = (  # what a search runs; of `rl`, training is not part of it
    *("space", "data", "proxies", "devices", "models", "strategies", "experiments/comparison.py"),
    *("rl/mdp.py", "rl/policy.py", "rl/context.py"),
)


def measured_devices() -> list[devices.Device]:
    """The paper's devices whose tables are on this machine, at most 17; NATS-Bench's own GPU if there are none."""
    return devices.available(name for name in devices.PAPER_DEVICES if name != "edgegpu") or [devices.load("nats_gpu")]


def blind_devices() -> list[devices.Device]:
    """The devices of the protocol ``blind``: blind samples of benchmarked runtimes, and NATS-Bench's own GPU."""
    return [devices.load(name) for name in (*data.BLIND, "nats_gpu")]


def known(protocol: str, device: devices.Device) -> Knowledge:
    """Knowledge of other devices that a strategy may use when it is judged on a device.

    Raises
    ------
    ValueError
        For an unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    name = device.name.removesuffix("_lut")
    without = devices.hardware_class(name) if protocol == "class" else (name,)
    return Knowledge(without, tables=protocol != "none")


@dataclass(frozen=True)
class Case:
    """One strategy on one device, from several random starts.

    Attributes
    ----------
    strategy
        A name of the catalogue (`catalogue.entry`), or `TARGET_ONLY`, also with ``/blind``.
    device, problem
        The device that is searched, and the problem.
    protocol
        A key of `PROTOCOLS`.
    n_starts, budget, seed
        Random starts, the same for every case with this seed, and distinct cells measured from each.
    training
        Seed of the strategy's training, one of `catalogue.training_seeds`.
    """

    strategy: str
    device: devices.Device
    problem: Problem = field(repr=False)
    protocol: str = "family"
    n_starts: int = STARTS
    budget: int = LARGEST_BUDGET
    seed: int = SEED
    training: int = 0

    @property
    def entry_name(self) -> str:
        """The strategy's name in the catalogue."""
        name = self.strategy.replace(TARGET_ONLY, f"target/{self.device.name}")
        return f"{name}/{self.training}" if self.training else name

    def digest(self) -> str:
        """Digest of all that the result depends on: code, scores, device, other devices' tables and policies."""
        entry, knows = catalogue.entry(self.entry_name), known(self.protocol, self.device)
        prior = None if entry.knows == catalogue.NOTHING else asdict(catalogue.prior(entry.knows, knows))
        mean = knows.mean_device if entry.knows == catalogue.TABLES else None
        table = devices.whole_table(self.device)
        policies = [(POLICIES / f"{name}.safetensors").read_bytes() for name in entry.policies]
        problem = (self.problem.merit, self.problem.weight, self.problem.max_latency_ms)
        facts = (self.protocol, self.entry_name, self.device.name, self.n_starts, self.budget, self.seed)
        return str(joblib.hash((facts, _code(), problem, table, prior, mean, policies)))


@cache
def _code() -> str:
    """Digest of the code that a search runs."""
    roots = [paths.PACKAGE / name for name in _CODE]
    files = [file for root in roots for file in (sorted(root.rglob("*.py")) if root.is_dir() else [root])]
    return str(joblib.hash([file.read_bytes() for file in files]))


def searches(case: Case) -> Iterator[tuple[int, Session]]:
    """Search from every start; gives the number of the start and the session when it has ended."""
    problem = case.problem.on(case.device)
    starts = problem.cells[np.random.default_rng(case.seed).integers(len(problem.cells), size=case.n_starts)]
    for k, start in enumerate(starts):
        strategy, rule = catalogue.make(case.entry_name, problem, known(case.protocol, case.device))
        rng = np.random.default_rng([case.seed, k])
        session = Session(strategy, problem, rule=rule, budget=case.budget, start=int(start), seed=rng)
        measure(session, case.device)
        yield k, session


def regrets(case: Case) -> pd.DataFrame:
    """Regrets of one case after each number of measurements, see `compare`."""
    table, problem = devices.whole_table(case.device), case.problem
    judged = [reward(problem.score, table, weight=problem.weight, robust=robust) for robust in (False, True)]
    rows: list[tuple[Any, ...]] = []
    for start, session in searches(case):
        archs, latency = session.history.archs, session.history.latency_ms
        regret = np.stack([normalised_regret(rewards, archs) for rewards in judged])  # (2, measured cells)
        for n in range(1, case.budget + 1):
            if n <= len(archs):  # a search that ended earlier keeps its recommendation
                history = History(zip(archs[:n].tolist(), latency[:n].tolist(), strict=True))
                ranked = recommendation.ranked(session.rule, case.problem, history)
                arch = ranked[0] if ranked else int(archs[0])  # nothing compiled: any cell is as good
                inference = regret[:, int(np.flatnonzero(archs == arch)[0])]
            measured = min(n, len(archs))
            found = (inference[0], regret[0, :n].min(), inference[1], regret[1, :n].min())
            rows.append(
                (case.protocol, case.strategy, case.device.name, start, case.training, n, arch, measured, *found)
            )
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    *("protocol", "strategy", "device", "start", "seed", "budget", "arch", "n_measured"),
    *("inference_regret", "simple_regret", "inference_regret_robust", "simple_regret_robust"),
]


def compare(
    tested: Iterable[devices.Device],
    problem: Problem,
    *,
    protocol: str = "family",
    names: Sequence[str] = STRATEGY_NAMES,
    n_starts: int = STARTS,
    budget: int = LARGEST_BUDGET,
    seed: int = SEED,
    all_trainings: bool = False,
    n_jobs: int = -1,
    dask: str | None = None,
    folder: Path | None = None,
) -> pd.DataFrame:
    """Search every device from every start with every strategy.

    One search gives the results of all smaller budgets. Only controllers use how many measurements remain of `budget`,
    and to them ten are as many as more.

    Parameters
    ----------
    tested, names
        Devices and strategies.
    problem
        What is searched for.
    protocol
        A key of `PROTOCOLS`.
    n_starts, budget, seed
        See `Case`.
    all_trainings
        Search with the networks of all training seeds (`catalogue.training_seeds`), not with the first one alone.
    n_jobs, dask
        See `parallel.unordered`.
    folder
        Where finished parts (a strategy on a device) are kept; an interrupted comparison continues from them.

    Returns
    -------
    pandas.DataFrame
        ``protocol, strategy, device, start, seed`` (of the training), ``budget, arch`` (the recommendation),
        ``n_measured``, and the normalised regret of the recommendation (``inference_regret``) and of the best cell
        measured (``simple_regret``) after each number of measurements. ``inference_regret_robust`` and
        ``simple_regret_robust`` use the robust range (`devices.bounds`) instead. On a table that lacks cells, regrets
        are over the cells that it has.
    """
    folder, tested = folder or paths.BUILD / "comparison", list(tested)
    tasks, parts = [], {}
    trainings = {name: catalogue.training_seeds(name) if all_trainings else (0,) for name in names}
    for name in sorted(names, key=lambda name: name != catalogue.BEST):  # the longest first
        for training, device in product(trainings[name], tested):
            case = Case(name, device, problem, protocol, n_starts, budget, seed, training)
            label = f"{protocol}-{name.replace('/', '-')}-{training}-{device.name}"
            file = folder / f"{label}-{case.digest()[:16]}.csv"
            kept = read_kept(file, partial(_parse, case))
            if kept is None:
                tasks.append((case, file))
            else:
                parts[name, training, device.name] = kept
    bar = tqdm(total=len(tasks) + len(parts), initial=len(parts), desc="comparing", unit=" parts", disable=None)
    with bar:
        for file, content in parallel.unordered(_part, tasks, n_jobs=n_jobs, dask=dask):
            replace(file, content)
            part = pd.read_csv(io.BytesIO(content))  # as a later run reads it
            parts[part["strategy"].iloc[0], int(part["seed"].iloc[0]), part["device"].iloc[0]] = part
            bar.update()
    order = [(name, training, device.name) for name in names for training in trainings[name] for device in tested]
    return pd.concat([parts[each] for each in order], ignore_index=True)


def _part(task: tuple[Case, Path]) -> tuple[Path, bytes]:
    case, file = task
    return file, regrets(case).to_csv(index=False, float_format="%.5g").encode()


def _parse(case: Case, content: bytes) -> pd.DataFrame:
    """A finished part; raises if the content is not all of it."""
    part = pd.read_csv(io.BytesIO(content))
    whole = content.endswith(b"\n") and len(part) == case.n_starts * case.budget and not part.isna().any(axis=None)
    if list(part.columns) != COLUMNS or not whole:
        raise ValueError(f"{case.n_starts * case.budget} rows of {', '.join(COLUMNS)} are expected")
    return part.astype({"arch": int, **{name: float for name in COLUMNS if "regret" in name}})


def runs(frame: pd.DataFrame, strategy: str, budget: int, column: str) -> NDArray[np.float64]:
    """Regrets of one strategy at one budget, ``(devices, starts)``: means over the seeds of its training."""
    chosen = frame[(frame["strategy"] == strategy) & (frame["budget"] == budget)]
    return chosen.pivot_table(index="device", columns="start", values=column, sort=False).to_numpy()


def by_range(frame: pd.DataFrame) -> pd.DataFrame:
    """The regrets by the paper's range and by the robust one as rows, with the column ``range``: minmax or robust."""
    columns = frame.columns.drop(list(frame.filter(like="regret_robust").columns))
    robust = frame.drop(columns=["inference_regret", "simple_regret"])
    robust = robust.rename(columns=lambda name: name.removesuffix("_robust"))
    both = {"minmax": frame[columns], "robust": robust[columns]}
    return pd.concat([part.assign(range=name) for name, part in both.items()], ignore_index=True)


def at(frame: pd.DataFrame, budget: int = BUDGET) -> pd.DataFrame:
    """The rows of a comparison at one budget."""
    return frame[frame["budget"] == budget].drop(columns="budget").reset_index(drop=True)
