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


NAMES = ("avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_1x1", "skip_connect", "skip_connect")


@pytest.mark.parametrize(
    "cell",
    [(4, 2, 1, 2, 1, 1), [4, 2, 1, 2, 1, 1], np.array([4, 2, 1, 2, 1, 1]), tuple(np.uint8([4, 2, 1, 2, 1, 1])),
     "(4, 2, 1, 2, 1, 1)", "[4,2,1,2,1,1]", NAMES, list(NAMES), np.int64(0), "00000"],
)  # fmt: skip
def test_sequences_of_digits_or_names_are_cells_in_the_coding_of_to_ops(cell):
    assert space.to_arch(cell) == 0 and type(space.to_arch(cell)) is int


def test_every_cell_is_read_from_each_of_its_forms():
    for arch in range(0, space.N_ARCHS, 97):
        ops = space.to_ops(arch)
        names = [space.OPERATIONS[op] for op in ops]
        text = "".join(map(str, ops))
        assert space.to_arch(ops) == space.to_arch(names) == space.to_arch(str(tuple(ops.tolist()))) == arch
        if int(text) < space.N_ARCHS:
            with pytest.raises(ValueError, match=f"NATS index {int(text)} with leading zeros, or the six digits"):
                space.to_arch(text)
        else:
            assert space.to_arch(text) == arch


def test_six_digits_that_may_be_an_index_are_refused_with_both_readings():
    with pytest.raises(ValueError, match=r"write 12 for the index, or '.*' for the digits") as refused:
        space.to_arch("000012")
    shown = str(refused.value).split("'")[-2]
    assert space.to_arch(shown) == space.to_arch((0, 0, 0, 0, 1, 2)) != space.to_arch("12") == 12
    assert space.to_arch("020000") == space.to_arch((0, 2, 0, 0, 0, 0))  # 20000 is no index
    for text in ("012345", "000005", "015624"):
        with pytest.raises(ValueError, match=f"no leading zeros, so write {int(text)}"):
            space.to_arch(text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("|nor_conv_1x1~0", "|zzz!nor_conv_1x1~07"), "operation 2 is 'zzz!nor_conv_1x1'"),
        (("skip_connect~2", "skip_connect~2:int8"), "operation 6 ends with '~2:int8' instead of '~2'"),
        (("nor_conv_1x1~0", "dil.nor_conv_1x1~0"), "operation 2 is 'dil.nor_conv_1x1'"),
        (("avg_pool_3x3~0", "Avg_pool_3x3~0"), "operation 1 is 'Avg_pool_3x3'"),
        (("avg_pool_3x3", "avg_pool 3x3"), "operation 1 is 'avg_pool 3x3'"),
        (("skip_connect~1", "skip_connect"), "operation 3 ends with '~' instead of '~1'"),
        (("+", ""), "its bars and plus signs"),
        (("|", "+"), "its bars and plus signs"),
        (("|", ";"), "it has 3 operations between bars instead of 6"),
        (("|", ","), "it has 3 operations"),
        (("+", "/"), "it has 8 operations"),
    ],
)
def test_a_string_is_parsed_whole_and_refused_with_the_reason(change, says):
    with pytest.raises(ValueError, match=rf"no cell of the search space \({says}"):
        space.to_arch(CELL_0.replace(*change))


@pytest.mark.parametrize(
    "cell",
    [421211, 15625, -1, True, None, 12.0, "12.0", (4, 2, 1, 2, 1), (4, 2, 1, 2, 1, 5), (4, 2, 1, 2, 1, 1.0),
     (True,) * 6, ("4", "2", "1", "2", "1", "1"), np.zeros((6, 2), int), [[]] * 6, {4, 2, 1}, "4,2,1,2,1,1", "\u0663",
     "1" * 5_000],
)  # fmt: skip
def test_what_is_no_cell_is_refused(cell):
    with pytest.raises(ValueError, match="expected a NATS index from 0 to 15624"):
        space.to_arch(cell)


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
