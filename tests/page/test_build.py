"""What the page is made of: its size, its modules, and tables that are stored in few bits."""

from __future__ import annotations

import itertools
import re

import numpy as np

from simmore import data, proxies, space

MOST_BYTES = 3_000_000


def test_the_page_is_one_small_file_that_names_no_other(page_file):
    text = page_file.read_text("utf-8")
    assert page_file.stat().st_size <= MOST_BYTES
    assert "{{" not in text
    requested = re.findall(r"""src=["']([^"']*)|<link[^>]* href=["']([^"']*)""", text)
    assert all((source or link).startswith("data:") for source, link in requested)


def test_the_page_links_to_paper_repository_binder_and_results(page_file):
    links = re.findall(r"""<a [^>]*href=["']([^"']*)""", page_file.read_text("utf-8"))
    for address in (
        "https://arxiv.org/abs/2504.00663",
        "https://github.com/simmore/simmore",
        "https://mybinder.org/v2/gh/simmore/simmore/main?urlpath=voila/render/notebooks/08_explore_devices.ipynb",
        "https://simmore.github.io/simmore/results.html",
    ):
        assert address in links


def test_modules_import_only_modules_of_the_page(make_page):
    names = set(make_page.modules())
    for file in make_page.PAGE.glob("*.js"):
        imported = set(re.findall(r'^import .*from "(.*)";$', file.read_text("utf-8"), flags=re.MULTILINE))
        assert imported <= names, file.name


def test_scores_are_stored_as_places_among_the_values_of_p(make_page):
    order = make_page.by_digits()
    found = make_page.cells(order)
    for dataset, name in itertools.product(data.DATASETS, proxies.SCORES):
        ascending, twice = found[f"quantiles/{dataset}"], found[f"places/{dataset}/{name}"].astype(int)
        decoded = (ascending[twice // 2] + ascending[(twice + 1) // 2]) / 2
        np.testing.assert_allclose(decoded, proxies.stored_score(dataset, name)[order], rtol=1e-6)


def test_latencies_are_stored_almost_exactly(make_page):
    latency = np.exp(np.random.default_rng(0).normal(3, 1, space.N_ARCHS))
    latency[:3] = np.inf, np.nan, 1e-3
    codes, lowest, step = make_page.quantised(latency)
    assert codes[:2].tolist() == [make_page.FAILED, make_page.ABSENT]
    np.testing.assert_allclose(np.exp(lowest + codes[2:] * step), latency[2:], rtol=2e-4)
    same, lowest, _ = make_page.quantised(np.full(space.N_ARCHS, 2.0))
    assert not same.any() and np.exp(lowest) == 2.0


def test_arrays_are_packed_byte_by_byte(make_page):
    import base64
    import json
    import zlib

    array = np.array([1.5, -2.0, 3.25], dtype=np.float32)
    content = zlib.decompress(base64.b64decode(make_page.pack({"a": array})))
    size = int.from_bytes(content[:4], "little")
    assert json.loads(content[4 : 4 + size]) == [{"name": "a", "kind": "f4", "length": 3, "at": 0}]
    planes = np.frombuffer(content[4 + size :], dtype=np.uint8).reshape(4, 3)
    np.testing.assert_array_equal(planes.T.copy().view("<f4").ravel(), array)
