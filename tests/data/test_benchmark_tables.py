"""The benchmark's tables: installed with the project, measured by it, and public."""

import json

import numpy as np
import pytest

from simmore import data, paths, space
from simmore.data.pickles import restricted_loads
from simmore.errors import DataError, TableMissing

N = space.N_ARCHS


def test_the_one_table_of_tasks_gives_image_size_and_classes():
    assert list(data.DATASETS) == ["cifar10", "cifar100", "ImageNet16-120"]
    assert data.task("ImageNet16-120") == data.DATASETS["ImageNet16-120"] == data.Task(size=16, n_classes=120)
    assert data.task("cifar10") == (32, 10) and data.task("cifar100") == (32, 100)


def test_the_error_for_an_unknown_dataset_names_the_known_ones(tmp_path):
    readers = [data.task, data.accuracy, data.parameters, data.nats_gpu_latency_ms, data.scores, data.published_scores]
    for read in readers:
        with pytest.raises(DataError, match=r"'mnist'.*cifar10, cifar100, ImageNet16-120"):
            read("mnist")


# NATS-Bench


def test_the_values_of_cell_0_are_those_of_nats_bench():
    assert "".join(map(str, space.all_ops()[0])) == "421211"
    assert data.accuracy()[0] == (82.09199998291015 + 81.61599997314453 + 82.24000001464844) / 3
    assert data.parameters()[0] == 0.129306
    assert data.nats_gpu_latency_ms()[0] == pytest.approx(13.936, abs=5e-4)


def test_sizes_are_right_where_the_benchmark_contradicts_itself():
    assert data.parameters()[296] == 0.129306  # the values of its seeds: 0.129306, 0.129306 and 0.101306
    assert data.parameters()[327] == 0.157306  # 0.129306, 0.157306 and 0.157306


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_the_benchmark_lists_the_cells_in_nats_order(dataset):
    table = restricted_loads(data.fetch(f"nats/{dataset}").read_bytes())
    assert list(table) == ["".join(map(str, ops)) for ops in space.all_ops().tolist()]


@pytest.mark.parametrize("dataset", data.DATASETS)
@pytest.mark.parametrize("read", [data.accuracy, data.parameters, data.nats_gpu_latency_ms])
def test_columns_are_positive_shared_and_read_only(read, dataset):
    column = read(dataset)
    assert column.shape == (N,) and column.dtype == np.float64 and (column > 0).all()
    assert read(dataset) is column
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 0


# the project's own tables


def test_there_are_operation_latencies_of_18_devices():
    table = data.device_operations()
    assert table.shape == (18, 5)
    assert list(table.columns) == list(space.OPERATIONS)
    assert {"edgegpu", "raspi4", "fpga", "titan_rtx_1"} <= set(table.index)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("device,none\na,1\n", "not a table of operations"),
        ("", "not a table of operations"),
        (None, "not at .*install the package again"),
        (
            f"device,{','.join(space.OPERATIONS)}\ngood,1,1,1,1,1\nbad,1,1,-1,1,1\n",
            r"device_operations\.csv, bad: latencies must be positive",
        ),
        (f"device,{','.join(space.OPERATIONS)}\n" + "twice,1,1,1,1,1\n" * 2, "twice: .*devices unique"),
    ],
)
def test_a_damaged_table_of_operations_is_refused(tmp_path, monkeypatch, content, says):
    if content is not None:
        (tmp_path / "device_operations.csv").write_text(content)
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    with pytest.raises((DataError, TableMissing), match=says):
        data.device_operations()


def test_missing_scores_are_computed_with_make_proxies_and_damaged_ones_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    with pytest.raises(TableMissing, match="make proxies"):
        data.scores()
    file = tmp_path / "scores_cifar10.npz"
    np.savez_compressed(file, naswot=np.arange(N, dtype=float), skip=np.zeros(N))
    table = data.scores()
    assert list(table.columns) == ["naswot", "skip"]
    assert table.loc[3, "naswot"] == 3
    np.savez_compressed(file, naswot=np.full(N, -np.inf))
    with pytest.raises(DataError, match="'naswot' does not have one finite number"):
        data.scores()
    np.savez_compressed(file, naswot=np.zeros(N - 1))
    with pytest.raises(DataError, match="'naswot' does not have one number"):
        data.scores()
    np.savez(file, naswot=np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="truncated or altered"):
        data.scores()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="truncated or altered"):
        data.scores()


