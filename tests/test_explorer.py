"""The explorer without a browser: its logic, by setting the values of its widgets."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from simmore import data, devices, space
from simmore.devices import rewards
from simmore.errors import TableMissing
from simmore.explorer import app as explorer
from simmore.explorer import view
from simmore.explorer.model import Profile, known, pareto_front, trace, uploaded
from simmore.explorer.panel import OWN, SLIDERS, X_AXES, Y_AXES
from simmore.explorer.widgets import MAX_UPLOAD_BYTES, padded
from simmore.models.linear import BayesianLinear
from simmore.strategies import loop, recommendation

EVERYTHING = np.arange(space.N_ARCHS)


@pytest.fixture
def app():
    return explorer.Explorer("mean", "nats_gpu")


def message(app):
    return app.shared.message.value


def csv_of(latency_ms):
    return pd.DataFrame({"arch": EVERYTHING, "latency_ms": latency_ms}).to_csv(index=False).encode()


# the model


def test_the_pareto_front_by_hand():
    cost, gain = [1.0, 2.0, 2.0, 3.0, 4.0, np.inf], [1.0, 0.5, 3.0, 3.0, 4.0, 9.0]
    assert pareto_front(cost, gain).tolist() == [0, 2, 4]


def test_nothing_beats_the_front_on_a_device():
    latency, score = devices.load("nats_gpu").latency_ms(EVERYTHING), data.accuracy()
    front = pareto_front(latency, score)
    for arch in front:
        assert not ((latency <= latency[arch]) & (score > score[arch])).any()
        assert not ((latency < latency[arch]) & (score >= score[arch])).any()
    assert (np.diff(latency[front]) > 0).all() and (np.diff(score[front]) > 0).all()


def test_a_profile_agrees_with_the_package(conv_score):
    device = devices.load("nats_gpu")
    profile = Profile(device, conv_score)
    latency = device.latency_ms(EVERYTHING)
    assert profile.optimum == rewards.optimum(conv_score, latency)
    assert profile.percentile(int(latency.argmin())) == pytest.approx(100 * (1 - 1 / space.N_ARCHS))
    assert profile.percentile(int(latency.argmax())) == 0
    within = profile.best_within(float(np.median(latency)), conv_score)
    assert latency[within] <= np.median(latency)
    assert conv_score[within] == conv_score[latency <= np.median(latency)].max()
    assert profile.best_within(0.0, conv_score) == -1


def test_a_cell_that_does_not_compile_is_nowhere(conv_score):
    table = np.linspace(1.0, 2.0, space.N_ARCHS)
    table[7] = np.nan
    profile = Profile(devices.TableDevice("edge", table), conv_score)
    assert np.isneginf(profile.reward[7]) and profile.optimum != 7
    assert 7 not in pareto_front(profile.latency_ms, data.accuracy())
    assert padded(profile.latency_ms) == pytest.approx([0.97, 2.03])


def test_what_was_known_comes_from_what_was_measured_alone(conv_score):
    profile = Profile(devices.load("nats_gpu"), conv_score)
    found = trace(profile, loop.random_search, start=3, budget=10, seed=0)
    model = BayesianLinear.from_devices(devices.SyntheticDevices.fit())
    expected = recommendation.expected_range("nats_gpu")
    for step, knowledge in enumerate(found.knowledge):
        assert set(knowledge.cells["arch"]) == set(found.archs[: step + 1])
        assert knowledge.answer in set(knowledge.cells["arch"])
        again = known(found.found.trajectory.iloc[: step + 1], model, expected)
        assert again.answer == knowledge.answer and again.bounds_ms == knowledge.bounds_ms
    assert found.knowledge[-1].answer == found.found.arch
    assert (np.diff(found.regret_best) <= 0).all() and (found.regret >= found.regret_best - 1e-12).all()
    best = rewards.normalised_regret(profile.reward, found.archs).min()
    assert found.regret_best[-1] == pytest.approx(best)


# devices


def test_moving_a_slider_makes_the_device_that_it_says(app):
    panel = app.devices[0]
    before = panel.plane.optimum
    panel.sliders.values = [6.0, 5.0, 0.1, 0.05, 4.0]
    assert panel.profile.device.operation_ms == pytest.approx([6.0, 5.0, 0.1, 0.05, 4.0])
    assert panel.choice.value == SLIDERS
    assert panel.plane.optimum == rewards.optimum(app.shared.score, panel.profile.latency_ms) != before
    assert np.frombuffer(panel.plane.x, "<f4") == pytest.approx(panel.profile.latency_ms, rel=1e-6)
    assert f"cell {panel.plane.optimum}" in app.card.value


def test_every_device_moves_the_sliders_to_its_operations(app):
    panel = app.devices[0]
    panel.choice.value = "nats_gpu"
    device = devices.load("nats_gpu")
    assert list(panel.sliders.values) == pytest.approx(devices.operation_latencies(device).tolist())
    assert all(value <= maximum for value, maximum in zip(panel.sliders.values, panel.sliders.maxima, strict=True))
    panel.choice.value = "mean"
    assert list(panel.sliders.values) == pytest.approx(app.shared.synthetic.mean_ms.tolist())


def test_a_measured_device_is_shown_as_measured(app, measured_tables):
    app.devices[0].choice.value = "raspi4"
    assert app.devices[0].profile.latency_ms.tolist() == data.latency_table("raspi4").tolist()
    assert message(app) == ""


def test_a_device_whose_table_is_not_to_be_had_is_the_sum_of_its_operations(app, monkeypatch):
    def missing(name):
        raise TableMissing(f"no <b>{name}</b>")

    monkeypatch.setattr(data, "latency_table", missing)
    app.devices[0].choice.value = "raspi4"
    assert app.devices[0].profile.device.name == "raspi4_lut" and app.devices[0].choice.value == "raspi4"
    assert "sum of its operations" in message(app) and "<b>" not in message(app)
    app.devices[0].choice.value = "1080ti_256"  # of which not even the operations are known
    assert app.devices[0].profile.device.name == "raspi4_lut" and "1080ti_256" in message(app)


def test_the_dice_give_a_new_device_every_time(app):
    panel = app.devices[0]
    panel.dice.click()
    first = panel.profile.device.operation_ms
    panel.dice.click()
    assert (first > 0).all() and not np.array_equal(first, panel.profile.device.operation_ms)
    assert panel.choice.value == SLIDERS


def test_devices_do_not_disturb_each_other(app):
    other = app.devices[1].plane.x
    app.devices[0].sliders.values = [1, 2, 3, 4, 5]
    assert app.devices[1].plane.x == other
    second = explorer.Explorer("mean", "nats_gpu")
    assert second.devices[0].profile.device.name == "mean"


# bad input: a message, and the explorer goes on


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 1, 1, 2, 1], "none: a latency of 0 ms"), ([0.0] * 5, "avg pool"), ([2.0] * 5, "every cell takes 12 ms")],
)
def test_sliders_that_make_no_device_say_so(app, values, expected):
    panel = app.devices[0]
    shown = panel.plane.x
    panel.sliders.values = values
    assert expected in message(app) and panel.plane.x == shown
    panel.sliders.values = [1, 1, 1, 2, 1]
    assert message(app) == "" and panel.plane.x != shown


@pytest.mark.parametrize("text", ["", "fast", "-3", "0", "nan", "inf", "1e9", "<script>alert(1)</script>", "1;2"])
def test_text_for_a_latency_says_what_a_latency_is(app, text):
    panel = app.devices[0]
    panel._typed(None, {"operation": 3, "text": text}, [])
    assert "is no latency" in message(app) and "<script" not in message(app)
    assert panel.profile.device.name == "mean"


def test_a_latency_may_be_typed_with_a_comma_and_may_be_large(app):
    panel = app.devices[0]
    panel._typed(None, {"operation": 3, "text": "250,5"}, [])
    assert panel.profile.device.operation_ms[3] == 250.5 and panel.sliders.maxima[3] >= 250.5


@pytest.mark.parametrize("cell", ["15625", "-1", "421215", "conv", "|none~0|", "=1+1", "<img src=x onerror=alert(1)>"])
def test_text_that_is_no_cell_says_what_a_cell_is(app, cell):
    app.cell.value = cell
    assert "NATS index" in message(app) and "<img" not in message(app)
    app.start.value = cell
    app.cell.value = "421211"
    assert message(app) == "" and app.selected == 0
    app.search()
    assert "NATS index" in message(app) and not app.traces


GOOD = "arch,latency_ms\n" + "".join(f"{k},{1 + k / 1000}\n" for k in range(space.N_ARCHS))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "no column"),
        (GOOD.replace("\n5,", "\n=SUM(A1:A9),", 1), "SUM"),
        (GOOD.replace("\n5,", "\n<script>alert(1)</script>,", 1), "alert"),
        (GOOD.replace("\n5,1.005", "\n5,fast", 1), "no finite number"),
        (GOOD.replace("\n5,1.005", "\n5,-1", 1), "not positive"),
        (GOOD.replace("\n5,1.005", "", 1), "lacks 1 of the 15,625 cells"),
        ("\0\1\2", "NUL byte"),
        ("arch,latency_ms\n" + "".join(f"{k},1.5\n" for k in range(space.N_ARCHS)), "every cell takes 1.5 ms"),
    ],
)
def test_a_wrong_table_says_what_is_wrong_with_it(app, content, expected):
    panel = app.devices[0]
    shown = panel.plane.x
    panel.upload("<b>my</b>.csv", len(content), content.encode())
    assert expected in message(app) and "role" in message(app)
    assert "<b>" not in message(app) and "<script" not in message(app) and "/tmp" not in message(app)
    assert panel.plane.x == shown
    app.search()
    assert app.traces


def test_a_table_of_100_mb_is_refused_before_it_is_read(app):
    app.devices[0].upload("big.csv", 100_000_000, None)  # as the browser says it, which does not send it
    assert "100.0 MB" in message(app)
    app.devices[0].upload("big.csv", 9_000_000, b"x" * (MAX_UPLOAD_BYTES + 1))  # and one that was sent all the same
    assert "MB" in message(app)


def test_an_own_table_is_shown_and_searched(app):
    latency = np.random.default_rng(0).uniform(1, 9, space.N_ARCHS)
    panel = app.devices[0]
    panel.choice.value = OWN
    assert "Upload" in message(app)
    panel.upload("board.csv", 1, csv_of(latency))
    assert message(app) == "" and panel.choice.value == OWN
    assert panel.profile.latency_ms == pytest.approx(latency)
    app.search()
    assert app.traces[0].profile.device.name == "board"
    panel.choice.value = "mean"
    panel.choice.value = OWN
    assert panel.profile.device.name == "board"


def test_a_hostile_file_name_is_shown_as_text(app):
    app.devices[0].upload("<img src=x onerror=alert(1)>.csv", 1, csv_of(np.linspace(1, 2, space.N_ARCHS)))
    app.search()
    app.downloads._makers["svg"]()
    for html in (app.card.value, app.known.value, app.chart.value):
        assert "<img" not in html and "&lt;img" in html
    assert uploaded("=cmd.csv", csv_of(np.linspace(1, 2, space.N_ARCHS))).name == "=cmd"
    assert explorer.plain("=cmd") == "'=cmd" and explorer.plain("raspi4") == "raspi4"


# the plane


@pytest.mark.parametrize("x_axis", list(X_AXES.values()))
@pytest.mark.parametrize("y_axis", list(Y_AXES.values()))
def test_the_axes_can_be_chosen(app, x_axis, y_axis):
    app.x_axis.value, app.y_axis.value = x_axis, y_axis
    panel = app.devices[0]
    expected = app.shared.score if y_axis == "score" else data.accuracy(y_axis)
    assert np.frombuffer(panel.plane.y, "<f4") == pytest.approx(expected, rel=1e-5)
    expected = panel.profile.latency_ms if x_axis == "latency" else panel.profile.inverse_latency
    assert np.frombuffer(panel.plane.x, "<f4") == pytest.approx(expected, abs=1e-4)
    assert panel.plane.x_label in X_AXES and panel.plane.y_label in Y_AXES


def test_the_limit_can_be_set_and_dragged(app):
    panel = app.devices[0]
    assert panel.plane.limit is None
    panel.limited.value = True
    assert panel.plane.limit == panel.limit_ms.value > 0
    panel.plane.limit = 5.0  # as the browser sets it while the line is dragged
    assert panel.limit_ms.value == 5.0
    assert panel.profile.latency_ms[panel.plane.limit_best] <= 5.0
    app.x_axis.value = "inverse"
    low, high = panel.profile.latency_ms.min(), panel.profile.latency_ms.max()
    assert panel.plane.limit == pytest.approx(1 - (5.0 - low) / (high - low))
    panel.plane.limit = 1.0
    assert panel.limit_ms.value == pytest.approx(low, rel=1e-3)
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


def test_the_card_says_what_the_tables_say(app):
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
        assert words[:6] == [view.OPERATION_LABELS[digit] for digit in space.to_ops(arch)]


# searching


@pytest.mark.parametrize("strategy", ["controller", "random"])
def test_a_search_is_what_the_package_finds(app, strategy):
    app.strategy.value, app.start.value = strategy, "99"
    app.search()
    device = devices.load("mean")
    expected = loop.search(
        device, explorer.STRATEGIES[strategy]("mean", None), start=99, seed=0, score=app.shared.score
    )
    pd.testing.assert_frame_equal(app.traces[0].found.trajectory, expected.trajectory)
    assert app.traces[0].found.arch == expected.arch
    assert app.step.max == len(expected.trajectory) - 1


def test_a_search_is_shown_step_by_step(app):
    app.start.value = "99"
    app.search()
    for step in range(app.step.max + 1):
        assert app.devices[0].plane.trail == app.traces[0].archs[: step + 1]
        assert f"step {step} of {app.step.max}" in app.known.value
        assert f"<b>{app.traces[0].regret[step]:.2f}</b>" in app.chart.value
        ET.fromstring(f"<p>{app.chart.value}</p>")
        app.forth.click()
    assert app.step.value == app.step.max
    assert app.devices[0].plane.answer == app.traces[0].found.arch
    app.back.click()
    assert app.step.value == app.play.value == app.step.max - 1


def test_two_devices_are_searched_from_one_start(app):
    app.compare.value = True
    app.budget.value = 4
    app.search()
    first, second = app.traces
    assert first.archs[0] == second.archs[0]
    assert first.found.measurements <= 4 and second.found.measurements <= 4
    app.step.value = app.step.max
    assert app.known.value.count("<h3>") == 2
    app.compare.value = False
    assert not app.traces and app.devices[1].plane.trail == []


def test_a_search_ends_when_its_device_does(app):
    app.search()
    app.step.value = app.step.max
    app.devices[0].sliders.values = [1, 2, 3, 4, 5]
    assert not app.traces and app.devices[0].plane.trail == [] and app.step.max == 0


def test_a_failing_strategy_says_so(app, monkeypatch):
    def broken(*_):
        raise RuntimeError("<b>no power</b>")

    monkeypatch.setitem(explorer.STRATEGIES, "random", lambda _, __: broken)
    app.strategy.value = "random"
    app.search()
    assert "no power" in message(app) and "<b>" not in message(app)


def test_a_strategy_is_made_for_the_device_and_its_limit(app, monkeypatch):
    asked = []
    monkeypatch.setitem(explorer.STRATEGIES, "random", lambda *a: asked.append(a) or loop.random_search)
    app.strategy.value = "random"
    app.search()
    app.compare.value = app.devices[1].limited.value = True
    app.devices[1].limit_ms.value = 7.5
    app.search()
    assert asked == [("mean", None), ("mean", None), ("nats_gpu", 7.5)]


# downloads


def test_the_trajectory_is_a_table(app, tmp_path):
    assert app.trajectory_csv()[0] == b"" and "Search" in message(app)
    app.compare.value = True
    app.search()
    content, name, _ = app.trajectory_csv()
    (tmp_path / name).write_bytes(content)
    frame = pd.read_csv(tmp_path / name)
    assert frame["device"].unique().tolist() == ["mean", "nats_gpu"]
    assert frame["arch"].tolist() == app.traces[0].archs + app.traces[1].archs
    assert [space.to_arch(text) for text in frame["arch_str"]] == frame["arch"].tolist()
    assert {"step", "latency_ms", "score", "val_accuracy", "measured", "regret", "regret_best"} <= set(frame.columns)


def test_the_picture_is_a_picture(app):
    assert app.picture("png")[0].startswith(b"\x89PNG")
    app.compare.value = True
    app.search()
    content, name, media_type = app.picture("svg")
    assert ET.fromstring(content).tag.endswith("svg") and (name, media_type) == ("simmore_planes.svg", "image/svg+xml")


def test_files_answers_its_buttons_and_nothing_else(app):
    sent = []
    app.downloads.send = lambda content, buffers=None: sent.append((content, buffers))
    for message_ in ({"kind": "csv"}, {"kind": "exe"}, {"kind": "../csv"}, "csv", {}, {"name": "x"}):
        app.downloads._receive(None, message_, [])
    assert sent == []  # no search yet, so no table
    app.search()
    app.downloads._receive(None, {"kind": "csv"}, [])
    assert sent[0][0]["name"] == "simmore_trajectory.csv" and sent[0][1][0].startswith(b"device,step,arch")


# its start


def test_the_explorer_starts_fast_small_and_without_torch():
    check = (
        "import sys, time; began = time.process_time(); from simmore import explorer; explorer.Explorer().widget; "
        "seconds = time.process_time() - began; import psutil; "
        "print(seconds, psutil.Process().memory_info().rss / 1e6, "
        "*[m for m in ('torch', 'gymnasium', 'stable_baselines3', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    seconds, megabytes, *heavy = done.stdout.split()
    print(f"import and start: {float(seconds):.2f} s of one core, {float(megabytes):.0f} MB")
    assert heavy == [] and float(seconds) < 3 and float(megabytes) < 500
