"""The in-context controller on plain arrays: a policy that reads the measured cells and points at any cell.

The controller has two parts.

- The *belief*: from the measured cells and their latencies to a normal distribution of every cell's log latency, and of
  the log range of the device. A mixture of Gaussian processes with a learned kernel gives a first prediction in closed
  form (as in Harrison et al. 2018, "Meta-learning priors for efficient online Bayesian regression"). A transformer,
  which reads the measured cells as a set, corrects it by cross-attention.
- The *decision*: from formulas of the belief and the problem (expected improvement, reward above the incumbent, budget,
  …) to a logit of every cell, ``β · log EI + network``, and of every measured cell, for the recommendation. The problem
  enters through these formulas alone: one network serves any score, any weight of latency and any latency limit.

Latencies enter relative to their geometric mean, so the units do not matter. `simmore.rl.context_network` is the same
network in torch, and `simmore.rl.context_training` trains it, on simulated devices only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import space
from simmore.devices import simulated
from simmore.files import replace
from simmore.rl.policy import POLICIES, new_file

Floats = NDArray[np.floating]

MOST_TOKENS = 20  # measured cells that the network reads
COMPONENTS, RANK, WIDTH, HEADS, LAYERS = 6, 24, 64, 4, 2
CORRECTION = 48  # units of the layers that correct the Gaussian processes, for all cells at every step
OFFSET_VARIANCE = 1.0  # prior variance of the device's scale, in log latency
SMALLEST_NOISE = 0.003  # of a Gaussian process, in log latency
REFERENCE = 64  # cells that are often the fastest or the slowest of a device
RANGE_FEATURES, DECISION_FEATURES, RECOMMENDATION_FEATURES, SUMMARY_FEATURES = 5, 13, 10, 5
LOWEST_LOG_EI = 1e-7
_KEPT_BELIEFS = 32  # of the latest histories
_BETAS = ("beta", "recommend_beta")
# Gauss-Hermite quadrature over the log range
_NODES, _NODE_WEIGHTS = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)]), np.array([1, 4, 1]) / 6


@cache
def cell_features() -> NDArray[np.float32]:
    """Features of all cells, standardised, ``(cells, features)``, read-only.

    Operations of the edges and of the edges that the output needs, one-hot; counts of `simulated.Structure` for
    devices that run eagerly, exported and compiled; FLOPs.
    """
    eager, exported, compiled = simulated.structures()
    counts = [np.column_stack([each.counts, each.kernels]) for each in (eager, exported, compiled)]
    flops = space.flops(np.arange(space.N_ARCHS))[:, None]
    x = np.concatenate([eager.operations, compiled.operations, *counts, flops, np.log(flops)], axis=1)
    deviation = x.std(axis=0)
    x = ((x - x.mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1)).astype(np.float32)
    x.setflags(write=False)
    return x


def tokens_of(log_latency: Floats, present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Latency inputs of the tokens, ``(…, n, 3)``: relative log latency, its rank, and how many cells were measured.

    Parameters
    ----------
    log_latency
        Log latencies relative to their mean, ``(…, n)``.
    present
        Which of them are measurements, ``(…, n)``; the others are padding.
    """
    n = present.sum(axis=-1, keepdims=True)
    slower = (log_latency[..., :, None] > log_latency[..., None, :]) & present[..., None, :]
    rank = slower.sum(axis=-1) / np.maximum(n - 1, 1)
    parts = [log_latency, rank, np.broadcast_to(np.minimum(n, 10) / 10, rank.shape)]
    return (np.stack(parts, axis=-1) * present[..., None]).astype(np.float32)


@dataclass(frozen=True)
class Belief:
    """What the network expects of a device, in logarithms relative to the geometric mean of the measured latencies.

    Attributes
    ----------
    mean, deviation
        Of the log latency of cells, ``(…, cells)``.
    range_mean, range_deviation, fastest_mean, fastest_deviation
        Of the log range (slowest minus fastest latency), and of the log fastest latency, ``(…)``.
    summary
        What the network makes of the history, ``(…, 64)``.
    """

    mean: Floats
    deviation: Floats
    range_mean: Floats
    range_deviation: Floats
    fastest_mean: Floats
    fastest_deviation: Floats
    summary: NDArray[np.float32]


