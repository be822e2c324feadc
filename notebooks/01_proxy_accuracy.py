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
# # 1 · Do training-free scores know accuracy?
#
# The paper never trains a network while it searches. It ranks cells by $p$, the mean of three scores that a freshly
# initialised network shows: NASWOT, LogSynflow and SkipScore (section 2.1). This notebook
#
# - rebuilds **Figure 3**: validation accuracy against $p$, for all 15,625 cells, on three data sets;
# - scores a few random cells here and now, and compares them with the stored table;
# - compares this project's scores with the published ones, and all of them with simpler ways to rank (**Figure S1**);
# - asks what each of the three terms adds, and checks claims 1 and 7;
# - compares p with better scores, by the accuracy that a user loses within a latency limit (**Figure 18**).
#
# p stays the paper's score. The companion also offers the named scores `az`, `combined` and `params`.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import time

import numpy as np
import pandas as pd

import simmore
from simmore import data, devices, paths, proxies, space
from simmore.experiments import accuracy_lost, record, score_checks, statistics
from simmore.plots import paper as plots

results = record.Recorder("01_proxy_accuracy", figures or paths.FIGURES, seed=seed, quick=quick)
rng = np.random.default_rng(seed)

# %% [markdown]
# All cells with their accuracy (NATS-Bench, 200 epochs, mean over seeds) and this project's own scores, which were
# computed from noise images: no data set is involved, only its image size and its number of classes.

# %%
columns, better = ["naswot", "logsynflow", "skip"], ["az", "combined", "params"]
cells = {
    dataset: data.scores(dataset)[columns].assign(
        score=proxies.stored_score(dataset),
        val_accuracy=data.accuracy(dataset),
        **{name: proxies.stored_score(dataset, name) for name in better},
    )
    for dataset in data.DATASETS
}
cells["cifar10"].describe().round(3)

# %% [markdown]
# The table was made by `make proxies`. A few cells, scored live, show that it is what it says it is.

# %%
sample = rng.choice(space.N_ARCHS, size=3 if quick else 6, replace=False)
started = time.perf_counter()
live = simmore.score(sample, dataset="cifar10")
print(f"{(time.perf_counter() - started) / len(sample):.2f} s a network, one core")
live[columns].join(cells["cifar10"][columns].add_suffix("_stored"))

# %%
for name in columns:
    np.testing.assert_allclose(live[name], cells["cifar10"].loc[live.index, name], rtol=1e-4)

# %% [markdown]
# How well does each score rank the cells? Spearman's and Kendall's rank correlation with accuracy.

# %%
names = ["score", *columns, *better]
correlations = {
    dataset: {
        name: (
            statistics.spearman(table[name], table["val_accuracy"]),
            statistics.kendall(table[name], table["val_accuracy"]),
        )
        for name in names
    }
    for dataset, table in cells.items()
}
pd.DataFrame(
    {
        dataset: {name: f"{rho:.3f} · {tau:.3f}" for name, (rho, tau) in pairs.items()}
        for dataset, pairs in correlations.items()
    }
)

# %% [markdown]
# The best cell of a device, $h^*$, maximises $p + \bar\ell$. It differs from device to device. The figure shows HELP's
# six test devices if their tables are on this machine, and the benchmarked runtimes of this project otherwise.

# %%
shown = devices.test_devices()
everything = np.arange(space.N_ARCHS)
optima = {
    dataset: {d.name: devices.optimum(table["score"], d.latency_ms(everything)) for d in shown}
    for dataset, table in cells.items()
}
figure = plots.proxy_accuracy(cells, correlations, optima)
written = ["val_accuracy", *columns, "score", *better]
tables = {name: table[written].rename_axis("arch").reset_index() for name, table in cells.items()}
results.figure(figure, "fig3_proxy_accuracy", tables["cifar10"])
results.table(tables["cifar100"], "fig3_proxy_accuracy_cifar100")
results.table(tables["ImageNet16-120"], "fig3_proxy_accuracy_imagenet16_120")

# %% [markdown]
# Are the scores the published ones? FreeREA's are means of three initialisations, from real images; these are one,
# from noise.

# %%
agreement = score_checks.agreement()
agreement.round(3)

# %% [markdown]
# How much chance is in one initialisation? Three of them, for 300 random cells.

# %%
spread = score_checks.spread(pd.read_csv(score_checks.SPREAD))
spread.round(4)

# %% [markdown]
# Everything that could rank cells, against validation and test accuracy. NASWOT is also there from noise that has the
# spectrum of natural images, for the same 1,000 random cells as from white noise.

# %%
parts = [score_checks.correlations(dataset) for dataset in data.DATASETS]
ranked = pd.concat(parts, ignore_index=True)
results.figure(plots.score_correlations(ranked), "figS1_scores", ranked)

# %%
validation = ranked[ranked["against"] == "validation"]
validation.pivot_table(index="score", columns="dataset", values="spearman", sort=False).round(3)

# %% [markdown]
# What does each term add? $p$ without it: its rank correlation, and how good the devices' optima then are, when
# accuracy itself takes $p$'s place in the reward (0: the best cell there is; 1: random search).

