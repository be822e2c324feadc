"""Files are written whole or not at all, also by many processes at once; damaged ones are set aside."""

import errno
import os
import re
import subprocess
import sys
import threading

import pytest

from simmore import files

MANY = """
import sys
from pathlib import Path
from simmore import files
print(flush=True)
sys.stdin.readline()  # all begin together
path, name = Path(sys.argv[1]), sys.argv[2].encode()
for _ in range(20):
    {action}
"""


def at_once(action, path, n=4):
    """Run a statement 20 times in each of `n` processes."""
    command = [sys.executable, "-c", MANY.format(action=action), str(path)]
    processes = [
        subprocess.Popen([*command, str(k)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for k in range(n)
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()


def test_of_many_processes_that_write_one_file_one_stands_whole(tmp_path):
    at_once("files.replace(path, name * 100_000)", tmp_path / "new" / "table.csv")
    content = (tmp_path / "new" / "table.csv").read_bytes()
    assert len(content) == 100_000 and len(set(content)) == 1
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["table.csv"]


def test_of_many_threads_that_write_one_file_one_stands_whole(tmp_path, monkeypatch):
    """All threads have written their content before the first of them renames it."""
    path, together, errors = tmp_path / "table.csv", threading.Barrier(4), []
    monkeypatch.setattr(os, "fsync", lambda _descriptor: together.wait(timeout=60))

    def write(letter):
        try:
            files.replace(path, letter * 1_000)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_bytes()
    assert not errors and len(content) == 1_000 and len(set(content)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_many_processes_check_one_path_at_once(tmp_path):
    at_once("files.check_writable(path)", tmp_path / "t.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "ordinary").touch()
    files.replace(tmp_path / "written", b"x")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("where", ["write", "fsync"])
def test_a_full_disk_keeps_the_earlier_file(tmp_path, monkeypatch, where):
    path = tmp_path / "table.csv"
    files.replace(path, b"earlier")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        open_file = type(path).open

        class Full:
            def __init__(self, file):
                self.file = file

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.file.close()

            write = full

        monkeypatch.setattr(type(path), "open", lambda self, mode: Full(open_file(self, mode)))
    with pytest.raises(OSError, match=r"table\.csv cannot be written \(No space left on device\).*free some space"):
        files.replace(path, b"later")
    monkeypatch.undo()
    assert path.read_bytes() == b"earlier" and [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.replace(tmp_path / "table.csv", b"x")
    assert not list(tmp_path.iterdir())


def test_a_long_name_is_written_and_a_link_stays_a_link(tmp_path):
    files.replace(tmp_path / ("n" * 250), b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere" / "t.csv")
    files.replace(tmp_path / "link.csv", b"through")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "elsewhere" / "t.csv").read_bytes() == b"through"


def test_a_folder_and_a_device_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("pipe", "device or pipe"), (".", "folder")):
        for write in (files.check_writable, lambda path: files.replace(path, b"x")):
            with pytest.raises(OSError, match=f"is a {what}: name a file"):
                write(tmp_path / name)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written"):
        files.replace(tmp_path / "file" / "below", b"x")


# what earlier runs kept


def test_what_is_kept_is_read_and_what_is_damaged_is_set_aside(tmp_path, capsys):
    path = tmp_path / "part.txt"
    assert files.read_kept(path, int) is None
    path.write_text("7")
    assert files.read_kept(path, int) == 7 and capsys.readouterr().err == ""
    path.write_text("seven")
    assert files.read_kept(path, int) is None
    said = capsys.readouterr().err
    assert re.fullmatch(r".*part\.txt is damaged and is computed again; it is now part\.txt\.unreadable \(.*\)\n", said)
    assert (tmp_path / "part.txt.unreadable").read_text() == "seven" and not path.exists()
    path.write_text("eight")
    assert files.read_kept(path, int) is None
    assert (tmp_path / "part.txt.unreadable").read_text() == "eight"


def test_a_missing_package_is_no_damage(tmp_path):
    def parse(content):
        raise ImportError("torch")

    (tmp_path / "part").write_text("7")
    with pytest.raises(ImportError):
        files.read_kept(tmp_path / "part", parse)
    assert (tmp_path / "part").read_text() == "7"
