"""Measuring by hand in the explorer, presets, terms, the tour, and the link that carries what is shown."""

import re
import subprocess
import sys

import numpy as np
import pytest

from simmore import devices, proxies, space
from simmore.errors import DataError
from simmore.explorer import Explorer, state
from simmore.explorer.app import SEARCH, SUGGEST
from simmore.explorer.panel import PRESETS, SLIDERS
from simmore.explorer.suggest import measurements
from simmore.explorer.terms import TERMS, TOUR

MEASURED = [(0, 12.5), (1462, 3.5), (5, np.inf)]


# suggest


@pytest.mark.parametrize(
    "text",
    [
        "arch,latency_ms\n0,12.5\n1462,3.5\n5,failed\n",
        "0,12.5\n1462,3.5\n5,failed",
        "0;12,5\n1462;3,5\n5;failed",
        "0 12.5\n1462   3.5\n5 failed",
        f"{space.to_string(0)}\t12.5\n1462\t3.5\n5\tfailed",
    ],
)
def test_measurements_are_read_as_they_are_pasted(text):
    assert measurements(text)[0] == MEASURED


def test_a_wrong_measurement_is_refused_with_its_row_as_pasted():
    with pytest.raises(DataError, match="row 2: the latency 'fast'") as refused:
        measurements("0,1.5\n1,fast")
    assert "/tmp" not in str(refused.value)
    with pytest.raises(DataError, match="row 3"):
        measurements("arch,latency_ms\n0,1.5\n1,fast")
    assert measurements("") == ([], ())
    assert "median" in measurements("0,1\n0,2")[1][0]


def test_measuring_by_hand_gives_the_cells_of_the_command_line(app, tmp_path):
    app.mode.value, box = SUGGEST, app.suggest_box
    app.start.value = "421211"
    box.ask.click()
    device = devices.load("mean")
    for _ in range(3):
        box.latency.value = f"{device.latency_ms(np.array(box._next)):.6g}"
        box.add.click()
    assert cells_shown(box) == cells_printed(tmp_path, box.measured.value)
    assert app.selected == box._next and f"cell {box._next}" in app.card.value


@pytest.mark.parametrize("typed", ["7,25", "7.25"])
@pytest.mark.parametrize("rows", ["0;12,5\n1462;3,5", "0 12.5\n1462 3.5", "0,12.5\n1462,3.5", "0 12,5\n1462 3,5"])
def test_a_latency_is_added_in_the_notation_of_the_rows_before(app, rows, typed):
    app.mode.value, box = SUGGEST, app.suggest_box
    box.measured.value = rows
    box.ask.click()
    added = box._next
    box.latency.value = typed
    box.add.click()
    assert measurements(box.measured.value)[0] == [*MEASURED[:2], (added, 7.25)]


def cells_shown(box):
    """The next cell and the recommendation in the explorer."""
    return [str(box._next), re.search(r"<b>cell (\d+)</b>, ", box.result.value)[1]]


def cells_printed(folder, text, *options):
    """The next cell and the recommendation of ``simmore suggest``."""
    (folder / "measured.csv").write_text(text)
    command = [sys.executable, "-m", "simmore", "suggest", str(folder / "measured.csv"), *options]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.findall(r"NATS index (\d+)", printed)


def test_measuring_by_hand_keeps_the_limit_as_the_command_line_does(app, message, tmp_path):
    app.mode.value, box, panel = SUGGEST, app.suggest_box, app.devices[0]
    assert panel.limit in app._setup.children
    archs = np.array([1462, 77, 5, 9000])
    latency_ms = devices.load("mean").latency_ms(archs)
    limit = float(f"{np.median(latency_ms):.4g}")
    box.measured.value = "arch,latency_ms\n" + "".join(
        f"{arch},{ms:.6g}\n" for arch, ms in zip(archs, latency_ms, strict=True)
    )
    panel.limited.value, panel.limit_ms.value, app.shared.scores.value = True, limit, "combined"
    box.ask.click()
    within = archs[latency_ms <= limit]
    best = within[proxies.stored_score("cifar10", "combined")[within].argmax()]
    options = ["--max-latency", str(limit), "--score", "combined"]
    assert cells_shown(box) == cells_printed(tmp_path, box.measured.value, *options) == [str(box._next), str(best)]
    assert message() == "" and "of the score combined expected to be lost within" in box.result.value
    panel.limit_ms.value = 0.001
    box.ask.click()
    assert "Nothing is recommended: no measured cell keeps the limit of 0.001 ms." in box.result.value
    box.measured.value = "77,failed"
    box.ask.click()
    assert "Nothing is recommended: every measured cell failed." in box.result.value


