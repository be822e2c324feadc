import numpy as np
import pytest

from simmore import data, devices, space

EVERYTHING = np.arange(space.N_ARCHS)


def test_an_additive_device_adds_up_by_hand():
    device = devices.AdditiveDevice("hand", np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    # cell 0 has three skips, two 1x1 convolutions and a pooling
    assert device.latency_ms(0) == 3 * 2 + 2 * 3 + 5
    np.testing.assert_array_equal(devices.operation_latencies(device), [1, 2, 3, 4, 5])


def test_the_gaussians_are_mean_and_deviation_of_the_devices():
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


def test_a_tested_device_is_left_out_with_its_family():
    left = devices.without_family(data.MEASURED, ["titan_rtx_1", "1080ti_256"])
    assert not {"titan_rtx_1", "titan_rtx_256", "1080ti_1", "1080ti_32", "1080ti_256"} & set(left)
    assert {"titanx_1", "titanxp_1", "2080ti_1", "gold_6226"} <= set(left)
    assert len(devices.without_family(devices.PAPER_DEVICES, devices.TEST_DEVICES)) == 12


def test_embedded_devices_need_no_table():
    gpu = devices.load("nats_gpu")
    assert gpu.latency_ms(0) == pytest.approx(13.93597586)
    lut = devices.load("raspi4_lut")
    assert lut.latency_ms(space.single_operation_archs()[3]) == pytest.approx(6 * 16.4813, rel=1e-4)
    assert devices.load("mean").latency_ms(EVERYTHING).shape == (space.N_ARCHS,)


def test_embedded_operations_are_derived_from_the_tables(measured_tables):
    derived = devices.derive_operations()
    stored = data.device_operations()[list(space.OPERATIONS)]
    assert list(derived.index) == list(stored.index) == list(devices.PAPER_DEVICES)
    np.testing.assert_allclose(derived, stored, rtol=1e-9)


def test_a_measured_device(measured_tables):
    device = devices.load("raspi4")
    assert device.latency_ms(EVERYTHING).max() == pytest.approx(98.88752)
    assert [d.name for d in devices.test_devices()] == list(devices.TEST_DEVICES)


@pytest.mark.parametrize("name", ["raspi5", "", "edgegpu", "foo_lut", "../raspi4"])
def test_an_unknown_device_says_which_there_are(name):
    with pytest.raises(ValueError, match=r"no device .* choose one of .*raspi4.*nats_gpu.*CSV"):
        devices.load(name)


def test_a_users_csv_is_a_device_like_every_other(tmp_path):
    file = tmp_path / "board.csv"
    file.write_text("arch,latency_ms\n" + "".join(f"{k},{k + 1}\n" for k in EVERYTHING))
    device = devices.load(str(file))
    assert device.name == "board" and device.latency_ms(41) == 42


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
        lambda: devices.SyntheticDevices.fit(["raspi4"]),
        lambda: devices.SyntheticDevices.fit(["raspi4", "raspi5"]),
    ],
)
def test_impossible_devices(make):
    with pytest.raises(ValueError):
        make()