def test_a_damaged_table_of_a_benchmarked_runtime_is_refused(tmp_path, monkeypatch, forgotten):
    file = tmp_path / "latency_onnxruntime_fp32.npz"
    content = (paths.TABLES / file.name).read_bytes()
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    file.write_bytes(content[:5000])
    with pytest.raises(DataError, match=r"truncated or altered.*make own-devices"):
        data.latency_table("onnxruntime_fp32")
    for value in (np.nan, np.inf, 0):
        np.savez(file, latency_ms=np.full(N, value))
        with pytest.raises(DataError, match="positive latencies"):
            data.latency_table("onnxruntime_fp32")


def test_a_blind_table_may_lack_cells_but_holds_latencies(tmp_path, monkeypatch, forgotten):
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    with pytest.raises(TableMissing, match=r"latency_torch_fp32\.npz"):
        data.latency_table("torch_fp32")
    table = np.full(N, np.nan)
    table[[0, 5]] = 2.0, np.inf
    np.savez(tmp_path / "latency_torch_fp32.npz", latency_ms=table)
    np.testing.assert_array_equal(data.latency_table("torch_fp32"), table)
    for wrong in (np.full(N, np.nan), np.where(np.arange(N) == 3, -1.0, table)):
        data.latency_table.cache_clear()
        np.savez(tmp_path / "latency_torch_fp32.npz", latency_ms=wrong)
        with pytest.raises(DataError, match="positive latencies"):
            data.latency_table("torch_fp32")


def test_metadata_of_a_benchmark_is_a_mapping(tmp_path, monkeypatch):
    assert data.benchmark_metadata("onnxruntime_int8")["precision"] == "int8"
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    (tmp_path / "latency_onnxruntime_fp32.npz").touch()
    file = tmp_path / "latency_onnxruntime_fp32.json"
    for content in (None, "not JSON", json.dumps(3)):
        if content:
            file.write_text(content)
        with pytest.raises(DataError, match=r"onnxruntime_fp32\.json does not hold a benchmark's metadata"):
            data.benchmark_metadata("onnxruntime_fp32")


# public tables


def test_every_measured_device_has_a_positive_read_only_latency_for_all_cells(upstream, forgotten):
    assert data.latency_table("raspi4")[0] == 10.481976820010459
    assert data.latency_table("pixel2")[:3].tolist() == [9, 17, 16]  # a phone's whole milliseconds
    for device in data.MEASURED:
        latency_ms = data.latency_table(device)
        assert latency_ms.shape == (N,) and latency_ms.dtype == np.float64
        assert np.isfinite(latency_ms).all() and (latency_ms > 0).all() and not latency_ms.flags.writeable


def test_the_error_for_an_unknown_device_names_the_known_ones():
    with pytest.raises(TableMissing, match=r"raspi4, pixel3.*litert_fp32"):
        data.latency_table("toaster")


def test_operations_are_a_sixth_of_the_cells_made_of_them(upstream, forgotten):
    operations = data.device_operations()[list(space.OPERATIONS)]
    for device in operations.index.drop("edgegpu"):
        cells = data.latency_table(device)[space.single_operation_archs()]
        np.testing.assert_allclose(operations.loc[device], cells / 6, rtol=1e-5)


def test_the_operations_of_edgegpu_are_those_of_the_papers_authors(upstream):
    file = next(upstream.glob("fracapuano/sim-is-more/*/searchspaces/nats_blocks.json"), None)
    if file is None:
        pytest.skip("the mirror lacks the operations of the paper's authors")
    published = json.loads(file.read_text())["edgegpu_latency"]
    stored = data.device_operations().loc["edgegpu"]
    np.testing.assert_allclose(stored, [published[name] for name in stored.index], rtol=1e-5)


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_published_scores_are_in_nats_order_and_every_caller_gets_a_copy(upstream, forgotten, dataset):
    table = data.published_scores(dataset)
    assert list(table.columns) == ["naswot", "logsynflow", "accuracy", "params"]
    assert table.index.tolist() == list(range(N)) and table.index.name == "arch"
    assert not table.isna().any().any() and np.isneginf(table["naswot"]).sum() == 201
    assert table["params"].to_numpy() == pytest.approx(data.parameters(dataset), abs=2e-6)
    table.loc[0, "naswot"] = 0
    assert data.published_scores(dataset).loc[0, "naswot"] > 0
