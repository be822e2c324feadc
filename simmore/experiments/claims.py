"""Nine claims of the paper and the goals of this project, with the thresholds of their verdicts."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from simmore import data, devices
from simmore.experiments import limits, prediction

NOT_EVALUATED = "not evaluated"
NOT_TESTED = "not tested: HELP was not run"
_MISSING = "missing: "
ADDITIVE = 0.999  # a table is additive if a sum of operation latencies fits it with at least this R²

_NATS = "NATS-Bench accuracies; own scores"
_HELP = "HELP's and HW-NAS-Bench's tables; own scores"
_XI = "operation latencies of the paper's 18 devices; own scores"
_OWN = "own tables"
_PAPER_DEVICES = tuple(name for name in devices.PAPER_DEVICES if name in data.MEASURED)
_SEVENTEEN = "17 of the paper's devices"
_REGRET = "normalised regret of the recommendation"
_TWENTY_FIVE = "all measured devices, benchmarked runtimes and nats_gpu"
_LOST = (
    "points of validation accuracy on CIFAR-10, CIFAR-100, ImageNet16-120; mean over devices and over limits at seven "
    "quantiles of latency, 95 % over devices"
)
_HELP_LIMITS = tuple(dict.fromkeys(name for name, _ in limits.HELP))


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, or one goal of this project.

    Attributes
    ----------
    claim, target, unit
        What is claimed or wanted, the paper's figure or the goal, and the unit of the figures.
    data
        Which data our figure comes from.
    judge
        Function of the measured values, by name, that returns one of `Table.verdicts`.
    needs
        Devices whose tables the figure is about. If one is missing, the claim is not evaluated.
    devices
        Name of these devices in the table; empty if the figure is about no devices.
    refuted_if
        A result that would have refuted a claim of the paper.
    """

    claim: str
    target: str
    unit: str
    data: str
    judge: Callable[..., str]
    needs: tuple[str, ...] = ()
    devices: str = ""
    refuted_if: str = ""


def _graded(reproduced: bool, partly: bool = False) -> str:
    return "reproduced" if reproduced else "partly" if partly else "not reproduced"


def _goal(met: bool) -> str:
    return "met" if met else "missed"


def _at_most(**limits: float) -> Callable[..., str]:
    """Judges a goal: every value is at most the limit of its name."""
    return lambda **values: _goal(all(values[name] <= limit for name, limit in limits.items()))


