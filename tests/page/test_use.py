"""What a reader does on the page: with a mouse, a keyboard, and a phone."""

from __future__ import annotations

import numpy as np
import pytest

from simmore import devices, proxies, space
from simmore.rl import context
from simmore.strategies import History, Problem, recommendation
from simmore.strategies.in_context import InContext, LearnedRecommendation

ENDED = '#next:has-text("ended")'


def measured(page):
    """The measurements in the page, ``(cell, ms)`` each."""
    lines = page.input_value("#readings").splitlines()
    return [(int(arch), float(ms)) for arch, ms in (line.split(",") for line in lines)]


def next_cell(page):
    return int(page.inner_text("#next b").split()[-1])


def add(page, text):
    """Type a latency of the next cell, and wait for what follows."""
    before = page.inner_text("#next")
    page.fill("#latency", text)
    page.press("#latency", "Enter")
    page.wait_for_selector(f'#next:not(:has-text("{before.splitlines()[0]}"))')


@pytest.mark.parametrize(
    ("device", "score"),
    [("sliders", "freerea"), ("nats_gpu", "combined"), ("litert_fp32", "az"), ("torch_fp32", "freerea")],
)
def test_a_search_on_a_device_goes_as_in_python(page, shots, device, score):
    page.select_option("#device", device)
    page.select_option("#score", score)
    page.click("#all")
    page.wait_for_selector(ENDED, timeout=60_000)
    steps = measured(page)
    assert len(steps) == 10
    page.screenshot(path=shots / f"{device}.png")
    network, problem = context.load("controller_0"), Problem.of(score=score)
    if device != "sliders":
        problem = problem.on(devices.load(device))
        np.testing.assert_allclose(
            [ms for _, ms in steps], devices.load(device).latency_ms([a for a, _ in steps]), 1e-3
        )
    strategy, rng = InContext(problem, network), np.random.default_rng(0)
    assert [strategy.ask(History(steps[:k]), rng, 10 - k) for k in range(10)] == [arch for arch, _ in steps]
    found = recommendation.recommend(LearnedRecommendation(network), problem, History(steps))
    said = page.inner_text("#found")
    shown = int(said.split("cell ")[1].split(",")[0])
    latency = dict(steps)  # two cells may be the same network: either may be recommended
    assert (problem.score[shown], latency[shown]) == (problem.score[found.arch], latency[found.arch])
    assert space.to_string(shown) in said
    assert f"Expected regret: {found.expected_regret:.3f}" in said and "True regret" in said
    assert f"score {problem.label} {problem.score[shown]:.3f}" in page.inner_text("#card")


@pytest.mark.parametrize("name", proxies.SCORES)
def test_all_texts_call_the_chosen_score_by_its_label(page, name):
    chosen = proxies.SCORES[name]
    page.select_option("#score", name)
    page.fill("#limit", "999")
    page.press("#limit", "Enter")
    page.click("#one")
    page.wait_for_selector(f"#found:has-text('Expected loss of score {chosen.label}: ')")
    for place in ("#card", "footer", "#up option >> nth=0"):
        assert f"score {chosen.label}" in page.text_content(place)
    assert f"score {chosen.label}" in page.get_attribute("canvas", "aria-label")
    assert page.get_attribute("#reward", "title") == f"Reward = score {chosen.label} + weight · inverse latency"
    assert chosen.description in page.text_content("footer") and "score p" not in page.text_content("header")


def test_ones_own_measurements_are_typed_and_pasted(page, shots):
    page.select_option("#device", "own")
    page.wait_for_selector('#next:has-text("(1 of 10")')
    for text in ("8.5", "20", "failed"):
        add(page, text)
    assert [ms for _, ms in measured_or_failed(page)] == ["8.5", "20", "failed"]
    assert page.is_visible("#measure") and not page.is_visible("#automatic")
    string = space.to_string(77)
    page.click("#clear")
    page.wait_for_selector('#next:has-text("(1 of 10")')
    page.fill("#readings", f"arch,latency_ms\n1462, 8.5\n{string}; 4\n222222\t11\n")
    page.wait_for_selector('#next:has-text("(4 of 10")')
    steps = [(1462, 8.5), (77, 4.0), (space.to_arch("222222"), 11.0)]
    network, problem = context.load("controller_0"), Problem(proxies.stored_score())
    assert next_cell(page) == InContext(problem, network).ask(History(steps), np.random.default_rng(0), 7)
    page.fill("#weight", "3")
    page.press("#weight", "Enter")
    page.fill("#limit", "9")
    page.press("#limit", "Enter")
    page.wait_for_selector('#found:has-text("loss of score")')
    limited = Problem(proxies.stored_score(), 3.0, 9.0)
    found = recommendation.recommend(LearnedRecommendation(network), limited, History(steps))
    assert f"cell {found.arch}," in page.inner_text("#found")
    assert f"{found.expected_regret:.3f}" in page.inner_text("#found")
    page.screenshot(path=shots / "own.png")


def test_a_decimal_comma_is_read(page):
    page.select_option("#device", "own")
    page.wait_for_selector('#next:has-text("(1 of 10")')
    add(page, "8,5")
    assert measured_or_failed(page)[0][1] == "8.5"
    cells = {
        "1462; 8,5": [1462, 8.5], "1462;8,5": [1462, 8.5], "1462\t8,5": [1462, 8.5], "1462 8,5": [1462, 8.5],
        "1462, 8,5": [1462, 8.5], "1462,8": [1462, 8], "1462 ,8": [1462, 8], "1462, 8.5": [1462, 8.5],
        f"{space.to_string(77)} 8,5": [77, 8.5], f"{space.to_string(77)},8.5": [77, 8.5],
    }  # fmt: skip
    read = "async (lines) => { const { cells } = await import('page'); return lines.map((t) => cells.readings(t)[0]); }"
    assert page.evaluate(read, list(cells)) == list(cells.values())


