"""README and pages: numbers and outputs are those of the results, and the README is short."""

import importlib.util
import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from simmore.experiments import claims, limits, record

nbformat = pytest.importorskip("nbformat")
MarkdownIt = pytest.importorskip("markdown_it").MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "site").glob("*.md"))
MOST_WORDS = 900


@pytest.fixture(scope="module")
def results():
    """The module ``site/results.py``."""
    spec = importlib.util.spec_from_file_location("results", ROOT / "site" / "results.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["results"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def make_site(results):
    """The module ``site/make.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "site")
        return importlib.import_module("make")


def prose(text):
    """A Markdown text without code, tables, pictures and addresses."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


def test_readme_has_the_numbers_and_outputs_of_the_committed_results(results, tmp_path):
    # figures/ may have been drawn anew since, with fewer tables or on another machine
    packed = subprocess.run(["git", "archive", "HEAD", "figures"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(tmp_path, filter="data")
    assert results.readme(tmp_path / "figures") == README, "run make readme"


def test_readme_is_read_in_five_minutes():
    assert len(re.findall(r"\w[\w'’.-]*", prose(README))) < MOST_WORDS


def test_every_file_that_the_readme_names_exists():
    links = re.findall(r"\]\(([^)\s]+)\)", README)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_every_quoted_value_is_computed(results):
    known = results.values(ROOT / "figures")
    for page in PAGES:
        quoted = set(re.findall(r"\{\{([^{}]+)\}\}", page.read_text(encoding="utf-8"))) - {"output"}
        assert quoted <= set(known), page.name


def test_the_claims_table_says_what_its_numbers_are_and_escapes_symbols(results):
    rows = results.values(ROOT / "figures")["claims"].splitlines()[2:]
    assert len(rows) == len(claims.CLAIMS)
    for row in rows:
        figures = row.split(" | ")[3]
        assert not re.search(r"\d", figures) or len(re.findall("[a-z]{2,}", figures)) >= 3, figures
    assert r"the optimum h\* depends" in rows[1] and not re.search(r"(?<![\\*])\*(?!\*)", "".join(rows))


def test_the_claims_in_full_are_markdown_with_whole_headings(results):
    found = results.values(ROOT / "figures")["claims in full"]
    shown = MarkdownIt().render(found)
    headings = re.findall(r"<strong>(.*?)</strong>: ", shown)
    assert [re.sub(r"^\d\. ", "", each).lower() for each in headings] == [
        claim.claim.lower() for claim in claims.CLAIMS.values()
    ]
    assert headings[0].startswith("1. p correlates") and headings[2].startswith("3. Training improves")
    assert "none" not in found and found.count("Devices: ") == sum(
        bool(each.devices) for each in claims.CLAIMS.values()
    )


def test_no_strategy_points_to_another_row(results):
    assert [text for text in results.STRATEGIES.values() if text.startswith("the same")] == []


def test_means_and_limits_by_hand(results, tmp_path):
    (tmp_path / "data").mkdir()
    goals = record.Recorder("05", tmp_path, seed=0, quick=False)
    goals.goal("blind, no tables", "0.045, worst 0.24; nats_gpu 0.28", mean=0.045, worst=0.24, nats_gpu=0.28)
    found = results.verdicts(tmp_path)
    assert (found["mean blind, no tables"], found["worst blind, no tables"]) == ("0.045", "0.24")
    kept, other = limits.KEPT_BY_HELP[0], next(case for case in limits.HELP if case not in limits.KEPT_BY_HELP)
    for broken, text in ((False, "none of all 15 limits"), (True, "1 of all 15 limits")):
        rows = [
            ("expected_improvement", *kept, 1.0, 71.0, 10, False),
            ("expected_improvement", *other, 1, 60, 10, broken),
        ]
        frame = pd.DataFrame(rows, columns=limits.COLUMNS)
        frame.to_csv(tmp_path / "data" / "fig8_constrained.csv", index=False)
        assert results.within_limits(tmp_path) == {"accuracy kept": "71.00", "limits broken": text}


def test_the_accuracies_of_a_search_are_aligned(results, tmp_path):
    found = results.printed("sh", "simmore search --device onnxruntime_fp32", str(tmp_path)).splitlines()
    lines = [line for line in found if "validation accuracy" in line]
    assert len(lines) == 3 and len({re.search(r" \d", line).start() for line in lines}) == 1, lines


def test_the_text_of_a_picture_is_a_whole_sentence(make_site):
    assert make_site.sentence("## Heading\n\nOne.\n\n**Table 4.3.** Regret by\ndevice, and 0.5 of it. More.") == (
        "Regret by device, and 0.5 of it."
    )
    assert make_site.sentence("**By device.** Regret of the $h^*$ that is best:") == "Regret of the h^ that is best."
    assert (
        make_site.sentence("Cell 0. Its three connections are\non edge 1.")
        == "Cell 0. Its three connections are on edge 1."
    )
    assert make_site.sentence("Two (Tiboni et al. 2023) of five words.\n\n$$x\n= 1$$\n\n| a | b |") == (
        "Two (Tiboni et al. 2023) of five words."
    )
    assert (
        make_site.sentence("# Draws\nDraws are devices of two kinds. The picture shows four.")
        == "The picture shows four."
    )
    assert make_site.sentence("## Figure 7") == ""


def test_notebooks_show_no_logs_and_keep_their_warnings(make_site):
    picture = nbformat.v4.new_output("display_data", {"image/png": "00"})
    streams = [
        nbformat.v4.new_output("stream", name="stderr", text=text) for text in ("INFO: a\n", "INFO: a\nWarning: b\n")
    ]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell("The first of the two figures."),
        nbformat.v4.new_code_cell("draw()", outputs=[*streams, picture]),
        nbformat.v4.new_markdown_cell("The second of the two figures."),
        nbformat.v4.new_code_cell("draw()", outputs=[picture]),
    ]
    cells = make_site.described(notebook).cells
    assert [output.get("text") for output in cells[1].outputs] == ["Warning: b\n", None]
    texts = [cells[k].metadata["mystnb"]["image"]["alt"] for k in (1, 3)]
    assert texts == ["The first of the two figures.", "The second of the two figures."]


def test_a_table_and_a_value_are_filled_in(results):
    assert results.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    filled = results.fill("x = {{x}}\n\n```sh\nprintf 1\n```\n\n```python\nprint(6 * 7)\n```\n{{output}}\n", {"x": "3"})
    assert filled == "x = 3\n\n```sh\nprintf 1\n```\n\n```python\nprint(6 * 7)\n```\n\n```text\n42\n```\n"
    with pytest.raises(KeyError, match="y"):
        results.fill("{{y}}", {})


def test_a_failing_block_is_an_error(results):
    with pytest.raises(RuntimeError, match="status 1"):
        results.fill("```sh\nfalse\n```\n{{output}}", {})


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_with_an_output_works(results, page):
    filled = results.fill(page.read_text(encoding="utf-8"), results.values(ROOT / "figures"))
    assert "{{" not in filled and "Traceback" not in filled
    assert not re.search(r"/(home|root|tmp|Users)/", filled)
