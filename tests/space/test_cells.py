import numpy as np
import pytest

from simmore import space

CELL_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


def test_cell_0_has_the_string_and_digits_of_nats_bench():
    assert space.to_string(0) == CELL_0
    assert space.to_arch("421211") == space.to_arch(CELL_0) == space.to_arch(0) == space.to_arch("0") == 0


def test_strings_and_digits_lead_back_to_every_index():
    everything = np.arange(space.N_ARCHS)
    np.testing.assert_array_equal(space.to_archs(space.to_ops(everything)), everything)
    assert [space.to_arch(space.to_string(arch)) for arch in everything] == everything.tolist()
    assert len(np.unique(space.all_ops(), axis=0)) == space.N_ARCHS
    assert list(space.all_strings()) == [space.to_string(arch) for arch in everything]


def test_spaces_around_and_inside_a_string_are_ignored():
    assert space.to_arch(f" {CELL_0.replace('|', ' | ')}\n") == space.to_arch(" 421211 ") == 0


def test_digits_add_an_axis_to_the_shape():
    archs = np.arange(6).reshape(2, 3)
    assert space.to_ops(archs).shape == (2, 3, 6)
    np.testing.assert_array_equal(space.to_archs(space.to_ops(archs)), archs)


def test_the_24_neighbours_differ_in_one_operation():
    around = space.neighbours(0)
    assert len(set(around.tolist())) == 24
    assert ((space.to_ops(around) != space.to_ops(0)).sum(axis=1) == 1).all()


def test_operations_are_counted():
    np.testing.assert_array_equal(space.operation_counts(0), [0, 3, 2, 0, 1])
    np.testing.assert_array_equal(space.operation_counts(space.single_operation_archs()), 6 * np.eye(5))


@pytest.mark.parametrize(
    "cell",
    ["", "15625", "-1", "521111", "42121", CELL_0[:-1], CELL_0.replace("~2", "~1"), CELL_0.replace("avg", "max"),
     CELL_0 + CELL_0, "|none~0|", "None", "1e3"],
)  # fmt: skip
def test_the_error_for_a_wrong_cell_shows_a_valid_one(cell):
    with pytest.raises(ValueError, match="expected a NATS index from 0 to 15624"):
        space.to_arch(cell)


@pytest.mark.parametrize("archs", [-1, 15_625, 1.5, [0, 99_999]])
def test_wrong_indices_are_refused(archs):
    with pytest.raises(ValueError, match="whole number from 0 to 15624"):
        space.to_ops(archs)


@pytest.mark.parametrize(
    ("ops", "says"), [([0] * 5, "6 digits"), ([0, 0, 0, 0, 0, 5], "digit from 0 to 4"), (3, "6 digits")]
)
def test_wrong_digits_are_refused(ops, says):
    with pytest.raises(ValueError, match=says):
        space.to_archs(ops)