@dataclass(frozen=True)
class Situation:
    """A step of a search, or several of the same shape: all that decisions are made from.

    Attributes
    ----------
    belief
        On the cells that can be chosen.
    score
        p of these cells, ``(…, cells)``.
    measured_score, measured_log_latency
        Of the measured cells, ``(…, n)``; latencies as in `Belief`.
    present
        Which of the measured cells count, ``(…, n)``: padding and cells that may not be recommended do not.
    weight, remaining
        Weight of latency in the reward, and cells that may still be measured, ``(…)``.
    log_limit
        Log of the latency limit, as in `Belief`, ``(…)``; NaN where there is none.
    """

    belief: Belief
    score: Floats
    measured_score: Floats
    measured_log_latency: Floats
    present: NDArray[np.bool_]
    weight: Floats
    remaining: NDArray[Any]
    log_limit: Floats

    @property
    def ranges(self) -> NDArray[np.float32]:
        """Quadrature nodes of the range, ``(…, 3)``."""
        nodes = self.belief.range_mean[..., None] + _NODES * self.belief.range_deviation[..., None]
        return np.exp(np.clip(nodes, -12, 12)).astype(np.float32)

    def measured_rewards(self) -> NDArray[np.float32]:
        """Rewards of the measured cells up to a constant, at each node of the range, ``(…, n, 3)``."""
        price = np.float32(1) * self.weight[..., None] / self.ranges  # (…, 3)
        latency = np.exp(self.measured_log_latency)[..., None]
        reward = self.measured_score[..., None] - price[..., None, :] * latency
        return np.where(self.present[..., None], reward, -np.inf).astype(np.float32)


def decision_features(now: Situation) -> NDArray[np.float32]:
    """Features of the cells that can be measured next, ``(…, cells, 13)``; the first is the log of the improvement."""
    from scipy.special import ndtr

    belief = now.belief
    mean, deviation = belief.mean.astype(np.float32), np.minimum(belief.deviation, 1).astype(np.float32)
    score = now.score.astype(np.float32)
    limited = np.isfinite(now.log_limit)
    ranges = now.ranges
    latency = np.exp(np.clip(mean, -12, 12))
    measured = now.measured_rewards()
    incumbent = np.where(now.present.any(axis=-1, keepdims=True), measured.max(axis=-2), -10)  # (…, 3)
    x = np.empty((*mean.shape, DECISION_FEATURES), dtype=np.float32)

    improvement = np.zeros_like(mean)
    for k, share in enumerate(_NODE_WEIGHTS):
        price = (now.weight / ranges[..., k])[..., None].astype(np.float32)
        gain = score - price * latency - incumbent[..., k, None].astype(np.float32)
        spread = price * latency * deviation + np.float32(1e-4)
        z = np.clip(gain / spread, -9, 9)
        density = np.exp(np.float32(-0.5) * z * z) * np.float32(1 / np.sqrt(2 * np.pi))
        improvement += np.float32(share) * (gain * ndtr(z) + spread * density)
        if k == 1:
            middle_gain, middle_spread, shortfall = gain, spread, price * latency
    # within a limit: the improvement of the score, times the probability that the cell is within it
    log_limit = np.where(limited, now.log_limit, 0)[..., None].astype(np.float32)
    margin = np.clip((log_limit - mean) / deviation, -9, 9)
    within = now.present & (now.measured_log_latency <= np.where(limited, now.log_limit, np.inf)[..., None])
    floor = score.min(axis=-1)
    best_within = np.where(within, now.measured_score, -np.inf).max(axis=-1)
    score_gain = score - np.where(np.isfinite(best_within), best_within, floor)[..., None].astype(np.float32)
    chance = ndtr(margin)
    is_limited = limited[..., None]
    gain = np.where(is_limited, score_gain * chance, middle_gain)
    improvement = np.where(is_limited, np.maximum(score_gain, 0) * chance, improvement)
    log_improvement = np.log(np.maximum(improvement, 0) + np.float32(LOWEST_LOG_EI))

    x[..., 0] = log_improvement
    x[..., 1] = np.clip(10 * gain, -5, 5)
    x[..., 2] = np.where(is_limited, chance, np.minimum(10 * middle_spread, 5))
    x[..., 3] = np.clip(5 * score_gain, -5, 5)
    x[..., 4] = np.where(is_limited, 0, np.minimum(5 * shortfall, 5))
    x[..., 5] = np.log(deviation) + 3
    x[..., 6] = np.where(is_limited, margin / 3, 0)
    x[..., 7] = log_improvement - log_improvement.max(axis=-1, keepdims=True)
    x[..., 8] = log_improvement.max(axis=-1, keepdims=True) / 3 + 1
    x[..., 9] = np.minimum(now.remaining, 10)[..., None] / 5 - 1
    x[..., 10] = np.where(is_limited, 0, np.log(now.weight)[..., None])
    x[..., 11] = np.log(belief.range_deviation)[..., None] + 2
    x[..., 12] = is_limited
    return x


