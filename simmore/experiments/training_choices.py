"""Effects of choices in the paper's training: the width of Ξ, the horizon T, the discount γ and the history.

The paper leaves open how diverse Ξ should be, and does not compare values of T, γ and the history. Policies of each
choice are trained with three seeds, as long as the paper's, and judged on devices inside and outside of Ξ. Each policy
is also judged without seeing latencies. The difference is its gain from measuring.

The trainings take about half an hour on two cores, so their results are a table of the package (`TABLE`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from functools import cache, partial

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import data, devices, parallel, paths, proxies, space
from simmore.devices import Device, SyntheticDevices, TableDevice
from simmore.experiments import comparison, statistics
from simmore.files import read_kept
from simmore.files import replace as write
from simmore.rl import entropy, mdp, training
from simmore.rl.policy import Policy
from simmore.rl.training import Settings

TABLE = paths.TABLES / "training_choices.csv"
TRACES = paths.TABLES / "training_entropy.csv"
SEEDS = (0, 1, 2)
BUDGETS = (3, 5, 10)
ADDITIVE = 40  # devices of each kind that is drawn
STARTS = 50
FIXED, WIDENED, UNIFORM = "fixed", "widened", "uniform"
_CODE = ("rl/training.py", "rl/entropy.py", "rl/mdp.py", "experiments/training_choices.py")


@dataclass(frozen=True)
class Choice:
    """A training that differs from the paper's in one thing.

    Attributes
    ----------
    name
        For tables and figures.
    settings
        Hyperparameters; the seed is set for each training.
    width
        Factor of Ξ's standard deviations.
    xi
        `FIXED`, `WIDENED` by entropy maximisation, or `UNIFORM` between the same bounds as this.
    """

    name: str
    settings: Settings = field(default_factory=Settings)
    width: float = 1.0
    xi: str = FIXED


PAPER = Choice("paper")
WIDTHS = (
    *(Choice(f"Ξ × {width:g}", width=width) for width in (0.25, 0.5)),
    PAPER,
    *(Choice(f"Ξ × {width:g}", width=width) for width in (2.0, 4.0)),
    Choice("entropy maximisation", xi=WIDENED),
    Choice("uniform", xi=UNIFORM),
)
SETTINGS = (
    PAPER,
    Choice("T = 10", Settings(horizon=10)),
    Choice("T = 20", Settings(horizon=20)),
    Choice("γ = 0", Settings(gamma=0.0)),
    Choice("γ = 0.9", Settings(gamma=0.9)),
    Choice("γ = 0.99", Settings(gamma=0.99)),
    Choice("no history", Settings(sees_history=False)),
)
CHOICES = tuple(dict.fromkeys([*WIDTHS, *SETTINGS]))


@cache
def bounded() -> entropy.BoundedDevices:
    """A narrow distribution between the extremes of the paper's devices."""
    known = data.device_operations().loc[list(devices.PAPER_DEVICES), list(space.OPERATIONS)]
    return entropy.BoundedDevices.around(SyntheticDevices.fit(), known.to_numpy(dtype=np.float64))


def judged_on() -> dict[str, list[Device]]:
    """Devices by kind: from Ξ; additive with any operation latencies between the paper's extremes; measured."""
    rng, counts = np.random.default_rng(0), devices.all_operation_counts()
    drawn: dict[str, mdp.DeviceSampler] = {"inside Ξ": SyntheticDevices.fit(), "any costs": bounded().uniform()}
    found: dict[str, list[Device]] = {}
    for kind, sampler in drawn.items():
        found[kind] = [TableDevice(f"{kind} {k}", counts @ ms) for k, ms in enumerate(sampler.sample(ADDITIVE, rng))]
    return {**found, "measured": comparison.measured_devices()}


def train(choice: Choice, seed: int, score: NDArray[np.float64]) -> tuple[Policy, pd.DataFrame]:
    """A policy, and the trace of its Ξ if that is not the paper's kind (`entropy.train`)."""
    settings = replace(choice.settings, seed=seed)
    if choice.xi != FIXED:
        start = bounded() if choice.xi == WIDENED else bounded().uniform()
        return entropy.train(settings, start, score, widen=choice.xi == WIDENED)
    xi = SyntheticDevices.fit()
    xi = SyntheticDevices(xi.mean_ms, choice.width * xi.sd_ms, xi.fitted_to)
    folder = paths.BUILD / "training"
    return training.train(settings, xi, score, folder=folder, progress=False).policy, pd.DataFrame()


