"""Gather the sources of the site in one folder and build it with Jupyter Book.

    python site/make.py FIGURES NOTEBOOKS BUILD

Notebooks are shown as they were executed, and nothing is fetched. A link to a page, an anchor, an image or a file that
does not exist is a warning of Sphinx or MyST, and every warning is an error here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import make_page
import nbformat
import results

HERE = Path(__file__).parent
LEAST_WORDS = 5  # of an alternative text
WIDGET = {"application/vnd.jupyter.widget-view+json"}
FIGURES = {  # what each figure shows: its title, and the alternative text of its image
    "fig1_devices": "The method; latencies of five operations on 18 devices, and the distributions fitted to them",
    "fig2_profiles": "All cells on four synthetic devices: score against inverse latency, coloured by reward",
    "fig3_proxy_accuracy": "Validation accuracy of all cells against the training-free score p",
    "fig4_policy": "One step of the paper's policy: the state, the network, the chosen edit, and the next cell",
    "fig5_training": "Training of the paper's policy: score, latency, accuracy and return against steps, four seeds",
    "fig6_trajectories": "Searches of the paper's policy from one start on several devices",
    "fig7_regret": "Regret of all strategies against the number of measurements",
    "fig8_constrained": "Accuracy of recommendations within latency limits, beside HELP's published results",
    "fig9_prediction": "Rank correlation of predicted latency against the number of samples",
    "fig12_simulated_devices": "Statistics of simulated, synthetic and measured devices",
    "fig13_distance": "Regret against the distance of a device from Ξ",
    "fig14_width": "Regret of policies trained with other widths of Ξ",
    "fig15_calibration": "Calibration: predicted regret and range against the true ones",
    "fig16_training": "Regret of policies trained with other T, γ and history",
    "fig17_disturbances": "Regret against the size of a disturbance of the measurements",
    "fig18_accuracy_lost": "Accuracy lost within latency limits, by each score, on three data sets",
    "figS1_scores": "Rank correlation of the scores with accuracy",
    "figS2_own_devices": "Rank correlation between benchmarked runtimes and measured devices",
}
ROOMS = {
    "space": ["space", "space.cells", "space.canonical", "space.network"],
    "data": ["data", "data.registry", "data.csv_tables"],
    "proxies": ["proxies", "proxies.definitions", "proxies.scoring"],
    "devices": ["devices", "devices.device", "devices.synthetic", "devices.simulated", "devices.reward",
                "devices.groups"],
    "models": ["models", "models.prior", "models.posterior", "models.acquisition", "models.knowledge"],
    "rl": ["rl", "rl.mdp", "rl.environments", "rl.training", "rl.policy", "rl.context"],
    "strategies": ["strategies", "strategies.problem", "strategies.session", "strategies.strategy",
                   "strategies.catalogue", "strategies.recommendation"],
    "hardware": ["hardware", "hardware.runtimes", "hardware.measure", "hardware.live"],
}  # fmt: skip


def gather(figures: Path, notebooks: Path, sources: Path) -> None:
    """Put pages, notebooks and figures where Jupyter Book finds them, with numbers and outputs filled in."""
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(HERE, sources, ignore=shutil.ignore_patterns("page", "readme.md", "__pycache__"))
    shutil.copytree(figures, sources / "figures")
    shutil.copy(HERE.parent / "app" / "explorer.png", sources)
    known = results.values(figures)
    for page in sources.glob("*.md"):
        page.write_text(results.fill(page.read_text(encoding="utf-8"), known), encoding="utf-8")
    with (sources / "figures.md").open("a", encoding="utf-8") as page:
        page.writelines(map(figure, FIGURES))
    (sources / "api").mkdir()
    for room, modules in ROOMS.items():
        (sources / "api" / f"{room}.md").write_text(reference(room, modules), encoding="utf-8")
    (sources / "notebooks").mkdir()
    for notebook in notebooks.glob("[0-9][0-9]_*.ipynb"):
        if notebook.stem != "08_explore_devices":  # its widgets need a kernel; explorer.md shows a picture of them
            nbformat.write(described(nbformat.read(notebook, as_version=4)), sources / "notebooks" / notebook.name)


def figure(stem: str) -> str:
    """One figure's section: the image, and its PDF and data to download."""
    number = stem.partition("_")[0].replace("fig", "Figure ")
    files = {f"{stem}.pdf": f"figures/{stem}.pdf", f"{stem}.csv": f"figures/data/{stem}.csv"}
    downloads = ", ".join(f"{{download}}`{name} <{path}>`" for name, path in files.items())
    return f"\n## {number}\n\n{FIGURES[stem]}.\n\n![{FIGURES[stem]}](figures/{stem}.png)\n\n{downloads}\n"


def reference(room: str, modules: list[str]) -> str:
    """The API page of a room: each module with its public classes and functions where they are defined."""
    parts = [f"# {room}\n"]
    for name in modules:
        members = "" if name == room else "\n   :members:"
        heading = "" if name == room else f"## {name}\n\n"
        parts.append(f"{heading}```{{eval-rst}}\n.. automodule:: simmore.{name}{members}\n```\n")
    return "\n".join(parts)


def described(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook for readers.

    Images have an alternative text: that of the figure, or a sentence of the paragraph before. The parameters of this
    run, progress bars and what libraries log are left out. Warnings stay: a test of the site finds them.
    """
    before = ""
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", ())]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(unlogged, cell.outputs) if shown(output)]
        if cell.cell_type == "markdown":
            before = sentence(cell.source) or before
        elif any("image/png" in output.get("data", {}) for output in cell.get("outputs", ())):
            stem = next((stem for stem in FIGURES if f'"{stem}"' in cell.source), None)
            cell.metadata["mystnb"] = {"image": {"alt": FIGURES[stem] if stem else before}}
    return notebook


def unlogged(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output without what libraries log to the error stream."""
    if output.get("name") == "stderr":
        output.text = "".join(line for line in output.text.splitlines(True) if not line.startswith("INFO:"))
    return output


def shown(output: nbformat.NotebookNode) -> bool:
    """Whether an output is neither a widget nor an empty stream."""
    return output.get("text") != "" and not WIDGET & set(output.get("data", {}))


def sentence(source: str) -> str:
    """What a Markdown text says last of a picture: a sentence of at least five words from its last paragraph.

    It is the sentence on "the picture" or "the drawing", otherwise the first one. Empty if there is no paragraph.
    """
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", re.sub(r"(?s)<!--.*?-->|\$\$.*?\$\$", "", source))]
    paragraphs = [re.sub(r"^#.*\n?", "", part, flags=re.MULTILINE) for part in paragraphs]
    paragraphs = [part for part in paragraphs if part and part[0] not in "|-<!"]
    if not paragraphs:
        return ""
    text = re.sub(r"^\*\*[^*]*\.\*\*", "", paragraphs[-1])  # the label, such as "Table 4.3."
    text = re.sub(r":$", ".", " ".join(re.sub(r"[*`$\\]", "", text).split()))
    sentences = re.split(r"(?<!al\.)(?<=[.!?])\s+(?=[^a-z])", text)
    first = next((k for k, each in enumerate(sentences) if re.match(r"The (picture|drawing)\b", each)), 0)
    last = first + 1
    while last < len(sentences) and len(" ".join(sentences[first:last]).split()) < LEAST_WORDS:
        last += 1
    return " ".join(sentences[first:last])


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
    make_page.write(build / "site")  # the page that needs no server is not a page of the book
    print(f"{build}/site/index.html")


if __name__ == "__main__":
    main()
