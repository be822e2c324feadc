"""How alike devices are, and whether they lie within the distribution of synthetic devices."""

import numpy as np
import pandas as pd
import pytest

from simmore import devices, space
from simmore.experiments import likeness


def test_kendall_is_1_for_equal_orders_and_minus_1_for_opposite_ones_whatever_failed():
    cells = np.arange(space.N_ARCHS, dtype=np.float64)
    absent = np.where(cells % 2, cells, np.nan)
    failed = cells.copy()
    failed[::2] = np.inf
    found = likeness.kendall({"up": cells + 1, "down": 20_000 - cells, "failed": failed + 1, "absent": absent + 1})
    tau = found.set_index(["device_a", "device_b"])["kendall"]
    assert len(found) == 16 and tau["up", "up"] == 1
    assert tau["up", "down"] == pytest.approx(-1) and tau["down", "up"] == pytest.approx(-1)
    assert tau["failed", "up"] == tau["absent", "up"] == pytest.approx(1)
    assert tau["absent", "down"] == pytest.approx(-1)


def test_the_mean_device_is_within_the_distribution_at_any_speed_and_a_device_with_slow_pools_alone_is_not(synthetic):
    mean = synthetic.mean_device()
    fast = devices.AdditiveDevice("a tenth of it", synthetic.mean_ms / 10)
    strange = devices.AdditiveDevice("pools only", np.array([1e-3, 1e-3, 1e-3, 1e-3, 5.0]))
    found = likeness.within(synthetic, [mean, fast, strange], n=20_000)
    inside = found.groupby("device")["within"].first()
    assert inside["mean"] and inside["a tenth of it"] and not inside["pools only"]
    assert isinstance(found, pd.DataFrame) and found["percentile"].between(0, 100).all()
    by_device = found.set_index(["device", "operation"])
    assert by_device.loc[("pools only", "avg_pool_3x3"), "share_percentile"] == 100
    sums = found.groupby("device")["share"].sum()
    np.testing.assert_allclose(sums, 1)
