"""Training of the in-context controller on simulated devices: first supervised, then by PPO.

The supervised part fits the belief. It maximises the log likelihood of the latencies of held-out cells, and of the
range, given histories of 1 to 10 measured cells. The histories are random, or come from the network's own searches.
Which cell is the best is no target of its own: it follows from latencies and range, for any score, weight and limit.

The second part trains the heads of the decisions, and keeps the belief fixed. It uses PPO for the cell to measure next,
and the exact gradient of the expected regret for the recommendation. The reward of a step is the decrease of the
recommendation's normalised regret. So the return of an episode (γ = 1) is minus its final regret, up to a constant of
its start.

stable-baselines3 and gymnasium are not used, because their policies and spaces have a fixed set of actions. Here the
actions are cells with their own features, and the set of cells differs from step to step.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import parallel, paths, space
from simmore.devices.simulated import fingerprint
from simmore.errors import needs
from simmore.files import read_kept, replace
from simmore.rl import context, context_episodes
from simmore.rl.context_episodes import Pool, Task
from simmore.rl.policy import POLICIES

with needs("torch"):
    import torch
    from torch import Tensor, nn

    from simmore.rl.context_network import Network

_DEGREES = 4.0  # of freedom of Student's t, the likelihood of latencies: spikes say little about a device


@dataclass(frozen=True)
class Settings:
    """Hyperparameters, all this project's choice. A round is a pool of new devices."""

    seed: int = 0
    """Seed of everything that is drawn."""
    blind: bool = False
    """The network sees no latencies: a control."""
    devices: int = 1024
    """Devices in a pool."""
    supervised_rounds: int = 36
    supervised_steps: int = 200
    """Steps of the optimiser in a supervised round."""
    batch_size: int = 48
    """Histories in a step of the optimiser."""
    queries: int = 80
    """Random held-out cells in a step of the optimiser, and as many promising ones."""
    learning_rate: float = 1.5e-3
    on_policy_from: int = 12
    """Round from which on half of the histories are the network's own."""
    ppo_rounds: int = 12
    rollouts: int = 10
    """Rollouts of each problem in a round of PPO."""
    tasks: int = 8
    """Problems in a round."""
    episodes: int = 32
    """Episodes in a rollout, each on another device."""
    shown: int = 128
    """Cells that a step chooses among: those with the largest expected improvement, and a quarter as many others."""
    warm_up: int = 2
    """Rounds of PPO in which only the value and the recommendation learn."""
    epochs: int = 4
    minibatch: int = 256
    clip_range: float = 0.2
    entropy: float = 0.002
    gae_lambda: float = 0.95
    ppo_learning_rate: float = 7e-4

    @property
    def rounds(self) -> int:
        """Rounds of both parts."""
        return self.supervised_rounds + self.ppo_rounds


