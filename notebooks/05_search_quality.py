# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5 · Ten measurements: which search finds the best cell?
#
# The paper does not compare its controller with other searches. Here all strategies get the same scores, the same
# start cells and the same number of measurements on every measured device. This notebook
#
# - draws **Figure 7**: regret against the number of measurements, of the best cell measured (simple regret) and of the
#   recommendation (inference regret);
# - draws **Figure 8**: recommendations under a latency limit, beside HELP's published table;
# - says which strategy is the right tool in which situation.
#
# Normalised regret is 0 for the device's best cell and 1 for what ten random cells give on average.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import numpy as np
import pandas as pd

from simmore import devices, paths, proxies
from simmore.experiments import comparison, limits, record, summaries
from simmore.plots import comparison as plots
from simmore.strategies import BEST, STRATEGIES, Problem

results = record.Recorder("05_search_quality", figures or paths.FIGURES, seed=seed, quick=quick)
problem = Problem.of("cifar10")
measured = comparison.measured_devices()
tested = measured[:1] if quick else measured
names = ["random", "paper", "controller", BEST] if quick else list(comparison.STRATEGY_NAMES)
names = [name for name in names if name != comparison.TARGET_ONLY or len(measured) > 1]
n_starts = 2 if quick else comparison.STARTS
print(f"{len(names)} strategies, {n_starts} starts, {len(tested)} devices: {', '.join(d.name for d in tested)}")

# %% [markdown]
# What each strategy knows of other devices before it measures. The tested device is left out with its whole family.
# The exceptions are `paper`, `trpo`, `a2c` and `no_history`, whose policies were trained on a distribution fitted to
# all 18 devices, as in the paper, and `target_only`, which was trained on the tested device itself. Without measured
# tables, everything runs on NATS-Bench's own GPU, and "tables" are then the embedded operation latencies of the 18
# devices.

# %%
rows = {name: (entry.knows, entry.description) for name, entry in STRATEGIES.items() if name in names}
pd.DataFrame.from_dict(rows, orient="index", columns=["knows of other devices", "description"])

# %%
regrets = comparison.compare(tested, problem, names=names, n_starts=n_starts)
table = summaries.summary(regrets)
table.round(3)

# %% [markdown]
# Mean, the worst device's mean, and the interquartile mean over all searches with its 95 % interval over starts. After
# five measurements instead of ten:

# %%
early = summaries.summary(regrets, budget=5)
early.round(3)

# %%
curves = summaries.curves(regrets)
figure = plots.regret(curves)
some = regrets[regrets["budget"].isin([1, 2, 3, 5, 7, 10, 15, 20])]
columns = ["strategy", "device", "start", "budget", "inference_regret", "simple_regret"]
results.figure(figure, "fig7_regret", some[columns], digits=3)
results.table(curves, "fig7_curves", digits=4)

# %% [markdown]
# By device, the best cell measured and the recommendation after ten measurements:

# %%
ten = comparison.at(regrets)
by_device = ten.pivot_table(index="strategy", columns="device", values="simple_regret", sort=False)
ax = plots.regret_heatmap(by_device.loc[table.index])

# %%
by_device = ten.pivot_table(index="strategy", columns="device", values="inference_regret", sort=False)
ax = plots.regret_heatmap(by_device.loc[table.index])

# %% [markdown]
# The whole distribution, and the probability that one search of the row's strategy recommends a better cell than one
# of the column's on the same device:

# %%
ax = plots.performance_profiles(summaries.profiles(regrets, np.linspace(0, 1.5, 151)))

# %%
shown = [name for name in ("random", "mean_device", "lut_evolution", "covariance_bound", "paper", "controller", BEST)
         if name in names]  # fmt: skip
summaries.improvement(regrets).loc[shown, shown].round(2)

# %%
for rival in ("random", "paper", "controller"):
    probability, low, high = summaries.improvement_interval(regrets, BEST, rival)
    print(f"{BEST} recommends a better cell than {rival}: probability {probability:.2f} [{low:.2f}, {high:.2f}]")

# %% [markdown]
# A device from outside the paper's data: NATS-Bench's own GPU. It had no part in any choice of this project, so it
# shows what to expect on a device of your own.

# %%
outside = comparison.compare([devices.load("nats_gpu")], problem, names=shown, n_starts=n_starts)
summaries.summary(outside).round(3)

