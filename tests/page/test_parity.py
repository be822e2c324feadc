"""The controller in the browser chooses the same cells as in Python, with the same probabilities."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from simmore import devices, proxies, space
from simmore.rl import context
from simmore.strategies import History, Problem, recommendation
from simmore.strategies.in_context import InContext, LearnedRecommendation, _see

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
SHARES = {"freerea": 0.5, "combined": 0.3, "az": 0.1, "params": 0.1}  # of the histories, by score
TOLERANCE = 1e-4  # of a probability, and of an expected regret
TIE = 2e-6  # relative difference of two probabilities: rounding decides which of the cells is first

IN_BROWSER = """
async (cases) => {
  const { about, datasets, ready } = await import("page");
  const { History } = await import("readings");
  const { softmax } = await import("linear");
  const controller = await ready;
  const text = (floats) => {
    const bytes = new Uint8Array(Float32Array.from(floats).buffer);
    let binary = "";
    for (let k = 0; k < bytes.length; k += 8192) binary += String.fromCharCode(...bytes.subarray(k, k + 8192));
    return btoa(binary);
  };
  const probabilities = (logits) => {
    const highest = logits.reduce((a, b) => Math.max(a, b));
    const e = Float64Array.from(logits, (logit) => Math.exp(logit - highest));
    const total = e.reduce((a, b) => a + b);
    return e.map((value) => value / total);
  };
  return cases.map(({ dataset, score, weight, limit, steps, remaining }) => {
    const history = new History(steps, about.sizes);
    const problem = { score: datasets[dataset].scores[score], weight, limit, measurable: null };
    const { next, recommendation } = controller.step(problem, history, remaining);
    return {
      next: next && next.arch,
      ms: next && next.ms,
      probabilities: next && text(probabilities(next.logits)),
      recommended: recommendation && recommendation.arch,
      regret: recommendation && recommendation.regret,
      among: recommendation && Object.fromEntries(
        softmax(recommendation.values).map((value, k) => [recommendation.ranked[k], value])),
    };
  });
}
"""


def tables(rng):
    """Devices that histories are measured on: simulated ones, the GPU, and benchmarked runtimes."""
    drawn = devices.Simulated.draw(40, rng)
    stored = [devices.load("nats_gpu"), *devices.benchmarked_devices()]
    return [*drawn.measure(drawn.latency(), rng), *(devices.whole_table(each) for each in stored)]


def random_case(rng, table, scores):
    """A problem and a history: random cells and good ones; some fail, some come twice, some are in another unit."""
    dataset = DATASETS[rng.integers(3)]
    name = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    weight = float(np.exp(rng.uniform(np.log(0.2), np.log(5)))) if rng.random() < 0.7 else 1.0
    n = int(rng.integers(0, 13)) if rng.random() < 0.95 else int(rng.integers(21, 30))
    works = np.isfinite(table)
    finite = np.where(works, table, table[works].max())
    good = np.argsort(-devices.reward(scores[dataset, name], finite, weight=weight))[: int(rng.choice([50, 500, 5000]))]
    steps = []
    for _ in range(n):
        arch = int(rng.choice(good) if rng.random() < 0.5 else rng.integers(space.N_ARCHS))
        failed = rng.random() < 0.03
        steps.append((arch, float("inf") if failed else float(table[arch])))
        if rng.random() < 0.05:
            steps.append((arch, float(finite[arch] * rng.uniform(0.7, 1.4))))
        if rng.random() < 0.02:
            steps.append((int(rng.integers(space.N_ARCHS)), float(finite[arch] * 1000)))
    limit = float(np.quantile(finite, rng.uniform(0.05, 0.9))) if rng.random() < 0.3 else None
    remaining = max(10 - len({arch for arch, _ in steps}), 1)
    problem = {"dataset": dataset, "score": name, "weight": weight, "limit": limit}
    return {**problem, "steps": steps, "remaining": remaining}


def in_python(network, case, scores):
    """What `IN_BROWSER` gives, by the strategy and the rule of the package."""
    score = scores[case["dataset"], case["score"]]
    problem = Problem(score, case["weight"], case["limit"])
    history = History(case["steps"])
    arch = InContext(problem, network).ask(history, np.random.default_rng(0), case["remaining"])
    rule = LearnedRecommendation(network)
    found = recommendation.recommend(rule, problem, history)
    cells = recommendation.ranked(rule, problem, history)
    seen = _see(network, problem, history, case["remaining"])
    if seen is None:
        shape = network.prior_shape
        logits = score - case["weight"] * shape / np.ptp(shape)
    else:
        logits = network.logits(context.decision_features(seen.situation)).astype(np.float64)
    if case["limit"] is not None:
        archs, latency = history.compiled
        logits = np.where(score > max(score[archs[latency <= case["limit"]]], default=-np.inf), logits, -np.inf)
    logits = np.where(np.isin(np.arange(space.N_ARCHS), history.archs), -np.inf, logits)
    among = rule.value(problem, history, np.array(cells)) if cells and case["limit"] is None else score[cells]
    return {
        "next": arch,
        "probabilities": None if arch is None else _softmax(logits),
        "recommended": None if found is None else found.arch,
        "regret": None if found is None else found.expected_regret,
        "among": dict(zip(cells, _softmax(among), strict=True)) if cells else None,
    }


def _softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


def same(found, expected, probability):
    """Whether two choices are the same cell, or two cells that the network cannot tell apart."""
    if found is None or expected is None or found == expected:
        return found == expected
    return probability[found] >= (1 - TIE) * probability[expected]


def compare(page, n, seed):
    """Compare n random histories; gives those with other cells, and the largest differences of numbers."""
    rng = np.random.default_rng(seed)
    scores = {(dataset, name): proxies.stored_score(dataset, name) for dataset in DATASETS for name in SHARES}
    network, measured = context.load("controller_0"), tables(rng)
    cases = [random_case(rng, measured[rng.integers(len(measured))], scores) for _ in range(n)]
    largest = {"probability": 0.0, "regret": 0.0}
    other, ties = [], 0
    for start in range(0, n, 20):
        some = cases[start : start + 20]
        for case, found in zip(some, page.evaluate(IN_BROWSER, some), strict=True):
            expected = in_python(network, case, scores)
            ties += (found["next"], found["recommended"]) != (expected["next"], expected["recommended"])
            if not (
                same(found["next"], expected["next"], expected["probabilities"])
                and same(found["recommended"], expected["recommended"], expected["among"])
            ):
                other.append((case, found["next"], expected["next"], found["recommended"], expected["recommended"]))
            if expected["probabilities"] is not None and found["probabilities"] is not None:
                values = np.frombuffer(base64.b64decode(found["probabilities"]), dtype="<f4")
                difference = float(np.abs(values - expected["probabilities"]).max())
                largest["probability"] = max(largest["probability"], difference)
            if expected["among"]:
                difference = max(abs(found["among"][str(arch)] - value) for arch, value in expected["among"].items())
                largest["probability"] = max(largest["probability"], float(difference))
            if expected["regret"] is not None:
                largest["regret"] = max(largest["regret"], abs(found["regret"] - expected["regret"]))
    print(f"\n{n} histories: {len(other)} with other cells, {ties - len(other)} ties; largest differences {largest}")
    return other, largest


@pytest.mark.parametrize("n", [100, pytest.param(1_000, marks=pytest.mark.slow)])
def test_random_histories_lead_to_the_same_cells(page, n):
    page.set_default_timeout(600_000)
    other, largest = compare(page, n, seed=n)
    assert not other
    assert largest["probability"] < TOLERANCE and largest["regret"] < TOLERANCE


def test_the_normal_distribution_function_is_exact(page):
    from scipy.special import ndtr

    x = np.linspace(-9, 9, 361)
    found = page.evaluate("async (x) => { const { ndtr } = await import('linear'); return x.map(ndtr); }", x.tolist())
    np.testing.assert_allclose(found, ndtr(x), rtol=1e-9)
