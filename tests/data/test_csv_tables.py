"""CSVs that users bring: each wrong one is refused with a sentence that names the file and the row."""

import os
from pathlib import Path

import numpy as np
import pytest

from simmore import data, space
from simmore.errors import DataError

N = space.N_ARCHS


@pytest.fixture(scope="module")
def rows() -> list[str]:
    """A correct table, one line per cell: the latency is the index plus one."""
    return [f"{arch},{arch + 1}" for arch in range(N)]


def table(tmp_path: Path, rows: list[str], header: str = "arch,latency_ms", encoding: str = "utf-8") -> Path:
    file = tmp_path / "phone.csv"
    file.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return file


def test_rows_may_be_in_any_order(tmp_path, rows):
    assert data.latency_csv(table(tmp_path, rows[::-1])).tolist() == list(range(1, N + 1))


def test_a_csv_of_strings_and_digits_is_read(tmp_path):
    strings = [f"{string},{arch + 1}" for arch, string in enumerate(space.all_strings()[:8_000])]
    digits = [f"{''.join(map(str, ops))},{arch + 1}" for arch, ops in enumerate(space.all_ops().tolist())][8_000:]
    assert data.latency_csv(table(tmp_path, strings + digits)).tolist() == list(range(1, N + 1))


def test_a_failed_cell_has_an_infinite_latency(tmp_path, rows):
    latency_ms = data.latency_csv(table(tmp_path, ["0,Failed", *rows[1:]]))
    assert latency_ms[0] == np.inf and latency_ms[1:].tolist() == list(range(2, N + 1))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_spreadsheets_add_is_ignored(tmp_path, rows, encoding):
    lines = ['421211 , "1" ,seen', "", " , , ", *(f"{row},é" for row in rows[1:])]
    file = table(tmp_path, lines, ' arch , latency_ms,"note"', encoding)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert data.latency_csv(file).tolist() == list(range(1, N + 1))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("3,", "no latency"),
        ("3,nan", "'nan' is not a finite number"),
        ("3,inf", "'inf' is not a finite number"),
        ("3,-inf", "not a finite number"),
        ("3,1e999", "not a finite number"),
        ("3,fast", "'fast' is not a finite number"),
        ("3,1_0", "'1_0' is not a finite number"),
        ("3,0", "the latency 0 is not positive"),
        ("3,-4.5", "the latency -4.5 is not positive"),
        ("3,1e-999", "not positive"),
        ("3,1,5", "3 fields, but 2 in the first row.*decimals with a point"),
        ("3", "1 fields"),
        ('3,"1,5"', "'1,5' is not a finite number"),
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
def test_wrong_columns_are_named(tmp_path, header):
    with pytest.raises(DataError, match=r"phone\.csv, row 1: .*column.*arch,latency_ms"):
        data.latency_csv(table(tmp_path, ["0,1"], header))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"arch,latency_ms\n0,1\n\0,2\n", "row 3: a NUL byte"),
        ("arch,latency_ms\n0,1\n".encode("utf-16"), "NUL byte"),
        (b"arch,latency_ms\n0,1\n\xff,2\n", "row 3: this is not text in UTF-8"),
        (b"arch,latency_ms\n0," + b"1" * 200_000, "row 2: field larger"),
        (b'arch,latency_ms\n"0,1\n1,2\n', "row 3"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, says):
    file = tmp_path / "phone.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"phone\.csv.*{says}"):
        data.latency_csv(file)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist: give the path of a CSV"):
        data.latency_csv(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is not a regular file"):
        data.latency_csv(tmp_path)
    with pytest.raises(DataError, match="is not a regular file"):
        data.latency_csv(os.devnull)
    with pytest.raises(DataError):
        data.latency_csv("phone\0.csv")


def test_a_file_that_is_too_big_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "phone.csv"
    with file.open("wb") as stream:
        stream.truncate(60_000_000)  # sparse: it takes no room
        stream.write(b"a")
    with pytest.raises(DataError, match="larger than 50 MB"):
        data.latency_csv(file)


# measurements taken by hand


def measured(tmp_path, *rows: str) -> tuple[list[int], list[float]]:
    archs, latency_ms = data.measured_csv(table(tmp_path, list(rows)))
    assert (archs.dtype, latency_ms.dtype) == (np.int64, np.float64) and archs.shape == latency_ms.shape
    return archs.tolist(), latency_ms.tolist()


def test_a_header_alone_is_no_measurements(tmp_path):
    assert measured(tmp_path) == ([], [])


def test_measured_cells_are_in_the_order_of_their_first_rows(tmp_path):
    assert measured(tmp_path, "7,3.5", "421211,2", f"{space.to_string(5)},1", "7,3.5") == ([7, 0, 5], [3.5, 2, 1])


def test_repeated_rows_of_a_cell_are_combined_by_their_median(tmp_path):
    assert measured(tmp_path, "7,9", "0,1", "7,1", "421211,2", "7,3") == ([7, 0], [3, 1.5])


@pytest.mark.parametrize("word", ["failed", "FAILED", " Failed "])
def test_a_cell_that_only_failed_has_an_infinite_latency(tmp_path, word):
    assert measured(tmp_path, f"7,{word}", "0,1", f"7,{word}") == ([7, 0], [np.inf, 1])


def test_a_cell_with_numbers_and_failures_has_the_median_of_its_numbers(tmp_path):
    assert measured(tmp_path, "7,failed", "7,2", "7,4", "7,failed", "7,failed") == ([7], [3])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("3,", "no latency"),
        ("3,inf", "'inf' is not a finite number"),
        ("3,fail", "'fail' is not a finite number.*or failed"),
        ("3,-1", "the latency -1 is not positive"),
        ("3,1,5", "3 fields, but 2 in the first row"),
        ("15625,4", "'15625' is no cell"),
    ],
)
def test_a_wrong_row_of_a_measurement_is_named(tmp_path, row, says):
    with pytest.raises(DataError, match=rf"phone\.csv, row 4: .*{says}"):
        measured(tmp_path, "0,1", "0,2", row, "4,1")


def test_measurements_need_a_file_with_a_header(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist: give the path of a CSV"):
        data.measured_csv(tmp_path / "nowhere.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match=r"empty\.csv is empty"):
        data.measured_csv(tmp_path / "empty.csv")
    with pytest.raises(DataError, match="row 1: no column 'latency_ms'"):
        data.measured_csv(table(tmp_path, ["0,1"], "arch,ms"))
