"""Searches in the explorer: step by step, on one device or two, and what can be downloaded."""

import html
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import simmore
from simmore import proxies, space
from simmore.explorer import app as app_module
from simmore.strategies import STRATEGIES


@pytest.mark.parametrize("strategy", ["expected_improvement", "random"])
def test_a_search_finds_what_the_package_finds(app, strategy):
    app.compare.value = True
    app.strategy.value, app.start.value = strategy, "99"
    app.search()
    for panel, trace in zip(app.devices, app.traces, strict=True):
        expected = simmore.search(panel.choice.value, strategy, start=99)
        pd.testing.assert_frame_equal(trace.found.trajectory, expected.trajectory)
        assert trace.found.arch == expected.arch
    assert app.player.max == max(trace.found.n_measured for trace in app.traces) - 1


def lines(svg):
    """The number of points of each line in a chart."""
    chart = ET.fromstring(f"<p>{svg}</p>")
    return [len(node.get("points").split()) for node in chart.iter() if node.tag.endswith("polyline")]


def test_a_search_plays_by_itself_and_reveals_its_regret_step_by_step(app):
    app.start.value = "99"
    app.search()
    assert app.player.playing and app.player.step == 0
    for step in range(app.player.max + 1):
        app.player.show(step)
        assert app.devices[0].plane.trail == app.traces[0].archs[: step + 1]
        assert f"step {step} of {app.player.max}" in app.beliefs.value
        assert f"<b>{app.traces[0].inference_regret[step]:.2f}</b>" in app.chart.value
        assert lines(app.chart.value) == [step + 1] * 2
    assert app.devices[0].plane.recommended == app.traces[0].found.arch
    assert app.beliefs.value.count("simmore-recommended") == 1


def test_a_late_message_about_an_earlier_search_has_no_effect(app):
    app.search()
    app.player.show(3)
    earlier = list(app.player.seen)
    assert app.player.step == 3
    app.search()
    app.player.set_state({"seen": earlier})  # as the browser sends it
    assert app.player.playing and app.player.step == 0
    assert len(app.devices[0].plane.trail) == 1
    app.player.set_state({"seen": [app.player.search, 2, True]})
    assert app.player.playing and len(app.devices[0].plane.trail) == 3


def test_only_cells_that_are_measured_are_played(app):
    app.strategy.value, app.start.value = "paper", "99"  # the policy often visits a cell again
    app.search()
    found = app.traces[0].found
    assert len(found.trajectory) > found.n_measured == len(app.traces[0]) == app.player.max + 1
    assert app.traces[0].archs == found.trajectory["arch"].drop_duplicates().tolist()


def test_two_devices_are_searched_from_one_start(app):
    app.compare.value = True
    app.budget.value = 4
    app.search()
    first, second = app.traces
    assert first.archs[0] == second.archs[0]
    assert first.found.n_measured <= 4 and second.found.n_measured <= 4
    app.player.show(app.player.max)
    assert app.beliefs.value.count("<h3>") == 2
    app.compare.value = False
    assert not app.traces and app.devices[1].plane.trail == [] and "was removed" in app.chart.value


def test_another_device_clears_the_search_and_says_so(app):
    app.devices[0].sliders.values = [1, 2, 3, 4, 6]
    assert "removed" not in app.chart.value  # there was no search
    app.strategy.value = "random"
    app.search()
    app.player.show(app.player.max)
    for values in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5.1]):  # a slider moves in many steps
        app.devices[0].sliders.values = values
        assert not app.traces and app.devices[0].plane.trail == [] and app.player.max == 0
        assert "device has changed" in app.chart.value
    app.search()
    assert "removed" not in app.chart.value


def test_a_search_that_fails_shows_why(app, message, monkeypatch):
    def broken(*_, **__):
        raise ValueError("<b>no policy</b>")

    monkeypatch.setattr(app_module, "trace", broken)
    app.search()
    assert "no policy" in message() and "<b>" not in message() and app.go.description == "Search"


