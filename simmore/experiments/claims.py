"""The claims that are checked, with their thresholds: nine of the paper, and the goals of this project."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from simmore import data, devices
from simmore.experiments import limits, prediction

COLUMNS = ["id", "claim", "paper", "ours", "unit", "verdict", "devices", "data", "notebook"]
NOT_EVALUATED = "not evaluated"
PAPER_VERDICTS = ("reproduced", "partly", "not reproduced")
GOAL_VERDICTS = ("met", "missed")

_NATS = "NATS-Bench accuracies; own scores"
_HELP = "HELP's and HW-NAS-Bench's tables; own scores"
_XI = "operation latencies of the paper's 18 devices; own scores"
_OWN = "own tables"
_PAPER_DEVICES = tuple(name for name in devices.PAPER_DEVICES if name in data.MEASURED)
_HELP_LIMITS = tuple(dict.fromkeys(name for name, _ in limits.HELP))


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    claim, paper, unit
        What is claimed, the paper's figure or the goal, and the unit of the figures.
    data
        Which data our figure comes from.
    judge
        Of the measured values, by name: the verdict, one of `PAPER_VERDICTS`, or of `GOAL_VERDICTS` for a goal.
    needs
        Devices whose tables the figure is about. If one is missing, the claim is not evaluated.
    devices
        What these devices are called in the table.
    """

    claim: str
    paper: str
    unit: str
    data: str
    judge: Callable[..., str]
    needs: tuple[str, ...] = ()
    devices: str = "none"


def _graded(reproduced: bool, partly: bool = False) -> str:
    return "reproduced" if reproduced else "partly" if partly else "not reproduced"


def _goal(met: bool) -> str:
    return "met" if met else "missed"


CLAIMS: dict[int, Claim] = {
    1: Claim(
        "p correlates with validation accuracy (Fig. 3)", "positive, drawn only",
        "Spearman (Kendall) on CIFAR-10, CIFAR-100, ImageNet16-120", _NATS,
        lambda lowest, highest: _graded(lowest > 0.5, highest > 0.3),
    ),
    2: Claim(
        "the optimum h* depends on the device (Figs 2, 3)", "shown for four devices",
        "different optima among real devices", _HELP,
        lambda different, n: _graded(different >= 0.5 * n, different > 1),
        data.MEASURED, "all measured devices",
    ),
    3: Claim(
        "training improves p, inverse latency, latency percentile, unseen accuracy; the return converges (Fig. 5)",
        "drawn only", "first to last evaluation (percentile, accuracy in %)", _XI,
        lambda improved, of: _graded(improved == of, improved > 0),
        devices="synthetic",
    ),
    4: Claim(
        "from one start the controller goes different ways on different devices (Fig. 6)", "drawn only",
        "different recommendations on the test devices", _HELP,
        lambda different, n: _graded(different >= 0.5 * n, different > 1.5),
        devices.TEST_DEVICES, "HELP's test devices",
    ),
    5: Claim(
        "at most 10 measurements a device", "≤ 10",
        "distinct cells; regret: best measured, recommended", _HELP,
        lambda most, simple_regret: _graded(most <= 10 and simple_regret < 1),
        devices.TEST_DEVICES, "HELP's test devices",
    ),
    6: Claim(
        "training takes under one GPU hour (RTX 4080)", "< 1", "hours (ours: one CPU core)", _XI,
        lambda hours: _graded(hours < 1), devices="synthetic",
    ),
    7: Claim(
        "scoring a network takes about 300 ms on an RTX 4080", "300", "ms a network (ours: one CPU core)", _NATS,
        lambda seconds: _graded(seconds <= 0.3),
    ),
    8: Claim(
        "LUTs rank real latency poorly (0.6 Kendall); predictors need more samples", "0.6",
        "Kendall of a LUT, mean and range over devices", _HELP,
        lambda mean, lowest: _graded(mean <= 0.65, lowest <= 0.65),
        prediction.TEST_DEVICES, "HELP's test devices",
    ),
    9: Claim(
        "HELP reaches about 0.8 Kendall from 10 measurements", "0.8",
        "Kendall, mean over devices, without HELP: a Bayesian linear model, and a mixture of devices", _HELP,
        lambda kendall: _graded(False, kendall >= 0.8),  # HELP itself is not rebuilt
        (*prediction.TRAIN_DEVICES, *prediction.TEST_DEVICES), "HELP's test devices",
    ),
    10: Claim(
        "goal: the best search's recommendation after 10 measurements", "≤ 0.06, worst device ≤ 0.25",
        "normalised regret; interquartile mean", _HELP,
        lambda mean, worst: _goal(mean <= 0.06 and worst <= 0.25),
        _PAPER_DEVICES, "17 of the paper's devices",
    ),
    11: Claim(
        "goal: the best cell that it measured in 10", "≤ 0.03, worst device ≤ 0.15",
        "normalised regret; interquartile mean", _HELP,
        lambda mean, worst: _goal(mean <= 0.03 and worst <= 0.15),
        _PAPER_DEVICES, "17 of the paper's devices",
    ),
    12: Claim(
        "goal: the best cell that a search trained by RL measured in 10", "≤ 0.12", "normalised regret", _HELP,
        lambda mean: _goal(mean <= 0.12), _PAPER_DEVICES, "17 of the paper's devices",
    ),
    13: Claim(
        "goal: the best cell measured in 5", "≤ 0.10", "normalised regret", _HELP,
        lambda mean: _goal(mean <= 0.1), _PAPER_DEVICES, "17 of the paper's devices",
    ),
    14: Claim(
        "goal: accuracy within a latency limit, HELP's ten kept limits", "≥ 70.55, 0 of 15 broken",
        "CIFAR-100 accuracy (%), 10 measurements", _HELP,
        lambda accuracy, broken: _goal(accuracy >= 70.55 and broken == 0),
        _HELP_LIMITS, "the five devices of HELP's table 4",
    ),
    15: Claim(
        "goal: Spearman of predicted latency from 10 random samples", "≥ 0.96 (HELP: 0.932)", "mean over devices",
        _HELP, lambda spearman: _goal(spearman >= 0.96),
        (*prediction.TRAIN_DEVICES, *prediction.TEST_DEVICES), "HELP's test devices",
    ),
    16: Claim(
        "goal: the best search on benchmarked runtimes, which had no part in any choice",
        "≤ 0.06, best measured ≤ 0.03", "normalised regret, mean over devices, 10 measurements", f"{_HELP}; {_OWN}",
        lambda inference_regret, simple_regret: _goal(inference_regret <= 0.06 and simple_regret <= 0.03),
        (*_PAPER_DEVICES, *data.BENCHMARKED), "the benchmarked runtimes",
    ),
    17: Claim(
        "goal: measuring the same random networks at two times gives the same order, in each runtime", "≥ 0.9",
        "Kendall, all runtimes and precisions that are measured", _OWN,
        lambda lowest: _goal(lowest >= 0.9), (*data.BENCHMARKED, *data.BLIND), "the benchmarked and the blind runtimes",
    ),
}  # fmt: skip


