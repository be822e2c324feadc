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
# # 6 · Predicting latency from a few samples
#
# **Question.** The paper searches without a latency predictor. It says that lookup tables (LUTs) rank real latencies
# poorly, and that predictors need many samples (section 2; claims 8 and 9). Is that so?
#
# **Idea.** A predictor sees the latencies of a few cells of a device, and predicts those of all others. A LUT needs
# five cells, those of one operation alone. Other predictors are fitted to random cells, of this device alone or of
# known devices too. A search needs the right order of the cells, so that a prediction is judged by rank correlation.
#
# **Equation.** The prediction of a LUT, and Kendall's $\tau$ of any prediction $\hat\ell$:
#
# $$
# \hat\ell(h) = \sum_{o \in h} t(o), \qquad
# \tau = \frac{n_\text{same} - n_\text{opposite}}{\sqrt{n_\text{predicted} \; n_\text{measured}}}
# $$
#
# - $t(o)$ is the latency of the operation $o$ on one edge: a sixth of that of the cell with $o$ on all edges.
# - $n_\text{same}$ is the number of pairs of cells that prediction and measurement put in the same order, and
#   $n_\text{opposite}$ the number that they put in opposite orders.
# - $n_\text{predicted}$ and $n_\text{measured}$ are the numbers of pairs that do not tie in the prediction and in the
#   measurement. So $\tau$ is 1 for the right order, 0 for a random one.
#
# Spearman's correlation is the correlation of the ranks.
#
# **In this notebook.** HELP's table 3 from ten random samples, on HELP's split of devices. Figure 9: Kendall's $\tau$
# against the number of samples. HELP itself is not run: its published figures are quoted. If HELP's test devices are
# missing, NATS-Bench's own GPU takes their place in the tables, and the claims are not evaluated.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import numpy as np
import pandas as pd

from simmore import devices, paths, space
from simmore.experiments import claims, prediction, record
from simmore.plots import comparison as plots

results = record.Recorder("06_latency_prediction", figures or paths.FIGURES, seed=seed, quick=quick)
tested = prediction.tested_devices()
samples = (2, 10, 50) if quick else prediction.SAMPLES
judged, draws = (tested[:2], 2) if quick else (tested, prediction.DRAWS)
frame = prediction.few_shot(judged, samples=samples, draws=draws)

# %% [markdown]
# Latencies predicted by a LUT against the measured ones, all cells, for up to three devices. Where the points lie on a
# line, the device is a sum of its operations.

# %%
lookup = {d.name: devices.AdditiveDevice(d.name, devices.operation_latencies(d)) for d in tested[:3]}
everything = np.arange(space.N_ARCHS)
pairs = {d.name: (lookup[d.name].latency_ms(everything), devices.whole_table(d)) for d in tested[:3]}
figure = plots.predictions(pairs)

# %% [markdown]
# Two models know other devices: those of HELP's split, which are none of the tested boards. The LUT has five samples,
# which are not random.
#
# **Table 6.1.** Spearman's correlation of predicted and measured latency from ten random samples, mean over draws of
# the samples. `low` and `high` are the 95 % interval over draws of the mean over devices.

# %%
spearman = prediction.table(frame)
spearman.round(3)

# %% [markdown]
# **Table 6.2.** The same, as published by HELP's authors.

# %%
published = pd.DataFrame(prediction.PUBLISHED, index=list(prediction.TEST_DEVICES)).T
published.assign(mean=published.mean(axis=1)).round(3)

# %% [markdown]
# **Table 6.3.** Kendall's $\tau$ from ten random samples, as Table 6.1.

# %%
kendall = prediction.table(frame, column="kendall")
kendall.round(3)

# %% [markdown]
# **Figure 9.** Kendall's $\tau$ of predicted and measured latency against the number of samples, a panel for each
# device. The dashed line is the LUT. The grey line is at 0.8, which the paper quotes.

# %%
random_samples = frame[frame["method"] != "LUT"]
curves = random_samples.groupby(["method", "device", "samples"], sort=False)["kendall"].mean().reset_index()
lut = frame[frame["method"] == "LUT"].set_index("device")["kendall"]
figure = plots.prediction_curves(curves, lut.to_dict())
results.figure(figure, "fig9_prediction", frame)

# %% [markdown]
# How many samples of the target alone does it take to rank as well as the LUT, or as well as HELP?
#
# **Table 6.4.** Kendall's $\tau$ by number of samples, mean over devices.