# %%
terms = pd.concat([score_checks.leave_one_out(dataset, shown) for dataset in data.DATASETS])
results.table(terms, "score_terms")
terms.pivot_table(index="without", columns="dataset", values=["spearman", "regret"], sort=False).round(3)

# %% [markdown]
# ## Scores beyond the paper
#
# AZ-NAS (Lee & Ham 2024) looks at the features of an untrained network for noise, after its stem and after each cell:
#
# - *expressivity* $\sum_l H_l$, where $H_l$ is the entropy of the spectrum of the channels' covariance of feature $l$;
# - *progressivity* $\min_l (H_l - H_{l-1})$;
# - *trainability*, the mean over cells of $2 - s - 1/s$, where $s$ is the largest singular value of the mean outer
#   product of a random gradient at a cell's output and the gradient that it gives at the cell's input;
# - *complexity*, the FLOPs of the layers that the output depends on.
#
# Terms are combined by the *log-rank sum*. A cell with rank $R_t$ among $n$ cells in term $t$ (the best has rank $n$)
# gets
#
# $$\sum_t \log \frac{R_t}{n}.$$
#
# `az` sums AZ-NAS's four terms, and `combined` adds NASWOT and LogSynflow. No accuracy of this search space chose terms
# or weights, but `combined` is the best of three combinations that a prototype compared on 1,200 of these cells, so its
# figures are slightly optimistic.

# %%
scores = accuracy_lost.correlations()
results.table(scores, "scores")
scores.set_index(["dataset", "score"]).round(3)

# %% [markdown]
# How good a score is at the top matters more. Within a latency limit, how much less accurate is the cell with the
# highest score than the most accurate one? Limits are quantiles of each device's latencies, and the latency of every
# cell is known. Means over limits in points of validation accuracy, with 95 % intervals over devices, and the worst
# case:

# %%
tested = accuracy_lost.tested_devices()[-3:] if quick else accuracy_lost.tested_devices()
lost = accuracy_lost.known_latency(tested)
by_score = accuracy_lost.summary(lost)
by_score.drop(columns=["measurements", "none"]).set_index(["dataset", "score"]).round(2)

# %% [markdown]
# The same at each limit. The number of parameters is left out, because it loses far more:

# %%
by_limit = accuracy_lost.by_quantile(lost).drop(columns="measurements")
labels = {name: score.label for name, score in proxies.SCORES.items() if name != "params"}
results.figure(plots.accuracy_lost(by_limit, labels), "fig18_accuracy_lost", by_limit)

# %% [markdown]
# ## Goals of this project

# %%
short = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet"}
combined = scores[scores["score"] == "combined"].set_index("dataset")
ours = ", ".join(f"{row.spearman:.3f}" for row in combined.loc[list(short)].itertuples())
results.goal("better score", ours, **combined["spearman"].rename(short))
combined = by_score[by_score["score"] == "combined"].set_index("dataset")
rows = combined.loc[list(short)].itertuples()
ours = ", ".join(f"{row.lost:.2f} [{row.low:.2f}, {row.high:.2f}]" for row in rows)
results.goal("accuracy lost", ours, [device.name for device in tested], **combined["lost"].rename(short))
results.goals()

# %% [markdown]
# ## Claims of the paper
#
# Claims 1 and 7. Random networks are timed one by one on one core, in processor time: by the plain implementation
# (`proxies.definitions`), and by the fast one. In a job over all cells the fast one takes less, because it scores
# networks that compute the same function together.

# %%
rho = {dataset: correlations[dataset]["score"][0] for dataset in data.DATASETS}
tau = correlations["cifar10"]["score"][1]
timed = rng.choice(space.N_ARCHS, size=2 if quick else 20, replace=False).tolist()
fast_ms, plain_ms = (1e3 * seconds / len(timed) for seconds in score_checks.scoring_seconds(timed, alone=True))
shown = f"{rho['cifar10']:.2f} ({tau:.2f}), {rho['cifar100']:.2f}, {rho['ImageNet16-120']:.2f}"
results.claim(1, shown, lowest=min(rho.values()), highest=max(rho.values()))
results.claim(7, f"{plain_ms:.0f}, {fast_ms:.0f}", plain_ms=plain_ms, fast_ms=fast_ms)
results.claims()

# %%
cifar10 = correlations["cifar10"]
without_skip = terms.query("dataset == 'cifar10' and without == 'skip'")["spearman"].item()
print(f"CIFAR-10, Spearman: p {cifar10['score'][0]:.2f}, p without SkipScore {without_skip:.2f}")
print(f"two initialisations: at least {spread['spearman'].min():.3f} Spearman")
if len(agreement):
    print(f"own against published scores: at least {agreement['spearman'].min():.3f} Spearman")

# %% [markdown]
# **What to see:** p ranks the cells, but not better than its parts do, because SkipScore alone is hardly correlated
# with accuracy. The last table shows what each term adds, to the rank correlation and to the devices' best cells.
# SkipScore keeps the search away from cells that are only fast. Two initialisations rank almost alike, so chance
# matters little.
#
# `combined` ranks all cells far better than p. Figure 18 shows what this is worth: compare tight and loose limits. A
# rank correlation over all cells does not tell which score finds the very best cells.
