"""Statistics of devices whose values are known, and percentiles of real devices among drawn ones."""

import numpy as np
import pandas as pd
import pytest

from simmore import devices, space
from simmore.experiments import prior_checks

CELLS = np.arange(space.N_ARCHS)
COSTS = np.array([0.1, 0.2, 0.5, 1.0, 0.4])


@pytest.fixture
def additive():
    """One additive device, ``(1, cells)``."""
    return (devices.all_operation_counts() @ COSTS)[None]


def test_an_additive_device_has_the_statistics_of_its_operations(additive):
    found = prior_checks.statistics(additive).iloc[0]
    share = [found[f"share_{name}"] for name in space.OPERATIONS if name != "nor_conv_3x3"]
    np.testing.assert_allclose(share, [0.1, 0.2, 0.5, 0.4])
    assert found["additivity"] == pytest.approx(1) and found["twin_noise"] == 0
    assert found["fastest"] == pytest.approx(0.6 / additive.mean())
    assert found["range_tail"] == pytest.approx(6 / np.quantile(additive, 0.999))


def test_statistics_do_not_depend_on_the_unit(additive):
    both = prior_checks.statistics(np.concatenate([additive, 1e3 * additive]))
    np.testing.assert_allclose(both.iloc[0], both.iloc[1], atol=1e-9)


def test_latency_that_is_flops_correlates_fully_and_spikes_lengthen_the_tail_alone():
    flops = space.flops(CELLS)[None]
    spike = flops.copy()
    spike[0, flops[0].argmax()] *= 3
    assert prior_checks.flops_correlation(np.concatenate([flops, -flops])) == pytest.approx([1, -1])
    tail = prior_checks.range_tail(np.concatenate([flops, spike]))
    assert tail[1] == pytest.approx(3 * tail[0])


def test_noise_is_seen_between_twins_and_dead_code_and_work_on_zeros_are_not(additive):
    rng = np.random.default_rng(0)
    noisy = additive * np.exp(0.03 * rng.standard_normal(additive.shape))
    # the median of |a − b| is 0.954 σ for two Gaussian readings
    assert prior_checks.twin_noise(noisy) == pytest.approx(0.954 * 0.03, rel=0.05)
    compiled = np.where(space.live_edges(CELLS), COSTS[space.all_ops()], 0).sum(axis=1)[None] + 0.1
    assert prior_checks.twin_noise(compiled) == 0
    assert prior_checks.additivity(compiled) < 0.95


def test_twins_are_different_cells_with_one_canonical_form():
    one, other = prior_checks.twins()
    assert len(one) > 1_000 and (one != other).all()
    for a, b in zip(one[::500].tolist(), other[::500].tolist(), strict=True):
        assert space.canonical_form(a).ops == space.canonical_form(b).ops


def test_every_device_has_a_row_for_every_statistic(gpu_table):
    frame = prior_checks.checks([devices.TableDevice("titanx_1", gpu_table)], n=3, seed=0)
    assert list(frame.columns) == prior_checks.COLUMNS and len(frame) == 7 * 9
    assert frame.groupby("source")["device"].nunique().to_dict() == {"xi": 3, "simulated": 3, "real": 1}
    assert set(frame.loc[frame["source"] == "real", "class"]) == {"gpu"}
    assert set(frame["class"]) == {"gpu", prior_checks.DRAWN} and not frame.isna().any(axis=None)
    without = prior_checks.checks([], n=3, seed=0)
    assert without.equals(frame[frame["source"] != "real"].reset_index(drop=True))
    assert prior_checks.percentiles(without).empty


def test_percentiles_and_the_share_of_typical_statistics():
    drawn = [("xi", f"xi_{k}", "drawn", "a", float(k)) for k in range(100)]
    drawn += [("simulated", f"simulated_{k}", "drawn", "a", k + 100.0) for k in range(100)]
    real = [("real", "x", "gpu", "a", 49.5), ("real", "y", "cpu", "a", 149.5)]
    found = prior_checks.percentiles(pd.DataFrame(drawn + real, columns=prior_checks.COLUMNS))
    assert found["xi"].tolist() == [50, 100] and found["simulated"].tolist() == [0, 50]
    assert prior_checks.typical(found, "device").loc["x"].tolist() == [1, 0]
    assert prior_checks.typical(found, "statistic").loc["a"].tolist() == [0.5, 0.5]
