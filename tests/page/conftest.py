"""The page without a server, built from the tables that are here, in Debian's Chromium, headless and offline.

`make test-browser` runs these tests. `make test` does not, because they need a browser.
"""

from __future__ import annotations

import importlib.util

import pytest

from simmore import paths
from simmore.files import replace


@pytest.fixture(scope="session")
def make_page():
    """The module that builds the page."""
    spec = importlib.util.spec_from_file_location("make_page", paths.ROOT / "site" / "make_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shots():
    """Folder of the page and its screenshots."""
    folder = paths.BUILD / "page_tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def page_file(make_page, shots, mirror_beside_the_checkout):
    """The page as a file on the disk."""
    file = shots / "page.html"
    replace(file, make_page.page().encode())  # several processes may run these tests
    return file


@pytest.fixture
def visit(browser, page_file):
    """Opens the page from the disk, offline; after the test, there was no error and no request."""
    contexts, wrong = [], []

    def open_(width: int = 1280, height: int = 800, *, ready: bool = True, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, offline=True, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url))
        page.goto(page_file.as_uri(), wait_until="commit")
        if ready:
            page.wait_for_selector("canvas[data-drawn]")
            page.evaluate("async () => { await (await import('page')).ready; }")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def page(visit):
    """The page at 1280 × 800, with the controller ready."""
    return visit()