class Learner:
    """A network in training: with its value function, its optimisers, and the log of all rounds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        torch.manual_seed(settings.seed)
        rng = np.random.default_rng(0)  # the same reference cells for all seeds
        reference = context_episodes.frequent_extremes(rng, min(settings.devices, 512))
        self.network = Network(reference, blind=settings.blind)
        self.value = nn.Sequential(
            nn.Linear(context.WIDTH + context.SUMMARY_FEATURES + 1, 64), nn.Tanh(), nn.Linear(64, 1)
        )
        heads = [p for name, p in self.network.named_parameters() if name.split(".")[0] in _HEADS]
        belief = [p for name, p in self.network.named_parameters() if name.split(".")[0] not in _HEADS]
        self.supervised = torch.optim.Adam(belief, lr=settings.learning_rate)
        self.ppo = torch.optim.Adam([*heads, *self.value.parameters()], lr=settings.ppo_learning_rate)
        self.log: list[dict[str, float]] = []
        self.seconds = 0.0

    def state(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).state_dict() for name in ("network", "value", "supervised", "ppo")}
        return {**parts, "log": self.log, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        for name in ("network", "value", "supervised", "ppo"):
            getattr(self, name).load_state_dict(state[name])
        self.log, self.seconds = list(state["log"]), float(state["seconds"])


_HEADS = ("beta", "recommend_beta", "decide", "recommend", "regret")


def train(settings: Settings, *, folder: Path | None = None, progress: bool = True) -> context.ContextNetwork:
    """Train a controller, on one core, in about 15 minutes.

    Parameters
    ----------
    folder
        For a checkpoint after every round. An interrupted training is resumed with identical results.
    progress
        Show a progress bar, in a terminal.
    """
    origin = {
        "settings": dataclasses.asdict(settings),
        "devices": [float(f"{value:.4g}") for value in fingerprint()],
        "versions": {name: version(name) for name in ("numpy", "torch")},
    }
    digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:16]
    checkpoint = folder / f"context-{digest}" / "checkpoint.pt" if folder is not None else None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        learner = (read_kept(checkpoint, partial(_resume, settings)) if checkpoint else None) or Learner(settings)
        rounds = range(len(learner.log), settings.rounds)
        bar = tqdm(rounds, initial=rounds.start, total=settings.rounds, disable=None if progress else True)
        for number in bar:
            started = time.perf_counter()
            row = _round(learner, number)
            learner.log.append({"round": number, **row})
            learner.seconds += time.perf_counter() - started
            bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})
            if checkpoint is not None:
                buffer = io.BytesIO()
                torch.save(learner.state(), buffer)
                replace(checkpoint, buffer.getvalue())
                text = json.dumps({**learner.log[-1], "seconds": round(learner.seconds, 1)})
                with checkpoint.with_name("log.jsonl").open("a") as file:
                    file.write(f"{text}\n")
    finally:
        torch.set_num_threads(threads)
    return learner.network.to_arrays({**origin, "log": [_rounded(row) for row in learner.log]})


def _rounded(row: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in row.items()}


def _resume(settings: Settings, content: bytes) -> Learner:
    """A learner from the content of a checkpoint; raises if it is damaged."""
    if zipfile.ZipFile(io.BytesIO(content)).testzip() is not None:  # torch does not compare checksums
        raise ValueError("a checksum is wrong")
    learner = Learner(settings)
    learner.restore(torch.load(io.BytesIO(content), weights_only=True))
    return learner


def _round(learner: Learner, number: int) -> dict[str, float]:
    """Run one round. Its randomness depends only on the seed and its number, so that resuming changes nothing."""
    settings = learner.settings
    rng = np.random.default_rng([settings.seed, number])
    torch.manual_seed(int(rng.integers(2**31)))
    pool = Pool.draw(settings.devices, rng)
    if number < settings.supervised_rounds:
        return _supervised_round(learner, pool, number, rng)
    return _ppo_round(learner, pool, number - settings.supervised_rounds, rng)


# ----- supervised


def _supervised_round(learner: Learner, pool: Pool, number: int, rng: np.random.Generator) -> dict[str, float]:
    settings, network = learner.settings, learner.network
    tasks = [context_episodes.draw_task(rng, limits=not settings.blind) for _ in range(settings.tasks)]
    lists = [context_episodes.promising(task, pool, rng) for task in tasks]
    own = None
    if number >= settings.on_policy_from:
        own = [
            rollout(learner, pool, *each, rng, budgets=np.full(settings.episodes, 10))
            for each in zip(tasks, lists, strict=True)
        ]
    total = settings.supervised_rounds * settings.supervised_steps
    losses = []
    for k in range(settings.supervised_steps):
        done = (number * settings.supervised_steps + k) / total
        for group in learner.supervised.param_groups:
            group["lr"] = settings.learning_rate * _schedule(done)
        devices, archs, present = _histories(pool, lists, own, settings.batch_size, rng)
        pick = lists[int(rng.integers(len(lists)))]
        queries = np.concatenate([
            network.reference.numpy().astype(np.int64),
            rng.integers(space.N_ARCHS, size=settings.queries),
            rng.choice(pick, settings.queries),
        ])  # fmt: skip
        y, centre = _relative(pool, devices, archs, present)
        belief = network(*_tensors(archs, y, present, queries))
        target = torch.from_numpy(pool.log_latency[devices[:, None], queries] - centre)
        ends = np.stack([pool.log_range[devices], pool.log_fastest[devices]], axis=1) - centre
        loss = _surprise(target, belief.mean, belief.deviation)
        loss = loss + 0.25 * _surprise(torch.from_numpy(ends), belief.ends, belief.ends_deviation)
        learner.supervised.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        learner.supervised.step()
        losses.append(loss.item())
    return {"loss": float(np.mean(losses))}


def _schedule(done: float) -> float:
    """Learning rate after a share of the training, relative to the highest: a warm-up, then a cosine."""
    return min(1, 50 * done + 0.01) * (0.01 + 0.99 * math.cos(done * math.pi / 2) ** 2)


def _surprise(target: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Negative log likelihood of Student's t, without constants."""
    z = (target.float() - mean) / scale
    return (scale.log() + (_DEGREES + 1) / 2 * torch.log1p(z * z / _DEGREES)).mean()


