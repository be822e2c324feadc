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
# The paper searches without a latency predictor: it says that lookup tables (LUTs) rank real latencies poorly, and
# that predictors need many samples (section 2). Both are measured here on HELP's split of devices. If HELP's test
# devices are missing, NATS-Bench's own GPU takes their place in the tables, and the claims are not evaluated. This
# notebook
#
# - rebuilds HELP's table 3 from ten random samples;
# - draws **Figure 9**: Kendall's τ against the number of samples, with each device's LUT as a line;
# - checks claim 8, and gives this project's own figure beside claim 9: HELP itself is not run.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import pandas as pd

from simmore import paths
from simmore.experiments import claims, prediction, record
from simmore.plots import comparison as plots

results = record.Recorder("06_latency_prediction", figures or paths.FIGURES, seed=seed, quick=quick)
tested = prediction.tested_devices()
samples = (2, 10, 50) if quick else prediction.SAMPLES
judged, draws = (tested[:2], 2) if quick else (tested, prediction.DRAWS)
frame = prediction.few_shot(judged, samples=samples, draws=draws)

# %% [markdown]
# Spearman from ten random samples, mean over draws; the interval is over draws of the mean over devices. The two
# models that know other devices know HELP's nine training devices, none of the tested boards. The LUT has five
# samples, which are not random: the cells of one operation alone.

# %%
spearman = prediction.table(frame)
spearman.round(3)

# %%
published = pd.DataFrame(prediction.PUBLISHED, index=list(prediction.TEST_DEVICES)).T
published.assign(mean=published.mean(axis=1)).round(3)

# %%
kendall = prediction.table(frame, column="kendall")
kendall.round(3)

# %%
random_samples = frame[frame["method"] != "LUT"]
curves = random_samples.groupby(["method", "device", "samples"], sort=False)["kendall"].mean().reset_index()
lut = frame[frame["method"] == "LUT"].set_index("device")["kendall"]
figure = plots.prediction_curves(curves, lut.to_dict())
results.figure(figure, "fig9_prediction", frame)

# %% [markdown]
# How many samples of the target alone does it take to rank as well as the LUT does from five, or as well as HELP?

# %%
curves.pivot_table(index="samples", columns="method", values="kendall", sort=False).round(3)

# %% [markdown]
# The tables of some devices are sums of operation latencies by construction: no LUT can rank them poorly. A table
# counts as additive if the best sum of operation latencies explains it, by its $R^2$.

# %%
fits = pd.DataFrame({"R²": {d.name: prediction.additive_fit(d) for d in judged}, "Kendall of the LUT": lut})
additive = fits["R²"] >= claims.ADDITIVE
fits.assign(additive=additive).round(4)

# %% [markdown]
# HELP's own evaluation is easier than the one above: it compares cells 900 to 1899 without the fastest and the slowest
# 10 % of them, and HELP reads ten fixed reference latencies besides the ten samples. Our method on the same cells, from
# ten samples alone:

# %%
ours = "mixture of devices (ours)"
helps = prediction.few_shot(judged, samples=(10,), draws=draws, methods=[ours], helps_cells=True)
both = {"all cells": spearman.loc[ours], "HELP's cells": prediction.table(helps).loc[ours]}
pd.DataFrame(both).T.round(3)

# %% [markdown]
# ## Across classes of hardware
#
# HELP's training devices are relatives of its test devices. A device of your own may have none. Here all known devices
# are of other classes than the predicted ones. Mean over devices and draws of Spearman from 10 and 20 random samples:

# %%
across = prediction.across_classes(draws=2 if quick else draws)
across.pivot_table(index=["split", "samples"], columns="method", values="spearman", sort=False).round(3)

# %%
by_device = across[across["samples"] == 10]
by_device.pivot_table(index=["split", "device"], columns="method", values="spearman", sort=False).round(3)

# %%
best, names = spearman.loc[ours], [d.name for d in tested]
known = [*names, *prediction.known_training_devices()]
groups = {"not additive": lut[~additive].sort_values(), "additive": lut[additive].sort_values()}
shown = "; ".join(
    f"{kind}: {', '.join(f'{v:.2f} {name}' for name, v in part.items())}" for kind, part in groups.items()
)
results.claim(8, shown, names, mean=groups["not additive"].mean(), lowest=groups["not additive"].min())
easier = prediction.table(helps, column="kendall").loc[ours, "mean"]
results.claim(9, f"{kendall.loc[ours, 'mean']:.2f}; {easier:.2f}", known)
shown = f"{best['mean']:.3f} [{best['low']:.3f}, {best['high']:.3f}]"
results.goal("prediction", shown, known, spearman=best["mean"])
mean = by_device.groupby("method")["spearman"].mean().get(ours, float("nan"))
results.goal("prediction across classes", f"{mean:.3f}", by_device["device"], spearman=mean)
results.claims()

# %%
results.goals()

# %% [markdown]
# **What to see:** how well a LUT ranks depends on the device. It is nearly perfect where latency is additive, and
# worse where it is not. A predictor that only sees the target needs many samples to come close; the table above says
# how many. With other devices known, ten samples are enough.