def regrets(policy: Policy, device: Device, score: NDArray[np.float64], *, sees: bool, seed: int = 0) -> list[float]:
    """Mean normalised regret of the best cell measured, after each number of `BUDGETS` distinct cells.

    Parameters
    ----------
    sees
        False: the policy is shown the latency of the first cell at every step.
    seed
        Seed of the start cells and the actions.
    """
    rng, table = np.random.default_rng(seed), devices.whole_table(device)
    rewards = devices.reward(score, table)
    episodes = mdp.Episodes(STARTS, SyntheticDevices.fit(), score, table_ms=table)
    observation, archs = episodes.begin(rng), []
    for _ in range(mdp.HORIZON):
        archs.append(episodes.archs)
        if not sees:
            observation[:, mdp.LATENCIES] = 0
        observation = episodes.step(policy.act(observation, rng)).observation
    cells = np.stack([*archs, episodes.archs])  # (steps, starts)
    regret = devices.normalised_regret(rewards, cells)
    return [float(-mdp.best_measured(-regret, cells, budget).mean()) for budget in BUDGETS]


def judge(policy: Policy, score: NDArray[np.float64]) -> pd.DataFrame:
    """Regrets of a policy: ``kind, device, sees, budget, regret``; drawn devices are one row together."""
    rows = []
    for kind, some in judged_on().items():
        for sees in (True, False):
            found = np.array([regrets(policy, device, score, sees=sees) for device in some])  # (devices, budgets)
            named = [(device.name, row) for device, row in zip(some, found, strict=True)]
            for name, row in named if kind == "measured" else [("mean", found.mean(axis=0))]:
                rows += [(kind, name, sees, budget, value) for budget, value in zip(BUDGETS, row, strict=True)]
    return pd.DataFrame(rows, columns=["kind", "device", "sees", "budget", "regret"])


def run_all(*, n_jobs: int = -1) -> None:
    """Train and judge all choices with all seeds, and write the package's tables; an interrupted run continues."""
    score = proxies.stored_score()
    code = [(paths.PACKAGE / name).read_bytes() for name in _CODE]
    tables = [devices.whole_table(device) for some in judged_on().values() for device in some]
    folder, tasks, parts = paths.BUILD / "training_choices", [], []
    for choice in CHOICES:
        for seed in SEEDS:
            digest = joblib.hash((choice, seed, score, code, tables))
            kept = [read_kept(folder / f"{digest}-{kind}.csv", _parse) for kind in ("regrets", "trace")]
            if any(one is None for one in kept):
                tasks.append((choice, seed, digest))
            else:
                parts.append(kept)
    with tqdm(total=len(tasks) + len(parts), initial=len(parts), desc="training choices", disable=None) as bar:
        for digest, found in parallel.unordered(partial(_run, score=score), tasks, n_jobs=n_jobs):
            for kind, frame in zip(("regrets", "trace"), found, strict=True):
                write(folder / f"{digest}-{kind}.csv", frame.to_csv(index=False, float_format="%.5g").encode())
            parts.append(list(found))
            bar.update()
    order = {choice.name: k for k, choice in enumerate(CHOICES)}
    for file, frames in zip((TABLE, TRACES), zip(*parts, strict=True), strict=True):
        whole = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
        whole = whole.sort_values(["choice", "seed"], key=lambda one: one.map(order) if one.name == "choice" else one,
                                  kind="stable")  # fmt: skip
        write(file, whole.to_csv(index=False, float_format="%.4g", lineterminator="\n").encode())


def results() -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `run_all` wrote: regrets (``choice, seed`` and the columns of `judge`), and traces of entropy."""
    return pd.read_csv(TABLE), pd.read_csv(TRACES)


def table(part: pd.DataFrame) -> pd.DataFrame:
    """Mean regret with its interval over seeds, as text: rows are choices, columns are kinds of devices and `sees`."""
    by = ["choice", "kind", "sees"]
    seeds = part.pivot_table(index=by, columns="seed", values="regret", sort=False)
    found = statistics.interval(seeds.to_numpy().T)
    text = [f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in zip(*found, strict=True)]
    rows = seeds.index.to_frame(index=False).assign(regret=text)
    return rows.pivot_table(index="choice", columns=["kind", "sees"], values="regret", aggfunc="first", sort=False)


def _run(task: tuple[Choice, int, str], score: NDArray[np.float64]) -> tuple[str, tuple[pd.DataFrame, pd.DataFrame]]:
    choice, seed, digest = task
    policy, trace = train(choice, seed, score)
    found = (judge(policy, score), trace)
    for frame in found:
        frame.insert(0, "choice", choice.name)
        frame.insert(1, "seed", seed)
    return digest, found


def _parse(content: bytes) -> pd.DataFrame:
    """A finished part; raises if it is damaged."""
    part = pd.read_csv(io.BytesIO(content))
    if list(part.columns[:2]) != ["choice", "seed"] or not content.endswith(b"\n"):
        raise ValueError("columns choice and seed are expected")
    return part
