"""The explorer's page for its readers: what is in view, what has a name, and what a finger and the keyboard reach."""

import base64
import re
from itertools import pairwise

import pytest
from conftest import ROOT
from playwright.sync_api import expect
from test_app import alert, search

CONTROLS = {"button", "checkbox", "combobox", "radio", "slider", "spinbutton", "textbox"}
BOX = "e => { const { top, bottom, left, right } = e.getBoundingClientRect(); return [top, bottom, left, right]; }"


@pytest.fixture
def open_page(voila, visit):
    """Opens the app, waits for its plane, and checks at the end that nothing went wrong."""
    opened = []

    def open_(address="", **options):
        opened.append(visit(f"{voila}{address}", **options))
        opened[-1].wait_for_plane()
        return opened[-1].page

    yield open_
    for each in opened:
        assert each.problems == [] and each.elsewhere == []


def in_view(page, *selectors):
    size = page.viewport_size
    for selector in selectors:
        top, bottom, left, right = page.evaluate(f"(selector) => ({BOX})(document.querySelector(selector))", selector)
        assert 0 <= top < bottom <= size["height"] and 0 <= left < right <= size["width"], (selector, top, bottom)


def module(page, name, expression):
    """The value of an expression with the exports of one of the explorer's JavaScript files, `m`."""
    code = base64.b64encode((ROOT / "simmore" / "explorer" / "browser" / name).read_bytes()).decode()
    return page.evaluate(
        f"async () => {{ const m = await import('data:text/javascript;base64,{code}'); {expression} }}"
    )


# in view


@pytest.mark.parametrize("two", [False, True])
def test_a_search_stays_in_view_at_1280_by_800(open_page, shots, two):
    page = open_page(height=800)
    page.get_by_label("compare two devices").set_checked(two)
    search(page, start="99")
    page.locator("h1").evaluate("e => e.scrollIntoView()")
    page.wait_for_timeout(2000)
    page.screenshot(path=shots / f"search_800_{'two' if two else 'one'}.png")
    in_view(page, ".simmore-plane canvas", ".simmore-player", ".simmore-search .mod-primary")
    in_view(page, ".simmore-search")  # with the curve and the numbers under it


def test_an_error_is_in_view_wherever_the_page_is(open_page, shots):
    page = open_page(height=800)
    page.get_by_label("start", exact=True).fill("nothing")
    for place in ("h1", ".simmore-terms"):
        page.get_by_role("button", name="Search", exact=True).click()
        page.locator(place).evaluate("e => e.scrollIntoView()")
        expect(alert(page)).to_contain_text("NATS index")
        in_view(page, ".simmore-error")
    page.screenshot(path=shots / "error.png")


def test_no_menu_cuts_its_options(open_page):
    page = open_page()
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.simmore select')].flatMap((menu) => {
          const pen = document.createElement('canvas').getContext('2d'), style = getComputedStyle(menu);
          pen.font = style.font;
          const room = menu.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
          return [...menu.options].filter((o) => pen.measureText(o.text).width > room).map((o) => o.text);
        })"""
    )
    assert cut == []


@pytest.mark.parametrize("mode", ["search the device shown", "I measure my own device"])
def test_no_button_and_no_empty_field_cuts_its_text(open_page, mode):
    page = open_page()
    page.get_by_label(mode).check()
    expect(page.get_by_role("button", name="use shown cell")).to_be_visible()
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.simmore button, .simmore input[placeholder]')].filter((node) => {
          const pen = document.createElement('canvas').getContext('2d'), style = getComputedStyle(node);
          pen.font = style.font;
          const room = node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
          return node.offsetWidth && pen.measureText(node.placeholder ?? node.innerText).width > room + 1; // rounded
        }).map((node) => node.outerHTML)"""
    )
    assert cut == []


# on a phone


