"""CSVs that users bring: what they may hold, and the sentence that names the file and the row of a wrong one."""

import gzip
import io
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simmore import data, space
from simmore.data import csv_tables
from simmore.errors import DataError, InputWarning

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


def test_cells_that_are_not_in_the_file_are_nan_and_failed_ones_inf(tmp_path):
    latency_ms = data.latency_csv(table(tmp_path, ["3,Failed", "5,2.5"]))
    assert latency_ms[[3, 5]].tolist() == [np.inf, 2.5]
    assert np.flatnonzero(~np.isnan(latency_ms)).tolist() == [3, 5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_spreadsheets_add_is_ignored(tmp_path, rows, encoding):
    lines = ['0.0 , "1" ,seen', "", " , , ", *(f"{row},é" for row in rows[1:])]
    file = table(tmp_path, lines, ' Arch , latency_ms,"note"', encoding)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.warns(InputWarning, match=r"phone\.csv: ignored 1 column note\."):
        assert data.latency_csv(file).tolist() == list(range(1, N + 1))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("3,-inf", "'-inf' is not a finite number"),
        ("3,1e400", "'1e400' is not a finite number"),
        ("3,nan ms", "'nan ms' is not a finite number"),
        ("3,fast", "'fast' is not a finite number"),
        ("3,fail", "'fail' is not a finite number.*or failed"),
        ("3,1_0", "'1_0' is not a finite number"),
        ("3,0", "the latency 0 is not positive"),
        ("3,-4.5", "the latency -4.5 is not positive"),
        ("3,1e-999", "not positive"),
        ("3,1e300", "1e300 is 1e\\+300 ms.*check the unit"),
        ("3,1e-300", "check the unit"),
        ("3,1,5", "3 fields, but 2 in the first row.*decimals with a point"),
        ("3", "1 fields"),
        ('3,"1,5"', "'1,5' is not a finite number.*such as 12.5"),
        ('3,"1', "several lines: close its quote"),
        ("15625,4", "'15625' is no cell"),
        ("-1,4", "'-1' is no cell"),
        ("3.5,4", "'3.5' is no cell"),
        (",4", "'' is no cell"),
        ("resnet18,4", "'resnet18' is no cell"),
        ("000012,4", "NATS index 12 with leading zeros, or the six digits 0, 0, 0, 0, 1, 2: write 12"),
        ("000005,4", "write 5"),
        (
            space.to_string(3).replace("none", "conv_9x9").replace("skip_connect", "conv_9x9") + ",4",
            "operation 2 is 'conv_9x9'",
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, says):
    strings = [f"{space.to_string(arch)},1" for arch in range(4)]
    lines = [*strings[:3], row, strings[3]]
    with pytest.raises(DataError, match=rf"phone\.csv, row 5: .*{says}"):
        data.latency_csv(table(tmp_path, lines))


@pytest.mark.parametrize(
    "header", ["arch,ms", "index,latency_ms", "0,1", ",latency_ms", "arch,latency_ms,arch", "arch,latency_ms,latency_s"]
)
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
        (b'arch,latency_ms\n"0,1\n1,2\n', "row 2: .*close its quote"),
        (b'arch,latency_ms,note\n0,1,"a\n1,2,b\n', "row 2: .*close its quote"),
        (gzip.compress(b"arch,latency_ms\n0,1\n", mtime=0)[:-9], "truncated or altered.*compress the CSV again"),
        (gzip.compress(pickle.dumps(1), mtime=0), "a pickle"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, says):
    file = tmp_path / "phone.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"phone\.csv.*{says}"):
        data.latency_csv(file)


def saved(write, *values, **settings) -> bytes:
    """What a function writes into a file."""
    stream = io.BytesIO()
    write(stream, *values, **settings)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        *((pickle.dumps({"nasbench201": [1.5]}, protocol), r"simmore\.hw_nas_bench") for protocol in range(6)),
        (saved(np.savez, latency=np.ones(3)), r"a zip archive.*save its latencies as a CSV"),
        (saved(np.save, np.ones(3)), "a numpy array.*CSV"),
        (b'\xef\xbb\xbf {"arch": 1}', "JSON.*CSV"),
        (b"BZh91AY", r"simmore\.nats_archive"),
        (b"PAR1", "Parquet.*CSV"),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".pickle"])
def test_another_format_is_refused_by_its_content_with_the_way_out(tmp_path, content, says, ending):
    file = tmp_path / f"phone{ending}"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"phone\{ending} is not a CSV but .*{says}"):
        data.measured_csv(file)


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


