"""Distance from Ξ, on devices whose distance is known."""

import numpy as np
import pytest

from simmore import devices, space
from simmore.experiments import comparison, distance
from simmore.strategies import BEST, BUDGET, Problem


def test_a_draw_of_xi_is_near_it_in_any_unit_and_another_structure_is_far(synthetic):
    rng = np.random.default_rng(5)
    additive = distance.scaled(synthetic, 1.0, 4, rng)
    near = distance.distances(additive, synthetic)
    assert (near < 0.1).all()
    np.testing.assert_allclose(distance.distances(1e3 * additive, synthetic), near)
    cell = additive[:1].copy()
    cell[:, ::2] *= np.e  # half of the cells: the logarithms differ by ±1/2 from their mean
    assert distance.distances(cell, synthetic)[0] == pytest.approx(0.5, abs=0.1)


def test_devices_between_an_additive_and_a_simulated_one(synthetic):
    first, half, last = (distance.interpolated(synthetic, by, 2, np.random.default_rng(0)) for by in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, np.sqrt(first * last))
    r2 = np.corrcoef(first[0], devices.all_operation_counts() @ first[0, space.single_operation_archs()])[0, 1]
    assert r2 == pytest.approx(1)


@pytest.mark.slow
def test_almost_equal_latencies_do_not_mislead_the_belief_about_the_range(synthetic, tmp_path):
    # devices between additive and simulated ones: what noise adds to their range is small, whatever the range is
    tables = distance.interpolated(synthetic, 0.75, 12, np.random.default_rng(2))
    made = [devices.TableDevice(f"made_{k}", table) for k, table in enumerate(tables)]
    frame = comparison.compare(
        made, Problem.of(), protocol="none", names=[BEST], n_starts=2, budget=BUDGET, folder=tmp_path
    )
    regret = comparison.at(frame).groupby("device")["inference_regret"].mean()
    assert regret.mean() < 0.15 and regret.max() < 0.6


def test_every_made_and_real_device_has_a_row_for_every_search(tmp_path, monkeypatch):
    monkeypatch.setattr(distance, "WIDTHS", (1.0,))
    monkeypatch.setattr(distance, "SHARES", (1.0,))
    monkeypatch.setattr(distance.comparison.paths, "BUILD", tmp_path)
    frame = distance.regrets(["random", "mean_device"], Problem.of(), n=1, n_starts=2, real=[devices.load("nats_gpu")])
    assert list(frame.columns) == distance.COLUMNS and len(frame) == 2 * 3 * 2
    assert set(frame["kind"]) == {"width", "structure", "real"} and (frame["distance"] > 0).all()
