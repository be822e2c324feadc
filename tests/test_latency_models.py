import numpy as np
import pytest

from simmore import devices, space
from simmore.models import linear
from simmore.models.linear import BayesianLinear


def test_an_additive_device_is_learnt_from_its_five_cells(synthetic):
    device = synthetic.device(np.random.default_rng(0))
    archs = space.single_operation_archs()
    model = BayesianLinear(synthetic.mean_ms, synthetic.sd_ms, relative_noise=1e-6)
    np.testing.assert_allclose(model.operation_ms(archs, device.latency_ms(archs)), device.operation_ms, rtol=1e-3)
    np.testing.assert_allclose(model.bounds_ms(archs, device.latency_ms(archs)),
                               [6 * device.operation_ms.min(), 6 * device.operation_ms.max()], rtol=1e-3)  # fmt: skip


def test_one_measurement_by_hand():
    """One cell of six convolutions, prior mean 1 each: it sets the scale, and tells nothing of the others."""
    model = BayesianLinear(np.ones(5), np.ones(5), relative_noise=0.1)
    conv = space.single_operation_archs()[3]
    np.testing.assert_allclose(model.operation_ms([conv], [12.0]), 2.0)


def test_the_unit_of_time_does_not_matter(synthetic):
    model = BayesianLinear.from_devices(synthetic)
    archs = np.array([0, 5, 900, 12_000])
    latency = devices.load("nats_gpu").latency_ms(archs)
    np.testing.assert_allclose(model.predict(archs, 1e3 * latency), 1e3 * model.predict(archs, latency))


def test_the_bounds_hold_what_was_measured(synthetic):
    model = BayesianLinear.from_devices(synthetic)
    fastest, slowest = model.bounds_ms([0, 1], [1.0, 500.0])
    assert fastest <= 1 and slowest >= 500


def test_the_lut_of_an_additive_device_is_the_device(synthetic):
    device = synthetic.device(np.random.default_rng(1))
    assert linear.lut_kendall(device) == pytest.approx(1)
