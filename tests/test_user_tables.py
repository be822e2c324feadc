"""Tables from outside: each wrong one must be refused with a sentence that names the file and the place."""

import bz2
import os
import pickle
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from simmore import data, paths, space
from simmore.data import user_tables
from simmore.errors import DataError

N = 15_625


class Evil:
    """A pickle that runs a command as it loads."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


# pickles


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_containers_and_numbers_come_back(protocol):
    content = {"a": [1, 2.5, None, True], "b": ("c", 10**30), "d": {"e": {1, 2}, "f": b"g"}}
    if protocol < 4:  # as older protocols build bytes and sets by calling names
        content["d"] = {}
    assert data.restricted_loads(pickle.dumps(content, protocol)) == content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_wants_to_run_code_does_not(tmp_path, protocol):
    content = pickle.dumps([1.0, Evil(tmp_path / "ran")], protocol)
    for allowed in (None, user_tables.NUMBERS):
        with pytest.raises(DataError, match=r"table\.pt asks for (posix|nt)\.mkdir.*Nothing was run"):
            data.restricted_loads(content, "table.pt", allowed=allowed)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("thing", [print, Path("x"), OrderedDict(), np.float64(1), np.zeros(2), Evil])
def test_nothing_but_plain_values_is_built(thing):
    with pytest.raises(DataError, match="asks for"):
        data.restricted_loads(pickle.dumps(thing))


def test_other_ways_to_a_name_are_closed_too():
    for content in (b"cos\nsystem\n.", b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"(S'true'\nios\nsystem\n."):
        with pytest.raises(DataError, match=r"asks for os\.system"):
            data.restricted_loads(content, allowed=user_tables.NUMBERS)
    with pytest.raises(DataError):
        data.restricted_loads(b"Pname\n.")  # a persistent id
    with pytest.raises(DataError):
        data.restricted_loads(b"\x80\x02\x82\x01.")  # the extension registry


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04", b"(((", b"\x80\x63", b"]K\x01a"])
def test_rubbish_is_called_so(content):
    with pytest.raises(DataError, match=r"x\.pkl is truncated or altered"):
        data.restricted_loads(content, "x.pkl")


@pytest.mark.parametrize("protocol", range(5))
def test_numpy_numbers_become_plain_ones(protocol):
    values = {
        "a": np.float64(1.5),
        "b": np.int32(-7),
        "c": np.bool_(True),
        "d": np.array([[1, 2], [3, 4]], ">i4"),
    }
    read = user_tables.NUMBERS
    if protocol < 3:  # there, raw bytes are built by calling _codecs.encode, which is refused
        with pytest.raises(DataError, match="asks for"):
            data.restricted_loads(pickle.dumps(values, protocol), allowed=read)
        return
    back = data.restricted_loads(pickle.dumps(values, protocol), allowed=read)
    assert (back["a"], back["b"], back["c"]) == (1.5, -7, True)
    assert type(back["a"]) is float
    assert np.array(back["d"]).tolist() == [[1, 2], [3, 4]]


def test_numpy_objects_are_refused():
    content = pickle.dumps(np.array([1, "a"], dtype=object), 4)
    with pytest.raises(DataError, match="number type 'O8'"):
        data.restricted_loads(content, allowed=user_tables.NUMBERS)


# NATS-Bench's archive


def archive() -> Path:
    """The mirror's archive of three architectures, or a skipped test."""
    for folder in (os.environ.get("SIMMORE_MIRROR"), paths.ROOT.parent / "shared" / "upstream"):
        if folder and (file := Path(folder) / data.REGISTRY["nats_archive/meta"].path).is_file():
            return file.parent
    pytest.skip("no mirror with NATS-Bench's archive: set SIMMORE_MIRROR")


@pytest.fixture
def copied(tmp_path):
    """A folder with the archive's index and its architecture 0, to be damaged."""
    for name in ("meta.pickle.pbz2", "000000.pickle.pbz2"):
        (tmp_path / name).write_bytes((archive() / name).read_bytes())
    return tmp_path


