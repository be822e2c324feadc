"""Unpickling without running anything, and within bounds of time and memory."""

import itertools
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from simmore.data import pickles
from simmore.data.pickles import restricted_loads, untrusted_loads
from simmore.errors import DataError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
BOTH = pytest.mark.parametrize("loads", [restricted_loads, untrusted_loads])


@BOTH
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_containers_and_numbers_are_read(loads, protocol):
    content = {
        "a": [1, 2.5, None, True, -(2**63), 10**6],
        "b": ("c", (), ("é" * 300, "c")),
        "d": {"e": {1, 2}, "f": b"g"},
    }
    if protocol < 4:  # as older protocols build bytes and sets by calling names
        content["d"] = {("cifar10", 777): [], 3: {}}
    assert loads(pickle.dumps(content, protocol)) == content


@BOTH
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cannot_run_code(evil, loads, protocol):
    with pytest.raises(DataError, match=r"table\.pt asks for (posix|nt)\.mkdir.*Nothing was run"):
        loads(pickle.dumps([1.0, evil], protocol), "table.pt")


@pytest.mark.parametrize("thing", [print, Path("x"), OrderedDict(), np.float64(1), np.zeros(2), pytest.fixture])
def test_only_plain_values_are_built_from_a_pinned_file(thing):
    with pytest.raises(DataError, match="asks for"):
        restricted_loads(pickle.dumps(thing))


@BOTH
def test_no_step_leads_to_a_name(loads):
    for content in (b"cos\nsystem\n.", b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"(S'true'\nios\nsystem\n."):
        with pytest.raises(DataError, match=r"asks for os\.system"):
            loads(content)
    with pytest.raises(DataError):
        loads(b"Pname\n.")  # a persistent id
    with pytest.raises(DataError):
        loads(b"\x80\x02\x82\x01.")  # the extension registry


@BOTH
@pytest.mark.parametrize(
    "content", [b"", b"no pickle", b"\x80\x04", b"(((", b"\x80\x63", b"]K\x01a", b"(.", b"\x80\x04\x8c\x09a."]
)
def test_bytes_that_are_no_pickle_are_called_truncated_or_altered(loads, content):
    with pytest.raises(DataError, match=r"x\.pkl is truncated or altered"):
        loads(content, "x.pkl")


@pytest.mark.parametrize("protocol", range(5))
def test_numpy_numbers_become_plain_ones(protocol):
    values = {
        "a": np.float64(1.5),
        "b": np.int32(-7),
        "c": np.bool_(True),
        "d": np.array([[1, 2], [3, 4]], ">i4"),
        "e": [np.float64(2.5), np.float64(3.5)],
        "f": OrderedDict(z=1, a=2),
    }
    if protocol < 3:  # there, raw bytes are built by calling _codecs.encode, which is refused
        with pytest.raises(DataError, match="asks for"):
            untrusted_loads(pickle.dumps(values, protocol))
        return
    back = untrusted_loads(pickle.dumps(values, protocol))
    assert (back["a"], back["b"], back["c"], back["e"]) == (1.5, -7, True, [2.5, 3.5])
    assert type(back["a"]) is float and type(back["f"]) is dict and list(back["f"]) == ["z", "a"]
    assert back["d"].tolist() == [[1, 2], [3, 4]]


def test_numpy_objects_are_refused():
    content = pickle.dumps(np.array([1, "a"], dtype=object), 4)
    with pytest.raises(DataError, match="number type 'O8'"):
        untrusted_loads(content)


def test_a_container_is_in_one_place():
    row = [1]
    for shared in ([row, row], {"a": row, "b": row}, [(row,), row], ["a" * 300] * 2):
        content = pickle.dumps(shared)
        assert restricted_loads(content) == shared
        with pytest.raises(DataError, match="several places"):
            untrusted_loads(content)
    loop = []
    loop.append(loop)
    with pytest.raises(DataError, match="several places"):
        untrusted_loads(pickle.dumps(loop))


def test_the_number_of_steps_is_bounded(monkeypatch):
    content = pickle.dumps([[] for _ in range(1_000)])
    assert len(untrusted_loads(content)) == 1_000
    monkeypatch.setattr(pickles, "MAX_STEPS", 1_000)
    with pytest.raises(DataError, match="more than 1,000 steps"):
        untrusted_loads(content)


WIDE = "a😀".encode()


@pytest.mark.parametrize(
    "content",
    [
        b"(" + (b"\x8c\5" + WIDE) * 200 + b"l.",  # 80 bytes each
        b"(" + b"\x8f" * 100 + b"l.",  # 216 bytes each
        b"(" + b"}" * 200 + b"l.",  # 64 bytes each
        b"(" + b"N\x85" * 300 + b"l.",  # 48 bytes each
        b"(\x8c\2ab" + b"\x94" * 100 + b"l.",  # memoized again and again
        b"}(" + b"".join(b"\x8c\3%03dN" % i for i in range(150)) + b"u.",
    ],
)
def test_what_is_built_is_bounded_in_bytes(monkeypatch, content):
    untrusted_loads(content)
    monkeypatch.setattr(pickles, "MAX_BYTES", 10_000)
    with pytest.raises(DataError, match="content takes more than"):
        untrusted_loads(content)


@pytest.mark.parametrize("code", [b"X", b"T", b"B"])
def test_one_text_is_bounded_in_bytes(code):
    for length, fits in ((1_000_000, True), (1_000_001, False)):
        content = code + length.to_bytes(4, "little") + b"a" * length + b"."
        if fits:
            assert len(untrusted_loads(content)) == length
        else:
            with pytest.raises(DataError, match="more than 1,000,000 bytes"):
                untrusted_loads(content)
    with pytest.raises(DataError, match="newline"):
        untrusted_loads(b"V" + b"a" * 1_000_001 + b"\n.")