CLAIMS: dict[int, Claim] = {
    1: Claim(
        "p correlates with validation accuracy (Fig. 3)", "positive; a figure, no number",
        "Spearman's ρ on CIFAR-10 (Kendall's τ), CIFAR-100, ImageNet16-120", _NATS,
        lambda lowest, highest: _graded(lowest > 0.5, highest > 0.3),
        refuted_if="at most 0.3 on every data set; partly: at most 0.5 on one",
    ),
    2: Claim(
        "the optimum h* depends on the device (Figs 2, 3)", "shown for four devices",
        "different optima among real devices", _HELP,
        lambda different, n: _graded(different >= 0.5 * n, different > 1),
        data.MEASURED, "all measured devices",
        refuted_if="one optimum for all devices; partly: fewer than half as many as devices",
    ),
    3: Claim(
        "training improves p, inverse latency, latency percentile, unseen accuracy; the return converges (Fig. 5)",
        "a figure, no number",
        "last ten evaluations minus the mean of random cells; percentile in points, accuracy in %; 95 % over seeds",
        _XI,
        lambda improved, of, drift: _graded(improved == of and drift <= 0.05, improved > 0),
        devices="synthetic",
        refuted_if="no interval excludes the random cells; partly: not all do, or the mean return of the last ten "
        "evaluations may differ from that of the ten before by more than 5 % of the gain",
    ),
    4: Claim(
        "from one start the controller goes different ways on different devices (Fig. 6)", "a figure, no number",
        "different recommendations from one start; regret of the recommendations made on the device; regret of those "
        "made on the other devices; difference, 95 % over devices", _HELP,
        lambda difference, low: _graded(low > 0, difference > 0),
        devices.TEST_DEVICES, "HELP's test devices",
        refuted_if="own recommendations are no better than the others'; partly: the interval includes 0",
    ),
    5: Claim(
        "at most 10 measurements a device", "≤ 10",
        "distinct cells of a search that stops at ten, most (mean); regret of the recommendation, mean and worst "
        "device",
        _HELP,
        lambda most, mean, worst: _graded(most <= 10 and worst < 1, most <= 10 and mean < 1),
        devices.TEST_DEVICES, "HELP's test devices",
        refuted_if="more than ten cells, or a mean regret of 1 or more (the best of ten random cells); partly: "
        "1 or more on one device",
    ),
    6: Claim(
        "training takes under one GPU hour (RTX 4080)", "< 1 hour",
        "hours of one CPU core for the stored policy, 500,000 steps", _XI,
        lambda hours: _graded(hours < 1), devices="synthetic", refuted_if="one hour or more",
    ),
    7: Claim(
        "scoring a network takes about 300 ms on an RTX 4080", "300 ms",
        "ms per network scored alone on one CPU core, by the plain implementation and by the fast one", _NATS,
        lambda plain_ms, fast_ms: _graded(plain_ms <= 300, fast_ms <= 300),
        refuted_if="more than 300 in both; partly: only the plain one takes more",
    ),
    8: Claim(
        "LUTs rank real latency poorly (Kendall's τ of 0.6)", "0.6",
        f"Kendall's τ of a LUT; a table is additive if a sum of operation latencies fits it with R² ≥ {ADDITIVE}",
        _HELP,
        lambda mean, lowest: _graded(mean <= 0.65, lowest <= 0.65),
        prediction.TEST_DEVICES, "HELP's test devices",
        refuted_if="more than 0.65 on every device that is not additive; partly: in their mean",
    ),
    9: Claim(
        "HELP reaches a Kendall's τ of about 0.8 from 10 measurements", "0.8",
        "Kendall's τ of our mixture of devices from 10 samples, on all cells; on HELP's cells (HELP also reads ten "
        "reference latencies)", _HELP,
        lambda: NOT_TESTED,
        (*prediction.TRAIN_DEVICES, *prediction.TEST_DEVICES), "HELP's test devices",
        refuted_if="nothing: HELP was not run",
    ),
}  # fmt: skip

