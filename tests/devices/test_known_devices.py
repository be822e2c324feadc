import gzip

import numpy as np
import pytest

from simmore import data, devices, paths, space
from simmore.errors import DataError, TableMissing

EVERYTHING = np.arange(space.N_ARCHS)


def test_a_device_is_left_out_with_its_family():
    left = devices.without_family(data.MEASURED, ["titan_rtx_1", "1080ti_256"])
    assert not {"titan_rtx_1", "titan_rtx_256", "1080ti_1", "1080ti_32", "1080ti_256"} & set(left)
    assert {"titanx_1", "titanxp_1", "2080ti_1", "gold_6226"} <= set(left)
    assert len(devices.without_family(devices.PAPER_DEVICES, devices.TEST_DEVICES)) == 12


def test_installed_devices_need_no_download():
    gpu = devices.load("nats_gpu")
    assert gpu.latency_ms(0) == pytest.approx(13.93597586)
    lut = devices.load("raspi4_lut")
    assert lut.latency_ms(space.single_operation_archs()[3]) == pytest.approx(6 * 16.4813, rel=1e-4)
    assert devices.load("mean").latency_ms(EVERYTHING).shape == (space.N_ARCHS,)


def test_a_measured_device_has_the_values_of_its_table(measured_tables):
    device = devices.load("raspi4")
    assert device.latency_ms(EVERYTHING).max() == pytest.approx(98.88752)
    assert [d.name for d in devices.test_devices()] == list(devices.TEST_DEVICES)


@pytest.mark.parametrize("name", ["raspi5", "", "edgegpu", "foo_lut", "../raspi4"])
def test_the_error_for_an_unknown_device_names_the_known_ones(name):
    with pytest.raises(
        ValueError, match=r"no device .* choose one of raspi4, .*litert_fp32.*nats_gpu.*titanxp_1_lut.*CSV"
    ):
        devices.load(name)


def test_a_users_csv_is_a_device_with_the_name_of_the_file(tmp_path):
    file = tmp_path / "board.csv"
    file.write_text("arch,latency_ms\n" + "".join(f"{k},{k + 1}\n" for k in EVERYTHING))
    device = devices.load(str(file))
    assert device.name == "board" and device.latency_ms(41) == 42


@pytest.mark.parametrize("name", ["board.csv", "BOARD.CSV", "board.csv.gz", "board.tsv", "board.data"])
def test_a_table_of_some_cells_is_a_device_whatever_its_files_name(tmp_path, name):
    content = "\n".join(["arch,latency_s", *(f"{k},{(k + 1) / 1000}" for k in range(30)), "40,failed"]).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    device = devices.load(str(tmp_path / name))
    assert device.name.lower() == "board" and device.latency_ms([0, 29]).tolist() == pytest.approx([1, 30])
    assert np.isinf(device.latency_ms(40)) and device.measured.sum() == 31


def test_too_few_cells_to_search_are_refused_with_the_way_out(tmp_path):
    file = tmp_path / "board.csv"
    file.write_text("arch,latency_ms\n50,-1\n" + "".join(f"{k},{k + 1}\n" for k in range(devices.known.MIN_CELLS - 1)))
    with pytest.raises(
        DataError, match=r"board\.csv has the latency of 19 cells.*20 or more.*`simmore suggest .*board"
    ):
        devices.load(str(file))
    file.write_text("arch,latency_ms\n")
    with pytest.raises(DataError, match="has the latency of 0 cells"):
        devices.from_csv(file)


def test_a_missing_csv_is_no_unknown_name(tmp_path):
    with pytest.raises(DataError, match=r"board\.CSV does not exist: give the path of a CSV"):
        devices.load(str(tmp_path / "board.CSV"))


def test_every_name_is_a_device(measured_tables):
    assert len(devices.NAMES) == len(set(devices.NAMES)) == 20 + 4 + 5 + 2 + 18
    for name in devices.NAMES:
        device = devices.load(name)
        assert device.name == name and (device.latency_ms(devices.measured_cells(device)) > 0).all()


def test_a_blind_device_has_the_cells_of_its_sample_and_nothing_else_uses_it(tmp_path, monkeypatch):
    table = np.full(space.N_ARCHS, np.nan)
    table[:3000] = 1 + np.arange(3000)
    np.savez(tmp_path / "latency_torch_fp32.npz", latency_ms=table)
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    data.latency_table.cache_clear()
    try:
        device = devices.load("torch_fp32")
        assert device.measured.sum() == 3000 and device.latency_ms(41) == 42
        where = data.status().set_index("name")["where"]
        assert where["latency/torch_fp32"] == "package" and where["latency/onnxruntime_fp32_batch8"] == "missing"
    finally:
        data.latency_table.cache_clear()
    used = {*data.MEASURED, *data.BENCHMARKED, *devices.PAPER_DEVICES, *devices.TEST_DEVICES}
    assert not used & set(data.BLIND)


def test_without_downloads_the_benchmarked_runtimes_are_the_test_devices(monkeypatch):
    def missing(name):
        raise TableMissing(name)

    real = data.latency_table
    monkeypatch.setattr(data, "latency_table", lambda name: (real if name in data.BENCHMARKED else missing)(name))
    assert [device.name for device in devices.available(["raspi4", "nats_gpu"])] == ["nats_gpu"]
    assert [device.name for device in devices.test_devices()] == list(data.BENCHMARKED)
