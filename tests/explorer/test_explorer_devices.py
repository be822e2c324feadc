"""Devices in the explorer: the menu, the sliders, uploads, the plane and the card; and wrong input."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from simmore import data, devices, proxies, space
from simmore.errors import TableMissing
from simmore.explorer import Explorer, view
from simmore.explorer.model import uploaded
from simmore.explorer.panel import SLIDERS, UPLOAD, X_AXES, Y_AXES
from simmore.explorer.widgets import MAX_UPLOAD_BYTES
from simmore.plots.labels import OPERATION_LABELS

# choosing a device


def test_moving_a_slider_shows_the_device_of_the_sliders(app):
    panel = app.devices[0]
    before = panel.plane.optimum
    panel.sliders.values = [6.0, 5.0, 0.1, 0.05, 4.0]
    assert panel.profile.device.operation_ms == pytest.approx([6.0, 5.0, 0.1, 0.05, 4.0])
    assert panel.choice.value == SLIDERS
    assert panel.plane.optimum == devices.optimum(proxies.stored_score(), panel.profile.latency_ms) != before
    assert np.frombuffer(panel.plane.x, "<f4") == pytest.approx(panel.profile.latency_ms, rel=1e-6)
    assert f"cell {panel.plane.optimum}" in app.card.value


def test_a_device_moves_the_sliders_to_its_operation_latencies(app):
    panel = app.devices[0]
    panel.choice.value = "nats_gpu"
    device = devices.load("nats_gpu")
    assert list(panel.sliders.values) == pytest.approx(devices.operation_latencies(device).tolist())
    assert all(value <= maximum for value, maximum in zip(panel.sliders.values, panel.sliders.maxima, strict=True))
    panel.choice.value = "mean"
    assert list(panel.sliders.values) == pytest.approx(app.shared.synthetic.mean_ms.tolist())


def test_a_measured_device_has_its_measured_latencies(app, message, measured_tables):
    app.devices[0].choice.value = "raspi4"
    assert app.devices[0].profile.latency_ms.tolist() == data.latency_table("raspi4").tolist()
    assert message() == ""


def test_a_device_whose_table_is_missing_is_the_sum_of_its_operations(app, message, monkeypatch):
    def missing(name):
        raise TableMissing(f"no <b>{name}</b>")

    monkeypatch.setattr(data, "latency_table", missing)
    panel = app.devices[0]
    panel.choice.value = "raspi4"
    assert panel.profile.device.name == "raspi4_lut" and panel.choice.value == "raspi4"
    assert panel.without == ("raspi4",)
    assert "sum of its operations" in message() and "<b>" not in message()
    panel.choice.value = "1080ti_256"  # its operation latencies are missing, too
    assert panel.profile.device.name == "raspi4_lut" and "1080ti_256" in message()


def test_the_dice_give_a_new_device_every_time(app):
    panel = app.devices[0]
    panel.dice.click()
    first = panel.profile.device.operation_ms
    panel.dice.click()
    assert (first > 0).all() and not np.array_equal(first, panel.profile.device.operation_ms)
    assert panel.choice.value == SLIDERS


def test_two_devices_and_two_explorers_are_independent(app):
    other = app.devices[1].plane.x
    app.devices[0].sliders.values = [1, 2, 3, 4, 5]
    assert app.devices[1].plane.x == other
    assert Explorer("mean", "nats_gpu").devices[0].profile.device.name == "mean"


def test_an_uploaded_table_is_shown_and_searched(app, message, csv_of):
    latency = np.random.default_rng(0).uniform(1, 9, space.N_ARCHS)
    panel = app.devices[0]
    panel.choice.value = UPLOAD
    assert "Upload" in message()
    panel.upload("board.csv", 1, csv_of(latency))
    assert message() == "" and panel.choice.value == UPLOAD
    assert panel.profile.latency_ms == pytest.approx(latency)
    app.search()
    assert app.traces[0].profile.device.name == "board"
    panel.choice.value = "mean"
    panel.choice.value = UPLOAD
    assert panel.profile.device.name == "board"


def test_only_a_stored_device_is_left_out_of_what_a_search_knows(app, csv_of):
    panel = app.devices[0]
    panel.choice.value = "edgegpu_lut"
    assert panel.without == ("edgegpu",)
    panel.sliders.values = [1, 2, 3, 4, 5]
    assert panel.without == ()
    panel.upload("raspi4.csv", 1, csv_of(np.linspace(1, 2, space.N_ARCHS)))
    assert panel.profile.device.name == "raspi4" and panel.without == ()


# wrong input: a message, and the explorer goes on


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 1, 1, 2, 1], "none: a latency of 0 ms"), ([0.0] * 5, "avg pool"), ([2.0] * 5, "every cell takes 12 ms")],
)
def test_sliders_that_define_no_device_are_refused(app, message, values, expected):
    panel = app.devices[0]
    shown = panel.plane.x
    panel.sliders.values = values
    assert expected in message() and panel.plane.x == shown
    panel.sliders.values = [1, 1, 1, 2, 1]
    assert message() == "" and panel.plane.x != shown


@pytest.mark.parametrize("text", ["", "fast", "-3", "0", "nan", "inf", "1e9", "<script>alert(1)</script>", "1;2"])
def test_a_typed_text_that_is_not_a_latency_is_refused(app, message, text):
    panel = app.devices[0]
    panel._typed(None, {"operation": 3, "text": text}, [])
    assert "is not a latency" in message() and "<script" not in message()
    assert panel.profile.device.name == "mean"


def test_a_typed_latency_may_have_a_comma_and_exceed_the_slider(app):
    panel = app.devices[0]
    panel._typed(None, {"operation": 3, "text": "250,5"}, [])
    assert panel.profile.device.operation_ms[3] == 250.5 and panel.sliders.maxima[3] >= 250.5


@pytest.mark.parametrize("cell", ["15625", "-1", "421215", "conv", "|none~0|", "=1+1", "<img src=x onerror=alert(1)>"])
def test_a_text_that_is_not_a_cell_is_refused(app, message, cell):
    app.cell.value = cell
    assert "NATS index" in message() and "<img" not in message()
    app.start.value = cell
    app.cell.value = "421211"
    assert message() == "" and app.selected == 0
    app.search()
    assert "NATS index" in message() and not app.traces


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty"),
        ("arch,latency_ms\n<script>alert(1)</script>,1\n", "alert"),
        ("arch,latency_ms\n0,1.5\n", "lacks 15,624 of the 15,625 cells"),
        ("arch,latency_ms\n" + "".join(f"{k},1.5\n" for k in range(space.N_ARCHS)), "every cell takes 1.5 ms"),
    ],
)
def test_a_wrong_table_is_refused_with_the_reason(app, message, content, expected):
    panel = app.devices[0]
    shown = panel.plane.x
    panel.upload("<b>my</b>.csv", len(content), content.encode())
    assert expected in message() and "role" in message()
    assert "<b>" not in message() and "<script" not in message() and "/tmp" not in message()
    assert panel.plane.x == shown


def test_a_table_of_100_mb_is_refused_unread(app, message):
    app.devices[0].upload("big.csv", 100_000_000, None)  # the browser does not send it
    assert "100.0 MB" in message()
    app.devices[0].upload("big.csv", 9_000_000, b"x" * (MAX_UPLOAD_BYTES + 1))  # it was sent all the same
    assert "9.0 MB" in message()


def test_a_hostile_file_name_is_shown_as_text(app, csv_of):
    app.devices[0].upload("<img src=x onerror=alert(1)>.csv", 1, csv_of(np.linspace(1, 2, space.N_ARCHS)))
    app.search()
    app.downloads._makers["svg"]()
    for html in (app.card.value, app.beliefs.value, app.chart.value):
        assert "<img" not in html and "&lt;img" in html
    assert uploaded("=cmd.csv", csv_of(np.linspace(1, 2, space.N_ARCHS))).name == "=cmd"


# the plane and the card


@pytest.mark.parametrize("x_axis", list(X_AXES.values()))
@pytest.mark.parametrize("y_axis", list(Y_AXES.values()))
def test_the_axes_show_what_is_chosen(app, x_axis, y_axis):
    app.x_axis.value, app.y_axis.value = x_axis, y_axis
    panel = app.devices[0]
    expected = proxies.stored_score() if y_axis == "score" else data.accuracy(y_axis)
    assert np.frombuffer(panel.plane.y, "<f4") == pytest.approx(expected, rel=1e-5)
    expected = panel.profile.latency_ms if x_axis == "latency" else panel.profile.inverse_latency
    assert np.frombuffer(panel.plane.x, "<f4") == pytest.approx(expected, abs=1e-4)
    assert panel.plane.x_label in X_AXES and panel.plane.y_label in {"score p", *Y_AXES}


def test_the_limit_can_be_set_and_dragged(app):
    panel = app.devices[0]
    assert panel.plane.limit is None and panel.max_latency_ms is None
    panel.limited.value = True
    assert panel.plane.limit == panel.limit_ms.value == panel.max_latency_ms > 0
    panel.plane.limit = 5.0  # as the browser sets it while the line is dragged
    assert panel.limit_ms.value == 5.0
    within = panel.profile.latency_ms <= 5.0
    assert within[panel.plane.limit_best]
    assert panel.profile.score[panel.plane.limit_best] == panel.profile.score[within].max()
    app.x_axis.value = "inverse"
    low, high = panel.profile.range_ms
    assert panel.plane.limit == pytest.approx(1 - (5.0 - low) / (high - low))
    panel.plane.limit = 0.25
    assert panel.limit_ms.value == pytest.approx(high - 0.25 * (high - low), rel=1e-3)
    panel.limited.value = False
    assert panel.plane.limit is None and panel.plane.limit_best == -1


def test_hovering_and_selecting_show_a_cell_in_both_planes(app):
    app.devices[0].plane.hovered = 42
    assert app.devices[1].plane.hovered == 42 and space.to_string(42) in app.card.value
    app.devices[0].plane.hovered = -1
    app.devices[1].plane.selected = 7
    assert app.devices[0].plane.selected == 7 and space.to_string(7) in app.card.value
    app.from_selected.click()
    assert app.start.value == "7"


def test_the_card_shows_accuracies_and_latencies(app):
    app.compare.value = True
    app.cell.value = "1234"
    card = app.card.value
    for dataset in data.DATASETS:
        assert f"{data.accuracy(dataset)[1234]:.2f} %" in card
    assert f"{devices.load('nats_gpu').latency_ms(1234):.4g} ms" in card
    assert "<th>nats_gpu</th>" in card and "<th>mean</th>" in card


def test_the_graph_of_a_cell_is_well_formed_and_names_its_operations():
    for arch in range(0, space.N_ARCHS, 997):
        svg = ET.fromstring(view.cell_graph(arch))
        words = [node.text for node in svg.iter() if node.tag.endswith("text")]
        assert words[:6] == [OPERATION_LABELS[digit] for digit in space.to_ops(arch)]


def test_the_explorer_starts_without_torch_or_matplotlib_in_500_mb():
    check = (
        "import sys; from simmore.explorer import Explorer; Explorer().widget; import psutil; "
        "print(psutil.Process().memory_info().rss / 1e6, "
        "*[m for m in ('torch', 'gymnasium', 'stable_baselines3', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    megabytes, *heavy = done.stdout.split()
    assert heavy == [] and float(megabytes) < 500
