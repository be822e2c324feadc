"""The explorer in a notebook: headless Chromium against a real JupyterLab 4 and a real Notebook 7."""

import json
import time
import urllib.error
import urllib.request

import pytest
from conftest import START_S, jupyter
from playwright.sync_api import expect

SIDEWAYS = """(e) => e.scrollWidth <= e.clientWidth + 1 ? [] : [...e.querySelectorAll('*')]
  .filter((each) => each.getBoundingClientRect().right > e.getBoundingClientRect().right + 1)
  .map((each) => `${each.tagName} ${each.className} ${each.getBoundingClientRect().width}`)"""
PAGES = {"jupyterlab": "lab/tree", "notebook": "notebooks"}


def wait_for_kernel(address):
    """Wait until the page has its kernel: cells run before are lost."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            kernels = json.load(urllib.request.urlopen(f"{address}/api/kernels", timeout=30))
        except urllib.error.HTTPError:  # a kernel is just being started
            kernels = []
        if any(kernel["execution_state"] == "idle" and kernel["connections"] > 0 for kernel in kernels):
            return
        time.sleep(0.3)
    pytest.fail("the page got no kernel")


def run_all(opened):
    """Run all cells from the menu; repeat if the page was not ready."""
    for _ in range(6):
        opened.page.get_by_role("menuitem", name="Run", exact=True).click()
        opened.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        plane = opened.page.locator(".simmore-plane canvas[data-drawn]")
        for _ in range(40):
            if plane.count():
                return
            opened.page.wait_for_timeout(500)
    pytest.fail("the notebook ran, and showed no plane")


@pytest.mark.parametrize("kind", list(PAGES))
def test_the_notebook_runs_and_its_explorer_works(kind, visit, shots):
    with jupyter(kind) as address:
        opened = visit(f"{address}/{PAGES[kind]}/08_explore_devices.ipynb")
        page = opened.page
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        wait_for_kernel(address)
        page.wait_for_timeout(3000)
        print(f"\nproblems of {kind} before the explorer is shown: {opened.problems or 'none'}")
        opened.problems.clear()
        run_all(opened)
        page.locator(".simmore").scroll_into_view_if_needed()
        before = opened.best
        page.get_by_label("latency of conv 3×3 in ms", exact=True).first.focus()
        page.keyboard.press("Home")
        expect(page.locator(".simmore-error")).to_contain_text("a latency of 0 ms")
        box = page.locator(".simmore-error").bounding_box()
        assert 0 <= box["y"] <= 900 - box["height"], "the error is in view"
        page.keyboard.press("ArrowRight")
        expect(page.locator(".simmore-cell code").first).not_to_have_text(before)
        page.get_by_role("button", name="Search", exact=True).click()
        page.wait_for_selector(".simmore-beliefs table")
        page.screenshot(path=shots / f"{kind}_search.png")
        assert page.locator(".simmore").evaluate(SIDEWAYS) == [], "no scrolling sideways"
        page.locator(".simmore-plane canvas").first.scroll_into_view_if_needed()
        page.screenshot(path=shots / f"{kind}.png")
        assert opened.elsewhere == []
        assert opened.problems == []


def test_binder_shows_the_explorer_as_an_app(visit):
    """Binder's second address: Voila as a part of the server, started by ``binder/start``."""
    with jupyter("jupyterlab", "bash", "binder/start", allow_remote_access=True) as address:
        proxied = urllib.request.Request(f"{address}/api", headers={"Host": "hub.mybinder.org"})
        assert urllib.request.urlopen(proxied, timeout=60).status == 200  # Binder's proxy keeps its host name
        opened = visit(f"{address}/voila/render/08_explore_devices.ipynb")
        print(f"\nfrom the request of Binder's app to all cells drawn: {opened.wait_for_plane():.1f} s")
        assert "Explorer(device" not in opened.page.content()
        opened.page.get_by_role("button", name="Search", exact=True).click()
        opened.page.wait_for_selector(".simmore-beliefs table")
        assert opened.page.title() == "Explore devices · simmore"
        assert opened.elsewhere == [] and opened.problems == []
        assert len(address.kernels) == 1
        opened.end()
        until = time.monotonic() + 20
        while address.kernels and time.monotonic() < until:
            time.sleep(0.5)
        assert not address.kernels
