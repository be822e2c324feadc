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
# **Question.** Training a network takes hours. Can a score that needs no training tell which networks become accurate?
# The paper relies on such a score (section 2.1, Figure 3; claims 1 and 7).
#
# **Idea.** A search space is a set of networks to choose from. Here a network is a stack of equal *cells*. A cell has
# four nodes, 0 to 3, which are feature maps. One of five operations stands on each of its six edges, so there are
# $5^6$ = 15,625 cells. The paper scores a freshly initialised network in three ways. NASWOT asks how differently the
# network responds to different images, LogSynflow how strongly its weights act on its output, and SkipScore how far its
# skip connections reach. Their mean is the score $p$.
#
# **Equation.** For a cell $h$,
#
# $$
# \begin{aligned}
# \mathrm{NASWOT}(h) &= \log\,\lvert\det K\rvert, \qquad
# K_{ab} = c_a^\top c_b + (1 - c_a)^\top (1 - c_b), \\
# \mathrm{LogSynflow}(h) &= \sum_w \left\lvert w \, \log\left(1 + \frac{\partial R}{\partial w}\right)\right\rvert, \\
# \mathrm{SkipScore}(h) &= \frac{1}{\lvert S \rvert} \sum_{(i, j) \in S} (j - i - 1), \\
# p(h) &= \frac{1}{3} \sum_{k=1}^{3} \frac{s_k(h) - \min_{h'} s_k(h')}{\max_{h'} s_k(h') - \min_{h'} s_k(h')}.
# \end{aligned}
# $$
#
# - $c_a$ is the code of image $a$: a 1 for each ReLU that is active, a 0 for each other one. $K_{ab}$ counts the ReLUs
#   that treat the images $a$ and $b$ alike. The batch has 64 images. Where $K$ is singular, the lowest finite score of
#   all cells is used.
# - $w$ runs over the weights of convolutions and of the linear layer. Each is replaced by its absolute value, and batch
#   normalisation is switched off. $R$ is the sum of the outputs for an input of ones.
# - $S$ is the set of edges $i \to j$ that hold a skip connection. SkipScore is 0 if there is none.
# - $s_1, s_2, s_3$ are the three scores. Each is scaled to $[0, 1]$ over all cells $h'$, so $p(h) \in [0, 1]$.
#
# **In this notebook.** Figure 3: validation accuracy against $p$, all cells, three data sets. Figure S1: other ways to
# rank cells. A few cells are scored live, and our scores are compared with the published ones. Figure 18: better scores
# than $p$, and the accuracy that a user loses within a latency limit. $p$ stays the paper's score. The companion also
# offers the named scores `az`, `combined` and `params`.

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
from simmore.plots import drawings
from simmore.plots import paper as plots

results = record.Recorder("01_proxy_accuracy", figures or paths.FIGURES, seed=seed, quick=quick)
rng = np.random.default_rng(seed)

# %% [markdown]
# Drawing of cell 0 of NATS-Bench. Its three skip connections are on the edges 1→2, 1→3 and 2→3, so that its SkipScore
# is $(0 + 1 + 0) / 3 = 1/3$.

# %%
ax = drawings.cell(space.to_ops(0))

# %% [markdown]
# All cells with their validation accuracy (NATS-Bench, 200 epochs, mean over seeds) and this project's own scores. They
# are computed from noise images. They depend on a data set only by its image size and its number of classes.
#
# **Table 1.1.** The cells of CIFAR-10: three scores without a unit, $p$, and validation accuracy in %.

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
# `make proxies` computed the table. A few cells are scored again here, to check it.
#
# **Table 1.2.** Scores computed here, beside the stored ones.

# %%
sample = rng.choice(space.N_ARCHS, size=3 if quick else 6, replace=False)
started = time.perf_counter()
live = simmore.score(sample, dataset="cifar10")
print(f"{(time.perf_counter() - started) / len(sample):.2f} s per network, one core")
live[columns].join(cells["cifar10"][columns].add_suffix("_stored"))

# %%
for name in columns:
    np.testing.assert_allclose(live[name], cells["cifar10"].loc[live.index, name], rtol=1e-4)

# %% [markdown]
# How well does each score rank the cells?
#
# **Table 1.3.** Spearman's and Kendall's rank correlation of each score with validation accuracy. Both are 1 if the
# order of the cells is the same, and 0 for a random order.

