"""AZ-NAS's terms: on networks small enough to check by hand, fast against plain, and as a table."""

import json
import math

import numpy as np
import pytest

from simmore import data, parallel, proxies, space
from simmore.proxies import definitions, parts, scoring

torch = pytest.importorskip("torch")
nn = torch.nn
SIZE, BATCH = 8, 6  # small images


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Small(nn.Module):
    """A stem and a sequence of cells."""

    def __init__(self, *cells):
        super().__init__()
        self.stem, self.cells = nn.Identity(), nn.ModuleList(cells)

    def forward(self, images):
        return nn.Sequential(self.stem, *self.cells)(images)


def scale(factor):
    """A 1×1 convolution of two channels that multiplies by a factor."""
    layer = nn.Conv2d(2, 2, 1, bias=False)
    layer.weight.data = factor * torch.eye(2)[..., None, None]
    return layer


def white(signs=((1, 1), (1, -1), (-1, 1), (-1, -1))):
    """Four images of one pixel and two channels: their covariance is the identity."""
    return torch.tensor(signs, dtype=torch.float32)[..., None, None]


def test_expressivity_is_the_sum_of_entropies_and_progressivity_the_smallest_increase():
    """Equal eigenvalues have entropy log 2; a cell that keeps one channel of two leaves one eigenvalue: entropy 0."""
    one_channel = scale(1.0)
    one_channel.weight.data[1] = 0
    terms = proxies.az_nas(Small(nn.Identity(), one_channel), white())
    assert terms.expressivity == pytest.approx(2 * math.log(2))
    assert terms.progressivity == pytest.approx(-math.log(2))
    assert terms.complexity == pytest.approx(4e-6)  # two outputs of two inputs each


