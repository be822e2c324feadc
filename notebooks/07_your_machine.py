# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7 · On the machine you hold
#
# Ten *real* measurements are enough, says the method. Here they are real: this notebook compiles networks for the
# machine that it runs on, and searches while it measures. It then looks at the project's own devices, four
# pairs of a runtime and a precision that all 15,625 cells were measured in. This notebook
#
# - measures a few cells in every runtime;
# - searches live, from ten measurements, and says what measuring everything would have cost;
# - rebuilds **Figure S2**: how alike the measured devices are, and whether Ξ could have drawn them;
# - says how good the searches are on devices that had no part in any choice.
#
# What it measures differs from machine to machine; what it writes into `figures/` comes from the tables.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything, the same road
figures = ""  # folder for the figures; empty: the project's own
runtime = "onnxruntime"  # what to search in: onnxruntime, openvino, ncnn, litert, torch
precision = "fp32"  # or int8, in onnxruntime and openvino

# %%
import numpy as np
import pandas as pd
from IPython.display import display

from simmore import data, devices, paths, proxies, space
from simmore.devices import rewards
from simmore.experiments import likeness, record
from simmore.hardware import live, measure, onnx_network, repeatability
from simmore.plots import likeness as likeness_plots
from simmore.plots import paper as plots
from simmore.strategies import catalogue as strategies
from simmore.strategies import loop

results = record.Recorder("07_your_machine", figures or paths.FIGURES, seed=seed, quick=quick)
score = proxies.stored_score()
everything = np.arange(space.N_ARCHS)
pd.Series(measure.machine(), name="this machine").to_frame()

# %% [markdown]
# ## A few cells in every runtime
#
# The five cells made of one operation alone, batch 1, one thread, in milliseconds. Cells of one runtime take turns;
# ± is the spread of the rounds. `torch.compile` takes half a minute a cell and is left to
# `python -m simmore measure 1462 --runtime torch_compile`.

# %%
cells = space.single_operation_archs().tolist()
asked = [("onnxruntime", "int8"), ("openvino", "int8"), *((name, "fp32") for name in measure.RUNTIMES)][
    : 3 if quick else -1
]
rows = {}
for name, kind in asked:
    found = measure.measure_many(cells, measure.Configuration(name, kind))
    rows[f"{name} {kind}"] = [one.reason or f"{one.latency_ms:.3f} ± {100 * one.spread:.0f} %" for one in found]
pd.DataFrame.from_dict(rows, orient="index", columns=list(space.OPERATIONS))

# %% [markdown]
# ## Ten measurements, live
#
# The strategy that did best in notebook 05 knows the tables of other devices, and nothing of this machine but what it
# measures now.

# %%
wanted = measure.Configuration(runtime, precision)
strategy = strategies.make(strategies.BEST, wanted.name)
folder = paths.BUILD / "live"
folder.mkdir(parents=True, exist_ok=True)
ended = live.search_live(wanted, strategy, strategy_name=strategies.BEST, out=folder / "trajectory.csv", seed=seed)
print(f"{ended.seconds:.1f} s; all 15,625 cells would have taken {ended.seconds_for_everything() / 60:.0f} minutes")

# %%
found = ended.found
facts = {"cell": found.arch_str, "latency (ms)": round(found.latency_ms, 3)}
facts |= {f"{name}, validation (%)": round(data.accuracy(name)[found.arch], 2) for name in data.DATASETS}
pd.Series(facts, name="the answer").to_frame()

# %% [markdown]
# The search over all cells. The grey cells are the project's own table of the same runtime, times the one factor that
# makes it fit the ten measurements here: how fast this machine is beside the one that the table comes from.

# %%
table = wanted.name if wanted.name in data.OWN else "onnxruntime_fp32"
measured = found.trajectory.drop_duplicates("arch").query("latency_ms < inf")
factor = np.median(measured["latency_ms"] / data.latency_table(table)[measured["arch"]])
known = data.latency_table(table) * factor
ax = plots.trajectory(found.trajectory, found.arch, rewards.optimum(score, known), known, score)
ax.set(
    xlabel="latency (ms)",
    ylabel="score $p$",
    title=f"{wanted.name}: this machine takes {factor:.2f} of the table's time",
)
ax.legend(fontsize=6, loc="lower right")
# %% [markdown]
# The answer as an ONNX file, checked against torch on the way (its weights are initial ones; `layers.weights_of` takes
# those of a network that you trained).

# %%
error = onnx_network.export(found.arch, folder / "best.onnx")
print(f"largest difference from torch: {error:.1e} of the largest logit")

