"""The fast scores equal the plain definitions."""

import importlib
import math

import numpy as np
import pytest

from simmore import data, proxies, space

torch = pytest.importorskip("torch")
pytest.importorskip("xautodl")

from simmore.proxies import fast_logsynflow, fast_naswot, supernetwork

SIZE, BATCH = 8, 6  # small images
EVERYTHING = np.arange(space.N_ARCHS)


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_canonical_forms_of_cells_computed_by_hand():
    """In the first cell 2→3 is `none`: node 2 and its edges are not computed, but 1→2 still reads node 1."""
    form = space.canonical_form(space.to_arch("332140"))
    assert sorted(form.ops) == sorted((3, 0, 0, 1, 4, 0))
    assert (sum(form.reads), form.reads_of_zero) == (3, 0)
    form = space.canonical_form(space.to_arch((0, 0, 0, 2, 2, 3)))  # nodes 1 and 2 are zero
    assert form.ops == (0, 0, 0, 2, 0, 0)
    assert (form.reads, form.reads_of_zero) == ((1, 0, 0), 2)


def test_canonical_forms_count_all_convolutions_and_have_all_cells():
    counts = space.operation_counts(EVERYTHING)
    classes = space.canonical_classes()
    assert len(classes) == 7209
    assert sorted(arch for archs in classes.values() for arch in archs) == EVERYTHING.tolist()
    for arch in EVERYTHING.tolist():
        form = space.canonical_form(arch)
        assert sorted(form.weight_edges) == list(range(6))
        assert sum(form.reads) + form.reads_of_zero == counts[arch, 2] + counts[arch, 3]


def sample(count):
    """Cells of one operation, cells without a path to the output, cells with unread nodes, and random cells."""
    rng = np.random.default_rng(0)
    ops = space.all_ops()
    no_path = np.flatnonzero((ops[:, 3:] == 0).all(axis=1))
    one_node = np.flatnonzero((ops[:, 2] == 0) & (ops[:, 4] == 0) & (ops[:, 5] > 0))
    unread = np.flatnonzero((ops[:, 4] == 0) & (ops[:, 5] == 0) & (ops[:, 0] > 1) & (ops[:, 2] > 1))
    few = [rng.choice(group, 15, replace=False) for group in (no_path, one_node, unread)]
    fixed = np.concatenate([space.single_operation_archs(), *few])
    random = rng.choice(np.setdiff1d(EVERYTHING, fixed), count - len(fixed), replace=False)
    return np.concatenate([fixed, random]).tolist()


def check_equal(arch, seed):
    """Fast and plain scores of one cell are equal up to rounding."""
    ops = space.canonical_form(arch).ops
    network = supernetwork.initialise(space.network(arch), arch, seed)
    fast = fast_naswot.naswot(ops, seed, SIZE, BATCH)[arch]
    plain = proxies.naswot(network, supernetwork.images(seed, SIZE, BATCH))
    # rounding may change the sign of a value near 0, which is one bit of thousands
    assert fast == pytest.approx(plain, rel=1e-4), space.to_string(arch)
    fast = fast_logsynflow.log_synflow(ops, seed, SIZE, 10)
    assert fast == pytest.approx(proxies.log_synflow(network, (3, SIZE, SIZE)), rel=1e-11), space.to_string(arch)


def test_fast_scores_equal_plain_scores():
    for arch in sample(200)[1:200:25]:
        check_equal(arch, seed=0)


@pytest.mark.slow
def test_fast_scores_equal_plain_scores_of_200_cells_in_shorter_networks(monkeypatch):
    """Networks with one cell per stage."""
    for module in (supernetwork, importlib.import_module("simmore.space.network")):
        monkeypatch.setattr(module, "CELLS_PER_STAGE", 1)
    for arch in sample(200):
        check_equal(arch, seed=2026)  # no other test uses this seed: its cached weights belong to these networks


def singular_cells():
    """Cells whose kernel is singular."""
    no_path = fast_naswot.naswot((0,) * 6, 0, SIZE, BATCH)
    return [arch for arch, value in no_path.items() if value == -math.inf]


def test_plain_naswot_of_singular_cells_is_minus_infinity():
    """All images have one code: no path leads to the output, and no convolution reads the input."""
    singular = singular_cells()
    assert len(singular) == 201
    noise = supernetwork.images(0, SIZE, BATCH)
    for arch in np.random.default_rng(0).choice(singular, 5, replace=False).tolist():
        network = supernetwork.initialise(space.network(arch), arch, seed=0)
        assert proxies.naswot(network, noise) == -math.inf
        assert proxies.log_synflow(network, (3, SIZE, SIZE)) == 0


def test_singular_cells_are_those_of_the_published_scores(measured_tables):
    published = np.flatnonzero(~np.isfinite(data.published_scores("cifar10")["naswot"]))
    assert sorted(singular_cells()) == published.tolist()


def test_images_and_weights_depend_on_the_seed():
    first, again, other = (supernetwork.images(seed, 8, 2) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    weight = supernetwork.weights(3)["4.2.3"]  # position 4, edge 1→2, 3×3
    assert weight.shape == (16, 16, 3, 3)
    assert weight.std().item() == pytest.approx((2 / 144) ** 0.5, rel=0.05)


def test_neighbouring_pixels_of_natural_like_images_are_similar():
    smooth = supernetwork.images(0, 32, 8, "natural")
    assert smooth.std().item() == pytest.approx(1)
    assert (smooth[..., 1:] * smooth[..., :-1]).mean() > 0.6
