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
# **Question.** Real measurements are noisy, machines change their speed, timers have steps, and some networks do not
# compile. How much worse does a search become?
#
# **Idea.** Disturb the measurements of a device in one way at a time, and search it without tables of other devices
# (Figure 17).
#
# **Equation.** The measured latency $y$ of the $k$-th cell, whose latency is $\ell$, is one of
#
# $$
# y = \ell \, e^{\sigma \varepsilon}, \qquad y = \ell \, (1 + a)^{(k - 1) / 9}, \qquad
# y = \delta \, \operatorname{round}(\ell / \delta), \qquad y = \infty
# $$
#
# - *noise*: $\varepsilon$ is standard normal, and $\sigma$ is the amount of noise;
# - *drift*: the machine slows down, so that the tenth cell appears slower by the share $a$;
# - *timer*: a timer shows whole numbers of steps $\delta$, which is a share of the mean latency of the device;
# - *failing cells*: a random share of all cells does not run, and cannot be recommended.
#
# The recommendation is judged by the undisturbed latencies, as normalised regret (notebook 04).

# %% tags=["parameters"]
seed = 0
quick = False  # True: one start on two devices
figures = ""  # folder for the figures; empty: the project's own

# %%
import numpy as np
import pandas as pd

from simmore import devices, paths
from simmore.experiments import comparison, record, robustness, statistics
from simmore.plots import choices as plots
from simmore.strategies import BEST, Problem

results = record.Recorder("12_disturbed_measurements", figures or paths.FIGURES, seed=seed, quick=quick)
names = ["paper", "controller", BEST]
tested = comparison.measured_devices()[: 2 if quick else None]

# %% [markdown]
# Disturbed measurements of ten random cells of one device against their undisturbed latencies, at the largest amount of
# each disturbance. A failed cell has no point.

# %%
rng, table = np.random.default_rng(seed), devices.whole_table(tested[0])
cells = rng.choice(np.flatnonzero(np.isfinite(table)), 10, replace=False)
disturbed = {kind: robustness.Disturbed(table, kind, max(amounts), rng)
             for kind, amounts in robustness.DISTURBANCES.items()}  # fmt: skip
measured = {kind: [device.unit_ms * float(device.latency_ms(arch)) for arch in cells]
            for kind, device in disturbed.items()}  # fmt: skip
figure = plots.disturbances(table[cells], measured)

# %% [markdown]
# ## The searches

# %%
frame = robustness.regrets(names, tested, Problem.of(), n_starts=1 if quick else 3, seed=seed)
undisturbed = frame[(frame["kind"] == "noise") & (frame["amount"] == 0)]
every = pd.concat([frame, *(undisturbed.assign(kind=kind) for kind in robustness.DISTURBANCES if kind != "noise")])

# %% [markdown]
# **Figure 17.** Normalised regret of the recommendation against the amount of each disturbance, mean over devices; bars
# are 95 % intervals over devices.

# %%
by = ["kind", "amount", "strategy"]
by_device = every.pivot_table(index=by, columns="device", values="inference_regret")
if by_device.shape[1] > 1:
    mean, low, high = statistics.interval(by_device.to_numpy().T)
else:  # one device has no interval
    mean = low = high = by_device.to_numpy()[:, 0]
means = by_device.index.to_frame(index=False).assign(mean=mean, low=low, high=high)
figure = plots.robustness(means, names)
results.figure(figure, "fig17_disturbances", means, digits=4)

# %% [markdown]
# **Table 12.1.** The same means.

# %%
means.pivot_table(index=["kind", "amount"], columns="strategy", values="mean").round(3)

# %% [markdown]
# **Table 12.2.** Mean rise of the regret over that of the same searches without disturbance, paired by device and
# start, with its 95 % interval over devices.

# %%
without = by_device.groupby(["kind", "strategy"]).transform("first")  # the first amount is 0
rise = (by_device - without).drop(index=0, level="amount")
found = statistics.interval(rise.to_numpy().T) if rise.shape[1] > 1 else [rise.iloc[:, 0]] * 3
text = [f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]" for mean, low, high in zip(*found, strict=True)]
rises = rise.index.to_frame(index=False).assign(rise=text)
rises.pivot_table(index=["kind", "amount"], columns="strategy", values="rise", aggfunc="first")

# %% [markdown]
# **What to see:** the bars of Figure 17 show how much devices differ. Disturbed and undisturbed searches have the same
# devices and starts, so Table 12.2 compares them in pairs: a rise is significant if its interval lies above zero.
# Strong noise raises the regret of all three searches, and costs expected improvement more than any other disturbance.
# Coarse timers come second for expected improvement: with them, it takes most devices for phones. The latencies of
# phones have spikes, so it believes that the range is wide, and latency counts too little. Failing cells cost the
# paper's policy much, and the other two searches little.
#
# **Limits:** a live search measures a reference network beside every cell and corrects drift by it; here nothing is
# corrected. Cells fail at random here; on real devices they fail by kind. One trained controller is shown (seed 0).
# Table 12.2 has many intervals, and about one in twenty misses its true value by chance.
#
# **A question to try:** repeat every measurement and take the median. How much noise does that undo, and is it worth
# the time?