# %% [markdown]
# ## The project's own devices
#
# What their cards say. Cells that are one network are measured at different times; how far apart they are says how good
# a table is, noise, drift and all.

# %%
cards = [data.own_card(name) for name in data.OWN]
columns = {
    "processor": [card["machine"]["processor"] for card in cards],
    "date": [card["date"] for card in cards],
    "median (ms)": [np.median(data.latency_table(name)).round(3) for name in data.OWN],
    "failed": [len(card["failed"]) for card in cards],
    "one network apart (%)": [round(100 * card["same_network"]["median_difference"], 1) for card in cards],
    "not steady": [card["not_steady"] for card in cards],
    "minutes of a core": [round(card["core_seconds"] / 60) for card in cards],
}
pd.DataFrame(columns, index=list(data.OWN))

# %% [markdown]
# Repeatability, of all runtimes: the same 50 cells, measured twice by different processes.

# %%
repeated = pd.read_csv(repeatability.TABLE)
repeated.round(3)

# %% [markdown]
# How alike are they, beside the paper's devices? And are they within Ξ, the distribution of synthetic devices? A search
# sees latencies relative to its first measurement, so what matters is each operation's share.

# %%
own = devices.own_devices()
paper = devices.available(name for name in data.MEASURED if name in devices.PAPER_DEVICES)
paper = paper or [devices.load(f"{name}_lut") for name in devices.PAPER_DEVICES]
pairs = likeness.kendall({d.name: d.latency_ms(everything) for d in [*own, devices.load("nats_gpu"), *paper]})
profiles = likeness.within(devices.SyntheticDevices.fit(), [*own, *paper], seed=seed)
figure = likeness_plots.own_devices(pairs, profiles, list(data.OWN))
results.figure(figure, "figS2_own_devices", pairs)
results.table(profiles, "figS2_own_devices_shares")

# %%
between = pairs[(pairs["device_a"] < pairs["device_b"])]
ours = between["device_a"].isin(data.OWN).astype(int) + between["device_b"].isin(data.OWN)
print(
    "Kendall, median of pairs:",
    between.groupby(ours.map({0: "paper's", 1: "one of each", 2: "own"}))["kendall"].median().round(2).to_dict(),
)
ours = profiles[profiles["device"].isin(data.OWN)]
ours.pivot_table(index="device", columns="operation", values="share_percentile").round(1)

# %% [markdown]
# ## Searches on them
#
# No choice of this project was made with these devices. Normalised regret over random starts, ten measurements: 0 is
# the device's best cell, 1 what ten random cells contain on average.

# %%
n_starts = 5 if quick else 25
names = (strategies.BEST, "linear_bound", "lut_evolution", "paper", "random")
ways = {d.name: {name: strategies.make(name, d.name) for name in names} for d in own}
regrets = pd.concat(loop.regrets([d], ways[d.name], n_starts=n_starts, seed=seed) for d in own)
results.table(regrets, "own_regrets")
regrets.pivot_table(index="device", columns="strategy", values=["regret_best", "regret"]).round(3)

# %%
best = regrets[regrets["strategy"] == strategies.BEST].groupby("device")[["regret", "regret_best"]].mean()
claims = [
    record.Claim(
        16, "companion: the best search on four devices measured here, which had no part in any choice",
        "≤ 0.06, best measured ≤ 0.03",
        f"{best['regret'].mean():.3f}, best measured {best['regret_best'].mean():.3f}",
        "normalised regret, mean over devices, 10 measurements",
        "reproduced" if best["regret"].mean() <= 0.06 and best["regret_best"].mean() <= 0.03 else "not reproduced",
    ),
    record.Claim(
        17, "companion: measuring the same 50 cells twice gives the same order, in each runtime", "≥ 0.9",
        f"{repeated['kendall'].min():.3f} to {repeated['kendall'].max():.3f}",
        f"Kendall, {len(repeated)} runtimes and precisions",
        "reproduced" if repeated["kendall"].min() >= 0.9 else "not reproduced",
    ),
]  # fmt: skip
display(results.claims(claims))

# %% [markdown]
# **Seen:** a live search takes seconds; measuring everything takes about half an hour of a core. Expected improvement
# ends at the best cell, or close to it, in the three fp32 runtimes. In int8, pooling takes most of the time: that is
# outside of what Ξ draws and of what other devices' tables know. There expected improvement measures a good cell but
# often answers with another, the paper's controller is far off, and a LUT from five measurements does best. It is the
# paper's caution about devices outside of the training distribution, met on an ordinary processor.
