"""Figures show what they are given, and their texts neither overlap nor leave the figure."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text

from simmore import space
from simmore.plots import choices, comparison, drawings, paper
from simmore.plots.labels import OPERATION_LABELS, readable
from simmore.strategies import STRATEGIES

OPERATION_MS = np.array([0.1, 0.2, 0.5, 2.0, 0.4])
EDGES = {f"{source}→{target}": 1 / 6 for source, target in space.EDGES}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def texts(figure):
    """Visible texts of a figure, with their boxes in pixels."""
    figure.canvas.draw()
    axes = [each for ax in figure.axes for each in (ax, *ax.child_axes)]
    unseen = {label for ax in axes for label in _unseen(ax)}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text, text.get_window_extent()) for text in shown if text not in unseen]


def _unseen(ax):
    """Texts that are not drawn: labels of an axis that is switched off, and of ticks outside of the limits."""
    for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not ax.axison or not min(limits) <= tick.get_loc() <= max(limits):
                yield from (tick.label1, tick.label2)
        if not ax.axison:
            yield axis.label


def assert_readable(figure):
    width, height = figure.canvas.get_width_height()
    found = texts(figure)
    for text, box in found:
        assert text.get_fontsize() >= 6, text.get_text()
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text.get_text()
    upright = [(text, box) for text, box in found if text.get_rotation() % 90 == 0]
    for (one, first), (other, second) in combinations(upright, 2):
        overlap = (
            min(first.x1, second.x1) - max(first.x0, second.x0),
            min(first.y1, second.y1) - max(first.y0, second.y0),
        )
        assert min(overlap) < 2, f"{one.get_text()!r} and {other.get_text()!r} overlap"


def test_a_cell_has_an_arrow_and_a_label_for_each_edge():
    ax = drawings.cell([0, 1, 2, 3, 4, 4])
    assert sum(isinstance(patch, FancyArrowPatch) for patch in ax.patches) == space.N_EDGES
    labels = [text.get_text() for text in ax.texts]
    assert [label for label in labels if label in OPERATION_LABELS] == [*OPERATION_LABELS, OPERATION_LABELS[4]]
    assert [label for label in labels if label.isdigit()] == ["0", "1", "2", "3"]
    assert_readable(ax.figure)


def test_a_device_has_a_bar_for_each_operation():
    ax = drawings.operation_latencies(OPERATION_MS)
    assert [bar.get_height() for bar in ax.patches] == OPERATION_MS.tolist()
    assert_readable(ax.figure)


def test_an_episode_marks_the_edge_that_was_edited():
    archs = space.to_archs([[0, 1, 2, 3, 4, 4], [0, 1, 2, 3, 4, 1], [0, 1, 2, 3, 4, 1]])
    figure = drawings.episode(archs.tolist(), [3.0, 2.0, 2.0], [1.0, 1.2, 1.2])
    assert [len(ax.lines) for ax in figure.axes[:3]] == [0, 1, 0]
    assert figure.axes[2].get_title().startswith("step 2: no change")
    assert_readable(figure)


def test_the_picture_of_the_policy_names_its_inputs_and_outputs():
    parts = [
        ("current cell", 30),
        ("its latency", 1),
        ("5 past cells", 150),
        ("their latencies", 5),
        ("edits made", 55),
    ]
    outputs = {"edge": EDGES, "operation": dict(zip(space.OPERATIONS, [0.1, 0.1, 0.1, 0.6, 0.1], strict=True))}
    before, after = [0, 1, 2, 3, 4, 4], [0, 1, 2, 3, 4, 1]
    figure = drawings.policy_network((241, 64, 64, 11), parts, outputs, before, after)
    shown = [text.get_text() for text, _ in texts(figure)]
    assert {"241 inputs", "its latency · 1", "edge · 6", "operation · 5", *EDGES} <= set(shown)
    assert shown.count("64 tanh units") == 2
    assert shown.count("0.60") == 1 and "orange: chosen" in " ".join(shown)
    assert_readable(figure)


def test_figure_1_shows_the_method_and_says_how_many_devices_there_are():
    rng = np.random.default_rng(0)
    names = ["raspi4", "titan_rtx_1", "eyeriss", "fpga"]
    measured = pd.DataFrame(OPERATION_MS * rng.uniform(0.5, 2, (4, 5)), names, list(space.OPERATIONS))
    drawn = OPERATION_MS * rng.uniform(0.5, 2, (30, 5))
    figure = paper.operation_distributions(measured, OPERATION_MS, OPERATION_MS / 2, drawn)
    shown = " ".join(text.get_text() for text, _ in texts(figure))
    assert "(A)" in shown and "(D)" in shown and "4 measured" in shown and "30 synthetic" in shown
    assert_readable(figure)


def test_figure_2_shows_the_costs_of_each_device():
    score = np.linspace(0, 1, 20)
    device = np.array([OPERATION_MS, OPERATION_MS[::-1]])
    figure = paper.profiles(device, [1 - score, score], score, [np.ones(20), 2 * score], [3, 19])
    assert [bar.get_height() for bar in figure.axes[1].patches] == device[1].tolist()
    assert not figure.legends
    assert_readable(figure)


def test_figure_5_has_a_legend_that_counts_the_seeds():
    metrics = [name for name, _, _ in paper._TRAINING_PANELS]
    curves = pd.DataFrame({"seed": [0, 0, 1, 1], "timestep": [0, 100, 0, 100]}).assign(**dict.fromkeys(metrics, 1.0))
    index = pd.MultiIndex.from_product([metrics, [0, 100]], names=["metric", "timestep"])
    intervals = pd.DataFrame({"mean": 1.0, "low": 0.9, "high": 1.1}, index)
    figure = paper.training_curves(curves, intervals)
    assert "each of 2 seeds" in [text.get_text() for text in figure.legends[0].texts]
    assert_readable(figure)


def test_every_strategy_has_a_label_and_a_line_of_its_own():
    names = [name for name in STRATEGIES if name != "heldout"] + ["target_only"]
    curves = pd.DataFrame([(name, n, 1.0, 0.9, 1.1) for name in names for n in (1, 20)],
                          columns=["strategy", "budget", "inference_regret", "inference_regret_low",
                                   "inference_regret_high"])  # fmt: skip
    ax = comparison.regret_curves(curves, "inference_regret")
    lines = [line for line in ax.lines if not line.get_label().startswith("_")]
    styles = {(line.get_color(), line._dash_pattern[1] and tuple(line._dash_pattern[1]), line.get_linewidth() > 1.5)
              for line in lines}  # fmt: skip
    assert len(lines) == len(names) == len(styles) == len({readable(name) for name in names})
    assert not any("_" in line.get_label() for line in lines)


def test_the_labels_of_figure_7_do_not_touch():
    names = [name for name in STRATEGIES if name != "heldout"] + ["target_only"]
    titles = {
        "family": "own family left out",
        "class": "own class left out",
        "none": "no tables",
        "blind": "blind devices",
    }
    rows = [(protocol, name, n, 1.0, 0.9, 1.1) for protocol in titles for name in names for n in (1, 20)]
    columns = ["protocol", "strategy", "budget", "inference_regret", "inference_regret_low", "inference_regret_high"]
    assert_readable(comparison.regret(pd.DataFrame(rows, columns=columns), titles))


def test_figure_9_has_tick_labels_that_do_not_touch():
    lut = dict.fromkeys(("titan_rtx_256", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga"), 0.7)
    rows = [(method, device, n, 0.5) for method in comparison._METHODS for device in lut for n in (2, 10, 100, 1000)]
    figure = comparison.prediction_curves(pd.DataFrame(rows, columns=["method", "device", "samples", "kendall"]), lut)
    assert_readable(figure)


def test_figure_8_names_what_breaks_a_limit():
    names = ["expected_improvement", "HELP (published)", "best accuracy within"]
    rows = [(name, device, limit, limit * (1.1 if name.startswith("HELP") else 0.9), 70.0, name.startswith("HELP"))
            for name in names for device in ("gold_6226", "pixel2") for limit in (14.0, 18.0)]  # fmt: skip
    columns = ["strategy", "device", "limit_ms", "latency_ms", "accuracy", "violates_limit"]
    figure = comparison.constrained(pd.DataFrame(rows, columns=columns), names)
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert "most accurate within the limit" in labels and any("slower than its limit" in label for label in labels)
    assert_readable(figure)


def test_figure_16_cuts_no_mark():
    rows = [("paper", 0, True, budget, regret) for budget, regret in ((3, 2.5), (10, 0.2))]
    frame = pd.DataFrame(rows, columns=["choice", "seed", "sees", "budget", "regret"])
    figure = choices.settings(frame, ["paper"])
    assert figure.axes[0].get_ylim()[1] > 2.5


def test_the_pins_of_figure_3_keep_apart_where_devices_share_a_cell():
    frame = pd.DataFrame(np.linspace([0, 20, 100, 0, 0], [1, 90, 800, 1e7, 2], 50),
                         columns=["score", "val_accuracy", "naswot", "logsynflow", "skip"])  # fmt: skip
    correlations = {"cifar10": dict.fromkeys(["score", "naswot", "logsynflow", "skip"], (0.5, 0.4))}
    figure = paper.proxy_accuracy({"cifar10": frame}, correlations, {"cifar10": {"a": 30, "b": 30, "c": 31}})
    marks = [
        line.get_xydata()[0] for line in figure.axes[0].lines if line.get_markersize() == 7 and len(line.get_xdata())
    ]
    assert len(marks) == 3 and min(np.diff(sorted(x for x, _ in marks))) > 0.05
    assert "(millions)" in figure.axes[2].get_xlabel()
    assert_readable(figure)
