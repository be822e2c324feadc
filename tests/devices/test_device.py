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
    table[7] = np.inf
    device = devices.TableDevice("edgetpu", table)
    assert device.latency_ms([6, 7]).tolist() == [1, np.inf] and device.measured.all()


def test_a_cell_that_is_not_in_the_table_is_refused_by_its_index():
    table = np.full(space.N_ARCHS, np.nan)
    table[[3, 9]] = 2.0, np.inf
    device = devices.TableDevice("sample", table)
    assert np.flatnonzero(device.measured).tolist() == devices.measured_cells(device).tolist() == [3, 9]
    np.testing.assert_array_equal(devices.whole_table(device), table)
    assert device.latency_ms([9, 3]).tolist() == [np.inf, 2]
    for archs in (7, [3, 7]):
        with pytest.raises(ValueError, match=r"cell 7 is not in the table of sample, which has 2 of the 15,625 cells"):
            device.latency_ms(archs)


def test_a_device_without_a_table_has_all_cells():
    device = devices.AdditiveDevice("hand", np.ones(5))
    assert len(devices.measured_cells(device)) == space.N_ARCHS and (devices.whole_table(device) == 6).all()


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