def recommendation_features(now: Situation) -> NDArray[np.float32]:
    """Features of the measured cells, ``(…, n, 10)``; the first is the mean reward relative to the best."""
    rewards = now.measured_rewards()  # (…, n, 3)
    worst = np.float32(-2)
    relative = np.maximum(rewards - rewards.max(axis=-2, keepdims=True, initial=-1e30), worst)
    mean = relative @ _NODE_WEIGHTS.astype(np.float32)
    score = np.where(now.present, now.measured_score, -np.inf)
    latency = np.where(now.present, np.exp(now.measured_log_latency), np.inf)
    fastest = latency.min(axis=-1, keepdims=True)
    middle = now.ranges[..., 1, None]
    x = np.zeros((*mean.shape, RECOMMENDATION_FEATURES), dtype=np.float32)
    x[..., 0] = mean - mean.max(axis=-1, keepdims=True)
    x[..., 1:4] = np.maximum(10 * relative, -5)
    x[..., 4] = np.where(now.present, 5 * (score - score.max(axis=-1, keepdims=True)), -5)
    x[..., 5] = np.where(now.present, np.minimum(5 * (latency - fastest) / middle, 5), 5)
    x[..., 6] = np.minimum(now.present.sum(axis=-1, keepdims=True), 10) / 5 - 1
    x[..., 7] = np.log(now.weight)[..., None]
    x[..., 8] = np.log(now.belief.range_deviation)[..., None] + 2
    x[..., 9] = np.log(middle) / 2
    return x


