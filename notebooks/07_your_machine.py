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
# # 7 · On the machine you hold
#
# Ten *real* measurements are enough, says the method. Here they are real: this notebook compiles networks for the
# machine that it runs on, and searches while it measures. It then looks at the benchmarked runtimes: four pairs of a
# runtime and a precision in which this project measured all cells. This notebook
#
# - measures a few cells in every runtime;
# - searches live, from ten measurements, and says what measuring everything would have cost;
# - rebuilds **Figure S2**: how alike the measured devices are, and whether Ξ could have drawn them;
# - says how good the searches are on devices that had no part in any choice.
#
# What it measures differs from machine to machine; what it writes into `figures/` comes from the tables.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own
runtime = "onnxruntime"  # what to search in: onnxruntime, openvino, ncnn, litert, torch
precision = "fp32"  # or int8, in onnxruntime and openvino

# %%
import numpy as np
import pandas as pd

from simmore import data, devices, paths, provenance, space
from simmore.experiments import comparison, likeness, record
from simmore.hardware import live, measure, onnx_network, repeatability, runtimes
from simmore.plots import likeness as likeness_plots
from simmore.plots import paper as plots
from simmore.strategies import BEST, Problem, Session

results = record.Recorder("07_your_machine", figures or paths.FIGURES, seed=seed, quick=quick)
problem = Problem.of("cifar10")
everything = np.arange(space.N_ARCHS)
pd.Series(provenance.machine(), name="this machine").to_frame()

# %% [markdown]
# ## A few cells in every runtime that is installed
#
# The five cells made of one operation alone, batch 1, one thread, in milliseconds. Cells of one runtime are timed
# interleaved; ± is the spread of the rounds. `make figures` installs ONNX Runtime; `make test` and `make own-devices`
# install the others. `torch.compile` takes half a minute a cell and is left to
# `simmore measure 1462 --runtime torch_compile`.

# %%
cells = space.single_operation_archs().tolist()
asked = [(name, kind) for name, kind in runtimes.installed() if name != "torch_compile"][: 2 if quick else None]
rows = {}
for name, kind in asked:
    found = measure.measure_many(cells, measure.Configuration(name, kind))
    rows[f"{name} {kind}"] = [one.reason or f"{one.latency_ms:.3f} ± {100 * one.spread:.0f} %" for one in found]
pd.DataFrame.from_dict(rows, orient="index", columns=list(space.OPERATIONS))

# %% [markdown]
# ## Ten measurements, live
#
# Expected improvement knows the tables of other devices, and nothing of this machine but what it measures now.

# %%
wanted = measure.Configuration(runtime, precision)
session = Session(BEST, problem, seed=seed)
ended = live.search_live(wanted, session, strategy=BEST, seed=seed)
print(f"{ended.seconds:.1f} s; all cells would have taken {ended.seconds_for_everything() / 60:.0f} minutes")

# %%
found = ended.found
facts = {"cell": found.arch_str, "latency (ms)": round(found.latency_ms, 3)}
facts |= {f"{name}, validation (%)": round(data.accuracy(name)[found.arch], 2) for name in data.DATASETS}
pd.Series(facts, name="the recommendation").to_frame()

# %% [markdown]
# The search over all cells. The grey cells are the project's own table of the same runtime, times the one factor that
# fits it to the ten measurements here: how fast this machine is beside the one that the table comes from.

# %%
table = wanted.name if wanted.name in data.BENCHMARKED else "onnxruntime_fp32"
measured = found.trajectory.drop_duplicates("arch").query("latency_ms < inf")
factor = np.median(measured["latency_ms"] / data.latency_table(table)[measured["arch"]])
known = data.latency_table(table) * factor
ax = plots.trajectory(found.trajectory, found.arch, devices.optimum(problem.score, known), known, problem.score)
title = f"{wanted.name}: this machine takes {factor:.2f} of the table's time"
ax.set(xlabel="latency (ms)", ylabel="score $p$", title=title)
legend = ax.legend(fontsize=6, loc="lower right")

# %% [markdown]
# The recommended network as an ONNX file. Its weights are initial ones; `layers.weights_of` takes those of a network
# that you trained.

# %%
(paths.BUILD / "live").mkdir(parents=True, exist_ok=True)
onnx_network.export(found.arch, paths.BUILD / "live" / "best.onnx")

