"""Benchmark files that users have: each wrong one is refused with a sentence that names the file and the place."""

import bz2
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from simmore import data, space
from simmore.data import archives
from simmore.errors import DataError, InputWarning

N = space.N_ARCHS


# NATS-Bench's archive


@pytest.fixture
def archive(upstream) -> Path:
    """The mirror's archive of three architectures; the test is skipped if the mirror lacks it."""
    meta = next(upstream.glob("D-X-Y/NATS-Bench/*/fake_torch_dir/*/meta.pickle.pbz2"), None)
    if meta is None:
        pytest.skip("the mirror lacks NATS-Bench's archive")
    return meta.parent


@pytest.fixture
def copied(archive, tmp_path):
    """A folder with the archive's index and its architecture 0, to be damaged."""
    for name in ("meta.pickle.pbz2", "000000.pickle.pbz2"):
        (tmp_path / name).write_bytes((archive / name).read_bytes())
    return tmp_path


def test_the_official_archive_holds_the_installed_values(archive):
    table = data.nats_archive(archive, progress=False)
    assert table.index.tolist() == [0, 11, 284]
    for dataset in data.DATASETS:
        assert table[dataset].tolist() == data.accuracy(dataset)[[0, 11, 284]].tolist()
    assert table["params"].tolist() == data.parameters()[[0, 11, 284]].tolist()
    assert table.loc[0, "cifar10"] == pytest.approx(81.983, abs=5e-4)


def test_nats_bench_never_opens_a_file_itself(archive, monkeypatch):
    import nats_bench.api_utils

    def refuse(*args, **settings):
        raise AssertionError("plain pickle")

    monkeypatch.setattr(nats_bench.api_utils.pickle, "load", refuse)
    assert len(data.nats_archive(archive, progress=False)) == 3


def test_a_path_that_is_no_archive_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere does not exist.*folder like NATS-tss"):
        data.nats_archive(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file"):
        data.nats_archive(tmp_path / "file")
    with pytest.raises(DataError, match=r"holds no architecture, like 000000\.pickle\.pbz2: unpack it again"):
        data.nats_archive(tmp_path)


def test_an_archive_without_architectures_is_refused(copied):
    (copied / "000000.pickle.pbz2").unlink()
    with pytest.raises(DataError, match="holds no architecture"):
        data.nats_archive(copied)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_only_regular_files_of_an_archive_are_read(copied):
    os.mkfifo(copied / "000001.pickle.pbz2")  # opening it would wait for a writer
    assert data.nats_archive(copied, progress=False).index.tolist() == [0]


@pytest.mark.parametrize("meta", [None, {"total_archs": N}, [1]])
def test_an_archive_that_does_not_list_its_cells_is_read_and_says_so(copied, meta):
    file = copied / "meta.pickle.pbz2"
    file.write_bytes(bz2.compress(pickle.dumps(meta))) if meta else file.unlink()
    with pytest.warns(InputWarning, match=r"meta\.pickle\.pbz2 does not list the cells.*NATS order is assumed"):
        assert data.nats_archive(copied, progress=False).index.tolist() == [0]


def test_an_archive_cannot_run_code(copied, evil):
    for name in ("000000.pickle.pbz2", "meta.pickle.pbz2"):
        (copied / name).write_bytes(bz2.compress(pickle.dumps({"200": evil})))
        with pytest.raises(DataError, match=rf"{name} asks for (posix|nt)\.mkdir"):
            data.nats_archive(copied, progress=False)


@pytest.mark.parametrize("content", [b"", b"no bz2", bz2.compress(b""), bz2.compress(pickle.dumps({"200": {}}))])
def test_a_damaged_file_of_an_archive_is_named(copied, content):
    (copied / "000000.pickle.pbz2").write_bytes(content)
    with pytest.raises(DataError, match=r"000000\.pickle\.pbz2"):
        data.nats_archive(copied, progress=False)


def test_a_truncated_file_of_an_archive_is_named(copied):
    file = copied / "000000.pickle.pbz2"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"000000\.pickle\.pbz2 is truncated or altered"):
        data.nats_archive(copied, progress=False)


def test_a_file_with_the_results_of_another_cell_is_refused(copied):
    (copied / "000000.pickle.pbz2").rename(copied / "000001.pickle.pbz2")
    with pytest.raises(DataError, match=r"000001\.pickle\.pbz2 holds the results of another cell than 1"):
        data.nats_archive(copied, progress=False)


def test_an_index_in_another_order_is_refused(copied):
    content = pickle.dumps({"meta_archs": [space.to_string(0)]})
    (copied / "meta.pickle.pbz2").write_bytes(bz2.compress(content))
    with pytest.raises(DataError, match="NATS order"):
        data.nats_archive(copied)


