"""Correction of a machine's drift by a reference that has noise of its own."""

import numpy as np
import pytest

from simmore import space
from simmore.hardware import drift


@pytest.fixture(scope="module")
def machine():
    """True latencies, equal for cells with the same layers; the machine drifts by 5 %, and measures to within 1 %."""
    rng = np.random.default_rng(0)
    true = np.array([1 + 0.1 * sum(space.live_ops(arch)) for arch in range(space.N_ARCHS)])
    speed = np.exp(0.05 * rng.standard_normal(625)).repeat(25)[rng.permutation(space.N_ARCHS)]
    return rng, true, speed, true * speed * np.exp(0.01 * rng.standard_normal(space.N_ARCHS))


def test_a_reference_without_noise_is_used_fully_and_leaves_the_noise_of_the_cells_alone(machine):
    _rng, true, speed, measured = machine
    reference = 2 * speed
    beta = drift.exponent(measured, reference)
    corrected = drift.corrected(measured, reference, beta)
    assert beta == pytest.approx(1, abs=0.02)
    assert np.std(np.log(corrected / true)) == pytest.approx(0.01, abs=0.001)
    assert drift.median_difference(corrected) < 0.02 < 0.04 < drift.median_difference(measured)


def test_a_reference_with_as_much_noise_as_drift_is_used_by_half(machine):
    rng, _, speed, measured = machine
    noisy = speed * np.exp(0.05 * rng.standard_normal(space.N_ARCHS))
    assert drift.exponent(measured, noisy) == pytest.approx(0.5, abs=0.05)


def test_a_reference_of_noise_alone_is_hardly_used(machine):
    rng, true, _, _ = machine
    noise = np.exp(0.05 * rng.standard_normal(space.N_ARCHS))
    beta = drift.exponent(true * np.exp(0.01 * rng.standard_normal(space.N_ARCHS)), noise)
    assert 0 <= beta < 0.05


def test_with_too_few_pairs_nothing_is_corrected(machine):
    _, _, speed, measured = machine
    few = np.full(space.N_ARCHS, np.nan)
    few[:200] = measured[:200]
    assert drift.exponent(few, speed) == 0
    np.testing.assert_array_equal(drift.corrected(few, speed, 0.0), few)
    assert np.isnan(drift.median_difference(np.full(space.N_ARCHS, np.nan)))


def test_the_cells_of_a_pair_have_the_same_layers_and_no_cell_is_in_two_pairs():
    pairs = drift.same_network(np.arange(space.N_ARCHS))
    assert len(pairs) > 2000 and len(np.unique(pairs)) == pairs.size
    for first, second in pairs[:: len(pairs) // 50]:
        assert space.live_ops(first) == space.live_ops(second) and first != second
