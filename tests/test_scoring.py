"""Fast scores against plain ones, and a job that survives whatever stops it."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from simmore import data, parallel, paths, proxies, space
from simmore.errors import TableMissing
from simmore.proxies import parts, scoring

torch = pytest.importorskip("torch")

from simmore.proxies import (
    fast_logsynflow,
    fast_naswot,
    supernetwork,
)

SIZE, BATCH = 8, 6  # of the small images that most tests use


def small_parts(count, score="naswot"):
    """The first parts of a job on small images."""
    return [part._replace(size=SIZE, batch=BATCH) for part in parts.parts(score, "cifar10", 0)[:count]]


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are slower on several threads, and far slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# what is shared


def test_a_plan_by_hand():
    """2→3 is `none`, so node 2 and its edges are left out; that 1→2 reads node 1 still counts."""
    arch = space.to_arch("332140")
    plan = space.canonical_form(arch)
    assert sorted(plan.ops) == sorted((3, 0, 0, 1, 4, 0))
    assert (sum(plan.reads), plan.reads_of_zero) == (3, 0)
    nothing = space.canonical_form(space.to_arch("000223"))  # nodes 1 and 2 are zero
    assert nothing.ops == (0, 0, 0, 2, 0, 0)
    assert (nothing.reads, nothing.reads_of_zero) == ((1, 0, 0), 2)


def test_plans_of_all_cells():
    counts = space.operation_counts(np.arange(space.N_ARCHS))
    members = space.canonical_classes()
    assert len(members) == 7209
    assert sorted(arch for archs in members.values() for arch in archs) == list(range(space.N_ARCHS))
    for arch in range(space.N_ARCHS):
        plan = space.canonical_form(arch)
        assert sorted(plan.weight_edges) == list(range(6))
        assert sum(plan.reads) + plan.reads_of_zero == counts[arch, 2] + counts[arch, 3]


def kinds(count):
    """Cells of every kind: of one operation, without a path, with paths of all lengths, and drawn."""
    rng = np.random.default_rng(0)
    ops = space.all_ops()
    no_path = np.flatnonzero((ops[:, 3:] == 0).all(axis=1))
    one_node = np.flatnonzero((ops[:, 2] == 0) & (ops[:, 4] == 0) & (ops[:, 5] > 0))
    dead_reader = np.flatnonzero((ops[:, 4] == 0) & (ops[:, 5] == 0) & (ops[:, 0] > 1) & (ops[:, 2] > 1))
    few = [rng.choice(group, 15, replace=False) for group in (no_path, one_node, dead_reader)]
    fixed = np.concatenate([space.single_operation_archs(), *few])
    drawn = rng.choice(np.setdiff1d(np.arange(space.N_ARCHS), fixed), count - len(fixed), replace=False)
    return np.concatenate([fixed, drawn]).tolist()


def check_equal(network, arch, seed):
    """Fast and plain scores of one cell are the same to rounding."""
    reduced = space.canonical_form(arch).ops
    supernetwork.initialise(network, arch, seed)
    # a value within rounding of 0 may fall on its other side: one bit of thousands
    fast = fast_naswot.naswot_class(reduced, seed, SIZE, BATCH)[arch]
    plain = proxies.naswot(network, supernetwork.images(seed, SIZE, BATCH))
    assert fast == pytest.approx(plain, rel=1e-4), space.to_string(arch)
    fast = fast_logsynflow.log_synflow_class(reduced, seed, SIZE, 10)
    assert fast == pytest.approx(proxies.log_synflow(network, (3, SIZE, SIZE)), rel=1e-11), space.to_string(arch)


def test_fast_scores_are_the_plain_scores():
    """Whole networks of 8 cells."""
    for arch in kinds(200)[1:200:25]:
        check_equal(space.network(arch), arch, seed=0)


def test_fast_scores_are_the_plain_scores_of_200_cells(monkeypatch):
    """Networks with one cell a stage, for 200 cells of every kind, 15 of them without a path to the output."""
    from xautodl.models import get_cell_based_tiny_net

    monkeypatch.setattr(supernetwork, "CELLS_PER_STAGE", 1)
    seed = 2026  # of no other test: what is kept by seed belongs to these networks alone
    for arch in kinds(200):
        config = {"name": "infer.tiny", "C": 16, "N": 1, "arch_str": space.to_string(arch), "num_classes": 10}
        body = get_cell_based_tiny_net(config)
        check_equal(Logits(body), arch, seed)


class Logits(torch.nn.Module):
    """A network of xautodl's without its second output."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, images):
        return self.body(images)[1]


def singular_cells():
    """Cells whose kernel is singular."""
    nothing = fast_naswot.naswot_class((0,) * 6, 0, SIZE, BATCH)  # nothing leads to the output
    return [arch for arch, value in nothing.items() if value == -math.inf]