GOALS: dict[str, Claim] = {
    "tables, 10": Claim(
        "the default search with tables, own family left out", "≤ 0.035, worst device ≤ 0.15; best measured ≤ 0.015",
        _REGRET, _HELP, _at_most(mean=0.035, worst=0.15, measured=0.015), _PAPER_DEVICES, _SEVENTEEN,
    ),
    "tables, 5 and 3": Claim(
        "the default search with tables, own family left out, after 5 and after 3 measurements",
        "≤ 0.065 and ≤ 0.14", _REGRET, _HELP, _at_most(five=0.065, three=0.14), _PAPER_DEVICES, _SEVENTEEN,
    ),
    "class left out": Claim(
        "the default search with tables, own class of hardware left out", "≤ 0.05", _REGRET, _HELP,
        _at_most(mean=0.05), _PAPER_DEVICES, _SEVENTEEN,
    ),
    "no tables, 10": Claim(
        "the default search without tables", "≤ 0.07, worst device ≤ 0.30; best measured ≤ 0.03", _REGRET, _HELP,
        _at_most(mean=0.07, worst=0.3, measured=0.03), _PAPER_DEVICES, _SEVENTEEN,
    ),
    "no tables, robust": Claim(
        "the default search without tables, by the robust range", "≤ 0.05, worst device ≤ 0.15", _REGRET, _HELP,
        _at_most(mean=0.05, worst=0.15), _PAPER_DEVICES, _SEVENTEEN,
    ),
    "no tables, 5 and 3": Claim(
        "the default search without tables, after 5 and after 3 measurements", "≤ 0.10 and ≤ 0.20", _REGRET, _HELP,
        _at_most(five=0.1, three=0.2), _PAPER_DEVICES, _SEVENTEEN,
    ),
    "blind, tables": Claim(
        "the default search with tables on blind devices", "≤ 0.05, worst device ≤ 0.12", _REGRET, f"{_HELP}; {_OWN}",
        _at_most(mean=0.05, worst=0.12), _PAPER_DEVICES, "blind samples and nats_gpu",
    ),
    "blind, no tables": Claim(
        "the default search without tables on blind devices", "≤ 0.05, worst device ≤ 0.12; nats_gpu ≤ 0.10", _REGRET,
        _OWN, _at_most(mean=0.05, worst=0.12, nats_gpu=0.1), devices="blind samples and nats_gpu",
    ),
    "adaptation": Claim(
        "adaptation gain of the controller's search without tables", "≥ 0.10", "normalised regret, 10 measurements",
        _HELP,
        lambda gain: _goal(gain >= 0.1), _PAPER_DEVICES, _SEVENTEEN,
    ),
    "one step": Claim(
        "one step of a search, measuring aside", "≤ 0.02 s (controller), ≤ 0.1 s (expected improvement)",
        "processor seconds of one core, median of nine steps without tables", "simulated devices",
        _at_most(controller=0.02, improvement=0.1),
    ),
    "within a limit": Claim(
        "accuracy within a latency limit, HELP's ten kept limits", "≥ 70.55, 0 of 15 broken",
        "CIFAR-100 accuracy in %, 10 measurements", _HELP,
        lambda accuracy, broken: _goal(accuracy >= 70.55 and broken == 0),
        _HELP_LIMITS, "the five devices of HELP's table 4",
    ),
    "better score": Claim(
        "the combined training-free score ranks all cells as accuracy does", "≥ 0.92, 0.925 and 0.905 (p: 0.62)",
        "Spearman's ρ with validation accuracy on CIFAR-10, CIFAR-100, ImageNet16-120", _NATS,
        lambda cifar10, cifar100, imagenet: _goal(cifar10 >= 0.92 and cifar100 >= 0.925 and imagenet >= 0.905),
    ),
    "accuracy lost": Claim(
        "accuracy lost within a latency limit by the combined score, latency known", "≤ 0.9, 1.2 and 1.3",
        _LOST, f"{_HELP}; {_OWN}; NATS-Bench accuracies",
        _at_most(cifar10=0.9, cifar100=1.2, imagenet=1.3), data.MEASURED, _TWENTY_FIVE,
    ),
    "accuracy lost, 10": Claim(
        "how much more is lost with ten measurements of the device, without tables", "≤ 0.2 on each data set",
        _LOST, f"{_HELP}; {_OWN}; NATS-Bench accuracies",
        _at_most(most=0.2), data.MEASURED, _TWENTY_FIVE,
    ),
    "within a limit, combined": Claim(
        "accuracy within a latency limit by the combined score, HELP's ten kept limits; all fifteen",
        "≥ 71.2 and ≥ 71.6, 0 of 15 broken", "CIFAR-100 accuracy in %, 10 measurements", _HELP,
        lambda kept, everything, broken: _goal(kept >= 71.2 and everything >= 71.6 and broken == 0),
        _HELP_LIMITS, "the five devices of HELP's table 4",
    ),
    "prediction": Claim(
        "Spearman's ρ of predicted latency from 10 random samples, HELP's split", "≥ 0.975 (HELP: 0.932)",
        "mean over devices", _HELP, lambda spearman: _goal(spearman >= 0.975),
        (*prediction.TRAIN_DEVICES, *prediction.TEST_DEVICES), "HELP's test devices",
    ),
    "prediction across classes": Claim(
        "Spearman's ρ of predicted latency from 10 random samples, with known devices of other classes alone", "≥ 0.95",
        "mean over devices", _HELP,
        lambda spearman: _goal(spearman >= 0.95), _PAPER_DEVICES, _SEVENTEEN,
    ),
    "benchmarked runtimes": Claim(
        "the best search on benchmarked runtimes, which had no part in any choice",
        "≤ 0.06, best measured ≤ 0.03", "normalised regret, mean over devices, 10 measurements", f"{_HELP}; {_OWN}",
        _at_most(inference_regret=0.06, simple_regret=0.03),
        (*_PAPER_DEVICES, *data.BENCHMARKED), "the benchmarked runtimes",
    ),
    "repeatability": Claim(
        "measuring the same random networks at two times gives the same order, in each runtime", "≥ 0.9",
        "Kendall's τ, all runtimes and precisions that are measured", _OWN,
        lambda lowest: _goal(lowest >= 0.9), (*data.BENCHMARKED, *data.BLIND), "the benchmarked and the blind runtimes",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of verdicts, a CSV with a row per entry.

    Attributes
    ----------
    file, heading
        Its name in the folder of the figures, and its title.
    columns
        Columns of the CSV.
    verdicts
        Results of `Claim.judge`; the verdict is `NOT_EVALUATED` if tables are missing.
    entries
        Claims or goals by id.
    """

    file: str
    heading: str
    columns: tuple[str, ...]
    verdicts: tuple[str, ...]
    entries: Mapping[Any, Claim]

    def row(
        self, key: int | str, notebook: str, ours: str, available: Iterable[str], values: dict[str, float]
    ) -> dict[str, object]:
        """One row, with the columns of the table.

        Parameters
        ----------
        key
            Key of `entries`.
        notebook
            Name of the notebook that enters the row.
        ours
            Our figure, as text.
        available
            Names of the devices that the figure was computed with.
        values
            Arguments of `Claim.judge`.
        """
        claim = self.entries[key]
        missing = [name for name in claim.needs if name not in set(available)]
        shown = claim.devices if not missing else f"{_MISSING}{', '.join(missing)}"
        verdict = NOT_EVALUATED if missing else claim.judge(**values)
        facts = {"id": key, "ours": "" if missing else ours, "verdict": verdict, "devices": shown, "notebook": notebook}
        facts |= self._texts(claim)
        return {column: facts[column] for column in self.columns}

    def _texts(self, claim: Claim) -> dict[str, str]:
        """The columns that do not depend on a measurement."""
        texts = {self.columns[1]: claim.claim, self.columns[2]: claim.target}
        texts |= {"unit": claim.unit, "refuted_if": claim.refuted_if, "data": claim.data}
        return {column: text for column, text in texts.items() if column in self.columns}

    def enter(self, rows: pd.DataFrame, table: bytes | None = None) -> str:
        """The CSV as text: the rows replace those of an earlier table that have the same notebook or id."""
        order = {str(key): k for k, key in enumerate(self.entries)}
        rows = rows.assign(id=rows["id"].astype(str))
        if table is not None:
            known = pd.read_csv(io.BytesIO(table), dtype=str, keep_default_na=False)
            if list(known.columns) == list(self.columns):
                old = known["notebook"].isin(rows["notebook"]) | known["id"].isin(rows["id"])
                rows = pd.concat([known[~old & known["id"].isin(order)], rows])
        return rows.sort_values("id", key=lambda ids: ids.map(order)).to_csv(index=False, lineterminator="\n")

    def read(self, folder: str | Path) -> pd.DataFrame:
        """The CSV of a folder. Figures and verdicts are the notebooks'; texts are those of `entries`."""
        table = pd.read_csv(Path(folder) / self.file, dtype=str, keep_default_na=False)
        known = {str(key): claim for key, claim in self.entries.items()}
        for k, key, shown in table[["id", "devices"]].itertuples():
            if key in known:
                texts = self._texts(known[key])
                texts["devices"] = shown if shown.startswith(_MISSING) else known[key].devices
                table.loc[k, list(texts)] = list(texts.values())
        return table

    def markdown(self, folder: str | Path) -> str:
        """The CSV of a folder as a table in Markdown."""
        table = self.read(folder)
        table = table.drop(columns="data").assign(
            verdict=[f"**{verdict}**" for verdict in table["verdict"]], notebook=table["notebook"].str[:2]
        )
        head = ["here" if name == "ours" else str(name).replace("_", " ") for name in table]
        lines = [head, ["---"] * len(head), *table.to_numpy().tolist()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PAPER = Table(
    "claims.csv",
    "Claims of the paper",
    ("id", "claim", "paper", "ours", "unit", "refuted_if", "verdict", "devices", "data", "notebook"),
    ("reproduced", "partly", "not reproduced", NOT_TESTED),
    CLAIMS,
)
PROJECT = Table(
    "goals.csv",
    "Goals of this project",
    ("id", "goal", "target", "ours", "unit", "verdict", "devices", "data", "notebook"),
    ("met", "missed"),
    GOALS,
)
TABLES = (PAPER, PROJECT)


def markdown(folder: str | Path) -> str:
    """Both tables of a folder under their headings."""
    return "\n\n".join(f"### {table.heading}\n\n{table.markdown(folder)}" for table in TABLES)
