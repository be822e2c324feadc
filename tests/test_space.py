import numpy as np
import pytest

from simmore import space

CELL_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


def test_cell_0_is_nats_benchs():
    assert space.to_string(0) == CELL_0
    assert space.to_arch("421211") == space.to_arch(CELL_0) == space.to_arch(0) == space.to_arch("0") == 0


def test_all_cells_make_the_round_trips():
    everything = np.arange(space.N_ARCHS)
    np.testing.assert_array_equal(space.to_archs(space.to_ops(everything)), everything)
    assert [space.to_arch(space.to_string(arch)) for arch in everything] == everything.tolist()
    assert len(np.unique(space.all_ops(), axis=0)) == space.N_ARCHS


def test_shapes_are_kept():
    archs = np.arange(6).reshape(2, 3)
    assert space.to_ops(archs).shape == (2, 3, 6)
    np.testing.assert_array_equal(space.to_archs(space.to_ops(archs)), archs)


def test_neighbours_differ_in_one_operation():
    around = space.neighbours(0)
    assert len(set(around.tolist())) == 24
    assert ((space.to_ops(around) != space.to_ops(0)).sum(axis=1) == 1).all()


def test_counts_and_single_operation_cells():
    np.testing.assert_array_equal(space.operation_counts(0), [0, 3, 2, 0, 1])
    np.testing.assert_array_equal(space.operation_counts(space.single_operation_archs()), 6 * np.eye(5))


def test_isomorphism_classes_are_as_many_as_nats_bench_says():
    assert len(np.unique(space.isomorphism_classes())) == 12_751
    assert len(np.unique(space.isomorphism_classes(reduce_none=True))) == 6_466


def test_isomorphic_cells_by_hand():
    classes = space.isomorphism_classes()
    # node 1 is the input (skip): a convolution from node 0 or from node 1 to node 3 is the same one
    one = "|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    other = "|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"
    different = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    a, b, c = (space.to_arch(cell) for cell in (one, other, different))
    assert classes[a] == classes[b] != classes[c]


@pytest.mark.parametrize(
    "cell",
    ["", "15625", "-1", "521111", "42121", CELL_0[:-1], CELL_0.replace("~2", "~1"), CELL_0.replace("avg", "max"),
     CELL_0 + CELL_0, "|none~0|", "None", "1e3"],
)  # fmt: skip
def test_a_wrong_cell_says_what_a_right_one_is(cell):
    with pytest.raises(ValueError, match="expected a NATS index from 0 to 15624"):
        space.to_arch(cell)


@pytest.mark.parametrize("archs", [-1, 15_625, 1.5, [0, 99_999]])
def test_wrong_indices(archs):
    with pytest.raises(ValueError, match="whole number from 0 to 15624"):
        space.to_ops(archs)


@pytest.mark.parametrize(
    ("ops", "says"), [([0] * 5, "6 digits"), ([0, 0, 0, 0, 0, 5], "digit from 0 to 4"), (3, "6 digits")]
)
def test_wrong_digits(ops, says):
    with pytest.raises(ValueError, match=says):
        space.to_archs(ops)


def test_the_network_is_the_benchmarks():
    import torch

    torch.manual_seed(0)
    net = space.network(0)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    features, logits = space.network(0, n_classes=120, logits_only=False)(torch.zeros(2, 3, 16, 16))
    assert features.shape == (2, 64) and logits.shape == (2, 120)
    # NATS-Bench counts 0.129306 million parameters for cell 0
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(0.129306)