def test_a_suggestion_follows_the_score_the_limit_and_the_strategy(app, message):
    app.mode.value, box, panel = SUGGEST, app.suggest_box, app.devices[0]
    box.measured.value = "1462,3.5\n77,2.5\n5,4"

    def is_fresh():
        shown, box.result.value = box.result.value, ""
        box.ask.click()
        return shown == box.result.value and f"Measure next: cell {box._next}" in shown and app.selected == box._next

    panel.limited.value = True
    assert "Measure next" not in box.result.value  # nothing was asked for
    box.ask.click()
    before = box._next
    app.shared.scores.value = "combined"
    assert box._next != before and is_fresh()
    panel.limit_ms.value = 2.75
    assert "within" in box.result.value and "2.75 ms" in box.result.value and is_fresh()
    panel.limited.value = False
    assert "2.75 ms" not in box.result.value and is_fresh()
    app.mode.value = SEARCH
    shown = box.result.value
    app.shared.scores.value = "freerea"
    assert box.result.value == shown  # not while the field is hidden
    app.mode.value = SUGGEST
    assert box.result.value != shown and is_fresh() and message() == ""
    app.strategy.value = "random"
    assert is_fresh()
    app.seed.value = 7
    assert is_fresh()


def test_a_suggestion_that_cannot_be_made_again_is_cleared(app, message):
    app.mode.value, box = SUGGEST, app.suggest_box
    box.measured.value = "0,2"
    box.ask.click()
    box.measured.value = "0,fast"
    app.shared.scores.value = "combined"
    assert "is not a finite number" in message() and "the suggestion was removed" in box.result.value
    assert box._next is None and box._adding.layout.display == "none"


def test_what_is_no_measurement_is_refused_and_not_added(app, message):
    box = app.suggest_box
    box.measured.value = "<script>alert(1)</script>,2"
    box.ask.click()
    assert "is no cell" in message() and "<script" not in message() + box.result.value
    box.measured.value = "0,2"
    box.ask.click()
    box.latency.value = "fast"
    box.add.click()
    assert "is not a finite number" in message() and box.measured.value == "0,2"
    box.latency.value = "failed"
    box.add.click()
    assert message() == "" and box.measured.value.endswith("failed") and "of 2 measured" in box.result.value


def test_searching_leaves_the_measurements(app):
    app.mode.value, app.strategy.value = SUGGEST, "random"
    app.suggest_box.measured.value = "0,2"
    app.search()
    assert app.mode.value == SEARCH and app.suggest_box.measured.value == "0,2"


# presets, terms and tour


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_shows_a_device(app, message, name):
    before = app.devices[0].plane.optimum
    next(button for button in app.presets if button.description == name).click()
    assert app.devices[0].plane.optimum != before
    assert message() == "" or "Shown instead: the device as the sum of its operations" in message()  # without tables


def test_slow_pooling_removes_pooling_from_the_best_cell(app):
    app.show_preset("pooling is slow")
    best = app.devices[0].profile.optimum
    assert app.devices[0].choice.value == SLIDERS and 4 not in space.to_ops(best)


def test_every_term_that_can_be_pressed_has_a_meaning(app):
    app.search()
    meanings = app.glossary.value
    shown = "".join(html.value for html in (app.card, app.chart, app.beliefs)) + meanings
    pressed = set(re.findall(r'popovertarget="simmore-term-(\w+)"', shown))
    assert pressed == set(TERMS) == set(re.findall(r'id="simmore-term-(\w+)"', meanings))
    assert len(TOUR) <= 6 and all({"title", "text", "at"} == set(step) for step in TOUR)


# link


def test_a_link_shows_the_same_again(app):
    app.compare.value = True
    app.devices[0].sliders.values = [1.25, 2, 3, 4, 5]
    app.devices[1].choice.value = "onnxruntime_fp32"
    app.devices[1].limited.value, app.devices[1].limit_ms.value = True, 3.5
    app.x_axis.value, app.y_axis.value = "inverse", "cifar100"
    app.strategy.value, app.budget.value, app.seed.value = "random", 5, 3
    app.cell.value = "1234"
    app.search()
    again = Explorer()
    again.link.wanted = app.link.state  # as the browser sets it
    assert again.shared.message.value == ""
    assert again.link.state == app.link.state == state.to_text(app)
    assert [each.archs for each in again.traces] == [each.archs for each in app.traces]
    assert again.devices[0].plane.x == app.devices[0].plane.x and again.devices[1].limit_ms.value == 3.5


@pytest.mark.parametrize(
    "text",
    [
        "deviceA=nothing",
        "deviceA=upload",
        "deviceA=1 2 fast 4 5",
        "budget=x",
        "limitA=-1",
        "search=%3Cscript%3E",
        "x=y",
        "exec=1",
    ],
)
def test_a_wrong_link_is_refused_and_the_explorer_goes_on(app, message, text):
    app.link.wanted = text
    assert "the link has" in message() and "<script" not in message()
    app.strategy.value, app.start.value = "random", ""
    app.search()
    assert app.traces and message() == ""