def _histories(
    pool: Pool,
    lists: Sequence[NDArray[np.int64]],
    own: Sequence[Rollout] | None,
    n: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Devices ``(n,)``, measured cells ``(n, 10)``, and which of them count: the first one to ten."""
    devices, archs = rng.integers(len(pool), size=n), rng.integers(space.N_ARCHS, size=(n, 10))
    share = rng.choice([0.0, 0.5, 0.9], size=(n, 1))  # of promising cells
    for row, hopeful in zip(range(n), rng.random((n, 10)) < share, strict=True):
        archs[row, hopeful] = rng.choice(lists[int(rng.integers(len(lists)))], hopeful.sum())
    if own is not None:
        for row in range(n // 2):
            one = own[int(rng.integers(len(own)))]
            k = rng.integers(len(one.devices))
            devices[row], archs[row] = one.devices[k], one.archs[k]
    present = np.arange(10) < rng.integers(1, 11, size=(n, 1))
    return devices, archs, present


def _relative(
    pool: Pool, devices: NDArray[np.int64], archs: NDArray[np.int64], present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Log latencies of histories relative to their means ``(n, …)``, and the means ``(n, 1)``."""
    seen = pool.log_latency[devices[:, None], archs]
    centre = (seen * present).sum(axis=1, keepdims=True) / present.sum(axis=1, keepdims=True)
    return ((seen - centre) * present).astype(np.float64), centre.astype(np.float32)


def _tensors(*arrays: NDArray[Any]) -> list[Tensor]:
    return [torch.tensor(array) for array in arrays]


# ----- episodes


@dataclass(frozen=True)
class Rollout:
    """Episodes of one problem on n devices.

    Attributes
    ----------
    devices, archs
        ``(n,)`` and ``(n, 10)``: the cells in the order of their measurement.
    transitions
        Arrays with one row a step: features, action, log_probability, state, value, reward, last.
    recommendations
        Arrays with one row a step: features, regret and presence of the measured cells; summary, and the regret
        that the recommendation reached; whether the recommendation learns.
    final_regret
        Normalised regret of the recommendation at the end, ``(n,)``.
    """

    devices: NDArray[np.int64]
    archs: NDArray[np.int64]
    transitions: dict[str, NDArray[Any]]
    recommendations: dict[str, NDArray[Any]]
    final_regret: NDArray[np.float32]


@torch.no_grad()
def rollout(
    learner: Learner,
    pool: Pool,
    task: Task,
    cells: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    budgets: NDArray[np.int64],
) -> Rollout:
    """Search devices of the pool, sampling actions.

    Parameters
    ----------
    cells
        Cells that may be chosen; random ones are added if they are few.
    budgets
        Measurements of each episode, ``(n,)``, at most 10.
    """
    network, n = learner.network, len(budgets)
    devices = rng.choice(len(pool), n, replace=len(pool) < n)
    regret, log_limit = context_episodes.regrets(task, pool, devices)
    archs = np.zeros((n, 10), dtype=np.int64)
    archs[:, 0] = rng.integers(space.N_ARCHS, size=n)
    reference = network.reference.numpy().astype(np.int64)
    queries = np.concatenate([reference, np.setdiff1d(np.union1d(cells, archs[:, 0]), reference)])
    missing = learner.settings.shown + int(budgets.max()) - 1 - len(queries)
    if missing > 0:  # the last step, too, chooses among `shown` cells that are not measured
        rest = np.setdiff1d(np.arange(space.N_ARCHS), queries)
        queries = np.concatenate([queries, rng.choice(rest, missing, replace=False)])
    position = np.full(space.N_ARCHS, -1)
    position[queries] = np.arange(len(queries))
    rows: list[dict[str, NDArray[Any]]] = []
    recommended: list[dict[str, NDArray[Any]]] = []
    reached = np.zeros((n, 11), dtype=np.float32)  # regret of the recommendation, by the number of measured cells
    for measured in range(1, int(budgets.max()) + 1):
        on = np.flatnonzero(budgets >= measured)
        now = _situation(learner, pool, task, devices[on], archs[on], measured, queries, position, log_limit[on])
        now = dataclasses.replace(now, remaining=budgets[on] - measured)
        x, seen = context.decision_features(now), context.recommendation_features(now)
        summary = context.summary_features(now, x)
        own_regret = np.take_along_axis(regret[on], archs[on], axis=1)
        choice = network.recommendation_logits(torch.from_numpy(seen)).numpy()
        if np.isfinite(task.limit):  # under a limit, the best score within it is recommended
            choice = np.where(now.measured_log_latency <= now.log_limit[:, None], now.measured_score, -1e3)
        best = np.where(now.present, choice, -np.inf).argmax(axis=1)
        reached[on, measured] = own_regret[np.arange(len(on)), best]
        recommended.append({
            "features": seen, "regret": own_regret, "present": now.present, "summary": summary,
            "reached": reached[on, measured], "learns": np.full(len(on), not np.isfinite(task.limit)),
        })  # fmt: skip
        acting = np.flatnonzero(budgets[on] > measured)
        if not len(acting):
            continue
        x, at = _shown(x[acting], position[archs[on][acting, :measured]], learner.settings.shown, rng)
        chances = torch.distributions.Categorical(logits=network.logits(torch.from_numpy(x)))
        action = chances.sample()
        state = np.column_stack([summary[acting], x[:, 0, 9]])  # with the remaining budget
        who = on[acting]
        archs[who, measured] = queries[np.take_along_axis(at, action.numpy()[:, None], axis=1)[:, 0]]
        rows.append({
            "who": who, "measured": np.full(len(who), measured), "features": x, "action": action.numpy(),
            "log_probability": chances.log_prob(action).numpy(), "state": state,
            "value": learner.value(torch.from_numpy(state))[:, 0].numpy(),
        })  # fmt: skip
    transitions = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    who, measured_at = transitions["who"], transitions["measured"]
    transitions["reward"] = reached[who, measured_at] - reached[who, measured_at + 1]
    transitions |= _advantages(transitions, n, learner.settings.gae_lambda)
    kept = {name: np.concatenate([row[name] for row in recommended]) for name in recommended[0]}
    return Rollout(devices, archs, transitions, kept, reached[np.arange(n), budgets])


def _situation(
    learner: Learner, pool: Pool, task: Task, devices: NDArray[np.int64], archs: NDArray[np.int64], measured: int,
    queries: NDArray[np.int64], position: NDArray[np.int64], log_limit: NDArray[np.float32],
) -> context.Situation:  # fmt: skip
    present = np.broadcast_to(np.arange(10) < measured, archs.shape)
    y, centre = _relative(pool, devices, archs, present)
    belief = learner.network(*_tensors(archs, y, present, queries))
    if learner.settings.blind:  # latencies have no effect anywhere
        y = np.take_along_axis(belief.mean.numpy(), position[archs], axis=1).astype(np.float64)
    n = len(devices)
    return context.Situation(
        belief=belief.arrays(),
        score=np.broadcast_to(task.score[queries], (n, len(queries))),
        measured_score=task.score[archs],
        measured_log_latency=y.astype(np.float32),
        present=present,
        weight=np.full(n, task.weight),
        remaining=np.zeros(n),
        log_limit=log_limit - centre[:, 0],
    )


def _shown(
    x: NDArray[np.float32], known: NDArray[np.int64], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cells that a step chooses among: features ``(episodes, shown, …)`` and positions ``(episodes, shown)``."""
    value = x[..., 0].copy()
    np.put_along_axis(value, known, -np.inf, axis=1)
    others = n // 5
    order = np.argsort(-value, axis=1, kind="stable")
    best, rest = order[:, : n - others], order[:, n - others : value.shape[1] - known.shape[1]]
    at = np.concatenate([best, rest[:, rng.permutation(rest.shape[1])[:others]]], axis=1)
    return np.take_along_axis(x, at[..., None], axis=1), at


def _advantages(t: dict[str, NDArray[Any]], n: int, gae_lambda: float) -> dict[str, NDArray[Any]]:
    """Generalised advantage estimate with γ = 1; rows are ordered by the number of measured cells."""
    advantage = np.zeros(len(t["who"]), dtype=np.float32)
    later_value, later = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    for measured in range(int(t["measured"].max()), 0, -1):
        at = np.flatnonzero(t["measured"] == measured)
        who = t["who"][at]
        later[who] = t["reward"][at] + later_value[who] - t["value"][at] + gae_lambda * later[who]
        advantage[at], later_value[who] = later[who], t["value"][at]
    return {"advantage": advantage, "return": advantage + t["value"]}


# ----- PPO


def _ppo_round(learner: Learner, pool: Pool, number: int, rng: np.random.Generator) -> dict[str, float]:
    settings = learner.settings
    final, entropies = [], []
    tasks = [context_episodes.draw_task(rng, limits=not settings.blind) for _ in range(settings.tasks)]
    lists = [context_episodes.promising(task, pool, rng) for task in tasks]
    for k in range(settings.rollouts):
        done = (number + k / settings.rollouts) / settings.ppo_rounds
        for group in learner.ppo.param_groups:
            group["lr"] = settings.ppo_learning_rate * (1 - 0.95 * done)
        played = [
            rollout(learner, pool, task, cells, rng, budgets=rng.integers(3, 11, size=settings.episodes))
            for task, cells in zip(tasks, lists, strict=True)
        ]
        final += [one.final_regret for one in played]
        entropies.append(_update(learner, played, rng, pointing=number >= settings.warm_up))
    return {"regret": float(np.mean(np.concatenate(final))), "entropy": float(np.mean(entropies))}


def _update(learner: Learner, played: Sequence[Rollout], rng: np.random.Generator, *, pointing: bool) -> float:
    """Some epochs of PPO's clipped objective. `pointing`: the choice of cells learns too. Returns the mean entropy."""
    settings, network = learner.settings, learner.network
    names = ("features", "action", "log_probability", "state", "advantage", "return")
    x, action, before, state, advantage, returns = _tensors(
        *(np.concatenate([one.transitions[name] for one in played]) for name in names)
    )
    names = ("features", "regret", "present", "summary", "reached", "learns")
    seen = _tensors(*(np.concatenate([one.recommendations[name] for one in played]) for name in names))
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
    entropies = []
    for _ in range(settings.epochs):
        for at in torch.from_numpy(rng.permutation(len(x))).split(settings.minibatch):
            loss = 0.5 * ((learner.value(state[at])[:, 0] - returns[at]) ** 2).mean()
            if pointing:
                chances = torch.distributions.Categorical(logits=network.logits(x[at]))
                ratio = (chances.log_prob(action[at]) - before[at]).exp()
                clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
                entropy = chances.entropy().mean()
                loss = loss - torch.minimum(ratio * advantage[at], clipped * advantage[at]).mean()
                loss = loss - settings.entropy * entropy
                entropies.append(entropy.item())
            some = torch.from_numpy(rng.integers(len(seen[0]), size=settings.minibatch))
            loss = loss + _recommendation_loss(network, *(each[some] for each in seen))
            learner.ppo.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learner.ppo.param_groups[0]["params"], 0.5)
            learner.ppo.step()
    return float(np.mean(entropies)) if entropies else float("nan")


def _recommendation_loss(
    network: Network, x: Tensor, regret: Tensor, present: Tensor, summary: Tensor, reached: Tensor, learns: Tensor
) -> Tensor:
    """Expected regret of recommendations that are sampled from the head, and the error of the predicted regret."""
    chances = network.recommendation_logits(x).masked_fill(~present, -torch.inf).softmax(dim=-1)
    expected = (chances * regret).sum(dim=-1) * learns
    return expected.mean() + 0.5 * ((network.expected_regret(summary) - reached) ** 2).mean()


# ----- what ships

# the blind network has less to learn, so that its training is shorter
SHIPPED = {
    **{f"controller_{seed}": Settings(seed=seed) for seed in range(3)},
    "controller_blind": Settings(blind=True, supervised_rounds=30, on_policy_from=10, ppo_rounds=15),
}


def train_all(*, n_jobs: int = -1) -> None:
    """Train the controllers of three seeds and the latency-blind one, and write the package's policies; resumable."""
    results = parallel.unordered(_train_one, list(SHIPPED), n_jobs=n_jobs)
    for name, network in tqdm(results, total=len(SHIPPED), desc="training controllers", disable=None):
        network.save(POLICIES / name, overwrite=True)
    context.load.cache_clear()


def _train_one(name: str) -> tuple[str, context.ContextNetwork]:
    return name, train(SHIPPED[name], folder=paths.BUILD / "training", progress=False)