# %% [markdown]
# ## The benchmarked runtimes
#
# What their metadata say. Cells that are one network are measured at different times; how far apart they are says how
# good a table is, with noise and drift.

# %%
metadata = [data.benchmark_metadata(name) for name in data.BENCHMARKED]
columns = {
    "processor": [one["machine"]["processor"] for one in metadata],
    "date": [one["date"] for one in metadata],
    "median (ms)": [np.median(data.latency_table(name)).round(3) for name in data.BENCHMARKED],
    "failed": [len(one["failed"]) for one in metadata],
    "same network, difference (%)": [round(100 * one["same_network"]["median_difference"], 1) for one in metadata],
    "unstable": [one["unstable"] for one in metadata],
    "minutes of a core": [round(one["core_seconds"] / 60) for one in metadata],
}
pd.DataFrame(columns, index=list(data.BENCHMARKED))

# %% [markdown]
# Repeatability of all runtimes: the same 50 cells, measured twice by different processes.

# %%
repeated = pd.read_csv(repeatability.TABLE)
repeated.round(3)

# %% [markdown]
# How alike are they, beside the paper's devices? And are they within Ξ, the distribution of synthetic devices? A
# search sees latencies relative to its first measurement, so what matters is each operation's share. Where the paper's
# devices are missing, the sums of their operations take their place.

# %%
own = devices.benchmarked_devices()
paper = devices.available(name for name in data.MEASURED if name in devices.PAPER_DEVICES)
paper = paper or [devices.load(f"{name}_lut") for name in devices.PAPER_DEVICES]
pairs = likeness.kendall({d.name: d.latency_ms(everything) for d in [*own, devices.load("nats_gpu"), *paper]})
profiles = likeness.within(devices.SyntheticDevices.fit(), [*own, *paper], seed=seed)
figure = likeness_plots.benchmarked_runtimes(pairs, profiles, list(data.BENCHMARKED))
results.figure(figure, "figS2_own_devices", pairs)
results.table(profiles, "figS2_own_devices_shares")

# %%
between = pairs[(pairs["device_a"] < pairs["device_b"])]
ours = between["device_a"].isin(data.BENCHMARKED).astype(int) + between["device_b"].isin(data.BENCHMARKED)
groups = ours.map({0: "paper's", 1: "one of each", 2: "benchmarked"})
print("Kendall, median of pairs:", between.groupby(groups)["kendall"].median().round(2).to_dict())
profiles = profiles[profiles["device"].isin(data.BENCHMARKED)]
profiles.pivot_table(index="device", columns="operation", values="share_percentile").round(1)

# %% [markdown]
# ## Searches on them
#
# No choice of this project was made with these devices. Normalised regret over random starts, ten measurements: 0 is
# the device's best cell, 1 is what ten random cells give on average.

# %%
n_starts = 5 if quick else 25
names = (BEST, "linear_bound", "lut_evolution", "paper", "random")
frame = comparison.compare(own, problem, names=names, n_starts=n_starts, budget=10, seed=seed)
regrets = comparison.at(frame)
results.table(regrets, "own_regrets")
values = ["simple_regret", "inference_regret"]
regrets.pivot_table(index="device", columns="strategy", values=values).round(3)

# %%
best = regrets[regrets["strategy"] == BEST].groupby("device")[values].mean()
simple, inference = best["simple_regret"].mean(), best["inference_regret"].mean()
known = [d.name for d in [*own, *devices.available(data.MEASURED)]]
shown = f"{inference:.3f}, best measured {simple:.3f}"
results.claim(16, shown, known, inference_regret=inference, simple_regret=simple)
shown = f"{repeated['kendall'].min():.3f} to {repeated['kendall'].max():.3f}"
results.claim(17, shown, data.BENCHMARKED, lowest=repeated["kendall"].min())
results.claims()

# %%
outside = sorted(profiles.loc[~profiles["within"], "device"].unique())
print(f"outside of Ξ: {', '.join(outside) or 'none'}")
lowest = regrets.pivot_table(index="device", columns="strategy", values="inference_regret").idxmin(axis=1)
print("lowest inference regret:", lowest.to_dict())

# %% [markdown]
# **What to see:** a live search takes seconds, and measuring everything takes about half an hour of a core. The last
# line names the best strategy on each device. A device outside of Ξ is unlike anything that the paper's policy was
# trained on, and unlike the devices whose tables are known: the paper warns that a search may fail there, and the
# table of regrets shows by how much.
