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
# # 12 · What do disturbed measurements cost?
#
# Real measurements are noisy, machines change their speed, timers have steps, and some networks do not compile. This
# notebook disturbs the measurements of the devices, searches them without tables of other devices, and draws
# **Figure 17**.
#
# The measured latency $y$ of the $k$-th cell, whose latency is $\ell$, is
#
# - noise: $y = \ell e^{\sigma \varepsilon}$ with a standard-normal $\varepsilon$,
# - drift: $y = \ell (1 + a)^{(k - 1)/9}$, so that the tenth cell appears slower by the share $a$,
# - timer: $y$ is $\ell$ rounded to a multiple of a step, which is a share of the mean latency,
# - failing cells: $y = \infty$ for a random share of all cells, which then cannot be the answer.
#
# The answer is judged by the undisturbed latencies.

# %% tags=["parameters"]
seed = 0
quick = False  # True: one start on two devices
figures = ""  # folder for the figures; empty: the project's own

# %%
import pandas as pd

from simmore import paths
from simmore.experiments import comparison, record, robustness, statistics
from simmore.plots import choices as plots
from simmore.strategies import BEST, Problem

results = record.Recorder("12_disturbed_measurements", figures or paths.FIGURES, seed=seed, quick=quick)
names = ["paper", "controller", BEST]
tested = comparison.measured_devices()[: 2 if quick else None]

# %%
frame = robustness.regrets(names, tested, Problem.of(), n_starts=1 if quick else 3, seed=seed)
undisturbed = frame[(frame["kind"] == "noise") & (frame["amount"] == 0)]
every = pd.concat([frame, *(undisturbed.assign(kind=kind) for kind in robustness.DISTURBANCES if kind != "noise")])
by = ["kind", "amount", "strategy"]
by_device = every.pivot_table(index=by, columns="device", values="inference_regret")
if by_device.shape[1] > 1:
    mean, low, high = statistics.interval(by_device.to_numpy().T)
else:  # one device has no interval
    mean = low = high = by_device.to_numpy()[:, 0]
means = by_device.index.to_frame(index=False).assign(mean=mean, low=low, high=high)
figure = plots.robustness(means, names)
results.figure(figure, "fig17_disturbances", means, digits=4)

# %%
means.pivot_table(index=["kind", "amount"], columns="strategy", values="mean", sort=False).round(3)

# %% [markdown]
# **What to see:** how far a line rises above its first point. The bars are 95 % intervals over devices.
#
# **Limits:** a live search measures a reference network beside every cell and corrects drift by it; here nothing is
# corrected. Cells fail at random here; on real devices they fail by kind.
#
# **A question to try:** repeat every measurement and take the median. How much noise does that undo, and is it worth
# the time?