def test_the_official_archive_holds_the_embedded_figures():
    table = data.nats_archive(archive(), progress=False)
    assert table.index.tolist() == [0, 11, 284]
    for dataset in data.DATASETS:
        assert table[dataset].tolist() == data.accuracy(dataset)[[0, 11, 284]].tolist()
    assert table["params"].tolist() == data.parameters()[[0, 11, 284]].tolist()
    assert table.loc[0, "cifar10"] == pytest.approx(81.983, abs=5e-4)


def test_nats_bench_never_opens_a_file_itself(monkeypatch):
    import nats_bench.api_utils

    def refuse(*args, **settings):
        raise AssertionError("plain pickle")

    monkeypatch.setattr(nats_bench.api_utils.pickle, "load", refuse)
    assert len(data.nats_archive(archive(), progress=False)) == 3


def test_a_path_that_is_no_archive(tmp_path):
    with pytest.raises(DataError, match=r"nowhere does not exist.*folder like NATS-tss"):
        data.nats_archive(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file"):
        data.nats_archive(tmp_path / "file")
    with pytest.raises(DataError, match=r"holds no meta\.pickle\.pbz2"):
        data.nats_archive(tmp_path)


def test_an_archive_without_architectures(copied):
    (copied / "000000.pickle.pbz2").unlink()
    with pytest.raises(DataError, match="holds no architecture"):
        data.nats_archive(copied)


def test_an_archive_that_wants_to_run_code(copied, tmp_path):
    for name in ("000000.pickle.pbz2", "meta.pickle.pbz2"):
        (copied / name).write_bytes(bz2.compress(pickle.dumps({"200": Evil(tmp_path / "ran")})))
        with pytest.raises(DataError, match=rf"{name} asks for (posix|nt)\.mkdir"):
            data.nats_archive(copied, progress=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no bz2", bz2.compress(b""), bz2.compress(pickle.dumps({"200": {}}))])
def test_a_damaged_file_of_an_archive(copied, content):
    (copied / "000000.pickle.pbz2").write_bytes(content)
    with pytest.raises(DataError, match=r"000000\.pickle\.pbz2"):
        data.nats_archive(copied, progress=False)


def test_a_truncated_file_of_an_archive(copied):
    file = copied / "000000.pickle.pbz2"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"000000\.pickle\.pbz2 is truncated or altered"):
        data.nats_archive(copied, progress=False)


def test_a_file_of_another_cell(copied):
    (copied / "000000.pickle.pbz2").rename(copied / "000001.pickle.pbz2")
    with pytest.raises(DataError, match=r"000001\.pickle\.pbz2 holds the results of another cell than 1"):
        data.nats_archive(copied, progress=False)


def test_an_index_in_another_order(copied):
    content = pickle.dumps({"meta_archs": [space.to_string(0)]})
    (copied / "meta.pickle.pbz2").write_bytes(bz2.compress(content))
    with pytest.raises(DataError, match="NATS order"):
        data.nats_archive(copied)


def test_a_bz2_bomb_is_not_unpacked(copied, monkeypatch):
    monkeypatch.setattr(user_tables, "MAX_PICKLE_BYTES", 2_000_000)
    (copied / "000000.pickle.pbz2").write_bytes(bz2.compress(b"\0" * 50_000_000))  # 45 bytes
    with pytest.raises(DataError, match="unpacks to more than 2 MB"):
        data.nats_archive(copied, progress=False)


# HW-NAS-Bench


def hw_nas(**changes) -> dict:
    """HW-NAS-Bench's structure, with made-up figures."""
    metrics = {f"{device}_latency": [float(i + 1) for i in range(N)] for device in ("edgegpu", "raspi4", "edgetpu")}
    metrics["edgetpu_latency"][7] = -1
    metrics["edgegpu_energy"] = [1.0] * N
    metrics["eyeriss_arithmetic_intensity"] = [1.0] * N
    return {
        "nasbench201": {"cifar10": metrics | changes, "cifar100": metrics},
        "fbnet": {"raspi4_latency": {"a": 1}},
    }


def saved(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    file.write_bytes(pickle.dumps(content, protocol=4))
    return file


def test_hw_nas_bench_masks_what_did_not_compile(tmp_path):
    tables = data.hw_nas_bench(saved(tmp_path, hw_nas(config=configs())))
    assert list(tables) == ["edgegpu", "raspi4", "edgetpu"]
    assert tables["raspi4"][:3].tolist() == [1, 2, 3]
    assert np.flatnonzero(np.isnan(tables["edgetpu"])).tolist() == [7]
    assert all(table.shape == (N,) for table in tables.values())


def configs() -> list[dict]:
    return [{"name": "infer.tiny", "arch_str": string} for string in user_tables._arch_of_string()]


def test_hw_nas_bench_may_hold_numpy_numbers(tmp_path):
    values = [np.float64(i + 1) for i in range(N)]
    tables = data.hw_nas_bench(saved(tmp_path, hw_nas(raspi4_latency=values, edgegpu_latency=np.arange(1, N + 1))))
    assert tables["raspi4"][:2].tolist() == tables["edgegpu"][:2].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"raspi4_latency": [1.0]}, r"'raspi4_latency' has the shape \(1,\)"),
        ({"raspi4_latency": ["a"] * N}, "'raspi4_latency' does not hold numbers"),
        ({"raspi4_latency": [1.0] * (N - 1) + [-1]}, "'raspi4_latency' gives cell 15624 -1.0 ms"),
        ({"edgetpu_latency": [1.0] * (N - 1) + [-2]}, "'edgetpu_latency' gives cell 15624 -2.0 ms"),
        ({"edgetpu_latency": [float("nan")] * N}, "gives cell 0 nan ms"),
        ({"fpga_latency": [float("inf")] * N}, "gives cell 0 inf ms"),
        ({"config": [{"arch_str": space.to_string(0)}] * N}, "NATS order"),
        ({"config": 3}, "NATS order"),
    ],
)
def test_wrong_figures_in_hw_nas_bench(tmp_path, changes, says):
    with pytest.raises(DataError, match=says):
        data.hw_nas_bench(saved(tmp_path, hw_nas(**changes)))


