"""Numbers, tables and outputs that README and pages quote, computed from ``figures/*.csv`` and ``figures/data/*.csv``.

    python site/results.py FIGURES        # writes README.md from site/readme.md

In a text, ``{{name}}`` stands for a value of `values`. A line ``{{output}}`` after a block of commands or of Python
stands for what the block prints on a fresh installation.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from simmore.experiments import limits
from simmore.experiments.claims import PAPER, PROJECT

HERE = Path(__file__).parent
TEMPLATE, README = HERE / "readme.md", HERE.parent / "README.md"
BUDGET = 10
PROTOCOLS = {
    "family": "own family left out",
    "class": "own class left out",
    "none": "no tables",
    "blind": "blind devices, with tables",
}
STRATEGIES = {
    "expected_improvement": "expected improvement, the default",
    "lut_evolution": "lookup table of the target, then an evolution on it",
    "controller": "a network that reads all measurements, trained by reinforcement learning on simulated devices",
    "controller_supervised": "the controller before reinforcement learning",
    "linear_bound": "Gaussian model of Ξ, confidence bound",
    "paper": "the paper's policy",
    "paper_blind": "the paper's policy, shown no latencies in the search",
    "controller_blind": "the controller, which sees no latencies in its training, search and recommendation",
    "mean_device": "the best cell of the mean known device",
    "fixed_cell": "one cell for all devices: the lowest mean regret on simulated and known devices",
    "random": "random search",
}
WHICH_TOOL = (
    "Use expected improvement, the default. It uses other devices' tables where they are on your machine, and "
    "simulated devices alone where they are not. The `controller` is one small network that needs no tables: the page "
    "that needs no server runs it in the browser. Use `--strategy paper` to rebuild the paper. Random search is only a "
    "baseline."
)
NUMBERS = {"mean": r"^(?:mean )?(\d+\.\d+)", "worst": r"worst\D*(\d+\.\d+)"}  # in a goal's figure
THREE = ("expected_improvement", "controller", "paper")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def heading(text: str) -> str:
    """A text with a capital; a symbol at its beginning, such as p, stays as it is."""
    return text if len(text.split()[0]) == 1 else text[0].upper() + text[1:]


def verdicts(figures: Path) -> dict[str, str]:
    """The nine claims and the goals: tables and counts; means and worst devices of goals as ``mean blind, tables``."""
    claims, goals = (each.read(figures).replace(r"\*", r"\\*", regex=True) for each in (PAPER, PROJECT))
    found = {f"goal {row.id}": row.ours for row in goals.itertuples()}
    for row in goals.itertuples():
        for name, pattern in NUMBERS.items():
            match = re.search(pattern, row.ours)
            found[f"{name} {row.id}"] = match[1] if match else "–"  # figures without the public tables have no value
    short = [[row.id, row.claim, row.paper, row.ours, f"**{row.verdict}**"] for row in claims.itertuples()]
    found["claims"] = table(["", "claim", "paper", "here", "verdict"], short)
    full = []
    for row in claims.itertuples():
        facts = {"Paper": row.paper, "Here": row.ours, "What is compared": row.unit, "Refuted if": row.refuted_if}
        facts |= {"Devices": row.devices, "Data": row.data}
        facts["Notebook"] = f"[{row.notebook[:2]}](notebooks/{row.notebook}.ipynb)"
        lines = "\n".join(f"- {name}: {fact}" for name, fact in facts.items() if fact)
        full.append(f"**{row.id}. {heading(row.claim)}**: {row.verdict}.\n\n{lines}\n")
    found["claims in full"] = "\n".join(full)
    rows = [
        [
            f"{row.goal} ({'; '.join(filter(None, (row.unit, row.devices)))})",
            *(row.target, row.ours, f"**{row.verdict}**", row.notebook[:2]),
        ]
        for row in goals.itertuples()
    ]
    found["goals"] = table(["goal", "target", "here", "verdict", "notebook"], rows)
    found["reproduced"] = str((claims["verdict"] == "reproduced").sum())
    found["goals met"], found["goals set"] = str((goals["verdict"] == "met").sum()), str(len(goals))
    return found


def within_limits(figures: Path) -> dict[str, str]:
    """The default search under latency limits: figure 8."""
    row = limits.overview(pd.read_csv(figures / "data" / "fig8_constrained.csv")).loc[THREE[0]]
    broken = f"{row['limits broken']:.0f}" if row["limits broken"] else "none"
    return {
        "accuracy kept": f"{row['accuracy, kept']:.2f}",
        "limits broken": f"{broken} of all {len(limits.HELP)} limits",
    }


def regrets(figures: Path) -> dict[str, str]:
    """Mean regrets with their intervals over devices, as ``none paper``; the same of the best cell measured."""
    curves = pd.read_csv(figures / "data" / "fig7_curves.csv")
    found, mean = {}, {}
    for row in curves.itertuples():
        shown = f"{row.inference_regret:.3f} [{max(row.inference_regret_low, 0):.2f}, {row.inference_regret_high:.2f}]"
        found[f"{row.protocol} {row.strategy} {row.budget}"] = shown
        mean[row.protocol, row.strategy, row.budget] = row.inference_regret
    ten = {key[:2]: value for key, value in mean.items() if key[2] == BUDGET}
    found |= {f"{protocol} {strategy}": f"{value:.2f}" for (protocol, strategy), value in ten.items()}
    found |= _training(figures)
    order = sorted(STRATEGIES, key=lambda name: ten["none", name])
    rows = [
        [f"`{name}`: {STRATEGIES[name]}", *(found.get(f"{part} {name} {BUDGET}", "–") for part in PROTOCOLS)]
        for name in order
    ]
    found["regrets"] = table(["strategy", *PROTOCOLS.values()], rows)
    budgets = (3, 5, 10, 20)
    rows = [[PROTOCOLS[part], *(found[f"{part} {THREE[0]} {n}"] for n in budgets)] for part in PROTOCOLS]
    found["budgets"] = table(["measurements", *map(str, budgets)], rows)
    return found


def _training(figures: Path) -> dict[str, str]:
    """What policies gain from what they measure, and from reinforcement learning; which tool to use when."""
    gains = pd.read_csv(figures / "data" / "adaptation.csv").set_index(["policy", "without latencies"])
    found = {f"gain {name}": f"{gains.loc[(name, 'search'), 'adaptation gain']:.2f}" for name in THREE[1:]}
    found["gain of all"] = f"{gains.loc[(THREE[1], 'search and recommendation'), 'adaptation gain']:.2f}"
    added = pd.read_csv(figures / "data" / "reinforcement.csv")  # against the supervised part, and the default search
    helps = "helps" if (added["low"] > 0).all() else "does not help measurably"
    own = (added["strategy"] == "controller_supervised") & (added["interval over"] == "devices")
    value, low, high = added.loc[own, ["difference", "low", "high"]].iloc[0]
    found["reinforcement"] = (
        f"Reinforcement learning {helps}: the regret of the controller's supervised part, minus that of the "
        f"controller, is {value:+.3f} [{low:+.3f}, {high:+.3f}]."
    )
    return found | {"which tool": WHICH_TOOL}


def questions(figures: Path) -> dict[str, str]:
    """Tables of the open questions: figures 13, 14, 16 and 17."""
    distance, width, training, disturbed = (
        pd.read_csv(figures / "data" / f"{name}.csv")
        for name in ("fig13_distance", "fig14_width", "fig16_training", "fig17_disturbances")
    )
    made = distance[distance["kind"] != "real"]
    means = made.pivot_table(index=["distance", "kind", "device"], columns="strategy", values="inference_regret")
    third = len(means) // 3
    parts = {"nearest third": means.iloc[:third], "farthest third": means.iloc[-third:]}
    rows = [[name, *(f"{part[strategy].mean():.2f}" for strategy in THREE)] for name, part in parts.items()]
    head = [f"`{name}`" for name in THREE]
    found = {"distance": table(["devices", *head], rows)}
    for name, frame in (("width", width), ("training", training)):
        ten = frame[(frame["budget"] == BUDGET) & (frame["kind"] == "measured")]
        wide = ten.pivot_table(index="choice", columns="sees", values="regret", sort=False)
        settings = training["choice"].unique()
        chosen = [choice for choice in wide.index if name == "training" or choice == "paper" or choice not in settings]
        rows = [[choice, *(f"{wide.loc[choice, sees]:.2f}" for sees in (True, False))] for choice in chosen]
        found[name] = table(["choice", "regret", "without latencies"], rows)
    shown = {
        "noise": "noise of each measurement",
        "drift": "drift",
        "timer": "step of the timer",
        "failing": "failing cells",
    }
    wide = disturbed.pivot_table(index=["kind", "amount"], columns="strategy", values="mean")
    rows = [["none", *(f"{wide.loc[('noise', 0), name]:.2f}" for name in THREE)]]
    rows += [
        [f"{shown[kind]}, {amount:.0%}", *(f"{wide.loc[(kind, amount), name]:.2f}" for name in THREE)]
        for kind in shown
        for amount in wide.loc[kind].index
        if amount
    ]
    found["disturbances"] = table(["disturbance", *head], rows)
    return found


def scores(figures: Path) -> dict[str, str]:
    """Tables of the scores and of latency prediction: figures S1 and 9."""
    ranks = pd.read_csv(figures / "data" / "figS1_scores.csv")
    ranks = ranks[(ranks["against"] == "validation") & (ranks["cells"] == ranks["cells"].max())]
    wide = ranks.pivot_table(index="score", columns="dataset", values="spearman", sort=False)
    rows = [
        [str(name), *(f"{value:.2f}" for value in line)] for name, line in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    found = {"scores": table(["score", *map(str, wide.columns)], rows)}
    found |= _worth(figures)
    terms = pd.read_csv(figures / "data" / "score_terms.csv")
    terms = terms[terms["dataset"] == "cifar10"]
    rows = [
        [f"{row.without}", f"{row.spearman:.2f}", f"{row.regret:.2f}", f"{row.accuracy:.1f}"]
        for row in terms.itertuples()
    ]
    head = ["left out of p", "Spearman", "regret by accuracy", "accuracy of the optima (%)"]
    found["score terms"] = table(head, rows)
    predicted = pd.read_csv(figures / "data" / "fig9_prediction.csv")
    ten = predicted[predicted["samples"] == BUDGET].groupby("method", sort=False)[["spearman", "kendall"]].mean()
    ten = ten.sort_values("spearman", ascending=False)
    rows = [[str(name), f"{row.spearman:.3f}", f"{row.kendall:.3f}"] for name, row in ten.iterrows()]
    found["prediction"] = table(["method", "Spearman", "Kendall"], rows)
    return found


def _worth(figures: Path) -> dict[str, str]:
    """What named scores are worth, as ``spearman az`` and ``lost az``: the three data sets; and a table by limit."""
    ranks = pd.read_csv(figures / "data" / "scores.csv").pivot_table("spearman", "score", "dataset")
    lost = pd.read_csv(figures / "data" / "accuracy_lost.csv")
    sets = list(dict.fromkeys(lost["dataset"]))
    known, ten = lost[lost["measurements"] == math.inf], lost[lost["measurements"] == BUDGET]
    found, rows = {}, []
    for name in dict.fromkeys(lost["score"]):
        found[f"spearman {name}"] = ", ".join(f"{ranks.loc[name, dataset]:.2f}" for dataset in sets)
        for part, frame in (("lost", known), ("lost in ten", ten)):
            means = frame[frame["score"] == name].groupby("dataset")["lost"].mean()
            found[f"{part} {name}"] = ", ".join(f"{means[dataset]:.1f}" for dataset in sets) if len(means) else "–"
        rows.append([f"`{name}`", found[f"spearman {name}"], found[f"lost {name}"], found[f"lost in ten {name}"]])
    head = ["score", "Spearman", "accuracy lost, latency known", "accuracy lost, ten measurements"]
    found["worth"] = table(head, rows)
    wide = known.pivot_table(index="quantile", columns=["score", "dataset"], values="lost")
    shown = ("freerea", "combined")
    rows = [
        [
            f"{100 * quantile:g} %",
            *(", ".join(f"{wide.loc[quantile, (name, each)]:.1f}" for each in sets) for name in shown),
        ]
        for quantile in wide.index
    ]
    found["worth by limit"] = table(["cells within the limit", *(f"`{name}`" for name in shown)], rows)
    return found


def values(figures: Path) -> dict[str, str]:
    """Everything that a text may quote, by name."""
    return {**verdicts(figures), **within_limits(figures), **regrets(figures), **questions(figures), **scores(figures)}


def printed(language: str, block: str, folder: str) -> str:
    """What a block prints on a fresh installation: without the measured tables that are fetched."""
    fresh = {**os.environ, "SIMMORE_CACHE": f"{folder}/cache", "COLUMNS": "110", "NO_COLOR": "1"}
    fresh.pop("SIMMORE_MIRROR", None)
    fresh["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{fresh['PATH']}"
    command = [sys.executable, "-c", block] if language == "python" else ["bash", "-ec", block]
    done = subprocess.run(command, cwd=folder, env=fresh, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{block}\nends with status {done.returncode}:\n{done.stdout}")
    return done.stdout.rstrip()


def fill(text: str, known: dict[str, str]) -> str:
    """A text with its values and outputs; blocks of one text share a folder.

    Raises
    ------
    KeyError
        For a name that is no value.
    RuntimeError
        If a block fails.
    """
    with tempfile.TemporaryDirectory() as folder:

        def output(match: re.Match[str]) -> str:
            shown = printed(match[1], match[2], folder)
            return f"```{match[1]}\n{match[2]}```\n\n```text\n{shown}\n```"

        text = re.sub(r"```(sh|python)\n((?:(?!```)[\s\S])*)```\n\{\{output\}\}", output, text)
    return re.sub(r"\{\{([^{}]+)\}\}", lambda match: known[match[1]], text)


def readme(figures: Path) -> str:
    """The README for the figures of a folder."""
    return fill(TEMPLATE.read_text(encoding="utf-8"), values(figures))


if __name__ == "__main__":
    README.write_text(readme(Path(sys.argv[1])), encoding="utf-8")
    print(README.name)