def test_before_a_measurement_no_latency_is_in_ms(page):
    card, legend = page.locator("#card"), page.locator(".simmore-legend")
    assert "Best cell h*:" in card.inner_text() and " ms ·" in card.inner_text()
    assert "best cell h*" in legend.inner_text()
    page.select_option("#device", "own")
    page.wait_for_selector('#next:has-text("(1 of 10")')
    page.wait_for_selector(".simmore-legend:has-text('best cell of a typical device')")
    assert "Best cell of a typical device:" in card.inner_text()
    assert "relative latency" in card.inner_text() and " ms" not in card.inner_text()
    add(page, "failed")
    assert "relative latency" in card.inner_text()
    add(page, "8.5")
    assert "Recommended cell" in card.inner_text() and "8.5 ms" in card.inner_text()
    page.wait_for_selector(".simmore-legend:has-text('best predicted cell')")


def test_results_are_beside_the_page_in_the_site(browser, page_file):
    context = browser.new_context()
    page = context.new_page()
    page.route("**/*", lambda route: route.fulfill(body=page_file.read_text("utf-8"), content_type="text/html"))
    page.goto("http://site.test/simmore/page/")
    page.wait_for_selector("canvas[data-drawn]")
    assert page.evaluate("document.querySelector('#results').href") == "http://site.test/simmore/results.html"
    context.close()


def measured_or_failed(page):
    return [line.split(", ") for line in page.input_value("#readings").splitlines()]


REFUSED = [
    ("#latency", "fast", "“fast” is not a latency"),
    ("#latency", "-3", "“-3” is not a latency"),
    ("#weight", "0", "The weight of latency is a positive number"),
    ("#limit", "x", "The latency limit is a positive number"),
    ("#readings", "99999, 2", "Line 1: “99999” is not a cell"),
    ("#readings", "12, 2\n000012, 3", "Line 2: “000012” could be six digits"),
    ("#readings", "|none~0|, 3", "Line 1: “|none~0|” is not a cell"),
    ("#readings", "12", "Line 1: a line has a cell and its latency"),
    ("#readings", "12, 0", "Line 1: “0” is not a latency"),
    ("#readings", "12,8,5", "write “1462; 8,5” or “1462, 8.5”"),
    ("#readings", "12 8, 5", "write “1462; 8,5” or “1462, 8.5”"),
    ("#latency", "1,234.5", "“1,234.5” is not a latency"),
]


def test_bad_input_is_refused_in_one_sentence(page):
    page.select_option("#device", "own")
    page.wait_for_selector("#measure:visible")
    for field, text, said in REFUSED:
        page.fill(field, text)
        if field != "#readings":
            page.press(field, "Enter")
        page.wait_for_selector(f'#error:has-text("{said}")')
        error = page.inner_text("#error")
        assert error.endswith(".") and error.count(". ") == 0


def test_measuring_stops_at_a_line_that_cannot_be_read(page):
    page.fill("#readings", "12")
    page.wait_for_selector("#error:visible")
    page.click("#all")
    page.wait_for_timeout(1_000)
    assert len(page.input_value("#readings").splitlines()) == 2 and page.is_visible("#error")


def test_a_limit_holds_before_the_first_measurement(page):
    page.select_option("#device", "own")
    page.fill("#limit", "9")
    page.press("#limit", "Enter")
    page.wait_for_selector("#measure:visible")
    add(page, "8.5")
    assert page.input_value("#limit") == "9" and "loss of score" in page.inner_text("#found")


def test_another_device_removes_the_measurements_and_says_so(page):
    page.click("#one")
    page.wait_for_selector("#found:has-text('Recommended')")
    page.fill(".simmore-foot input >> nth=0", "2.5")
    page.press(".simmore-foot input >> nth=0", "Enter")
    page.wait_for_selector("#found:has-text('the measurements were removed')")
    assert page.input_value("#readings") == ""
    page.fill(".simmore-foot input >> nth=0", "much")
    page.press(".simmore-foot input >> nth=0", "Enter")
    assert "A latency is a positive number" in page.inner_text("#error")
    assert page.input_value(".simmore-foot input >> nth=0") == "2.50"


def test_the_keyboard_is_enough(page):
    page.focus("#device")
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"dataset", "score", "up", "weight", "limit", "CANVAS", "one", "all", "readings", "clear"} <= reached
    page.focus("canvas")
    page.keyboard.press("Home")
    best = page.inner_text("#card")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#card") != best and "Selected cell" in best
    page.focus("#all")
    page.keyboard.press("Enter")
    page.wait_for_selector(ENDED, timeout=60_000)
    assert page.evaluate("document.activeElement.id") == "clear"  # the focus is not lost with the button


def test_every_control_has_a_name(page):
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button, canvas, svg[role=img]')].filter((node) => "
        "!(node.labels?.length || node.getAttribute('aria-label') || node.textContent.trim())).map((n) => n.outerHTML)"
    )
    assert unnamed == []


def test_axe_finds_no_serious_violation(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.click("#one")
    page.wait_for_selector("#found:has-text('Recommended')")
    found = axe.run(page).response["violations"]
    assert not [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]


def test_the_page_works_on_a_phone(visit, shots):
    page = visit(390, 844, is_mobile=True, has_touch=True)
    page.tap("#all")
    page.wait_for_selector(ENDED, timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("#device", "#limit", "#readings", "#clear", ".simmore-slider input[type=range] >> nth=4"):
        box = page.locator(name).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert page.evaluate("getComputedStyle(document.querySelector('canvas')).touchAction") != "none"
    page.screenshot(path=shots / "phone.png", full_page=True)