def row(number: int, notebook: str, ours: str, available: Iterable[str], values: dict[str, float]) -> dict[str, object]:
    """One row of the claims table, with the columns `COLUMNS`.

    Parameters
    ----------
    number
        A key of `CLAIMS`.
    ours
        Our figure, as text.
    available
        Names of the devices that the figure was computed with.
    values
        What `Claim.judge` is called with.
    """
    claim = CLAIMS[number]
    missing = [name for name in claim.needs if name not in set(available)]
    shown = claim.devices if not missing else f"missing: {', '.join(missing)}"
    verdict = NOT_EVALUATED if missing else claim.judge(**values)
    figures = (number, claim.claim, claim.paper, "" if missing else ours, claim.unit, verdict, shown, claim.data)
    return dict(zip(COLUMNS, (*figures, notebook), strict=True))


def enter(table: str | None, rows: pd.DataFrame) -> str:
    """The claims table, a CSV as text, with rows in the place of earlier ones of the same notebook or number."""
    if table is not None:
        known = pd.read_csv(io.StringIO(table), dtype=str, keep_default_na=False).astype({"id": int})
        if list(known.columns) == COLUMNS:
            rows = pd.concat([known[~known["notebook"].isin(rows["notebook"]) & ~known["id"].isin(rows["id"])], rows])
    return rows.sort_values("id").to_csv(index=False, lineterminator="\n")


def markdown(folder: str | Path) -> str:
    """``claims.csv`` of a folder as a table for the README."""
    table = pd.read_csv(Path(folder) / "claims.csv", dtype=str, keep_default_na=False)
    head = "| | claim | paper or goal | here | unit | verdict | devices | notebook |"
    rows = [
        f"| {one.id} | {one.claim} | {one.paper} | {one.ours} | {one.unit} | **{one.verdict}** | {one.devices} | "
        f"{str(one.notebook)[:2]} |"
        for one in table.itertuples()
    ]
    return "\n".join([head, "| --- " * 8 + "|", *rows])