# %% [markdown]
# ## Under a latency limit
#
# The highest score within a limit, from at most ten measurements (the paper's own formulation, section 3.1), at the
# fifteen limits of HELP's table 4 and with CIFAR-100's scores: p alone, and with the number of parameters as a fourth
# equal term, which needs no training either. Accuracy is FreeREA's published test accuracy if it is on this machine,
# and the validation accuracy otherwise.

# %%
judges = limits.accuracies()
accuracy = next(iter(judges.values()))
scores = {"p": proxies.stored_score("cifar100"), "p and parameters": limits.score_with_parameters("cifar100")}
limited = [BEST] if quick else ["random", "lut_evolution", "paper", "controller", BEST]
cases = limits.cases()[:3] if quick else limits.cases()
found = {
    name: limits.constrained(limited, by, accuracy, cases=cases, n_starts=2 if quick else 20)
    for name, by in scores.items()
}
under = pd.concat([found["p and parameters"], limits.references(scores["p and parameters"], accuracy)])
limits.overview(under).round(2)

# %% [markdown]
# The same with p alone, as in the paper's reward:

# %%
alone = pd.concat([found["p"], limits.references(scores["p"], accuracy)])
limits.overview(alone).round(2)

# %% [markdown]
# And the best strategy with both scores, judged by validation accuracy:

# %%
of_best = {name: frame[frame["strategy"] == BEST] for name, frame in found.items()}
validation = {name: limits.judged(frame, judges["validation"]) for name, frame in of_best.items()}
pd.concat({name: limits.overview(frame) for name, frame in validation.items()}).round(2)

# %% [markdown]
# All limits: the best strategy's mean over starts, HELP's published results, and the most accurate cell within the
# limit:

# %%
drawn = [BEST, "HELP (published)", "best accuracy within"]
by_limit = under[under["strategy"].isin(drawn)].groupby(["strategy", "device", "limit_ms"], sort=False)
means = by_limit.agg({"latency_ms": "mean", "accuracy": "mean", "n_measured": "mean", "violates_limit": "max"})
means = means.reset_index()
values = ["latency_ms", "accuracy"]
means.pivot_table(index=["device", "limit_ms"], columns="strategy", values=values, sort=False).round(1)

# %%
figure = plots.constrained(means, drawn)
results.figure(figure, "fig8_constrained", under[limits.COLUMNS])

# %% [markdown]
# ## Goals of this project

# %%
available = [d.name for d in tested]
best, five, learned = table.loc[BEST], early.loc[BEST], table.loc["controller"]
for name, label in (("recommended in 10", "recommended"), ("measured in 10", "best measured")):
    mean, worst, iqm, low, high = best[label][["mean", "worst", "iqm", "low", "high"]]
    ours = f"{mean:.3f}, worst device {worst:.3f}; {iqm:.3f} [{low:.3f}, {high:.3f}]"
    results.goal(name, ours, available, mean=mean, worst=worst)
mean = learned["best measured", "mean"]
results.goal("measured by RL in 10", f"{mean:.3f}", available, mean=mean)
mean = five["best measured", "mean"]
results.goal("measured in 5", f"{mean:.3f}", available, mean=mean)

# %%
ours = limits.overview(under).loc[BEST]
kept, broken = ours.get("accuracy, kept", np.nan), ours["limits broken"]
shown = f"{kept:.2f}, {broken:.0f} broken"
results.goal("within a limit", shown, [d.name for d, _ in cases], accuracy=kept, broken=broken)
results.goals()

# %% [markdown]
# **What to see:** compare the strategies by what they know. `paper` edits one edge a measurement and knows other
# devices as independent Gaussians. Expected improvement with other devices' tables knows most, and the tables above
# show what that is worth on devices whose relatives are known. The row on NATS-Bench's GPU shows the same strategies
# on a device without relatives. The network `controller` starts at expected improvement; the probability above shows
# whether its training added anything.
#
# **What was chosen after looking at the 17 devices**, and is no longer blind: the form of the mixture, the one device
# whose range is unlike any known one (its weight and scale), that ranges are taken from devices with the same kind of
# timer, the median as the rule of the recommendation, and the number of cells that the variances are fitted to.
# Variances, components and noise levels never saw the tested family.
#
# **Which tool when?** Use the paper's policy where only operation latencies of a few devices are known and no model
# may run. Use a Bayesian model where tables of other devices are available. Random search is only a baseline.
