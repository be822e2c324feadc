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
# - checks claims 8 and 9.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import pandas as pd

from simmore import paths
from simmore.experiments import prediction, record
from simmore.plots import comparison as plots

results = record.Recorder("06_latency_prediction", figures or paths.FIGURES, seed=seed, quick=quick)
tested = prediction.tested_devices()
samples = (2, 10, 50) if quick else prediction.SAMPLES
frame = prediction.few_shot(tested[:2] if quick else tested, samples=samples, draws=2 if quick else prediction.DRAWS)

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

# %%
ours = "mixture of devices (ours)"
best, names = spearman.loc[ours], [d.name for d in tested]
known = [*names, *prediction.known_training_devices()]
shown = f"{lut.mean():.2f} ({lut.min():.2f} on {lut.idxmin()} to {lut.max():.2f})"
results.claim(8, shown, names, mean=lut.mean(), lowest=lut.min())
pair = (kendall.loc["Bayesian linear", "mean"], kendall.loc[ours, "mean"])
results.claim(9, f"{pair[0]:.2f} and {pair[1]:.2f}", known, kendall=pair[1])
shown = f"{best['mean']:.3f} [{best['low']:.3f}, {best['high']:.3f}]"
results.claim(15, shown, known, spearman=best["mean"])
results.claims()

# %% [markdown]
# **What to see:** how well a LUT ranks depends on the device. It is nearly perfect where latency is additive, and
# worse where it is not. A predictor that only sees the target needs many samples to come close; the table above says
# how many. With other devices known, ten samples are enough.
