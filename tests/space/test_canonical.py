"""The reduction of a cell, on cells that can be followed by hand. Edges: 0→1, 0→2, 1→2, 0→3, 1→3, 2→3."""

import numpy as np

from simmore import space


def cell(digits: str) -> int:
    return space.to_arch([int(digit) for digit in digits])


def canonical(digits: str) -> tuple[int, ...]:
    return space.canonical_form(cell(digits)).ops


def live(digits: str, **settings) -> str:
    return "".join(str(int(edge)) for edge in space.live_edges(cell(digits), **settings))


def test_an_edge_is_live_if_it_leads_to_the_output():
    assert live("333333") == "111111"
    assert live("333000") == "000000"  # nothing reaches node 3
    assert live("300030") == "100010"  # 0→1→3
    assert live("330001") == "010001"  # node 1 leads nowhere


def test_an_edge_from_a_node_that_is_zero_is_live_unless_it_keeps_zero():
    assert live("000030") == "000010"  # node 1 is zero
    assert live("000030", keeps_zero=(3,)) == "000000"
    assert live("000110", keeps_zero=(1, 4)) == "000100"


def test_live_edges_of_many_cells_are_those_of_each():
    archs = np.arange(0, space.N_ARCHS, 500).reshape(4, 8)
    together = space.live_edges(archs)
    assert together.shape == (4, 8, 6)
    np.testing.assert_array_equal(together[1, 2], space.live_edges(archs[1, 2]))


def test_a_convolution_of_zero_can_change_the_output_and_a_pooling_of_zero_cannot():
    assert space.live_ops(cell("000130")) == (0, 0, 0, 1, 3, 0)
    assert space.live_ops(cell("000140")) == (0, 0, 0, 1, 0, 0)


def test_cells_with_the_two_inner_nodes_exchanged_have_the_same_canonical_form():
    assert canonical("230012") == canonical("320021")
    assert canonical("230012") != canonical("230021")


def test_edges_from_a_node_and_from_its_copy_by_skip_may_be_exchanged():
    assert canonical("100320") == canonical("100230")  # 0→1 is a skip: conv 3×3 and conv 1×1 read the same node
    assert canonical("400320") != canonical("400230")


def test_different_operations_have_different_canonical_forms():
    assert len({canonical(f"000{operation}00") for operation in range(5)}) == 5


def test_every_cell_is_in_one_of_7209_classes():
    classes = space.canonical_classes()
    assert len(classes) == 7_209
    assert sorted(arch for archs in classes.values() for arch in archs) == list(range(space.N_ARCHS))


def test_convolutions_that_read_a_node_are_counted():
    form = space.canonical_form(cell("330320"))  # 0→1, 0→2, 0→3 and 1→3 are convolutions
    assert sum(form.reads) == 4 and form.reads_of_zero == 0
    nothing = space.canonical_form(cell("000223"))  # nodes 1 and 2 are zero
    assert (nothing.ops, nothing.reads, nothing.reads_of_zero) == ((0, 0, 0, 2, 0, 0), (1, 0, 0), 2)
