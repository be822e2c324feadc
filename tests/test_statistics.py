import numpy as np
import pytest

from simmore.experiments import statistics


def test_the_interquartile_mean_by_hand():
    assert statistics.interquartile_mean([0, 1, 2, 3, 4, 5, 6, 1000]) == (2 + 3 + 4 + 5) / 4
    assert statistics.interquartile_mean([[0, 1], [2, 100]]) == 1.5  # over all runs, whatever the device


def test_a_performance_profile_by_hand():
    np.testing.assert_array_equal(statistics.performance_profile([[0, 1], [2, 3]], [-1, 0, 1.5, 3]), [0, 0.25, 0.5, 1])


def test_the_probability_of_improvement_by_hand():
    # device one: ours always smaller; device two: equal
    assert statistics.probability_of_improvement([[0, 0], [5, 5]], [[1, 2], [5, 5]]) == 0.75
    assert statistics.probability_of_improvement([[3]], [[3]]) == 0.5


def test_the_bootstrap_redraws_within_devices_only():
    # no spread within a device: no width, however far the devices are apart
    low, high = statistics.stratified_bootstrap([[1, 1, 1], [9, 9, 9]], np.mean, repetitions=50)
    assert low == high == 5
    runs = np.random.default_rng(0).normal(size=(1, 400))
    low, high = statistics.stratified_bootstrap(runs, np.mean)
    assert (low, high) == pytest.approx((runs.mean() - 0.098, runs.mean() + 0.098), abs=0.012)
    assert statistics.stratified_bootstrap(runs, np.mean, seed=1) == statistics.stratified_bootstrap(
        runs, np.mean, seed=1
    )
