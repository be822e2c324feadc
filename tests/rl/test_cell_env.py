from itertools import chain

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from simmore import devices, space
from simmore.rl import mdp
from simmore.rl.environments import CellEnv, CellVecEnv


class OneDevice:
    """Always the same device, so that rewards can be checked by hand."""

    def __init__(self, operation_ms):
        self.operation_ms = np.asarray(operation_ms, dtype=float)

    def sample(self, n, rng):
        return np.tile(self.operation_ms, (n, 1))


def plain_observation(past, ops, latency_ms, first_ms):
    """What `mdp.Observer` specifies, written out with lists."""

    def one_hot(k, n):
        return [float(k == i) for i in range(n)]

    def state(ops, latency_ms):
        return [bit for o in ops for bit in one_hot(o, 5)] + [float(np.clip(np.log(latency_ms / first_ms), -10, 10))]

    seen = state(ops, latency_ms)
    padding = [[0.0] * 42] * (5 - len(past[-5:]))
    pairs = [state(o, ms) + one_hot(edge, 6) + one_hot(op, 5) for o, ms, edge, op in past[-5:]]
    return np.array([*seen, *chain.from_iterable(padding + pairs)], dtype=np.float32)


def test_gymnasium_accepts_the_environment(synthetic, conv_score):
    check_env(CellEnv(synthetic, conv_score), skip_render_check=True)


def test_an_action_puts_an_operation_on_an_edge():
    table = mdp.next_archs()
    for arch in (0, 777, 15_624):
        for action in range(30):
            expected = space.to_ops(arch).copy()
            expected[action // 5] = action % 5
            np.testing.assert_array_equal(space.to_ops(table[arch, action]), expected)


def test_rewards_by_hand(conv_score):
    env = CellEnv(OneDevice([1, 2, 3, 4, 5]), conv_score)
    env.reset(seed=0)
    for edge in range(6):
        _, reward, terminated, truncated, info = env.step(np.array([edge, 3]))
    # six 3x3 convolutions: p = 1 by the test's score; 24 ms on a device whose cells take 6 to 30 ms
    assert info["latency_ms"] == 24 and space.to_ops(info["arch"]).tolist() == [3] * 6
    assert reward == pytest.approx(1 + 1 - (24 - 6) / (30 - 6))
    assert not terminated and not truncated


def test_episodes_last_fifty_steps_and_every_reset_draws_a_device(synthetic, conv_score):
    env = CellEnv(synthetic, conv_score)
    drawn = []
    for _ in range(3):
        env.reset(seed=1 if not drawn else None)
        drawn.append(env._episode.operation_ms[0].tolist())
        ends = [env.step(np.array([0, 0]))[3] for _ in range(mdp.HORIZON)]
        assert env._episode.operation_ms[0].tolist() == drawn[-1], "the device stays until the episode ends"
        assert ends == [False] * 49 + [True]
    assert len({tuple(d) for d in drawn}) == 3


def test_the_same_seed_gives_the_same_episode(synthetic, conv_score):
    env = CellEnv(synthetic, conv_score)
    one, other = (env.reset(seed=5)[0] for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, env.reset(seed=6)[0])


def test_vectorised_single_and_plain_dynamics_agree_step_by_step(synthetic, conv_score):
    """64 vectorised environments against 64 gymnasium ones, and both against lists and loops, over two episodes."""
    n, rng = 64, np.random.default_rng(3)
    many = CellVecEnv(n, synthetic, conv_score, seed=0)
    single = [CellEnv(synthetic, conv_score) for _ in range(n)]
    for _ in range(2):
        observation = many.reset()
        episodes = many.episodes
        for k, env in enumerate(single):  # the same devices and cells; how they are drawn is the samplers' matter
            env.reset(seed=k)
            env._episode.sampler = OneDevice(episodes.operation_ms[k])
            env._episode.begin(np.random.default_rng(0))
            env._episode.archs[:] = episodes.archs[k]
            env._episode._observer.begin(env._episode.archs, env._episode.latency_ms())
        device, first = episodes.operation_ms.copy(), episodes.latency_ms()
        ops, past = space.to_ops(episodes.archs).astype(int), [[] for _ in range(n)]
        for t in range(mdp.HORIZON):
            actions = np.stack([rng.integers(6, size=n), rng.integers(5, size=n)], axis=1)
            if t == 10:
                actions[:] = np.stack([np.zeros(n, int), ops[:, 0]], axis=1)  # leaves the cell as it is
            many.step_async(actions)
            observation, reward, done, infos = many.step_wait()
            if done.any():
                observation = np.stack([info["terminal_observation"] for info in infos])
                assert all(info["TimeLimit.truncated"] for info in infos)
            for k, env in enumerate(single):
                seen, gained, terminated, truncated, _ = env.step(actions[k])
                np.testing.assert_array_equal(seen, observation[k])
                assert reward[k] == np.float32(gained) and done[k] == truncated and not terminated
                if k < 4:
                    edge, op = actions[k]
                    before = sum(device[k][o] for o in ops[k])
                    past[k].append((ops[k].copy(), before, edge, op))
                    ops[k, edge] = op
                    latency = sum(device[k][o] for o in ops[k])
                    np.testing.assert_allclose(seen, plain_observation(past[k], ops[k], latency, first[k]), atol=1e-5)
                    low, high = 6 * device[k].min(), 6 * device[k].max()
                    expected = (ops[k] == 3).sum() / 6 + 1 - (latency - low) / (high - low)
                    assert gained == pytest.approx(expected)
                else:
                    ops[k, actions[k, 0]] = actions[k, 1]


def test_the_observation_shows_nothing_but_ratios_of_measured_latencies(conv_score):
    """A device ten times as slow, everywhere, cannot be told from the first."""
    seen = []
    for scale in (1, 10):
        env = CellEnv(OneDevice(scale * np.array([1.0, 2, 3, 4, 5])), conv_score)
        observations = [env.reset(seed=0)[0]]
        observations += [env.step(np.array([e % 6, 3]))[0] for e in range(8)]
        seen.append(observations)
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-6)


def test_operations_that_were_never_measured_do_not_show(conv_score):
    """Change the latency of an operation that no visited cell has: the observations stay as they were."""
    seen = []
    for unmeasured in (4.0, 400.0):
        observer = mdp.Observer(1)
        device = devices.AdditiveDevice("d", np.array([1.0, 2, 3, unmeasured, 5]))
        cell = np.array([0], dtype=np.int32)  # cell 0 has no 3x3 convolution
        observations = [observer.begin(cell, device.latency_ms(cell))]
        for edge in range(6):
            action = np.array([5 * edge + 2])
            cell = mdp.next_archs()[cell, action]
            observations.append(observer.observe(action, cell, device.latency_ms(cell)))
        seen.append(observations)
    np.testing.assert_array_equal(seen[0], seen[1])


def test_a_cell_that_does_not_compile_is_seen_as_very_slow():
    observer = mdp.Observer(2)
    cells = np.array([0, 1], dtype=np.int32)
    observer.begin(cells, np.array([2.0, np.inf]))
    seen = observer.observe(np.array([0, 0]), cells, np.array([np.inf, 2.0]))
    assert np.isfinite(seen).all() and seen[0, mdp.STATE_SIZE - 1] == mdp.LATENCY_BOUND
