"""The in-context controller: its network in numpy and torch, its training, its files."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from simmore import space
from simmore.devices import random_search_reward
from simmore.rl import context, context_episodes, context_training
from simmore.rl.context_episodes import Pool, Task
from simmore.rl.context_network import Network
from simmore.rl.context_training import Settings

TINY = Settings(
    devices=48, supervised_rounds=2, supervised_steps=4, batch_size=8, queries=16, on_policy_from=1, ppo_rounds=2,
    rollouts=1, tasks=2, episodes=4, shown=32, warm_up=0, epochs=1, minibatch=32,
)  # fmt: skip


def a_network(*, blind=False, seed=0):
    """A network whose last layers are not zero."""
    torch.manual_seed(seed)
    network = Network(np.arange(64) * 200, blind=blind)
    for name in ("correct", "ends", "decide", "recommend", "regret"):
        torch.nn.init.normal_(getattr(network, name)[-1].weight, std=0.2)
    return network


def a_history(n, seed=0):
    rng = np.random.default_rng(seed)
    y = 0.5 * rng.normal(size=n)
    return rng.choice(space.N_ARCHS, n, replace=False), y - y.mean()


@pytest.fixture(scope="module")
def pool():
    return Pool.draw(32, np.random.default_rng(0))


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("n", [1, 4, 10])
def test_the_numpy_network_is_torchs(n, blind):
    network = a_network(blind=blind)
    archs, y = a_history(n)
    padded, padded_y = np.zeros((1, 12), dtype=np.int64), np.zeros((1, 12))
    padded[0, :n], padded_y[0, :n] = archs, y
    some = np.random.default_rng(1).choice(space.N_ARCHS, 500, replace=False)
    queries = np.concatenate([network.reference.numpy().astype(np.int64), some])
    with torch.no_grad():
        tensors = (torch.from_numpy(each) for each in (padded, padded_y, np.arange(12)[None] < n, queries))
        theirs = network(*tensors).arrays()
    plain = network.to_arrays({})
    ours = plain.believe(archs, y)
    np.testing.assert_allclose(ours.mean[queries], theirs.mean[0], atol=1e-4)
    np.testing.assert_allclose(np.log(ours.deviation[queries]), np.log(theirs.deviation[0]), atol=1e-4)
    for name in ("range_mean", "range_deviation", "fastest_mean", "fastest_deviation", "summary"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name)[0], atol=1e-4)
    x = np.random.default_rng(2).normal(size=(7, 69)).astype(np.float32)
    for head, width in (("logits", 13), ("recommendation_logits", 10), ("expected_regret", 69)):
        with torch.no_grad():
            expected = getattr(network, head)(torch.from_numpy(x[:, :width])).numpy()
        np.testing.assert_allclose(getattr(plain, head)(x[:, :width]), expected, atol=1e-4)


def test_the_network_is_small():
    assert sum(parameter.numel() for parameter in a_network().parameters()) <= 300_000


def test_a_blind_network_sees_no_latency():
    plain = a_network(blind=True).to_arrays({})
    archs, y = a_history(5)
    one, other = plain.believe(archs, y), plain.believe(archs, 3 * y[::-1])
    np.testing.assert_array_equal(one.mean, other.mean)
    assert one.range_mean == other.range_mean


def test_a_measured_cell_is_predicted_as_measured():
    """Without noise, the Gaussian processes interpolate."""
    network = Network(np.arange(64))
    with torch.no_grad():
        network.log_noise.fill_(-9)
    archs, y = a_history(4)
    belief = network.to_arrays({}).believe(archs, y)
    np.testing.assert_allclose(belief.mean[archs], y, atol=0.02)
    assert belief.deviation[archs].max() < 0.02 < np.median(belief.deviation)


def a_situation(mean, score, **changes):
    n = len(mean)
    belief = context.Belief(
        np.array(mean), np.full(n, 0.1), np.array(0.0), np.array(1e-6), np.array(0.0), np.array(0.1), np.zeros(64)
    )
    situation = context.Situation(
        belief, np.array(score), np.array([0.5]), np.array([0.0]), np.array([True]), np.array(1.0), np.array(3),
        np.array(np.nan),
    )  # fmt: skip
    return dataclasses.replace(situation, **changes)


def test_expected_improvement_by_hand():
    # the measured cell has latency 1, range 1, score 0.5: reward 0.5 − 1 up to a constant
    x = context.decision_features(a_situation([0.0, -5.0], [0.5, 0.5]))
    deviation = 0.1 + 1e-4
    assert np.exp(x[0, 0]) == pytest.approx(deviation / np.sqrt(2 * np.pi), rel=1e-3), "no gain, only uncertainty"
    assert np.exp(x[1, 0]) == pytest.approx(1 - np.exp(-5), rel=1e-3), "a sure gain"


def test_a_latency_limit_takes_the_place_of_the_reward():
    limited = a_situation([0.0, 1.0, -1.0], [0.9, 0.9, 0.4], log_limit=np.array(0.0))
    x = context.decision_features(limited)
    assert np.exp(x[0, 0]) == pytest.approx(0.4 * 0.5, rel=1e-3), "score gained × probability within the limit"
    assert x[1, 0] < -10 and x[2, 0] < -10, "too slow; no better score"
    beyond = dataclasses.replace(limited, measured_log_latency=np.array([0.1]))
    assert context.decision_features(beyond)[2, 0] < x[0, 0], "the measured cell does not count: it exceeds the limit"
    assert np.exp(context.decision_features(beyond)[0, 0]) == pytest.approx(0.5 * 0.5, rel=1e-3)


def test_the_regret_of_a_task_is_the_normalised_regret_of_its_table(pool):
    task = Task(context_episodes.draw_task(np.random.default_rng(1)).score, 2.0, np.nan)
    regret, limits = context_episodes.regrets(task, pool, np.array([3]))
    table = np.exp(pool.log_latency[3].astype(np.float64))
    reward = task.score + 2 * (1 - (table - table.min()) / np.ptp(table))
    expected = (reward.max() - reward) / (reward.max() - random_search_reward(reward))
    np.testing.assert_allclose(regret[0], np.minimum(expected, 1.5), atol=1e-4)
    assert np.isnan(limits).all()
    regret, limits = context_episodes.regrets(dataclasses.replace(task, limit=0.3), pool, np.array([3]))
    within = pool.log_latency[3] <= limits[0]
    assert within.mean() == pytest.approx(0.3, abs=0.01)
    assert task.score[regret[0].argmin()] == task.score[within].max() and within[regret[0].argmin()]


def test_tasks_vary_and_promising_cells_do_not_tell_the_device(pool):
    tasks = [context_episodes.draw_task(np.random.default_rng(seed)) for seed in range(60)]
    assert 0.1 < np.mean([np.isfinite(task.limit) for task in tasks]) < 0.45
    assert 0.3 < np.mean([task.weight == 1 for task in tasks]) < 0.7
    assert all(np.isfinite(task.score).all() and np.ptp(task.score) < 1.2 for task in tasks)
    cells = context_episodes.promising(tasks[0], pool, np.random.default_rng(0))
    assert 20 < len(cells) < 2000 and (np.diff(cells) > 0).all()


@pytest.mark.slow
def test_a_short_training_lowers_the_loss():
    settings = dataclasses.replace(TINY, supervised_steps=40, supervised_rounds=3, ppo_rounds=0)
    log = context_training.train(settings, progress=False).description["log"]
    assert log[-1]["loss"] < log[0]["loss"] - 0.1


@pytest.mark.slow
def test_an_interrupted_training_continues_with_identical_results(tmp_path, monkeypatch):
    whole = context_training.train(TINY, progress=False)
    usual = context_training._round

    def stopped(learner, number):
        if number == 3:
            raise KeyboardInterrupt
        return usual(learner, number)

    monkeypatch.setattr(context_training, "_round", stopped)
    with pytest.raises(KeyboardInterrupt):
        context_training.train(TINY, folder=tmp_path, progress=False)
    monkeypatch.setattr(context_training, "_round", usual)
    resumed = context_training.train(TINY, folder=tmp_path, progress=False)
    assert all((array == resumed.arrays[name]).all() for name, array in whole.arrays.items())
    assert resumed.description["log"] == whole.description["log"]
    (checkpoint,) = tmp_path.glob("*/checkpoint.pt")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    with pytest.raises(Exception, match=r".+"):
        context_training._resume(TINY, bytes(content))


def test_ppo_moves_the_heads_and_leaves_the_belief():
    settings = dataclasses.replace(TINY, supervised_rounds=0, ppo_rounds=1)
    before = context_training.Learner(settings).network.to_arrays({}).arrays
    after = context_training.train(settings, progress=False).arrays
    moved = {name.split(".")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"beta", "recommend_beta", "decide", "recommend", "regret"}


def test_the_rewards_of_an_episode_sum_to_the_fall_of_its_regret(pool):
    learner = context_training.Learner(TINY)
    rng = np.random.default_rng(0)
    task = context_episodes.draw_task(rng, limits=False)
    cells = context_episodes.promising(task, pool, rng)
    budgets = np.array([3, 10, 5])
    one = context_training.rollout(learner, pool, task, cells, rng, budgets=budgets)
    assert len(one.transitions["reward"]) == (budgets - 1).sum()
    assert [len(set(row[:n])) for row, n in zip(one.archs, budgets, strict=True)] == budgets.tolist()
    regret, _ = context_episodes.regrets(task, pool, one.devices)
    start = regret[np.arange(3), one.archs[:, 0]]
    fallen = [one.transitions["reward"][one.transitions["who"] == k].sum() for k in range(3)]
    np.testing.assert_allclose(start - fallen, one.final_regret, atol=1e-5)


def test_a_task_with_few_promising_cells_is_searched_all_the_same(pool):
    learner = context_training.Learner(dataclasses.replace(TINY, shown=2 * context.REFERENCE))
    rng = np.random.default_rng(0)
    task = context_episodes.draw_task(rng, limits=False)
    one = context_training.rollout(learner, pool, task, np.arange(5), rng, budgets=np.array([10, 10]))
    assert one.transitions["features"].shape[1] == 2 * context.REFERENCE
    assert all(len(set(row)) == 10 for row in one.archs.tolist())


def test_advantages_by_hand():
    t = {
        "who": np.array([0, 1, 0]), "measured": np.array([1, 1, 2]), "reward": np.array([0.5, 0.2, 0.25]),
        "value": np.array([0.1, 0.3, 0.2]),
    }  # fmt: skip
    found = context_training._advantages(t, 2, 0.5)
    last = 0.25 - 0.2
    np.testing.assert_allclose(found["advantage"], [0.5 + 0.2 - 0.1 + 0.5 * last, 0.2 - 0.3, last], rtol=1e-6)


def test_a_network_is_read_back_and_another_file_is_an_error(tmp_path):
    saved = dataclasses.replace(a_network().to_arrays({}), description={"settings": {"seed": 3}})
    file = saved.save(tmp_path / "mine")
    back = context.ContextNetwork.read(file)
    assert back.description == saved.description
    assert all((array == back.arrays[name]).all() for name, array in saved.arrays.items())
    assert file.stat().st_size <= 2_000_000
    with pytest.raises(FileExistsError):
        saved.save(file)
    for content in (b"", file.read_bytes()[:-10], b"\xff" * 100):
        (tmp_path / "bad.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match="does not hold a policy of this kind"):
            context.ContextNetwork.read(tmp_path / "bad.safetensors")
    arrays = {name: array for name, array in saved.arrays.items() if name != "beta"}
    with pytest.raises(ValueError, match="these differ: beta"):
        context.ContextNetwork(arrays, {})
    with pytest.raises(ValueError, match="finite"):
        context.ContextNetwork(saved.arrays | {"beta": np.float32(np.nan)}, {})


def test_without_ppo_only_the_improvement_decides():
    plain = a_network().to_arrays({}).without_ppo()
    x = np.random.default_rng(0).normal(size=(5, 13)).astype(np.float32)
    np.testing.assert_array_equal(plain.logits(x), x[:, 0])
