import numpy as np
import pytest

from simmore import data, devices, space


def test_the_gaussians_have_the_mean_and_deviation_of_the_devices():
    pair = devices.SyntheticDevices.fit(["eyeriss", "fpga"])
    a, b = (data.device_operations().loc[name, list(space.OPERATIONS)].to_numpy(float) for name in ("eyeriss", "fpga"))
    np.testing.assert_allclose(pair.mean_ms, (a + b) / 2)
    np.testing.assert_allclose(pair.sd_ms, abs(a - b) / 2)


def test_synthetic_devices_are_positive_and_follow_from_the_seed(synthetic):
    drawn = synthetic.sample(5_000, np.random.default_rng(0))
    assert drawn.shape == (5_000, 5) and (drawn > 0).all()
    np.testing.assert_array_equal(drawn, synthetic.sample(5_000, np.random.default_rng(0)))
    from scipy.stats import kstest, norm

    for k in range(5):
        mean, sd = synthetic.mean_ms[k], synthetic.sd_ms[k]
        below = norm.cdf(0, mean, sd)
        truncated = lambda x, m=mean, s=sd, b=below: (norm.cdf(x, m, s) - b) / (1 - b)  # noqa: E731
        assert kstest(drawn[:, k], truncated).pvalue > 1e-3


def test_the_mean_device_has_the_mean_latencies(synthetic):
    assert synthetic.mean_device().operation_ms.tolist() == synthetic.mean_ms.tolist()


@pytest.mark.parametrize("names", [["raspi4"], ["raspi4", "raspi5"]])
def test_a_fit_needs_at_least_two_known_devices(names):
    with pytest.raises(ValueError, match=r"at least two of the devices edgegpu, .*unknown"):
        devices.SyntheticDevices.fit(names)