def test_numbers_in_keys_are_bounded_and_texts_are_not(monkeypatch):
    monkeypatch.setattr(pickles, "MAX_NUMBER_KEYS", 10)
    fits = {str(i): i for i in range(100)} | {(1, 2): 0, 3: 0, 4.5: 0}
    assert untrusted_loads(pickle.dumps([fits, {5: 0}], 4)) == [fits, {5: 0}]
    for many in ({float(i): i for i in range(11)}, {(i, 1): i for i in range(6)}, set(range(11)), [{1: 2}] * 11):
        with pytest.raises(DataError, match="more than 10 numbers in keys"):
            untrusted_loads(pickle.dumps([dict(each) for each in many] if type(many) is list else many, 4))


@pytest.mark.parametrize(
    "state", [b"}X\x08\0\0\0__name__X\1\0\0\0xs", b"N}X\x08\0\0\0__name__X\1\0\0\0xs\x86", b"N\x85"]
)
@pytest.mark.parametrize("name", [b"numpy.core.multiarray\nscalar", b"collections\nOrderedDict", b"numpy\ndtype"])
def test_a_pickle_cannot_change_what_stands_for_a_name(name, state):
    before = {key: value.__name__ for key, value in pickles._NAMES.items()}
    with pytest.raises(DataError, match="where it cannot be"):
        untrusted_loads(b"\x80\x02c" + name + b"\n" + state + b"b.")
    assert {key: value.__name__ for key, value in pickles._NAMES.items()} == before


# what asks for gigabytes or hours; each is read in a process of its own, whose limits protect the machine


def with_attributes() -> OrderedDict:
    content = OrderedDict(nasbench201=1)
    content.note = 1
    return content


def huge_array() -> bytes:
    """An array of no bytes and many rows."""
    return pickle.dumps(np.empty((2**40, 0)), 4)


DOUBLED = b"K\1" + b"q\0h\0\x86" * 40  # 202 bytes; its string would have 2⁴⁰ digits
EQUAL_HASHES = itertools.islice(itertools.product((b"J\xff\xff\xff\xff", b"J\xfe\xff\xff\xff"), repeat=16), 60_000)
KINDS = {
    "keys of one hash": b"}(" + b"".join(b"(" + b"".join(each) + b"tN" for each in EQUAL_HASHES) + b"u",
    "many sets": b"(" + b"\x8f" * 3_000_000 + b"l",
    "long texts with one wide character": b"("
    + (b"X" + (999_005).to_bytes(4, "little") + b"a" * 999_000 + WIDE) * 105
    + b"l",
    "a text memoized again and again": b"(\x8c\2ab" + b"\x94" * 5_900_000 + b"l",
    "nested tuples": DOUBLED,
    "nested tuples by another step": b"K\1" + b"2\x86" * 40,
    "nested lists": b"]" + b"q\0]h\0ah\0a" * 40,
    "nested keys": b"}" + DOUBLED + b"K\1s",
    "nested members of a set": b"\x8f(" + DOUBLED + b"\x90",
    "a place far away": b"Nr\xff\xff\xff\x1d",  # nine bytes with what is around
    "long bytes": b"\x8e" + (2**32 - 1).to_bytes(8, "little"),
    "long text": b"\x8d" + (2**32 - 1).to_bytes(8, "little"),
    "a long byte array": b"\x96" + (2**32 - 1).to_bytes(8, "little"),
    "a long frame": b"\x95" + (2**32 - 1).to_bytes(8, "little") + b"N",
    "a long integer": b"\x8b" + (2**31 - 1).to_bytes(4, "little"),
    "a large integer": pickle.dumps(10**400, 2)[2:-1],
    "many large integers": pickle.dumps([10**400] * 15_625, 2)[2:-1],
    "an array of no bytes": huge_array()[2:-1],
    "an OrderedDict with attributes": pickle.dumps(with_attributes(), 2)[2:-1],
    "attributes of a function": b"cnumpy.core.multiarray\nscalar\n}X\1\0\0\0aK\1sb",
}
READ = """
import resource, sys, tracemalloc
from pathlib import Path
from simmore import data
from simmore.data.pickles import untrusted_loads
from simmore.errors import DataError
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
file = Path(sys.argv[1])
tracemalloc.start()
for read in (data.hw_nas_bench, lambda file: untrusted_loads(file.read_bytes(), file)):
    try:
        str(read(file))
    except DataError as refused:
        print("refused:", refused)
print(tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize("kind", KINDS)
def test_what_asks_for_gigabytes_or_hours_is_refused(tmp_path, kind):
    pytest.importorskip("resource")
    file = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    text = b"X\x0b\0\0\0nasbench201", b"X\7\0\0\0cifar10", b"X\x0e\0\0\0raspi4_latency"
    file.write_bytes(b"\x80\x04}" + b"}".join(text) + KINDS[kind] + b"sss.")
    done = subprocess.run([sys.executable, "-c", READ, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *refused, peak = done.stdout.splitlines()
    assert len(refused) == 2 and all(f"refused: {file}" in line for line in refused)
    assert "MemoryError" not in done.stdout and int(peak) < 500_000_000


def test_a_list_that_torch_saved_is_read_without_torch(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1.5, 2.5]))
    assert pickles.torch_list(tmp_path / "a.pt") == [1.5, 2.5]
