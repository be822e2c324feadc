"""Unpickling without running anything."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from simmore.data.pickles import NUMBERS, restricted_loads
from simmore.errors import DataError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_containers_and_numbers_are_read(protocol):
    content = {"a": [1, 2.5, None, True], "b": ("c", 10**30), "d": {"e": {1, 2}, "f": b"g"}}
    if protocol < 4:  # as older protocols build bytes and sets by calling names
        content["d"] = {}
    assert restricted_loads(pickle.dumps(content, protocol)) == content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_cannot_run_code(evil, protocol):
    content = pickle.dumps([1.0, evil], protocol)
    for allowed in (None, NUMBERS):
        with pytest.raises(DataError, match=r"table\.pt asks for (posix|nt)\.mkdir.*Nothing was run"):
            restricted_loads(content, "table.pt", allowed=allowed)


@pytest.mark.parametrize("thing", [print, Path("x"), OrderedDict(), np.float64(1), np.zeros(2), pytest.fixture])
def test_only_plain_values_are_built(thing):
    with pytest.raises(DataError, match="asks for"):
        restricted_loads(pickle.dumps(thing))


def test_no_opcode_leads_to_a_name():
    for content in (b"cos\nsystem\n.", b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"(S'true'\nios\nsystem\n."):
        with pytest.raises(DataError, match=r"asks for os\.system"):
            restricted_loads(content, allowed=NUMBERS)
    with pytest.raises(DataError):
        restricted_loads(b"Pname\n.")  # a persistent id
    with pytest.raises(DataError):
        restricted_loads(b"\x80\x02\x82\x01.")  # the extension registry


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04", b"(((", b"\x80\x63", b"]K\x01a"])
def test_bytes_that_are_no_pickle_are_called_truncated_or_altered(content):
    with pytest.raises(DataError, match=r"x\.pkl is truncated or altered"):
        restricted_loads(content, "x.pkl")


@pytest.mark.parametrize("protocol", range(5))
def test_numpy_numbers_become_plain_ones(protocol):
    values = {
        "a": np.float64(1.5),
        "b": np.int32(-7),
        "c": np.bool_(True),
        "d": np.array([[1, 2], [3, 4]], ">i4"),
    }
    if protocol < 3:  # there, raw bytes are built by calling _codecs.encode, which is refused
        with pytest.raises(DataError, match="asks for"):
            restricted_loads(pickle.dumps(values, protocol), allowed=NUMBERS)
        return
    back = restricted_loads(pickle.dumps(values, protocol), allowed=NUMBERS)
    assert (back["a"], back["b"], back["c"]) == (1.5, -7, True)
    assert type(back["a"]) is float
    assert np.array(back["d"]).tolist() == [[1, 2], [3, 4]]


def test_numpy_objects_are_refused():
    content = pickle.dumps(np.array([1, "a"], dtype=object), 4)
    with pytest.raises(DataError, match="number type 'O8'"):
        restricted_loads(content, allowed=NUMBERS)