def test_singular_kernels():
    """Nothing leads to the output, and no convolution reads the input: all images have one code."""
    singular = singular_cells()
    assert len(singular) == 201
    noise = supernetwork.images(0, SIZE, BATCH)
    for arch in np.random.default_rng(0).choice(singular, 5, replace=False).tolist():
        network = supernetwork.initialise(space.network(arch), arch, seed=0)
        assert proxies.naswot(network, noise) == -math.inf
        assert proxies.log_synflow(network, (3, SIZE, SIZE)) == 0


def test_singular_kernels_are_the_published_ones(measured_tables):
    published = np.flatnonzero(~np.isfinite(data.published_scores("cifar10")["naswot"]))
    assert sorted(singular_cells()) == published.tolist()


def test_the_initialisation_is_the_seed_s():
    first, again, other = (supernetwork.images(seed, 8, 2) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    weight = supernetwork.weights(3)["4.2.3"]  # position 4, edge 1→2, 3×3
    assert weight.shape == (16, 16, 3, 3)
    assert weight.std().item() == pytest.approx((2 / 144) ** 0.5, rel=0.05)
    smooth = supernetwork.images(0, 32, 8, "natural")
    assert smooth.std().item() == pytest.approx(1)
    assert (smooth[..., 1:] * smooth[..., :-1]).mean() > 0.6  # neighbouring pixels are alike


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_parameters_and_flops(dataset):
    task = supernetwork.TASKS[dataset]
    for arch in (0, 1, 1462, int(space.single_operation_archs()[3])):
        network = space.network(arch, n_classes=task.n_classes)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        assert scoring.parameters(arch, dataset) == parameters / 1e6
        work = []

        def count(module, inputs, output, work=work):
            work.append(module.weight.numel() * output[0, 0].numel())

        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.register_forward_hook(count)
        network.eval()(torch.zeros(1, 3, task.size, task.size))
        assert scoring.flops(arch, dataset) == sum(work) / 1e6


# the job


def test_parts_are_resumed_and_bad_ones_scored_again(tmp_path, monkeypatch):
    wanted = small_parts(3)
    assert len(list(parts.score_parts(wanted, tmp_path, n_jobs=1))) == 3
    before = parts.read_parts(wanted, tmp_path)
    assert list(before) == wanted
    whole = (tmp_path / wanted[0].path).read_bytes()
    (tmp_path / wanted[0].path).write_bytes(whole[: len(whole) // 2])  # cut off
    altered = bytearray((tmp_path / wanted[1].path).read_bytes())
    altered[len(altered) // 3] ^= 255
    (tmp_path / wanted[1].path).write_bytes(altered)
    assert list(parts.read_parts(wanted, tmp_path)) == wanted[2:]
    missing = [part for part in wanted if part not in parts.read_parts(wanted, tmp_path)]
    list(parts.score_parts(missing, tmp_path, n_jobs=1))
    for part, (archs, values, _) in parts.read_parts(wanted, tmp_path).items():
        np.testing.assert_array_equal(archs, before[part].archs)
        np.testing.assert_array_equal(values, before[part].values)


def test_a_part_of_another_job_is_not_read(tmp_path):
    one, other = small_parts(2)
    parts.write_part(one, parts.score_part(one)[1], tmp_path)
    (tmp_path / one.path).rename(tmp_path / other.path)
    assert parts.read_part(other, tmp_path) is None


def test_killed_and_started_again(tmp_path):
    """After kill -9 every part that is there is whole, and only the others are scored."""
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]); import test_scoring as t; "
        "list(t.score_parts.score_parts(t.small_parts(40), Path(sys.argv[1]), n_jobs=1))"
    )
    tests = str(paths.ROOT / "tests")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), tests], cwd=paths.ROOT)
    wanted = small_parts(40)
    limit = time.monotonic() + 60
    while not (tmp_path / wanted[1].path).exists() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = parts.read_parts(wanted, tmp_path)
    assert 2 <= len(kept) < 40
    following = wanted[len(kept)]
    list(parts.score_parts([following], tmp_path, n_jobs=1))
    assert list(parts.read_parts(wanted, tmp_path)) == wanted[: len(kept) + 1]


def test_full_disk(tmp_path, monkeypatch):
    one, other = small_parts(2)
    parts.write_part(one, parts.score_part(one)[1], tmp_path)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*make room"):
        list(parts.score_parts([other], tmp_path, n_jobs=1))
    assert [file.name for file in (tmp_path / one.path).parent.iterdir()] == [one.path.name]


def test_data_sets_share_naswot():
    ours, theirs = (parts.parts("naswot", dataset, 0)[0].path for dataset in ("cifar10", "cifar100"))
    assert ours == theirs
    assert ours != parts.parts("naswot", "ImageNet16-120", 0)[0].path
    ours, theirs = (parts.parts("logsynflow", dataset, 0)[0].path for dataset in ("cifar10", "cifar100"))
    assert ours != theirs