def test_a_phone_reaches_all_sliders_and_scrolls_over_the_plane(open_page, shots):
    page = open_page(width=390, height=844, phone=True)
    page.screenshot(path=shots / "phone.png")
    for box in page.locator(".simmore-slider input").evaluate_all(f"inputs => inputs.map({BOX})"):
        assert 0 <= box[2] < box[3] <= 390
    plane = page.locator(".simmore-plane canvas").first
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    session = page.context.new_cdp_session(page)
    fingers = [[{"x": box["x"] + 150, "y": box["y"] + 300 - 20 * k}] for k in range(11)]
    for kind, points in [("touchStart", fingers[0]), *(("touchMove", at) for at in fingers[1:]), ("touchEnd", [])]:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_timeout(500)
    assert plane.bounding_box()["y"] < box["y"] - 100
    plane.scroll_into_view_if_needed()
    plane.tap(position={"x": 0.4 * box["width"], "y": 0.45 * box["height"]})
    expect(page.locator(".simmore-card h3")).to_have_text("Selected cell")
    search(page, start="99")
    for mode in page.locator(".simmore-search input[type=radio]").all():
        mode.scroll_into_view_if_needed()
        box = mode.bounding_box()
        assert (
            page.evaluate("([x, y]) => document.elementFromPoint(x, y).type", [box["x"] + 5, box["y"] + 5]) == "radio"
        )
    page.wait_for_timeout(3000)
    page.screenshot(path=shots / "phone_search.png")


# names and the keyboard


def test_every_control_has_a_name_and_no_hint_is_null(open_page):
    page = open_page()
    page.get_by_label("limit", exact=True).first.check()
    search(page, start="99")
    session = page.context.new_cdp_session(page)
    for mode in ("search the device shown", "I measure my own device"):
        page.get_by_label(mode).check()
        page.wait_for_timeout(500)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        named = [
            (node["role"]["value"], node.get("name", {}).get("value", "").strip())
            for node in nodes
            if not node["ignored"] and node["role"]["value"] in CONTROLS
        ]
        assert len(named) > 30 and [role for role, name in named if not name] == []
        assert page.locator("[title=null], [aria-label=null]").evaluate_all("all => all.map((e) => e.outerHTML)") == []


def test_a_search_during_the_play_of_another_starts_at_its_first_step(open_page):
    page = open_page()
    search(page, start="99")
    place = page.locator(".simmore-player span")
    expect(place).to_have_text(re.compile("step [4-9] of"))
    page.evaluate(
        """() => {
          const place = document.querySelector('.simmore-player span');
          window.steps = [];
          new MutationObserver(() => window.steps.push(place.textContent)).observe(place, { childList: true });
        }"""
    )
    page.get_by_role("button", name="Search", exact=True).click()
    expect(place).to_have_text(re.compile("step [12] of"))
    steps = [int(text.split()[1]) for text in page.evaluate("window.steps")]
    assert all(after in (before, before + 1, 0) for before, after in pairwise(steps)), steps


def test_the_keyboard_stays_on_search(open_page):
    page = open_page()
    page.get_by_role("button", name="Search", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".simmore-beliefs table")
    expect(page.get_by_role("button", name="Search", exact=True)).to_be_focused()


@pytest.mark.parametrize("name", ["one step back", "one step on", "pause"])
def test_a_step_by_hand_pauses_the_play(open_page, name):
    page = open_page()
    search(page, start="99")
    place = page.locator(".simmore-player span")
    expect(place).to_have_text(re.compile("step [2-9] of"))
    page.get_by_role("button", name=name).click()
    page.wait_for_timeout(300)
    shown = place.inner_text()
    page.wait_for_timeout(2000)
    assert place.inner_text() == shown
    expect(page.get_by_role("button", name="play", exact=True)).to_be_visible()


# marks and lines of the plane


def test_marks_near_one_another_are_spread(open_page):
    page = open_page()
    placed = module(
        page, "plane.js",
        """const discs = Array.from({ length: 10 }, (_, k) => ({ x: 100 + k, y: 100, r: 8.5 }));
        const marks = [{ x: 100, y: 100, r: 11 }, ...discs, { r: 7, by: discs[0] }, { r: 9, by: discs[9] }];
        return m.spread(marks, [90, 50, 400, 400]).map(({ at, r }) => [...at, r]);""",
    )  # fmt: skip
    assert placed[0] == [100, 100, 11] or placed[0][0] >= 101  # the first keeps its place, within the box
    for k, (x, y, r) in enumerate(placed):
        assert 90 + r <= x <= 400 - r and 50 + r <= y <= 400 - r
        assert all((x - u) ** 2 + (y - v) ** 2 >= (r + s) ** 2 - 1e-6 for u, v, s in placed[:k])