def test_a_gzip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_tables, "MAX_CSV_BYTES", 1_000_000)
    file = tmp_path / "phone.csv.gz"
    file.write_bytes(gzip.compress(b"arch,latency_ms\n" + b"0,1\n" * 1_000_000))
    with pytest.raises(DataError, match="unpacks to more than 1 MB"):
        data.latency_csv(file)


def test_more_rows_than_a_device_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_tables, "MAX_ROWS", 4)
    with pytest.raises(DataError, match=r"phone\.csv has more than 4 rows"):
        data.latency_csv(table(tmp_path, ["0,1"] * 5))


# measurements in order


def measured(tmp_path, *rows: str, header: str = "arch,latency_ms") -> tuple[list[int], list[float]]:
    """What is read, where no warning is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        archs, latency_ms = data.measured_csv(table(tmp_path, list(rows), header))
    assert (archs.dtype, latency_ms.dtype) == (np.int64, np.float64) and archs.shape == latency_ms.shape
    return archs.tolist(), latency_ms.tolist()


def noted(tmp_path, *rows: str, header: str = "arch,latency_ms", says: str) -> tuple[list[int], list[float]]:
    """What is read, with one warning."""
    with pytest.warns(InputWarning, match=rf"phone\.csv: {says}") as notes:
        archs, latency_ms = data.measured_csv(table(tmp_path, list(rows), header))
    assert len(notes) == 1 and "\n" not in str(notes[0].message)
    return archs.tolist(), latency_ms.tolist()


def test_a_header_alone_is_no_measurements(tmp_path):
    assert measured(tmp_path) == ([], [])


def test_measured_cells_are_in_the_order_of_their_rows(tmp_path):
    assert measured(tmp_path, "7,3.5", "0,2", f"{space.to_string(5)},1") == ([7, 0, 5], [3.5, 2, 1])


def test_repeated_rows_of_a_cell_are_readings_of_which_a_table_has_the_median_of_the_finite_ones(tmp_path):
    rows = ["7,9", "0,1", "7,1", f"{space.to_string(0)},2", "7,3", "7,failed", "5,6"]
    says = "2 cells have several rows, combined by the median of the finite latencies"
    assert noted(tmp_path, *rows, says=says) == ([7, 0, 7, 0, 7, 7, 5], [9, 1, 1, 2, 3, np.inf, 6])
    with pytest.warns(InputWarning, match=says):
        latency_ms = data.latency_csv(table(tmp_path, rows))
    assert latency_ms[[7, 0, 5]].tolist() == [3, 1.5, 6] and np.isnan(latency_ms).sum() == space.N_ARCHS - 3


@pytest.mark.parametrize("word", ["failed", "FAILED", " Failed ", "-1", "-1.0", "inf", "Infinity", "nan", "NaN"])
def test_each_way_to_write_that_a_cell_failed_means_the_same(tmp_path, word):
    assert measured(tmp_path, f"7,{word}", "0,1") == ([7, 0], [np.inf, 1])


def test_an_empty_latency_means_that_the_cell_failed_and_says_so(tmp_path):
    assert noted(tmp_path, "7,", "0,1", says="1 row has no latency.*leave out cells") == ([7, 0], [np.inf, 1])


@pytest.mark.parametrize(
    ("unit", "latency", "ms"), [("ms", "2.5", 2.5), ("s", "0.0025", 2.5), ("us", "2500", 2.5), ("ns", "2.5e6", 2.5)]
)
def test_the_unit_is_in_the_name_of_the_column(tmp_path, unit, latency, ms):
    _, (first, second) = measured(tmp_path, f"7,{latency}", "0,-1", header=f"arch,latency_{unit}")
    assert (first, second) == (pytest.approx(ms), np.inf)


def test_a_latency_without_a_unit_is_taken_as_milliseconds_and_says_so(tmp_path):
    assert noted(tmp_path, "7,2.5", header="arch,latency", says="the column 'latency' is taken as milli") == (
        [7],
        [2.5],
    )


@pytest.mark.parametrize("header", [",arch,latency_ms", "Unnamed: 0,arch,latency_ms"])
def test_the_unnamed_index_that_pandas_writes_is_ignored(tmp_path, header):
    assert measured(tmp_path, "0,12,1.5", "1,3,2.5", header=header) == ([12, 3], [1.5, 2.5])


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_separate_and_commas_are_decimals_there(tmp_path, separator):
    rows = [f"{arch}{separator}{latency}" for arch, latency in (("7", "1,5"), ("12.0", "3"), ("0", "failed"))]
    assert measured(tmp_path, *rows, header=f"arch{separator}latency_ms") == ([7, 12, 0], [1.5, 3, np.inf])


@pytest.mark.parametrize("rows", [["7;1,000", "0;1,010"], ["7;950", "0;12,500", "5;failed"]])
def test_commas_that_may_separate_thousands_are_refused(tmp_path, rows):
    with pytest.raises(DataError, match=r"row [23]: the comma in the latency '1.*,.00' may be a decimal.*with a point"):
        measured(tmp_path, *rows, header="arch;latency_us")


@pytest.mark.parametrize("other", ["0,512", "1,5", "1234,567", "-1,000"])
def test_commas_are_decimal_where_one_of_them_cannot_separate_thousands(tmp_path, other):
    says = r"row 2: the comma in the latency '1,250' is read as a decimal point"
    _, latency_ms = noted(tmp_path, "7;1,250", f"0;{other}", header="arch;latency_ms", says=says)
    value = float(other.replace(",", "."))
    assert latency_ms == [1.25, value if value > 0 else np.inf]
    assert measured(tmp_path, f"0;{other}", header="arch;latency_ms")[1] == latency_ms[1:]


@pytest.mark.parametrize("wrong", ["1,000,000", "0,000", "-3,5"])
def test_a_wrong_latency_is_quoted_as_it_stands_in_the_file(tmp_path, wrong):
    with pytest.raises(DataError, match=rf"row 2: the latency '?{wrong}'? is not"):
        measured(tmp_path, f"7;{wrong}", header="arch;latency_us")


@pytest.mark.parametrize("second", ["2.5", "1.000,5"])
def test_commas_and_points_in_one_file_are_refused(tmp_path, second):
    with pytest.raises(DataError, match=r"rows 2 and 3: .*'1,5' and '.*' have a comma and a point"):
        measured(tmp_path, "7;1,5", f"0;{second}", header="arch;latency_ms")


@pytest.mark.parametrize("name", ["MY.CSV", "my.csv.gz", "my.data"])
def test_the_name_of_the_file_does_not_matter(tmp_path, name):
    content = b"arch,latency_ms\n7,1.5\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert data.measured_csv(tmp_path / name)[0].tolist() == [7]


def test_a_column_of_six_digits_is_read_as_digits_although_some_have_leading_zeros(tmp_path):
    assert measured(tmp_path, "421211,1", "000012,2", "421212.0,3")[0] == [
        0, space.to_arch((0, 0, 0, 0, 1, 2)), space.to_arch("421212"),
    ]  # fmt: skip


def test_tuples_that_pandas_wrote_are_cells(tmp_path):
    file = tmp_path / "phone.csv"
    pd.DataFrame({"arch": [(4, 2, 1, 2, 1, 1), (0, 0, 0, 0, 1, 2)], "latency_ms": [1, 2]}).to_csv(file, index=False)
    assert data.measured_csv(file)[0].tolist() == [0, space.to_arch((0, 0, 0, 0, 1, 2))]


def test_digits_that_may_have_lost_their_leading_zeros_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"row 4: '4321' is an index, or six digits that lost .* row 2 has .*'421211'"):
        measured(tmp_path, "421211,1", "421212,2", "4321,3")


def test_the_trajectory_of_a_search_is_a_history(tmp_path):
    import simmore

    found = simmore.search("nats_gpu", "random", budget=3)
    found.trajectory.to_csv(tmp_path / "phone.csv", index=False)
    with pytest.warns(InputWarning, match="ignored 4 columns step, score, val_accuracy, n_measured"):
        archs, latency_ms = data.measured_csv(tmp_path / "phone.csv")
    assert archs.tolist() == found.trajectory["arch"].tolist()
    assert latency_ms.tolist() == pytest.approx(found.trajectory["latency_ms"].tolist())


def test_measurements_need_a_file_with_a_header(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist: give the path of a CSV"):
        data.measured_csv(tmp_path / "nowhere.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match=r"empty\.csv is empty"):
        data.measured_csv(tmp_path / "empty.csv")
    with pytest.raises(DataError, match="row 1: no column 'latency_ms'"):
        data.measured_csv(table(tmp_path, ["0,1"], "arch,ms"))
