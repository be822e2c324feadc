"""How long the page takes. Seconds of the processor count, so that a busy machine does no harm."""

from __future__ import annotations

FIRST_PICTURE_S, REDRAW_S, STEP_S = 1.0, 0.05, 0.1

REDRAW = """
async (n) => {
  const field = document.querySelector(".simmore-slider input[type=range]"), canvas = document.querySelector("canvas");
  for (let k = 0; k < n; k++) {
    const before = canvas.dataset.drawn;
    field.value = (k % 2 ? 0.4 : 0.8) * Number(field.max);
    field.dispatchEvent(new Event("input"));
    while (canvas.dataset.drawn === before) await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
"""
STEPS = """
async (n) => {
  const { about, datasets, ready } = await import("page");
  const { History } = await import("readings");
  const controller = await ready, score = datasets.cifar10.scores.freerea;
  const problem = { score, weight: 1, limit: null, measurable: null };
  const times = [];
  for (let k = 1; k <= n; k++) {
    const steps = Array.from({ length: ((k - 1) % 10) + 1 }, (_, i) => [(997 * i + 31 * k) % 15625, 5 + i + k / 7]);
    const began = performance.now();
    controller.step(problem, new History(steps, about.sizes), 10 - steps.length);
    times.push(performance.now() - began);
  }
  return times;
}
"""


def processor_s(browser) -> float:
    """Processor time of the pages so far."""
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return sum(each["cpuTime"] for each in found if each["type"] == "renderer")


def test_the_first_picture_comes_at_once(visit, browser):
    before, page = processor_s(browser), visit(ready=False)
    page.wait_for_selector("canvas[data-drawn]")
    spent = processor_s(browser) - before
    wall = page.evaluate("performance.getEntriesByName('first picture')[0].startTime / 1000")
    print(f"\nfirst picture: {spent:.2f} s of the processor, after {wall:.2f} s")
    assert min(spent, wall) <= FIRST_PICTURE_S
    page.evaluate("async () => { await (await import('page')).ready; }")
    print(f"controller ready: {processor_s(browser) - before:.2f} s of the processor")


def test_a_slider_redraws_the_plane_at_once(page, browser):
    page.evaluate(REDRAW, 20)  # compiled
    before, n = processor_s(browser), 40
    page.evaluate(REDRAW, n)
    spent = (processor_s(browser) - before) / n
    print(f"\nredraw: {1000 * spent:.1f} ms of the processor")
    assert spent <= REDRAW_S


def test_a_step_of_the_search_takes_a_moment(page, browser):
    page.evaluate(STEPS, 10)  # compiled
    before, n = processor_s(browser), 40
    times = page.evaluate(STEPS, n)
    spent = (processor_s(browser) - before) / n
    print(f"\na step, 1 to 10 cells: {1000 * spent:.0f} ms of the processor; {min(times):.0f} to {max(times):.0f} ms")
    assert spent <= STEP_S
