"""Correction of a machine's drift by a reference that has noise of its own."""

import numpy as np
import pytest

from simmore.hardware import drift

CELLS = 500


@pytest.fixture
def machine():
    """Cells in three passes: the machine drifts by 5 %, and measures to within 1 %."""
    rng = np.random.default_rng(0)
    true = rng.uniform(1, 5, CELLS)
    speed = np.exp(0.05 * rng.standard_normal((3, CELLS)))
    return rng, true, speed, true * speed * np.exp(0.01 * rng.standard_normal((3, CELLS)))


def test_a_reference_without_noise_is_used_fully_and_leaves_the_noise_of_the_cells_alone(machine):
    _rng, true, speed, measured = machine
    found = drift.fit(measured, 2 * speed)
    corrected = drift.corrected(measured, 2 * speed, found.exponent)
    assert found.exponent == pytest.approx(1, abs=0.02) and found.cells == CELLS
    assert np.std(np.log(corrected / true)) == pytest.approx(0.01, abs=0.001)
    assert found.corrected < 0.02 < 0.04 < found.uncorrected


def test_a_reference_with_as_much_noise_as_drift_is_used_by_half(machine):
    rng, _, speed, measured = machine
    noisy = speed * np.exp(0.05 * rng.standard_normal(speed.shape))
    assert drift.fit(measured, noisy).exponent == pytest.approx(0.5, abs=0.05)


def test_a_reference_of_noise_alone_is_hardly_used_and_the_validation_shows_that_it_gains_nothing(machine):
    rng, true, speed, _ = machine
    noise = np.exp(0.05 * rng.standard_normal(speed.shape))
    found = drift.fit(true * np.exp(0.01 * rng.standard_normal(speed.shape)), noise)
    assert 0 <= found.exponent < 0.05 and found.corrected == pytest.approx(found.uncorrected, rel=0.05)


def test_the_validation_is_on_cells_that_the_exponent_was_not_fitted_to():
    """One half of the cells follows the reference, the other half moves against it: nothing is learnt for the other."""
    rng = np.random.default_rng(0)
    reference = np.exp(0.05 * rng.standard_normal((2, CELLS)))
    ours = np.where(np.arange(CELLS) % 2 == 0, reference, 1 / reference)
    found = drift.fit(ours, reference)
    assert found.corrected >= found.uncorrected


def test_with_too_few_cells_nothing_is_corrected_and_cells_without_all_readings_are_left_out(machine):
    _, _, speed, measured = machine
    assert drift.fit(measured[:, :20], speed[:, :20]).exponent == 0
    measured[1, :100] = np.inf
    assert drift.fit(measured, speed).cells == CELLS - 100
    np.testing.assert_array_equal(drift.corrected(measured, speed, 0.0), measured)