def test_each_device_is_searched_within_its_own_limit(app):
    app.strategy.value, app.start.value = "random", "99"
    app.compare.value = app.devices[1].limited.value = True
    app.devices[1].limit_ms.value = limit_ms = float(np.median(app.devices[1].profile.latency_ms))
    app.search()
    free, limited = (trace.found for trace in app.traces)
    within = limited.trajectory[limited.trajectory["latency_ms"] <= limit_ms]
    assert limited.arch == within.loc[within["score"].idxmax(), "arch"]
    assert len(free.ranked) == free.n_measured > len(limited.ranked) == len(within) > 0


def test_the_menu_has_all_strategies_with_their_descriptions(app):
    assert set(app.strategy.options) == set(STRATEGIES)
    app.strategy.value = "lut"
    assert app.strategy.tooltip == STRATEGIES["lut"].description


# downloads


def test_the_steps_are_downloaded_as_a_table(app, message, tmp_path):
    assert app.trajectory_csv()[0] == b"" and "Search" in message()
    app.compare.value = True
    app.strategy.value = "random"
    app.search()
    content, name, _ = app.trajectory_csv()
    (tmp_path / name).write_bytes(content)
    frame = pd.read_csv(tmp_path / name)
    assert frame["device"].unique().tolist() == ["mean", "nats_gpu"]
    assert frame["arch"].tolist() == [arch for each in app.traces for arch in each.found.trajectory["arch"]]
    assert [space.to_arch(text) for text in frame["arch_str"]] == frame["arch"].tolist()
    for column in ("inference_regret", "simple_regret"):
        first = frame.drop_duplicates(["device", "arch"])
        np.testing.assert_allclose(first[column], np.concatenate([getattr(each, column) for each in app.traces]))
    assert app_module.plain("=cmd") == "'=cmd" and app_module.plain("raspi4") == "raspi4"


def test_the_planes_are_downloaded_as_png_and_svg(app):
    assert app.picture("png")[0].startswith(b"\x89PNG")
    app.compare.value = True
    app.strategy.value = "random"
    app.devices[0].limited.value, app.devices[0].limit_ms.value = True, 1e-3  # nothing is recommended
    app.search()
    content, name, media_type = app.picture("svg")
    assert ET.fromstring(content).tag.endswith("svg") and (name, media_type) == ("simmore_planes.svg", "image/svg+xml")


def test_a_download_button_sends_its_file_and_other_messages_send_nothing(app):
    sent = []
    app.downloads.send = lambda content, buffers=None: sent.append((content, buffers))
    for message_ in ({"kind": "csv"}, {"kind": "exe"}, {"kind": "../csv"}, "csv", {}, {"name": "x"}):
        app.downloads._receive(None, message_, [])
    assert sent == []  # no search yet, so no table
    app.strategy.value = "random"
    app.search()
    app.downloads._receive(None, {"kind": "csv"}, [])
    assert sent[0][0]["name"] == "simmore_trajectory.csv" and sent[0][1][0].startswith(b"device,step,arch")


def test_a_search_uses_the_chosen_score(app):
    app.strategy.value, app.start.value, app.budget.value = "random", "99", 4
    app.shared.scores.value = "combined"
    assert app.devices[0].plane.y_label == "score combined"
    np.testing.assert_array_equal(app.devices[0].profile.score, proxies.stored_score("cifar10", "combined"))
    app.search()
    name = app.devices[0].choice.value
    assert app.traces[0].found.arch == simmore.search(name, "random", start=99, budget=4, score="combined").arch
    app.shared.scores.value = "freerea"
    assert not app.traces and app.devices[0].plane.y_label == "score p"


@pytest.mark.parametrize("name", proxies.SCORES)
def test_all_texts_call_the_chosen_score_by_its_label(app, name):
    app.shared.scores.value, app.strategy.value, label = name, "random", proxies.SCORES[name].label
    app.search()
    plane, labels = app.devices[0].plane, "|".join(each.label for each in proxies.SCORES.values())
    for text in (plane.y_label, plane.description, app.card.value, app.beliefs.value, app.glossary.value):
        assert set(re.findall(rf"\bscore ({labels})\b", text)) == {label}
    for text in (app.card.value, app.glossary.value):
        assert f"= {label} + ℓ̄" in text
    assert proxies.SCORES[name].description in html.unescape(app.glossary.value)