# %%
curves.pivot_table(index="samples", columns="method", values="kendall", sort=False).round(3)

# %% [markdown]
# The tables of some devices are sums of operation latencies by construction: no LUT can rank them poorly. A table
# counts as additive if the best sum of operation latencies fits it with an $R^2$ of at least `claims.ADDITIVE`.
#
# **Table 6.5.** The devices: $R^2$ of that fit, and Kendall's $\tau$ of the LUT.

# %%
fits = pd.DataFrame({"R²": {d.name: prediction.additive_fit(d) for d in judged}, "Kendall of the LUT": lut})
additive = fits["R²"] >= claims.ADDITIVE
fits.assign(additive=additive).round(4)

# %% [markdown]
# HELP's own evaluation is easier than the one above: it compares cells 900 to 1899 without the fastest and the slowest
# 10 % of them, and HELP reads ten fixed reference latencies besides the ten samples.
#
# **Table 6.6.** Spearman's correlation of our method, from ten samples alone, on both sets of cells.

# %%
ours = "mixture of devices (ours)"
helps = prediction.few_shot(judged, samples=(10,), draws=draws, methods=[ours], helps_cells=True)
both = {"all cells": spearman.loc[ours], "HELP's cells": prediction.table(helps).loc[ours]}
pd.DataFrame(both).T.round(3)

# %% [markdown]
# ## Across classes of hardware
#
# HELP's training devices are relatives of its test devices. A device of your own may have none. Here all known devices
# are of other classes than the predicted ones.
#
# **Table 6.7.** Spearman's correlation from 10 and 20 random samples, mean over devices and draws.

# %%
across = prediction.across_classes(draws=2 if quick else draws)
across.pivot_table(index=["split", "samples"], columns="method", values="spearman", sort=False).round(3)

# %% [markdown]
# **Table 6.8.** The same by device, from 10 samples.

# %%
by_device = across[across["samples"] == 10]
by_device.pivot_table(index=["split", "device"], columns="method", values="spearman", sort=False).round(3)

# %% [markdown]
# **Tables 6.9 and 6.10.** The verdicts on claims 8 and 9, and on the goals of this project.

# %%
best, names = spearman.loc[ours], [d.name for d in tested]
known = [*names, *prediction.known_training_devices()]
groups = {"devices that are not additive": lut[~additive], "additive devices": lut[additive]}
each = {kind: ", ".join(f"{v:.2f} {name}" for name, v in part.sort_values().items()) for kind, part in groups.items()}
shown = f"Kendall of a LUT on {'; on '.join(f'{kind}: {text}' for kind, text in each.items())}"
results.claim(8, shown, names, mean=lut[~additive].mean(), lowest=lut[~additive].min())

# %%
easier = prediction.table(helps, column="kendall").loc[ours, "mean"]
shown = f"Kendall {kendall.loc[ours, 'mean']:.2f} of our prediction from ten samples, on HELP's cells {easier:.2f}"
results.claim(9, shown, known)
shown = f"{best['mean']:.3f} [{best['low']:.3f}, {best['high']:.3f}]"
results.goal("prediction", shown, known, spearman=best["mean"])
mean = by_device.groupby("method")["spearman"].mean().get(ours, float("nan"))
results.goal("prediction across classes", f"{mean:.3f}", by_device["device"], spearman=mean)
results.claims()

# %%
results.goals()

# %% [markdown]
# **What to see:** how well a LUT ranks depends on the device. It is nearly perfect where latency is additive, and worse
# where it is not. A predictor that sees the target alone needs many samples to come close (Table 6.4). A prior over
# devices replaces most of these samples: from ten of them, our mixture ranks nearly as well as the LUT does from five
# cells. It is ahead of the LUT by Spearman's correlation (Table 6.1), and behind by Kendall's (Table 6.3). Tables of
# other devices add little on HELP's split: simulated devices alone, without tables, come close to the mixture.
#
# **Limits:** some tables of HW-NAS-Bench are themselves sums of operation latencies (Table 6.5), so that they say
# little about real hardware. HELP's figures are quoted and not measured here.
#
# **A question to try:** which predictor is best on the fastest tenth of the cells, which a search visits? Compare on
# those cells alone, with `prediction.METHODS` and `statistics.kendall`.