def test_trainability_of_a_scaled_identity():
    """g at the input is 3 g: the mean outer product is 3 I plus chance, s is about 3, and 2 − 3 − 1/3 = −4/3."""
    images = torch.randn(2000, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    assert proxies.az_nas(Small(scale(3.0)), images).trainability == pytest.approx(-4 / 3, abs=0.15)
    assert definitions.trainability(torch.tensor([[0.0, 2.0], [0.0, 0.0]])) == -0.5
    assert definitions.trainability(torch.zeros(2, 2)) == -math.inf


def test_blocks_of_pixels_are_channels_where_the_resolution_halves():
    """Each output is the sum of a 2×2 block: its sign returns to four pixels, a row (1 1 1 1) with s = 2."""
    images = torch.randn(5000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    pool = nn.AvgPool2d(2, divisor_override=1)
    assert proxies.az_nas(Small(pool), images).trainability == pytest.approx(2 - 2 - 1 / 2, abs=1e-5)


def test_a_cell_without_gradient_has_trainability_minus_infinity_and_entropy_zero():
    class Zero(nn.Module):
        def forward(self, values):
            return values * 0.0

    terms = proxies.az_nas(Small(Zero(), nn.Identity()), white())
    assert terms[:3] == (pytest.approx(math.log(2)), pytest.approx(-math.log(2)), -math.inf)


def test_the_network_is_not_changed_and_images_must_fit():
    network = Small(nn.BatchNorm2d(2)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    proxies.az_nas(network, white())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.training
    with pytest.raises(ValueError, match="at least two"):
        proxies.az_nas(network, white()[:1])
    with pytest.raises(ValueError, match=r"shape \(4, 2, 1, 1\) do not fit the network"):
        proxies.az_nas(Small(nn.Conv2d(3, 3, 1)), white())


def fifty_cells():
    """Single operations, cells without a path to the output, cells with dead nodes, and random cells."""
    rng = np.random.default_rng(0)
    ops = space.all_ops()
    no_path = np.flatnonzero(~space.live_edges(np.arange(space.N_ARCHS)).any(axis=1))
    dead = np.flatnonzero((ops[:, 4] == 0) & (ops[:, 5] == 0) & (ops[:, 0] > 1) & (ops[:, 2] > 1) & (ops[:, 3] > 0))
    few = np.concatenate([rng.choice(group, 8, replace=False) for group in (no_path, dead)])
    fixed = np.concatenate([space.single_operation_archs(), few])
    rest = rng.choice(np.setdiff1d(np.arange(space.N_ARCHS), fixed), 50 - len(fixed), replace=False)
    return np.concatenate([fixed, rest]).tolist()


def check_equal(arch, size, batch, seed=0):
    """Fast and plain terms of one cell are equal up to rounding."""
    pytest.importorskip("xautodl")
    from simmore.proxies import fast_az, supernetwork

    network = supernetwork.initialise(space.network(arch), arch, seed)
    plain = proxies.az_nas(network, supernetwork.images(seed, size, batch), seed)
    fast = fast_az.az_nas(space.canonical_form(arch).ops, seed, size, batch)
    assert fast == pytest.approx(plain[:3], rel=2e-3, abs=1e-4), space.to_string(arch)
    assert plain.complexity == pytest.approx(float(space.live_flops(arch, size)), rel=1e-12)


@pytest.mark.parametrize("arch", fifty_cells()[::7])
def test_fast_terms_equal_plain_terms(arch):
    check_equal(arch, SIZE, BATCH)


@pytest.mark.slow
def test_fast_terms_equal_plain_terms_of_50_cells():
    for arch in fifty_cells():
        check_equal(arch, 16, 32)


def test_fast_terms_can_follow_naswot_of_the_same_images():
    """NASWOT's cached tensors belong to inference mode, which autograd cannot follow."""
    from simmore.proxies import fast_az, fast_naswot, supernetwork

    for module in (fast_naswot.stem, fast_az._start, supernetwork.weights):
        module.cache_clear()
    ops = space.canonical_form(1).ops
    fast_naswot.naswot(ops, 0, SIZE, BATCH)
    assert np.isfinite(fast_az.az_nas(ops, 0, SIZE, BATCH)).all()


def test_parts_of_terms_are_kept_and_read(tmp_path):
    (first, *_) = parts.parts("az", "cifar10", 0, 4)
    assert first.path.as_posix() == "az-32px-batch4-seed0-v1/0000.npz"
    small = first._replace(size=8, forms=first.forms[:2])
    (scored,) = parts.score_parts([small], tmp_path, n_jobs=1)
    assert scored.values.shape == (len(scored.archs), 3)
    again = parts.read_parts([small], tmp_path)[small]
    np.testing.assert_array_equal(again.values, scored.values)


def test_the_table_of_terms_is_finite_and_has_metadata(tmp_path, monkeypatch):
    """Terms are 1, 2 and 3 times the cell's index; one cell has no gradient in one of two seeds."""

    def pretended(part):
        archs = part.archs()
        values = archs[:, None] * np.array([1.0, 2.0, 3.0]) + part.seed
        values[archs == 7, 2] = -math.inf if part.seed == 0 else 0.0
        return part, parts.Scored(archs, values, np.full(len(archs), 0.5))

    monkeypatch.setattr(parts, "score_part", pretended)
    monkeypatch.setattr(parts, "CHUNK", 4000)
    monkeypatch.setattr(parallel, "unordered", lambda function, tasks, **_: map(function, tasks))
    out = scoring.az_all(16, seeds=(0, 1), folder=tmp_path / "parts", out=tmp_path / "az.npz")
    with np.load(out) as arrays:
        table = {name: arrays[name] for name in arrays.files}
    cells = np.arange(space.N_ARCHS)
    np.testing.assert_allclose(table["progressivity"], 2 * cells + 0.5)
    assert table["trainability"][7] == table["trainability"][cells != 7].min() == 0.5
    assert all(np.isfinite(values).all() and values.shape == cells.shape for values in table.values())
    metadata = json.loads(out.with_suffix(".json").read_text())
    assert (metadata["datasets"], metadata["seeds"]) == (["ImageNet16-120"], [0, 1])
    assert metadata["cells_without_gradient"] == 1 and metadata["core_seconds"] == space.N_ARCHS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"size": 24}, "choose one of 16, 32"), ({"batch": 1}, "at least two"), ({"seeds": ()}, "at least one")],
)
def test_a_job_with_wrong_arguments_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        scoring.az_all(**arguments)


@pytest.mark.parametrize("dataset", ["cifar10", "ImageNet16-120"])
def test_live_terms_equal_the_stored_table(dataset):
    stored, score = data.az_terms(dataset), proxies.stored_score(dataset, "combined")
    no_path = space.to_arch([0] * 6)
    live = scoring.score([4, no_path], dataset, terms="combined")
    for name in parts.AZ_TERMS:
        np.testing.assert_allclose(live[name], stored[name][[4, no_path]], rtol=1e-4)
    np.testing.assert_allclose(live["score"], score[[4, no_path]], atol=2e-3)


@pytest.mark.parametrize(("dataset", "published"), [("cifar10", 0.913), ("cifar100", 0.90), ("ImageNet16-120", 0.89)])
def test_az_ranks_cells_about_as_well_as_published(dataset, published):
    from scipy.stats import spearmanr

    found = spearmanr(proxies.stored_score(dataset, "az"), data.accuracy(dataset)).statistic
    assert found == pytest.approx(published, abs=0.02)
