"""The notebooks hold no outputs, agree with their .py files, and run from end to end with shorter training."""

import ast
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import jupytext
import nbformat
import pandas as pd
import pytest

from simmore.experiments import claims

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [notebook.stem for notebook in NOTEBOOKS]
LONGEST_CELL = 15  # lines


def test_committed_notebooks_are_those_that_make_executes():
    makefile = (ROOT / "Makefile").read_text()
    executed = re.findall(r"^(?:PAPER|COMPARISON|EXPLORER) := (.*)$", makefile, re.MULTILINE)
    assert sorted(" ".join(executed).split()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_committed_pairs_are_in_step_and_hold_no_outputs(name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    script = jupytext.read(ROOT / "notebooks" / f"{name}.py")
    content = lambda nb: [(cell.cell_type, cell.source) for cell in nb.cells]  # noqa: E731
    assert content(notebook) == content(script), "run make sync"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


@pytest.mark.parametrize("name", NAMES)
def test_committed_notebooks_are_thin(name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for node in ast.walk(ast.parse("\n".join(cell.source for cell in code))):
        assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.While), (
            "logic belongs in the package"
        )
    assert all(len(cell.source.splitlines()) <= LONGEST_CELL for cell in code)
    assert [cell.metadata.get("tags") for cell in code].count(["parameters"]) == 1
    assert notebook.cells[0].cell_type == notebook.cells[-1].cell_type == "markdown"


@pytest.mark.parametrize("name", NAMES)
def test_committed_figures_follow_a_paragraph_that_describes_them(name):  # their alternative text on the site
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    for before, cell in pairwise(cells):
        if cell.cell_type == "code" and re.search(r"\b(drawings|\w*plots)\.\w+\(", cell.source):
            assert before.cell_type == "markdown" and not before.source.startswith("#"), cell.source


def start(name, folder):
    """Start to execute one notebook with shorter training and its figures in a folder."""
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "WARNING", "--kernel", "python3"]
    command += ["--cwd", str(ROOT / "notebooks"), "-p", "quick", "True", "-p", "figures", str(folder / "figures")]
    command += [str(ROOT / "notebooks" / f"{name}.ipynb"), str(folder / f"{name}.ipynb")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate()
    assert process.returncode == 0, output[-4000:]


@pytest.fixture(scope="module")
def quick_figures(tmp_path_factory):
    """Folder of all figures. Notebook 05 reads nothing that the others write, so it runs beside them."""
    folder, beside = tmp_path_factory.mktemp("quick"), tmp_path_factory.mktemp("beside")
    comparison = start("05_search_quality", beside)
    for name in NAMES:
        if name != "05_search_quality":
            finish(start(name, folder))
    finish(comparison)
    for table in claims.TABLES:  # both are in the two folders, and have no row in common
        parts = [pd.read_csv(place / "figures" / table.file, dtype=str) for place in (folder, beside)]
        (beside / "figures" / table.file).write_text(table.enter(pd.concat(parts)))
    shutil.copytree(beside / "figures", folder / "figures", dirs_exist_ok=True)
    return folder / "figures"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "columns"),
    [
        ("fig1_devices", "kind device operation latency_ms"),
        ("fig2_profiles", "arch score inverse_latency_1 inverse_latency_2 inverse_latency_3 inverse_latency_4"),
        ("fig3_proxy_accuracy", "arch val_accuracy naswot logsynflow skip score az combined params"),
        ("figS1_scores", "dataset score against cells spearman low high"),
        ("fig18_accuracy_lost", "dataset score quantile lost low high"),
        ("fig4_policy", "layer part size"),
        (
            "fig5_training",
            "seed timestep score inverse_latency latency_percentile val_accuracy reference_latency_ms episode_return",
        ),
        ("fig6_trajectories", "device step arch latency_ms score val_accuracy n_measured"),
        ("fig7_regret", "protocol strategy device start seed budget inference_regret simple_regret range"),
        ("fig8_constrained", "strategy device limit_ms latency_ms accuracy n_measured violates_limit"),
        ("figS2_own_devices", "device_a device_b kendall"),
        ("fig12_simulated_devices", "source device class statistic value"),
        (
            "fig15_calibration",
            "source device start n_measured range_percentile predicted_regret true_regret",
        ),
        ("fig14_width", "choice seed kind device sees budget regret"),
        ("fig16_training", "choice seed kind device sees budget regret"),
        ("fig17_disturbances", "kind amount strategy mean low high"),
        ("fig13_distance", "kind device amount distance strategy start inference_regret simple_regret"),
        ("fig9_prediction", "method device samples draw spearman kendall"),
    ],
)
def test_every_figure_is_drawn_with_its_data(quick_figures, stem, columns):
    assert (quick_figures / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
    assert (quick_figures / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    frame = pd.read_csv(quick_figures / "data" / f"{stem}.csv")
    assert list(frame.columns) == columns.split() and len(frame) > 5
    assert not frame.isna().any().any()


@pytest.mark.slow
@pytest.mark.parametrize("table", claims.TABLES, ids=lambda table: table.file)
def test_every_claim_and_every_goal_has_a_verdict(quick_figures, table):
    found = pd.read_csv(quick_figures / table.file, dtype=str, keep_default_na=False)
    assert tuple(found.columns) == table.columns
    assert found["id"].tolist() == [str(key) for key in table.entries]
    for row in found.itertuples():
        if row.verdict == claims.NOT_EVALUATED:
            assert row.devices.startswith("missing: ") and not row.ours
        else:
            assert row.verdict in table.verdicts and row.ours
