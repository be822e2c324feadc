"""Gather the sources of the site in one folder and build it with Jupyter Book.

    python site/make.py FIGURES NOTEBOOKS BUILD

Nothing is executed and nothing is fetched: the notebooks are shown as they were executed. A link to a page, an anchor,
an image or a file that does not exist is a warning of Sphinx or MyST, and every warning is an error here. The page
that needs no server is made by `make_page`, and put beside the others.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import make_page

HERE = Path(__file__).parent


def gather(figures: Path, notebooks: Path, sources: Path) -> None:
    """Put pages, notebooks, figures and the tables of claims and goals where Jupyter Book finds them."""
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(HERE, sources, ignore=shutil.ignore_patterns("*.py", "__pycache__", "page"))
    shutil.copytree(figures, sources / "figures")
    shutil.copy(HERE.parent / "app" / "explorer.png", sources)
    (sources / "notebooks").mkdir()
    for notebook in notebooks.glob("[0-9][0-9]_*.ipynb"):
        if notebook.stem != "08_explore_devices":  # its widgets need a kernel; explorer.md shows a picture of them
            shutil.copy(notebook, sources / "notebooks")
    with (sources / "figures.md").open("a", encoding="utf-8") as page:
        for image in sorted((sources / "figures").glob("*.png")):
            page.write(figure(image.stem))


def figure(stem: str) -> str:
    """One figure's section: the image, and its PDF and data to download."""
    number, _, words = stem.partition("_")
    title = f"{number.replace('fig', 'Figure ')}: {words.replace('_', ' ')}"
    files = {f"{stem}.pdf": f"figures/{stem}.pdf", f"{stem}.csv": f"figures/data/{stem}.csv"}
    downloads = ", ".join(f"{{download}}`{name} <{path}>`" for name, path in files.items())
    return f"\n## {title}\n\n![{title}](figures/{stem}.png)\n\n{downloads}\n"


def main() -> None:
    """Build the site into ``BUILD/site``."""
    figures, notebooks, build = map(Path, sys.argv[1:])
    gather(figures, notebooks, build / "site_sources")
    jupyter_book = Path(sys.executable).parent / "jupyter-book"
    options = ["--all", "-q", "-W", "--keep-going", "--path-output", build / "site_book"]
    done = subprocess.run([jupyter_book, "build", *options, build / "site_sources"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout[-4000:] + done.stderr[-4000:])
    shutil.rmtree(build / "site", ignore_errors=True)
    shutil.move(build / "site_book" / "_build" / "html", build / "site")
    make_page.write(build / "site")
    print(f"{build}/site/index.html")


if __name__ == "__main__":
    main()
