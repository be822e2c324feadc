"""Gather the sources of the site in one folder, build it with Jupyter Book, and check every link in it.

    python site/make.py FIGURES NOTEBOOKS BUILD

Nothing is executed and nothing is fetched: the notebooks are shown as they were executed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

HERE = Path(__file__).parent
ELSEWHERE = {"http", "https", "mailto", "data", "javascript"}


def gather(figures: Path, notebooks: Path, sources: Path) -> None:
    """Put pages, notebooks, figures and the claims table where Jupyter Book finds them."""
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(HERE, sources, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copy(HERE.parent / "app" / "explorer.png", sources)
    (sources / "notebooks").mkdir()
    for notebook in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        if not notebook.stem.endswith("explore_devices"):  # its widgets live in a kernel: explorer.md shows them
            shutil.copy(notebook, sources / "notebooks")
    shutil.copytree(figures, sources / "figures")
    (sources / "figures.md").write_text(figures_page(sources / "figures"), encoding="utf-8")
    (sources / "claims.md").write_text(CLAIMS, encoding="utf-8")


CLAIMS = """# The paper's claims

Each claim, what the paper says, what was measured here, and the notebook that checks it.

```{csv-table}
:file: figures/claims.csv
:header-rows: 1
:class: full-width
```

Commit, data, versions and seed behind every figure: {download}`provenance.json <figures/provenance.json>`.
"""


def figures_page(figures: Path) -> str:
    """All figures, each with its drawing as PDF and its data as CSV to take along."""
    parts = ["# The figures"]
    for image in sorted(figures.glob("*.png")):
        number, _, words = image.stem.partition("_")
        title = f"{number.replace('fig', 'Figure ')}: {words.replace('_', ' ')}"
        taken = [image.with_suffix(".pdf"), figures / "data" / f"{image.stem}.csv"]
        links = ", ".join(f"{{download}}`{f.name} <{f.relative_to(figures.parent)}>`" for f in taken if f.exists())
        parts.append(f"## {title}\n\n![{title}](figures/{image.name})\n\n{links}")
    return "\n\n".join(parts) + "\n"


class Links(HTMLParser):
    """Where a page points to, and the places in it that may be pointed to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.targets += [values[key] for key in ("href", "src") if values.get(key)]  # type: ignore[misc]
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}  # type: ignore[misc]


def broken_links(site: Path) -> list[str]:
    """``page: link`` of every link within the site that leads to no file, or to no place in its page."""
    written = [page for page in site.rglob("*.html") if "_static" not in page.parts]  # where the theme has templates
    pages = {page.resolve(): Links(page) for page in written}
    broken = []
    for page, links in pages.items():
        for link in links.targets:
            address, anchor = urldefrag(link)
            if urlsplit(address).scheme in ELSEWHERE or address.startswith("//"):
                continue
            path = unquote(urlsplit(address).path)
            target = (page.parent / path).resolve() if path else page
            lost = target in pages and anchor and unquote(anchor) not in pages[target].anchors
            if lost or not target.exists():
                broken.append(f"{page.relative_to(site.resolve())}: {link}")
    return broken


def main() -> None:
    """Build the site into ``BUILD/site``, and end with an error for a warning or a broken link."""
    figures, notebooks, build = map(Path, sys.argv[1:4])
    sources, book = build / "site_sources", build / "site_book"
    gather(figures, notebooks, sources)
    jupyter_book = Path(sys.executable).parent / "jupyter-book"
    command = [
        str(jupyter_book),
        "build",
        "--all",
        "-q",
        "-W",
        "--keep-going",
        "--path-output",
        str(book),
        str(sources),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout[-4000:] + done.stderr[-4000:])
    site = build / "site"
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(book / "_build" / "html", site)
    broken = broken_links(site)
    if broken:
        sys.exit("broken links:\n" + "\n".join(broken))
    pages = [*site.glob("*.html"), *site.glob("notebooks/*.html")]
    print(f"{site}/index.html: {len(pages)} pages, no broken link")


if __name__ == "__main__":
    main()