def summary_features(now: Situation, decision: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the expected regret of the recommendation is predicted from, ``(…, 69)``.

    Parameters
    ----------
    decision
        `decision_features`, ``(…, cells, 13)``.
    """
    n = np.minimum(now.present.sum(axis=-1), 10) / 5 - 1
    shared = decision[..., 0, 8], decision[..., 0, 10], decision[..., 0, 11], decision[..., 0, 12]
    return np.concatenate([now.belief.summary, np.stack([n, *shared], axis=-1)], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class ContextNetwork:
    """The controller's network.

    Attributes
    ----------
    arrays
        Parameters by the names that they have in torch and in a file.
    description
        How it was trained: settings, versions, seconds.
    """

    arrays: dict[str, NDArray[np.float32]] = field(repr=False)
    description: dict[str, Any]

    def __post_init__(self) -> None:
        found = {name: array.shape for name, array in self.arrays.items()}
        expected = shapes()
        if found != expected:
            wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
            raise ValueError(f"expected the arrays of an in-context controller; these differ: {', '.join(wrong)[:200]}")
        if not all(np.isfinite(array).all() for array in self.arrays.values()):
            raise ValueError("weights must be finite numbers")

    def without_ppo(self) -> ContextNetwork:
        """The supervised part alone: expected improvement of the belief, and the highest expected reward."""
        trained = {"decide.2.weight", "decide.2.bias", "recommend.2.weight", "recommend.2.bias"}
        arrays = {name: array * np.float32(name not in trained) for name, array in self.arrays.items()}
        return ContextNetwork(arrays | {name: np.ones_like(arrays[name]) for name in _BETAS}, self.description)

    @property
    def blind(self) -> bool:
        """Whether the network sees no latencies; the control of what adaptation adds."""
        return bool(self.arrays["blind"])

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write one file in one step, and return its path; see `Perceptron.save`."""
        from safetensors.numpy import save

        file = new_file(path, overwrite=overwrite)
        description = json.dumps(self.description, sort_keys=True, ensure_ascii=False)
        stored = {name: np.array(array, np.float32, order="C") for name, array in self.arrays.items()}
        replace(file, save(stored, {"description": description}))
        return file

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `save` wrote.

        Raises
        ------
        ValueError
            If there is no such file, or it holds something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                description = json.loads((file.metadata() or {})["description"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
            return cls({name: array.astype(np.float32) for name, array in arrays.items()}, description)
        except (SafetensorError, LookupError, OSError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold a policy of this kind: {error}") from error

    def _linear(self, name: str, x: Floats) -> NDArray[np.float32]:
        return np.asarray(x, dtype=np.float32) @ self.arrays[f"{name}.weight"].T + self.arrays[f"{name}.bias"]

    def _norm(self, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(1e-5))
        return x * self.arrays[f"{name}.weight"] + self.arrays[f"{name}.bias"]

    @cached_property
    def _cells(self) -> _Cells:
        """What depends on the cells alone, computed once."""
        x = cell_features()
        hidden = np.maximum(self._linear("encoder.0", x), 0)
        embedding = self._linear("encoder.2", hidden)
        wide = np.concatenate([x, hidden], axis=1)
        kernel = self._linear("kernel", wide).reshape(-1, COMPONENTS, RANK).transpose(1, 0, 2)
        return _Cells(
            embedding=embedding,
            kernel=np.ascontiguousarray(kernel, dtype=np.float64),
            prior=np.ascontiguousarray(self._linear("prior_mean", wide).T, dtype=np.float64),
            variance=(kernel.astype(np.float64) ** 2).sum(axis=-1) + OFFSET_VARIANCE,
            query=np.ascontiguousarray(self._linear("query", embedding).T),
            hidden=self.arrays["correct_cell.weight"] @ embedding.T,
        )

    @property
    def reference(self) -> NDArray[np.int64]:
        """Cells that are often the fastest or the slowest of a device, ``(64,)``."""
        return self.arrays["reference"].astype(np.int64)

    @cached_property
    def prior_shape(self) -> NDArray[np.float64]:
        """Latencies that are expected before any measurement, relative, ``(cells,)``."""
        weights = _softmax(self.arrays["component"].astype(np.float64))
        return np.exp(weights @ self._cells.prior)

    def believe(self, archs: ArrayLike, log_latency: ArrayLike) -> Belief:
        """The belief on all cells.

        Parameters
        ----------
        archs
            Distinct measured cells, ``(n,)``, 1 to 20.
        log_latency
            Their log latencies relative to the mean of these, ``(n,)``.
        """
        archs, y = np.asarray(archs, dtype=np.int64), np.asarray(log_latency, dtype=np.float64)
        key = archs.tobytes() + y.tobytes()
        if key not in self._beliefs:
            while len(self._beliefs) >= _KEPT_BELIEFS:
                self._beliefs.pop(next(iter(self._beliefs)))  # the oldest
            self._beliefs[key] = self._believe(archs, y)
        return self._beliefs[key]

    @cached_property
    def _beliefs(self) -> dict[bytes, Belief]:
        """The latest beliefs: the search and the recommendation ask for the same ones."""
        return {}

    def _believe(self, archs: NDArray[np.int64], y: NDArray[np.float64]) -> Belief:
        cells = self._cells
        seen = tokens_of(y, np.ones(len(y), dtype=bool))
        if self.blind:
            seen[..., :2] = 0
        tokens = self._encode(np.concatenate([cells.embedding[archs], seen], axis=1))
        pooled, processes = tokens.mean(axis=0), self._gaussian_processes(archs, y)
        keys, values = self._linear("key", tokens) / np.float32(np.sqrt(WIDTH // HEADS)), self._linear("value", tokens)
        mean, deviation = self._predict(processes, keys, values, pooled)
        extremes, base_range, base_fastest = range_features(mean[self.reference], deviation[self.reference])
        ends = np.maximum(self._linear("ends.0", np.concatenate([pooled, extremes])), 0)
        ends = self._linear("ends.2", ends)
        bounded = np.exp(np.clip(ends[2:] - 1.5, -5, 1))
        return Belief(mean, deviation, base_range + ends[0], bounded[0], base_fastest + ends[1], bounded[1], pooled)

    def _encode(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pre-norm transformer over a set of tokens ``(n, width + 3)``."""
        t, size = self._linear("token", tokens), WIDTH // HEADS
        for k in range(LAYERS):
            q, key, v = np.split(self._linear(f"layers.{k}.attend", self._norm(f"layers.{k}.norm1", t)), 3, axis=1)
            mixed = np.empty_like(t)
            for head in (slice(h * size, (h + 1) * size) for h in range(HEADS)):
                mixed[:, head] = _softmax(q[:, head] @ key[:, head].T / np.float32(np.sqrt(size))) @ v[:, head]
            t = t + self._linear(f"layers.{k}.out", mixed)
            inner = np.maximum(self._linear(f"layers.{k}.feed.0", self._norm(f"layers.{k}.norm2", t)), 0)
            t = t + self._linear(f"layers.{k}.feed.2", inner)
        return self._norm("norm", t)

    def _gaussian_processes(self, archs: NDArray[np.int64], y: NDArray[np.float64]) -> _Processes:
        """Each component's posterior, given the measurements."""
        cells, n = self._cells, len(archs)
        noise = np.exp(self.arrays["log_noise"].astype(np.float64)) ** 2 + SMALLEST_NOISE**2
        phi = cells.kernel[:, archs]  # (components, n, rank)
        prior = cells.prior[:, archs]  # (components, n)
        covariance = phi @ phi.transpose(0, 2, 1) + OFFSET_VARIANCE + noise[:, None, None] * np.eye(n)
        inverse = np.linalg.inv(np.linalg.cholesky(covariance))
        seen = prior - prior.mean(axis=1, keepdims=True) if self.blind else y
        white = (inverse @ (seen - prior)[..., None])[..., 0]
        log_diagonal = np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(axis=1)
        weights = _softmax(self.arrays["component"] - 0.5 * (white**2).sum(axis=1) + log_diagonal)
        return _Processes(weights, noise, white, inverse @ phi, OFFSET_VARIANCE * inverse.sum(axis=2))

    def _predict(
        self, processes: _Processes, keys: NDArray[np.float32], values: NDArray[np.float32], pooled: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and deviation of the log latency of all cells, ``(cells,)``."""
        cells, arrays = self._cells, self.arrays
        mean: Floats = np.zeros(space.N_ARCHS)  # moments of the mixture
        square: Floats = np.zeros(space.N_ARCHS)
        for k, weight in enumerate(processes.weights):
            reduced = processes.basis[k] @ cells.kernel[k].T + processes.offset[k, :, None]  # (n, cells)
            one = cells.prior[k] + processes.white[k] @ reduced
            explained = np.einsum("nc,nc->c", reduced, reduced)
            variance = np.maximum(cells.variance[k] - explained, 0) + processes.noise[k]
            mean = mean + weight * one
            square = square + weight * (variance + one * one)
        deviation = np.sqrt(np.maximum(square - mean * mean, processes.noise.min()))

        attended = np.empty_like(cells.query)  # (width, cells)
        size = WIDTH // HEADS
        for head in (slice(k, k + size) for k in range(0, WIDTH, size)):
            attention = keys[:, head] @ cells.query[head]  # (n, cells)
            attention = np.exp(attention - attention.max(axis=0))
            attended[head] = values[:, head].T @ attention / attention.sum(axis=0)
        process = np.stack([mean, np.log(deviation), np.ones_like(mean)]).astype(np.float32)
        by_process = arrays["correct_process.weight"]
        constant = by_process[:, 2:] @ processes.weights.astype(np.float32)
        constant += arrays["correct_pooled.weight"] @ pooled + arrays["correct_pooled.bias"]
        hidden: Floats = cells.hidden + np.column_stack([by_process[:, :2], constant]) @ process
        hidden += arrays["correct_attended.weight"] @ attended
        hidden = arrays["correct.0.weight"] @ np.maximum(hidden, 0) + arrays["correct.0.bias"][:, None]
        shift, stretch = arrays["correct.2.weight"] @ np.maximum(hidden, 0) + arrays["correct.2.bias"][:, None]
        corrected, spread = mean + deviation * shift, deviation * np.exp(np.clip(stretch, -3, 3))
        return corrected.astype(np.float32), spread.astype(np.float32)

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of the cells, ``(…, cells)``, from `decision_features`."""
        hidden = np.maximum(self._linear("decide.0", features), 0)
        return self.arrays["beta"] * features[..., 0] + self._linear("decide.2", hidden)[..., 0]

    def recommendation_logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of the measured cells, ``(…, n)``, from `recommendation_features`."""
        hidden = np.maximum(self._linear("recommend.0", features), 0)
        return self.arrays["recommend_beta"] * features[..., 0] + self._linear("recommend.2", hidden)[..., 0]

    def expected_regret(self, summary: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised regret of the recommendation, ``(…)``, from `summary_features`."""
        hidden = np.maximum(self._linear("regret.0", summary), 0)
        return np.logaddexp(0, self._linear("regret.2", hidden)[..., 0])


class _Processes(NamedTuple):
    """A mixture of Gaussian processes after n measurements."""

    weights: NDArray[np.float64]  # (components,)
    noise: NDArray[np.float64]  # variances (components,)
    white: NDArray[np.float64]  # residuals, decorrelated (components, n)
    basis: NDArray[np.float64]  # (components, n, rank)
    offset: NDArray[np.float64]  # (components, n)


@dataclass(frozen=True)
class _Cells:
    """What a network computes from the cells alone: see `ContextNetwork._cells`."""

    embedding: NDArray[np.float32]  # (cells, width)
    kernel: NDArray[np.float64]  # (components, cells, rank)
    prior: NDArray[np.float64]  # (components, cells)
    variance: NDArray[np.float64]  # (components, cells)
    query: NDArray[np.float32]  # (width, cells)
    hidden: NDArray[np.float32]  # (width, cells)


def range_features(mean: Floats, deviation: Floats) -> tuple[NDArray[np.float32], np.floating, np.floating]:
    """Inputs of the range's head from the belief on the reference cells ``(64,)``, log range and log fastest of it."""
    slow, fast = mean.argmax(), mean.argmin()
    highest, lowest = mean[slow], mean[fast]
    log_range = highest + np.log(np.maximum(1 - np.exp(lowest - highest), np.float32(1e-3)))
    features = [log_range, highest, lowest, np.log(deviation[slow]), np.log(deviation[fast])]
    return np.array(features, dtype=np.float32), log_range, lowest


def _softmax(x: Floats) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def shapes() -> dict[str, tuple[int, ...]]:
    """Shape of every array of a `ContextNetwork`."""
    w, c, wide = WIDTH, CORRECTION, cell_features().shape[1] + 128
    linear = {
        "encoder.0": (128, cell_features().shape[1]), "encoder.2": (w, 128), "kernel": (COMPONENTS * RANK, wide),
        "prior_mean": (COMPONENTS, wide), "token": (w, w + 3), "query": (w, w), "key": (w, w), "value": (w, w),
        "correct_pooled": (c, w), "correct.0": (c, c), "correct.2": (2, c), "ends.0": (w, w + RANGE_FEATURES),
        "ends.2": (4, w), "decide.0": (32, DECISION_FEATURES), "decide.2": (1, 32),
        "recommend.0": (32, RECOMMENDATION_FEATURES), "recommend.2": (1, 32),
        "regret.0": (32, w + SUMMARY_FEATURES), "regret.2": (1, 32),
    }  # fmt: skip
    found: dict[str, tuple[int, ...]] = {
        "beta": (), "recommend_beta": (), "blind": (), "component": (COMPONENTS,), "log_noise": (COMPONENTS,),
        "reference": (REFERENCE,), "norm.weight": (w,), "norm.bias": (w,), "correct_cell.weight": (c, w),
        "correct_attended.weight": (c, w), "correct_process.weight": (c, 2 + COMPONENTS),
    }  # fmt: skip
    for k in range(LAYERS):
        for name in ("norm1", "norm2"):
            found |= {f"layers.{k}.{name}.weight": (w,), f"layers.{k}.{name}.bias": (w,)}
        linear |= {f"layers.{k}.attend": (3 * w, w), f"layers.{k}.out": (w, w)}
        linear |= {f"layers.{k}.feed.0": (2 * w, w), f"layers.{k}.feed.2": (w, 2 * w)}
    for name, (outputs, inputs) in linear.items():
        found |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
    return found


@cache
def load(name: str = "controller_0") -> ContextNetwork:
    """A controller that comes with the package.

    Raises
    ------
    ValueError
        If its file is missing or damaged.
    """
    return ContextNetwork.read(POLICIES / f"{name}.safetensors")


@cache
def load_supervised(name: str = "controller_0") -> ContextNetwork:
    """`load`, `ContextNetwork.without_ppo`."""
    return load(name).without_ppo()
