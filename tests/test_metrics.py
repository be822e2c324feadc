import numpy as np
import pandas as pd
import pytest

from simmore.devices import rewards
from simmore.experiments import statistics


def test_inverse_latency_and_reward_by_hand():
    np.testing.assert_allclose(rewards.inverse_latency([1.0, 2.0, 5.0]), [1, 0.75, 0])
    np.testing.assert_allclose(rewards.reward([0.0, 1.0, 0.5], [1.0, 2.0, 5.0]), [1, 1.75, 0.5])
    assert rewards.optimum([0.0, 1.0, 0.5], [1.0, 2.0, 5.0]) == 1


def test_a_cell_that_does_not_compile_is_never_the_optimum():
    assert rewards.inverse_latency([1.0, np.inf, 5.0])[1] == -np.inf
    assert rewards.optimum([0.0, 9.0, 0.5], [1.0, np.inf, 5.0]) == 0


def test_random_search_is_the_mean_of_many_draws():
    rewards = np.random.default_rng(0).normal(size=500)
    draws = np.random.default_rng(1).choice(rewards, size=(100_000, 10)).max(axis=1)
    assert rewards.random_search_reward(rewards) == pytest.approx(draws.mean(), abs=4 * draws.std() / np.sqrt(1e5))
    assert rewards.random_search_reward([0.0, 1.0], budget=2) == 0.75


def test_regret_is_0_at_the_best_and_1_at_random_search():
    rewards = np.array([0.0, 1.0])
    expected = 1 - 0.5**10  # ten draws of two cells miss the better one that rarely
    np.testing.assert_allclose(rewards.normalised_regret(rewards, [1, 0]), [0, 1 / (1 - expected)])


def test_rank_correlations_by_hand():
    assert statistics.spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert statistics.kendall([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)


def test_students_interval_by_hand():
    low, high = statistics.mean_interval([1.0, 2.0, 3.0])
    # t(0.975, 2 degrees) = 4.3027, standard error 1/√3
    assert (low, high) == (pytest.approx(2 - 4.3027 / 3**0.5, abs=1e-3), pytest.approx(2 + 4.3027 / 3**0.5, abs=1e-3))
    with pytest.raises(ValueError, match="at least two"):
        statistics.mean_interval([1.0])


def test_curve_intervals():
    curves = pd.DataFrame({"seed": [0, 1, 0, 1], "timestep": [0, 0, 10, 10], "score": [1.0, 3.0, 5.0, 5.0]})
    frame = statistics.curve_intervals(curves)
    assert frame.loc[("score", 0), "mean"] == 2 and frame.loc[("score", 10), "high"] == 5