def test_a_bz2_bomb_is_not_unpacked(copied, monkeypatch):
    monkeypatch.setattr(archives, "MAX_PICKLE_BYTES", 2_000_000)
    (copied / "000000.pickle.pbz2").write_bytes(bz2.compress(b"\0" * 50_000_000))  # 45 bytes
    with pytest.raises(DataError, match="unpacks to more than 2 MB"):
        data.nats_archive(copied, progress=False)


# HW-NAS-Bench


def configs() -> list[dict]:
    return [{"name": "infer.tiny", "arch_str": string} for string in space.all_strings()]


def hw_nas(**changes) -> dict:
    """HW-NAS-Bench's structure, with invented values."""
    metrics = {f"{device}_latency": [float(i + 1) for i in range(N)] for device in ("edgegpu", "raspi4", "edgetpu")}
    metrics["edgetpu_latency"][7] = -1
    metrics["edgegpu_energy"] = [1.0] * N
    metrics["config"] = configs()
    metrics["eyeriss_arithmetic_intensity"] = [1.0] * N
    return {
        "nasbench201": {"cifar10": metrics | changes, "cifar100": {}},
        "fbnet": {"raspi4_latency": {"a": 1}},
    }


def saved(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    file.write_bytes(pickle.dumps(content, protocol=4))
    return file


def test_cells_that_did_not_compile_on_the_edgetpu_are_infinite(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables = data.hw_nas_bench(saved(tmp_path, hw_nas()))
    assert list(tables) == ["edgegpu", "raspi4", "edgetpu"]
    assert tables["raspi4"][:3].tolist() == [1, 2, 3]
    assert np.flatnonzero(np.isinf(tables["edgetpu"])).tolist() == [7]
    assert all(table.shape == (N,) for table in tables.values())


def test_a_file_that_does_not_say_which_cell_each_row_is_is_read_and_says_so(tmp_path):
    with pytest.warns(InputWarning, match="does not list the cells.*NATS order is assumed"):
        assert data.hw_nas_bench(saved(tmp_path, hw_nas(config=None)))["raspi4"][2] == 3


def test_hw_nas_bench_may_hold_numpy_numbers(tmp_path):
    values = [np.float64(i + 1) for i in range(N)]
    tables = data.hw_nas_bench(saved(tmp_path, hw_nas(raspi4_latency=values, edgegpu_latency=np.arange(1, N + 1))))
    assert tables["raspi4"][:2].tolist() == tables["edgegpu"][:2].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"raspi4_latency": [1.0]}, r"'raspi4_latency' has the shape \(1,\)"),
        ({"raspi4_latency": ["a"] * N}, "'raspi4_latency' does not hold numbers"),
        ({"raspi4_latency": [[1.0, 2.0], [3.0]]}, "'raspi4_latency' does not hold numbers"),
        ({"raspi4_latency": 3}, "'raspi4_latency' does not hold numbers"),
        ({"raspi4_latency": np.ones((N, 2), bool)}, r"'raspi4_latency' has the shape \(15625, 2\)"),
        ({"raspi4_latency": [1.0] * (N - 1) + [-1]}, "'raspi4_latency' gives cell 15624 -1.0 ms"),
        ({"edgetpu_latency": [1.0] * (N - 1) + [-2]}, "'edgetpu_latency' gives cell 15624 -2.0 ms"),
        ({"edgetpu_latency": [float("nan")] * N}, "gives cell 0 nan ms"),
        ({"fpga_latency": [float("inf")] * N}, "gives cell 0 inf ms"),
        ({"config": [{"arch_str": space.to_string(0)} for _ in range(N)]}, "NATS order"),
        ({"config": 3}, "NATS order"),
    ],
)
def test_wrong_values_in_hw_nas_bench_are_named(tmp_path, changes, says):
    with pytest.raises(DataError, match=says):
        data.hw_nas_bench(saved(tmp_path, hw_nas(**changes)))


def test_a_file_that_is_not_hw_nas_bench_is_refused(tmp_path, evil):
    for content in ({}, [], 3, {"nasbench201": {"cifar10": {"energy": 1}}}):
        with pytest.raises(DataError, match="holds no latencies under 'nasbench201', 'cifar10'"):
            data.hw_nas_bench(saved(tmp_path, content))
    with pytest.raises(DataError, match=r"asks for (posix|nt)\.mkdir"):
        data.hw_nas_bench(saved(tmp_path, evil))
    with pytest.raises(DataError, match="does not exist"):
        data.hw_nas_bench(tmp_path / "nowhere")
    with pytest.raises(DataError, match="'mnist'"):
        data.hw_nas_bench(saved(tmp_path, hw_nas()), "mnist")