def test_wrong_files_for_hw_nas_bench(tmp_path):
    for content in ({}, [], 3, {"nasbench201": {"cifar10": {"energy": 1}}}):
        with pytest.raises(DataError, match="holds no latencies under 'nasbench201', 'cifar10'"):
            data.hw_nas_bench(saved(tmp_path, content))
    with pytest.raises(DataError, match=r"asks for (posix|nt)\.mkdir"):
        data.hw_nas_bench(saved(tmp_path, Evil(tmp_path / "ran")))
    assert not (tmp_path / "ran").exists()
    with pytest.raises(DataError, match="does not exist"):
        data.hw_nas_bench(tmp_path / "nowhere")
    with pytest.raises(DataError, match="'mnist'"):
        data.hw_nas_bench(saved(tmp_path, hw_nas()), "mnist")


# CSV


@pytest.fixture(scope="module")
def rows() -> list[str]:
    """A right table, one line a cell: latency is the index plus one."""
    return [f"{arch},{arch + 1}" for arch in range(N)]


def table(tmp_path: Path, rows: list[str], header: str = "arch,latency_ms", encoding: str = "utf-8") -> Path:
    file = tmp_path / "phone.csv"
    file.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return file


def test_a_csv_of_indices_in_any_order(tmp_path, rows):
    assert data.latency_csv(table(tmp_path, rows[::-1])).tolist() == list(range(1, N + 1))


def test_a_csv_of_strings_is_read_fast(tmp_path):
    lines = [f"{string},{arch + 1}" for string, arch in user_tables._arch_of_string().items()]
    assert lines[0].startswith(space.to_string(0))
    file = table(tmp_path, lines)
    started = time.process_time()
    assert data.latency_csv(file).tolist() == list(range(1, N + 1))
    assert time.process_time() - started < 1.5  # measured: 0.05 s


