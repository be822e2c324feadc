"""README and pages: numbers and outputs are those of the results, and the README is short."""

import importlib.util
import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

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