def pretended(part):
    """A part's result without the work; one cell's NASWOT is singular and another's LogSynflow overflows."""
    archs = parts.cells(part)
    values = archs + 1.0 + 2.0 * part.seed
    values[archs == 7] = -math.inf if part.score == "naswot" else math.inf
    return part, parts.Scored(archs, values, np.full(len(archs), 0.5))


def test_a_table_from_two_seeds(tmp_path, monkeypatch):
    """Scores are 1 + cell for seed 0 and 3 + cell for seed 1: mean 2 + cell, standard deviation √2."""
    monkeypatch.setattr(parts, "score_part", pretended)
    monkeypatch.setattr(parts, "CHUNK", 4000)
    out = tmp_path / "scores.npz"
    monkeypatch.setattr(parallel, "unordered", lambda function, tasks, **_: map(function, tasks))
    assert scoring.score_all(seeds=(0, 1), folder=tmp_path / "parts", out=out) == out
    with np.load(out) as arrays:
        table = {name: arrays[name] for name in arrays.files}
    expected = np.arange(space.N_ARCHS) + 2.0
    expected[7] = 2.0  # the lowest of the others
    np.testing.assert_array_equal(table["naswot"], expected)
    assert table["logsynflow"][7] == space.N_ARCHS + 1  # the largest of the others
    np.testing.assert_array_equal(table["seconds"], np.ones(space.N_ARCHS))
    spread = np.full(space.N_ARCHS, 2**0.5)
    spread[7] = 0
    np.testing.assert_allclose(table["naswot_sd"], spread, rtol=1e-6)
    assert all(np.isfinite(values).all() and len(values) == space.N_ARCHS for values in table.values())
    assert table["score"].min() >= 0 and table["score"].max() <= 1
    card = json.loads(out.with_suffix(".json").read_text())
    assert (card["seeds"], card["singular_kernels"], card["overflows"]) == ([0, 1], 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "cifar11"}, "cifar11.*there are cifar10, cifar100, ImageNet16-120"),
        ({"batch": 1}, "at least two"),
        ({"seeds": ()}, "at least one"),
        ({"seeds": (0, 0)}, "each once"),
        ({"inputs": "natural"}, "name a file"),
    ],
)
def test_jobs_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        scoring.score_all(**arguments)


# live


def test_live_scores_are_the_table_s():
    table = data.scores("cifar10")
    string, digits = space.to_string(4), "".join(map(str, space.to_ops(11)))
    live = scoring.score([string, digits, singular_cells()[0]])
    assert live.index.tolist() == [4, 11, singular_cells()[0]]
    for name in ("naswot", "logsynflow", "skip", "score", "params", "flops"):
        np.testing.assert_allclose(live[name], table.loc[live.index, name], rtol=1e-5)
    with pytest.raises(ValueError, match="no cell of the search space"):
        scoring.score("|conv|")


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_stored_tables_rank_as_the_published_scores_do(dataset, measured_tables):
    from scipy.stats import spearmanr

    try:
        table = data.scores(dataset)
    except TableMissing as missing:
        pytest.skip(str(missing))
    published = data.published_scores(dataset)
    np.testing.assert_allclose(table["skip"], proxies.skip_score(np.arange(space.N_ARCHS)))
    for name in ("naswot", "logsynflow"):
        finite = np.isfinite(published[name])
        assert spearmanr(table[name][finite], published[name][finite]).statistic >= 0.97


# a cluster


def slowly(number):
    """A task that lasts."""
    time.sleep(0.1)
    return number, os.getpid()


def test_a_cluster_that_loses_a_worker(tmp_path):
    """A real scheduler and two worker processes, one killed halfway: complete, and equal to one process."""
    distributed = pytest.importorskip("distributed")
    wanted = small_parts(12)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        workers = [worker.pid for worker in cluster.workers.values()]
        job = parts.score_parts(wanted, tmp_path, dask=cluster.scheduler_address)
        for done, _ in enumerate(job):
            if done == 2:
                os.kill(workers[0], signal.SIGKILL)
    found = parts.read_parts(wanted, tmp_path)
    assert list(found) == wanted
    for part in wanted[::4]:
        np.testing.assert_allclose(found[part].values, parts.score_part(part)[1].values, rtol=1e-5)


def test_no_scheduler_at_the_address(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setenv("SIMMORE_DASK", "tcp://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        list(parallel.unordered(slowly, [1]))


def test_this_machine_s_cores():
    assert list(parallel.unordered(slowly, [])) == []
    assert sorted(number for number, _ in parallel.unordered(slowly, [3, 1, 2], n_jobs=1)) == [1, 2, 3]
