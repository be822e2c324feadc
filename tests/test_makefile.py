"""What `make` runs again. A stand-in for the virtual environment's Python draws figures without executing notebooks."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = """#!{python}
import os, re, subprocess, sys
from pathlib import Path

arguments = " ".join(sys.argv[1:])
with open("{log}", "a") as log:
    log.write(arguments + "\\n")
if arguments == "-m simmore data":
    sys.exit(1)  # tables are missing
if "papermill" not in arguments:
    os.execv("{python}", ["{python}", *sys.argv[1:]])
from simmore.experiments import record
source, target = Path(sys.argv[-2]), Path(sys.argv[-1])
figures = Path(re.search(r"-p figures (\\S+)", arguments)[1])
drawn = {{"05_search_quality": ("fig7_regret", "fig8_constrained"), "10_how_far_from_xi": ("fig13_distance",),
         "12_disturbed_measurements": ("fig17_disturbances",)}}
for stem in drawn[source.stem]:
    for name in (f"{{stem}}.pdf", f"{{stem}}.png", f"data/{{stem}}.csv", "claims.csv", "goals.csv"):
        (figures / name).parent.mkdir(parents=True, exist_ok=True)
        (figures / name).write_text("drawn")
    record.Recorder(source.stem, figures, seed=0, quick="-p quick True" in arguments)._note_provenance(stem)
target.write_text("executed")
"""


@pytest.fixture
def make(tmp_path):
    """Runs make with the stand-in; gives its exit status and the kind of run of each executed notebook."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python, log = tmp_path / "venv" / "bin" / "python", tmp_path / "log"
    python.write_text(STAND_IN.format(python=sys.executable, log=log))
    python.chmod(0o755)
    for level in ("core", "figures"):
        (tmp_path / "venv" / f"ready-{level}").touch()

    def make(target, build, *settings):
        log.write_text("")
        places = [f"VENV={tmp_path / 'venv'}", f"BUILD={tmp_path / build}", f"OUT={tmp_path / 'figures'}"]
        done = subprocess.run(["make", target, *places, *settings], cwd=ROOT, capture_output=True, text=True)
        ran = [line for line in log.read_text().splitlines() if "papermill" in line]
        return done.returncode, ["quick" if "-p quick True" in line else "full" for line in ran]

    return make


@pytest.mark.slow
def test_quick_figures_never_pass_as_full_ones(make, tmp_path):
    quick, full = ["quick"] * 3, ["full"] * 3  # make comparison executes three notebooks
    assert make("comparison", "b2", "QUICK=1") == (0, quick)
    assert make("comparison", "b3") == (0, full)
    assert make("comparison", "b3") == (0, [])
    assert make("comparison", "b2", "QUICK=1") == (0, quick)  # executed before, but the figures are full ones now
    assert make("comparison", "b3") == (0, full)
    (tmp_path / "figures" / "fig7_regret.pdf").unlink()
    assert make("comparison", "b3") == (0, full)
    assert make("comparison", "b3", "-n") == (0, [])


def test_missing_tables_fail_make_data_and_not_the_figures(make):
    assert make("data", "build")[0] == 2
    assert make("tables", "build")[0] == 0


@pytest.mark.parametrize(
    ("changed", "runs_explorer", "runs_others"),
    [
        (None, False, False),
        ("simmore/commands/output.py", False, False),
        ("simmore/explorer/app.py", True, False),
        ("simmore/rl/mdp.py", True, True),
    ],
)
def test_a_change_executes_the_notebooks_that_import_it(make, tmp_path, changed, runs_explorer, runs_others):
    """Make is asked what it would do, with notebooks that were executed after every change but one."""
    (tmp_path / "build" / "notebooks").mkdir(parents=True)
    (tmp_path / "build" / "mode-0").touch()
    for stem, runs in (("08_explore_devices", runs_explorer), ("01_proxy_accuracy", runs_others)):
        executed = tmp_path / "build" / "notebooks" / f"{stem}.ipynb"
        executed.touch()
        what_if = ["-W", changed] if changed else []
        assert make(str(executed), "build", "-q", *what_if)[0] == int(runs)


def test_only_the_notebook_of_the_explorer_imports_it_and_none_imports_commands():
    found = {
        path.stem
        for path in (ROOT / "notebooks").glob("*.py")
        if re.search(r"\b(explorer|commands|__main__)\b", "\n".join(code_of(path)))
    }
    assert found == {"08_explore_devices"}


def code_of(notebook):
    """The lines of a notebook that are neither text nor comments."""
    return [line for line in notebook.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
