"""The built site in a real browser: nothing is fetched, nothing is cut off, and axe finds no serious fault.

`make site` builds it. Without ``build/site`` these tests are skipped.
"""

from __future__ import annotations

import functools
import http.server
import re
import threading
from html.parser import HTMLParser

import pytest

from simmore import paths

SITE = paths.BUILD / "site"
PAGES = sorted(
    str(page.relative_to(SITE))
    for page in SITE.rglob("*.html")
    if page.relative_to(SITE).parts[0] not in ("_static", "_sources", "page", "reports")
    and page.name not in ("genindex.html", "search.html", "py-modindex.html")
)
pytestmark = pytest.mark.skipif(not PAGES, reason="there is no site: run make site")
LEVELS = ("serious", "critical")
WIDTHS = (390, 1280)
OF_THE_THEME = ("Identifier 'THEBE_JS_URL'", "Got invalid theme mode")  # its scripts say so on every page
FORBIDDEN = (
    r"&lt;Axes|&lt;Figure size|Warning:|Traceback",  # objects, warnings
    r"output stderr|\bINFO:",  # what a notebook writes to the error stream
    r"(?<![\w.:/])/(?:home|root|tmp|usr|Users|work)/\w",  # paths of a machine
    r"\{\{",  # a value that was not filled in
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """Address of the site on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Pictures(HTMLParser):
    """Alternative texts of the images, and images without a text that says what they show."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.nameless: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        alt = found.get("alt") or ""
        if tag == "img":
            self.texts.append(alt)
        if tag == "img" and (not alt.strip() or alt.endswith((".png", ".svg"))):
            self.nameless.append(found.get("src", ""))


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_no_objects_warnings_or_paths(name):
    text = (SITE / name).read_text(encoding="utf-8")
    found = [match for pattern in FORBIDDEN for match in re.finditer(pattern, text)]
    assert [text[max(match.start() - 60, 0) : match.end() + 60] for match in found] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_image_has_an_alternative_text(name):
    pictures = Pictures()
    pictures.feed((SITE / name).read_text(encoding="utf-8"))
    assert not pictures.nameless


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("notebooks/")])
def test_the_alternative_text_of_a_figure_is_a_whole_sentence_or_caption(name):
    pictures, captions = Pictures(), Pictures()
    pictures.feed((SITE / name).read_text(encoding="utf-8"))
    captions.feed((SITE / "figures.html").read_text(encoding="utf-8"))
    for text in pictures.texts:
        assert len(text.split()) >= 5 and (text in captions.texts or text.endswith((".", "?"))), text


def test_the_claims_have_whole_headings():
    text = (SITE / "results.html").read_text(encoding="utf-8")
    bold = re.findall(r"<strong>(\d\. .*?)</strong>: ", text)
    assert [each[:2] for each in bold] == [f"{k}." for k in range(1, 10)]
    assert bold[0].startswith("1. p correlates") and bold[1].startswith("2. The optimum h* depends on the device (")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_links_to_paper_repository_and_binder(name):
    text = (SITE / name).read_text(encoding="utf-8")
    for address in ("https://arxiv.org/abs/2504.00663", "https://github.com/simmore/simmore", "https://mybinder.org/"):
        assert f'href="{address}' in text


def test_formulas_are_mathml():
    text = (SITE / "method.html").read_text(encoding="utf-8")
    assert text.count("<math") > 20 and not re.search(r"<script[^>]*mathjax", text, re.IGNORECASE)


ON_THE_BASELINE = """async () => {
    await document.fonts.ready;
    const found = [...document.querySelectorAll('msub')];
    const bottom = (e) => e.getBoundingClientRect().bottom;
    const raised = found.filter((e) => bottom(e.children[1]) <= bottom(e.children[0]) + 1);
    return [found.length, raised.map((e) => e.outerHTML)];
}"""


def test_subscripts_are_below_their_base(visit, site):
    opened = visit(f"{site}/method.html")
    opened.page.wait_for_load_state("load")
    number, raised = opened.page.evaluate(ON_THE_BASELINE)
    assert number > 20 and raised == []


def test_formulas_need_no_font_of_the_machine(visit, site):
    opened = visit(f"{site}/method.html")
    opened.page.wait_for_load_state("load")
    faces = opened.page.evaluate("async () => [...await document.fonts.ready].map((f) => [f.family, f.status])")
    first = opened.page.evaluate("() => getComputedStyle(document.querySelector('math')).fontFamily.split(',')[0]")
    assert (first.strip('"'), "loaded") in [(family.strip('"'), status) for family, status in faces]


CUT_OFF = """() => {
    const scrolls = (e) => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
    const out = [];
    for (const e of document.querySelectorAll('article table, article pre, article math, article img')) {
        const right = e.getBoundingClientRect().right;
        let box = e;
        while (box && !scrolls(box)) box = box.parentElement;
        const edge = box && box !== document.body ? box.getBoundingClientRect().right : innerWidth;
        if (edge > innerWidth + 1 || (!box && right > innerWidth + 1)) out.push(e.outerHTML.slice(0, 120));
    }
    if (document.scrollingElement.scrollWidth > innerWidth + 1) out.push('the page is wider than the window');
    return out;
}"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fetches_nothing_cuts_nothing_off_and_passes_axe(visit, site, name):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    opened = visit(f"{site}/{name}")
    opened.page.wait_for_load_state("load")
    for width in WIDTHS:
        opened.page.set_viewport_size({"width": width, "height": 900})
        assert opened.page.evaluate(CUT_OFF) == [], width
    assert not opened.elsewhere
    assert [problem for problem in opened.problems if not problem.startswith(OF_THE_THEME)] == []
    found = axe.run(opened.page).response["violations"]
    serious = [
        (each["id"], [node["html"][:160] for node in each["nodes"][:3]]) for each in found if each["impact"] in LEVELS
    ]
    assert not serious
