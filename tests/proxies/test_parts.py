"""A scoring job resumes after whatever stops it."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simmore.proxies import parts

pytest.importorskip("torch")


def small_parts(count):
    """The first parts of a job on small images."""
    return [part._replace(size=8, batch=6) for part in parts.parts("naswot", "cifar10", 0)[:count]]


def test_damaged_parts_are_scored_again_and_the_others_kept(tmp_path, capsys):
    wanted = small_parts(4)
    assert len(list(parts.score_parts(wanted, tmp_path, n_jobs=1))) == 4
    before = parts.read_parts(wanted, tmp_path)
    assert list(before) == wanted
    truncated, altered, _, kept = (tmp_path / part.path for part in wanted)
    whole = truncated.read_bytes()
    truncated.write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(altered.read_bytes())
    flipped[len(flipped) // 3] ^= 255
    altered.write_bytes(flipped)
    kept.rename(tmp_path / wanted[2].path)  # the file of another part
    assert parts.read_parts(wanted, tmp_path) == {}
    assert truncated.with_name(f"{truncated.name}.unreadable").read_bytes() == whole[: len(whole) // 2]
    assert capsys.readouterr().err.count("is damaged and is computed again") == 3
    list(parts.score_parts(wanted, tmp_path, n_jobs=1))
    for part, found in parts.read_parts(wanted, tmp_path).items():
        np.testing.assert_array_equal(found.archs, before[part].archs)
        np.testing.assert_array_equal(found.values, before[part].values)


@pytest.mark.parametrize(
    "content", ["nothing", "text", "no number", "too few", "another array", "an object", "infinite seconds"]
)
def test_a_part_with_any_other_content_is_set_aside(tmp_path, capsys, content):
    (part,) = small_parts(1)
    archs, numbers = part.archs(), np.zeros(len(part.archs()))
    contents = {
        "no number": {"archs": archs, "values": numbers * np.nan, "seconds": numbers},
        "too few": {"archs": archs, "values": numbers[1:], "seconds": numbers},
        "another array": {"archs": archs, "values": numbers},
        "an object": {"archs": archs, "values": numbers.astype(object), "seconds": numbers},
        "infinite seconds": {"archs": archs, "values": numbers, "seconds": numbers + np.inf},
    }
    file = tmp_path / part.path
    file.parent.mkdir()
    file.write_bytes({"nothing": b"", "text": b"text"}.get(content, b""))
    if content in contents:
        np.savez(file, allow_pickle=True, **contents[content])
    assert parts.read_parts([part], tmp_path) == {} and not file.exists()
    assert file.with_name(f"{file.name}.unreadable").exists() and capsys.readouterr().err.count("\n") == 1


KILLED = """
import os, sys
from pathlib import Path
from test_parts import parts, small_parts

done = 0
def fsync(descriptor):
    global done
    done += 1
    if done == 3:
        os._exit(9)

os.fsync = fsync
list(parts.score_parts(small_parts(5), Path(sys.argv[1]), n_jobs=1))
"""


def test_a_job_killed_while_it_writes_keeps_its_complete_parts(tmp_path):
    """The process ends, as with kill -9, when the third part is written but not yet renamed."""
    tests = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment)
    assert killed.returncode == 9
    wanted = small_parts(5)
    assert list(parts.read_parts(wanted, tmp_path)) == wanted[:2]
    list(parts.score_parts(wanted[2:3], tmp_path, n_jobs=1))
    assert list(parts.read_parts(wanted, tmp_path)) == wanted[:3]


def test_a_full_disk_keeps_earlier_parts_and_leaves_no_incomplete_file(tmp_path, monkeypatch):
    one, other = small_parts(2)
    parts.write_part(one, parts.score_part(one)[1], tmp_path)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*free some space"):
        list(parts.score_parts([other], tmp_path, n_jobs=1))
    assert [file.name for file in (tmp_path / one.path).parent.iterdir()] == [one.path.name]


def test_files_keep_their_names_and_data_sets_share_naswot():
    def path(score, dataset, **more):
        return parts.parts(score, dataset, 0, **more)[0].path.as_posix()

    assert path("naswot", "cifar10") == path("naswot", "cifar100") == "naswot-32px-batch64-seed0-v1/0000.npz"
    assert path("naswot", "ImageNet16-120", inputs="natural") == "naswot-16px-batch64-natural-seed0-v1/0000.npz"
    assert path("logsynflow", "cifar10") == "logsynflow-32px-10classes-seed0-v1/0000.npz"
    assert path("logsynflow", "cifar100") == "logsynflow-32px-100classes-seed0-v1/0000.npz"


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_scores_all_parts(tmp_path):
    """A real scheduler and two workers, one of which is killed: the scores are those of one process."""
    distributed = pytest.importorskip("distributed")
    wanted = small_parts(12)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        workers = [worker.pid for worker in cluster.workers.values()]
        for done, _ in enumerate(parts.score_parts(wanted, tmp_path, dask=cluster.scheduler_address)):
            if done == 2:
                os.kill(workers[0], signal.SIGKILL)
    found = parts.read_parts(wanted, tmp_path)
    assert list(found) == wanted
    for part in wanted[::4]:
        np.testing.assert_allclose(found[part].values, parts.score_part(part)[1].values, rtol=1e-5)
