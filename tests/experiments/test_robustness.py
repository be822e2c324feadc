"""Disturbed measurements."""

import numpy as np
import pytest

from simmore import devices
from simmore.experiments import robustness
from simmore.experiments.robustness import Disturbed
from simmore.models.readings import resolution
from simmore.strategies import Problem

TABLE = devices.all_operation_counts() @ [1.0, 2.0, 3.0, 9.0, 4.0]
CELLS = np.arange(len(TABLE))


def disturbed(kind, amount):
    return Disturbed(TABLE, kind, amount, np.random.default_rng(0))


def test_noise_has_the_standard_deviation_in_logarithms_and_nothing_is_changed_without_it():
    assert np.log(disturbed("noise", 0.1).latency_ms(CELLS) / TABLE).std() == pytest.approx(0.1, rel=0.02)
    np.testing.assert_array_equal(disturbed("noise", 0.0).latency_ms(CELLS), TABLE)


def test_drift_slows_the_tenth_cell_by_its_amount():
    device = disturbed("drift", 0.4)
    shown = np.array([float(device.latency_ms(np.asarray(arch))) for arch in range(10)])
    assert shown[0] == TABLE[0] and shown[9] == pytest.approx(1.4 * TABLE[9])


def test_a_timer_shows_whole_steps_and_never_nothing():
    device = disturbed("timer", 0.2)
    shown = device.latency_ms(CELLS)
    assert device.unit_ms == pytest.approx(0.2 * TABLE.mean()) and resolution(shown) == 1  # which a search recognises
    assert shown.min() == 1 and len(np.unique(shown)) < 15
    assert np.abs(shown * device.unit_ms - TABLE)[shown > 1].max() <= device.unit_ms / 2


def test_a_share_of_the_cells_fails_and_cannot_be_the_answer():
    device = disturbed("failing", 0.3)
    assert np.isinf(device.truth).mean() == pytest.approx(0.3, abs=0.01)
    assert (np.isinf(device.latency_ms(CELLS)) == np.isinf(device.truth)).all()


def test_every_disturbance_is_searched_from_the_same_starts(monkeypatch):
    monkeypatch.setattr(robustness, "DISTURBANCES", {"noise": (0.0, 0.2), "failing": (0.5, 1.0)})
    board = devices.TableDevice("board", TABLE)
    frame = robustness.regrets(["random"], [board], Problem.of(), n_starts=2, n_jobs=1)
    assert len(frame) == 8 and frame["inference_regret"].between(-1e-9, 4).all()
    nothing = frame[(frame["kind"] == "failing") & (frame["amount"] == 1.0)]
    assert (nothing["inference_regret"] == 1).all()  # no cell runs
    quiet, noisy = (frame[frame["amount"] == amount]["inference_regret"].to_numpy() for amount in (0.0, 0.2))
    assert (noisy >= quiet - 1e-9).mean() >= 0.5
