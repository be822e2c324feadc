import numpy as np
import pytest

from simmore import devices, space


def test_the_latency_of_an_additive_device_is_the_sum_over_the_operations():
    device = devices.AdditiveDevice("hand", np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    # cell 0 has three skips, two 1x1 convolutions and a pooling
    assert device.latency_ms(0) == 3 * 2 + 2 * 3 + 5
    np.testing.assert_array_equal(devices.operation_latencies(device), [1, 2, 3, 4, 5])


def test_cells_that_do_not_compile_are_infinitely_slow():
    table = np.ones(space.N_ARCHS)
    table[7] = np.nan
    assert devices.TableDevice("edgetpu", table).latency_ms([6, 7]).tolist() == [1, np.inf]


@pytest.mark.parametrize(
    "make",
    [
        lambda: devices.TableDevice("short", np.ones(5)),
        lambda: devices.TableDevice("zero", np.zeros(space.N_ARCHS)),
        lambda: devices.TableDevice("nothing", np.full(space.N_ARCHS, np.nan)),
        lambda: devices.AdditiveDevice("negative", np.array([1, 1, 1, 1, -1.0])),
    ],
)
def test_a_device_has_a_positive_latency_for_each_cell(make):
    with pytest.raises(ValueError):
        make()