def test_strings_of_cells_are_those_of_space():
    strings = user_tables._arch_of_string()
    for arch in (0, 11, 284, 9999, 15_624):
        assert strings[space.to_string(arch)] == arch


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_spreadsheets_add_is_no_trouble(tmp_path, rows, encoding):
    lines = ['421211 , "1" ,seen', "", " , , ", *(f"{row},é" for row in rows[1:])]
    file = table(tmp_path, lines, ' arch , latency_ms,"note"', encoding)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert data.latency_csv(file).tolist() == list(range(1, N + 1))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("3,", "no latency"),
        ("3,nan", "'nan' is no finite number"),
        ("3,inf", "'inf' is no finite number"),
        ("3,-inf", "no finite number"),
        ("3,1e999", "no finite number"),
        ("3,fast", "'fast' is no finite number"),
        ("3,1_0", "'1_0' is no finite number"),
        ("3,0", "the latency 0 is not positive"),
        ("3,-4.5", "the latency -4.5 is not positive"),
        ("3,1e-999", "not positive"),
        ("3,1,5", "3 fields, but 2 in the first row.*decimals with a point"),
        ("3", "1 fields"),
        ('3,"1,5"', "'1,5' is no finite number"),
        ("15625,4", "'15625' is no cell"),
        ("-1,4", "'-1' is no cell"),
        ("3.0,4", "'3.0' is no cell"),
        (",4", "'' is no cell"),
        ("resnet18,4", "'resnet18' is no cell"),
        (
            space.to_string(3).replace("none", "conv_9x9").replace("skip_connect", "conv_9x9") + ",4",
            "is no cell",
        ),
        ("2,4", "cell 2 was given in row 4 already"),
        (space.to_string(2) + ",4", "cell 2 was given in row 4 already"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, rows, row, says):
    lines = [*rows[:3], row, *rows[4:]]
    with pytest.raises(DataError, match=rf"phone\.csv, row 5: .*{says}"):
        data.latency_csv(table(tmp_path, lines))


def test_missing_cells_are_counted_and_the_first_are_named(tmp_path, rows):
    with pytest.raises(DataError, match=r"lacks 2 of the 15,625 cells \(NATS indices 0, 15624\)"):
        data.latency_csv(table(tmp_path, rows[1:-1]))
    with pytest.raises(DataError, match=r"lacks 15,625 .*0, 1, 2, 3, 4, …"):
        data.latency_csv(table(tmp_path, []))


@pytest.mark.parametrize("header", ["arch,ms", "index,latency_ms", "arch;latency_ms", "0,1", "arch,latency_ms,arch"])
def test_wrong_columns(tmp_path, header):
    with pytest.raises(DataError, match=r"phone\.csv, row 1: .*column.*arch,latency_ms"):
        data.latency_csv(table(tmp_path, ["0,1"], header))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"arch,latency_ms\n0,1\n\0,2\n", "row 3: a NUL byte"),
        ("arch,latency_ms\n0,1\n".encode("utf-16"), "NUL byte"),
        (b"arch,latency_ms\n0,1\n\xff,2\n", "row 3: this is no text in UTF-8"),
        (b"arch,latency_ms\n0," + b"1" * 200_000, "row 2: field larger"),
        (b'arch,latency_ms\n"0,1\n1,2\n', "row 3"),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, says):
    file = tmp_path / "phone.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"phone\.csv.*{says}"):
        data.latency_csv(file)


def test_a_path_that_is_no_file(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist: give the path of a CSV"):
        data.latency_csv(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is no regular file"):
        data.latency_csv(tmp_path)
    with pytest.raises(DataError, match="is no regular file"):
        data.latency_csv(os.devnull)
    with pytest.raises(DataError):
        data.latency_csv("phone\0.csv")


def test_a_file_that_is_too_big(tmp_path, monkeypatch):
    file = tmp_path / "phone.csv"
    with file.open("wb") as stream:
        stream.truncate(60_000_000)  # sparse: it takes no room
        stream.write(b"a")
    with pytest.raises(DataError, match="larger than 50 MB"):
        data.latency_csv(file)