def test_the_pareto_front_is_a_staircase(open_page):
    corners = module(open_page(), "plane.js", "return m.staircase([[0, 9], [2, 5], [6, 1]]);")
    assert corners == [[0, 9], [2, 9], [2, 5], [6, 5], [6, 1]]


# help


def test_a_first_visit_starts_with_the_tour_and_the_second_does_not(open_page, shots):
    page = open_page(tour=True, height=800)
    card = page.get_by_role("region", name="Tour")
    expect(card).to_contain_text("1 of 5 · Every point is a network")
    page.screenshot(path=shots / "tour.png")
    for k in range(2, 6):
        card.get_by_role("button", name="Next").click()
        expect(card).to_contain_text(f"{k} of 5")
        in_view(page, ".simmore-tour")
        expect(page.locator(".simmore-toured")).to_be_visible()
    page.screenshot(path=shots / "tour_last.png")
    card.get_by_role("button", name="Done").click()
    expect(card).to_be_hidden()
    page.reload()
    page.wait_for_selector(".simmore-plane canvas[data-drawn]")
    page.wait_for_timeout(500)
    expect(card).to_be_hidden()
    page.get_by_role("button", name="Tour", exact=True).press("Enter")
    expect(card.get_by_role("button", name="Next")).to_be_focused()
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(page.get_by_role("button", name="Tour", exact=True)).to_be_focused()


def test_a_term_opens_its_meaning(open_page):
    page = open_page()
    meaning = page.locator("#simmore-term-inverse")
    expect(meaning).to_be_hidden()
    page.locator(".simmore-terms [popovertarget=simmore-term-inverse]").press("Enter")
    expect(meaning).to_be_visible()
    page.keyboard.press("Escape")
    expect(meaning).to_be_hidden()
    for place in (".simmore-card", ".simmore-legend"):
        page.locator(f"{place} [popovertarget=simmore-term-reward]").first.click()
        expect(page.locator("#simmore-term-reward")).to_contain_text("r = p + ℓ̄")
        page.keyboard.press("Escape")


def test_a_preset_is_one_click(open_page):
    page = open_page()
    before = page.locator(".simmore-cell code").first.inner_text()
    page.get_by_role("button", name="pooling is slow").click()
    expect(page.locator(".simmore-cell code").first).not_to_have_text(before)
    expect(alert(page)).to_have_count(0)


# a link


def test_a_link_shows_the_same_in_another_browser(open_page):
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("device A").select_option("nats_gpu")
    page.get_by_label("strategy").select_option("random")
    search(page, budget="4")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("copied")).to_be_visible()
    address = page.evaluate("navigator.clipboard.readText()")
    assert "#simmore?" in address and address == page.url
    place = page.locator(".simmore-player span")
    expect(place).to_have_text("step 3 of 3")
    shown = page.locator(".simmore-beliefs").inner_text()
    other = open_page(address[address.index("/", 8) :])
    expect(other.get_by_label("device A")).to_have_value("nats_gpu")
    expect(other.locator(".simmore-player span")).to_have_text("step 3 of 3")
    expect(other.get_by_label("strategy")).to_have_value("random")
    assert other.locator(".simmore-beliefs").inner_text() == shown


# measuring by hand


def test_a_device_is_measured_by_hand(open_page, shots):
    page = open_page(height=800)
    page.get_by_label("I measure my own device").check()
    page.get_by_role("button", name="Next cell").click()
    status = page.locator(".simmore-search [role=status]")
    expect(status).to_contain_text("Measure next: cell")
    for latency in ("3.5", "2.25"):
        page.get_by_label("its latency").fill(latency)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_label("its latency")).to_have_value("")
    expect(status).to_contain_text("of 2 measured")
    expect(page.locator(".simmore-card h3")).to_have_text("Selected cell")
    page.screenshot(path=shots / "suggest.png")
    page.get_by_placeholder("arch,latency_ms").fill("0,fast")
    page.get_by_role("button", name="Next cell").click()
    expect(alert(page)).to_contain_text("row 1: the latency 'fast'")