# %%
names = ["score", *columns, *better]
correlations = {
    dataset: {
        name: tuple(rank(table[name], table["val_accuracy"]) for rank in (statistics.spearman, statistics.kendall))
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
# The best cell of a device, $h^*$, has the highest reward $p + \bar\ell$, where $\bar\ell$ is 1 for the fastest cell of
# the device and 0 for the slowest (notebook 02). It differs from device to device.

# %% [markdown]
# **Figure 3.** Validation accuracy of all cells against training-free scores, a row for each data set. Left: the score
# $p$, and $h^*$ of HELP's six test devices if their tables are on this machine, of the benchmarked runtimes otherwise.
# Right: the three terms of $p$, and better scores. Above each panel: Spearman's $\rho$ and Kendall's $\tau$.

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
# Are the scores the published ones? Those of FreeREA are means over three initialisations, computed from real images.
# Ours have one initialisation and noise images.
#
# **Table 1.4.** Rank correlations of our scores with the published ones, and share of the published top 5 % of the
# cells that is in our top 5 %.

# %%
agreement = score_checks.agreement()
agreement.round(3)

# %% [markdown]
# How much depends on the random weights? 300 random cells are scored with three initialisations.
#
# **Table 1.5.** Standard deviation over initialisations relative to the mean (median over cells), and Spearman's
# correlation between two initialisations.

# %%
spread = score_checks.spread(pd.read_csv(score_checks.SPREAD))
spread.round(4)

# %% [markdown]
# **Figure S1.** Rank correlation of all scores that could rank cells with validation and test accuracy. NASWOT is also
# computed from noise that has the spectrum of natural images, for 1,000 random cells, and from white noise for the same
# cells.

# %%
parts = [score_checks.correlations(dataset) for dataset in data.DATASETS]
ranked = pd.concat(parts, ignore_index=True)
results.figure(plots.score_correlations(ranked), "figS1_scores", ranked)

# %% [markdown]
# **Table 1.6.** Spearman's correlation with validation accuracy.

# %%
validation = ranked[ranked["against"] == "validation"]
validation.pivot_table(index="score", columns="dataset", values="spearman", sort=False).round(3)

# %% [markdown]
# What does each term of $p$ add? One term is left out at a time.
#
# **Table 1.7.** Spearman's correlation with validation accuracy of $p$ without the term, and the normalised regret of
# the device's best cell by this score. Here accuracy takes the place of $p$ in the reward that judges the cell. A
# regret of 0 is the best cell, and 1 is the best of ten random cells on average (notebook 04).

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
#
# **Table 1.8.** Rank correlation of each named score with validation accuracy.

# %%
scores = accuracy_lost.correlations()
results.table(scores, "scores")
scores.set_index(["dataset", "score"]).round(3)

# %% [markdown]
# How good a score is at the top matters more. Within a latency limit, how much less accurate is the cell with the
# highest score than the most accurate one? Limits are quantiles of each device's latencies, and the latency of every
# cell is known.
#
# **Table 1.9.** Accuracy lost, in points of validation accuracy: mean over limits with its 95 % interval over devices,
# and the worst case.

# %%
tested = accuracy_lost.tested_devices()[-3:] if quick else accuracy_lost.tested_devices()
lost = accuracy_lost.known_latency(tested)
by_score = accuracy_lost.summary(lost)
by_score.drop(columns=["measurements", "none"]).set_index(["dataset", "score"]).round(2)

# %% [markdown]
# **Figure 18.** Accuracy lost at each latency limit by each score, mean over devices with its 95 % interval. The number
# of parameters is left out, because it loses far more.

# %%
by_limit = accuracy_lost.by_quantile(lost).drop(columns="measurements")
labels = {name: score.label for name, score in proxies.SCORES.items() if name != "params"}
results.figure(plots.accuracy_lost(by_limit, labels), "fig18_accuracy_lost", by_limit)

# %% [markdown]
# ## Goals of this project
#
# **Table 1.10.** The verdicts on the goals.

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
# Random networks are timed one by one on one core, in processor time, with the plain implementation
# (`proxies.definitions`) and with the fast one. For all cells together the fast one needs less time per network,
# because it scores networks that compute the same function only once.
#
# **Table 1.11.** The verdicts on claims 1 and 7.

# %%
rho = {dataset: correlations[dataset]["score"][0] for dataset in data.DATASETS}
tau = correlations["cifar10"]["score"][1]
timed = rng.choice(space.N_ARCHS, size=2 if quick else 20, replace=False).tolist()
fast_ms, plain_ms = (1e3 * seconds / len(timed) for seconds in score_checks.scoring_seconds(timed, alone=True))
spearman = ", ".join(f"{value:.2f}" for value in rho.values())
shown = f"Spearman {spearman} on CIFAR-10, CIFAR-100, ImageNet16-120; Kendall {tau:.2f} on CIFAR-10"
results.claim(1, shown, lowest=min(rho.values()), highest=max(rho.values()))
shown = f"{plain_ms:.0f} ms, with the fast implementation {fast_ms:.0f} ms, on one CPU core"
results.claim(7, shown, plain_ms=plain_ms, fast_ms=fast_ms)
results.claims()

# %%
cifar10 = correlations["cifar10"]
without_skip = terms.query("dataset == 'cifar10' and without == 'skip'")["spearman"].item()
print(f"CIFAR-10, Spearman: p {cifar10['score'][0]:.2f}, p without SkipScore {without_skip:.2f}")
print(f"two initialisations: at least {spread['spearman'].min():.3f} Spearman")
if len(agreement):
    print(f"own against published scores: at least {agreement['spearman'].min():.3f} Spearman")

# %% [markdown]
# **What to see:** $p$ ranks the cells, but not better than two of its terms do, because SkipScore alone is hardly
# correlated with accuracy. Table 1.7 shows what each term adds. SkipScore keeps the search away from cells that are
# only fast. Two initialisations rank the cells almost alike, so that chance matters little.
#
# `combined` ranks all cells far better than $p$. Figure 18 shows what this is worth: compare tight and loose limits.
#
# **Limits:** a rank correlation over all cells does not say how good the best-scored cells are, and these are the ones
# that a search recommends. The accuracies are those of one training recipe, with two or three seeds per cell.
#
# **A question to try:** take only the cells that are faster than the median on one device. How much of the rank
# correlation is left there?
