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
# **Question.** The method needs ten measurements on a device. What does that mean on real hardware, such as the machine
# that runs this notebook?
#
# **Idea.** A *device* is hardware and a runtime: the program that compiles and runs a network, such as ONNX Runtime.
# This notebook compiles networks, and measures their latencies during a search. It then looks at four *benchmarked
# runtimes*, in which this project measured all cells on a server CPU.
#
# **Equation.** A computer is busy with other things, and changes its speed. A network is therefore timed in several
# rounds, and each time a reference network $h_\text{ref}$ beside it. The latency of the cell $h$ is
#
# $$
# \ell(h) = m(h) \cdot \frac{\operatorname{median}_g m_g(h_\text{ref})}{m_h(h_\text{ref})}, \qquad
# m(h) = \operatorname{median}_{j} \; \operatorname{median}_{i} \; t_{ij}(h)
# $$
#
# - $t_{ij}(h)$ is the time of run $i$ in round $j$. Runs that another program interrupted are left out.
# - $m(h)$ is the median over rounds of the median of each round.
# - $m_g(h_\text{ref})$ is the same median for the reference network, measured beside the cell $g$. The numerator is its
#   median over all measured cells $g$, and the denominator is its value beside the cell $h$ itself.
#
# **In this notebook.** A few cells in every runtime. A live search from ten measurements, and how long measuring all
# cells would take. Figure S2: how alike the measured devices are, and whether Ξ could have drawn them. Searches on the
# benchmarked runtimes. What is measured here differs from machine to machine. What is written into `figures/` comes
# from the stored tables.

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
from simmore.hardware import live, measure, onnx_network, runtimes
from simmore.plots import drawings
from simmore.plots import likeness as likeness_plots
from simmore.plots import paper as plots
from simmore.strategies import BEST, Problem, Session

results = record.Recorder("07_your_machine", figures or paths.FIGURES, seed=seed, quick=quick)
problem = Problem.of("cifar10")
everything = np.arange(space.N_ARCHS)

# %% [markdown]
# **Table 7.1.** The machine that this notebook runs on.

# %%
pd.Series(provenance.machine(), name="this machine").to_frame()

# %% [markdown]
# ## A few cells in every runtime that is installed
#
# Cells of one runtime are timed in turn, round by round. A latency is *doubtful* if the spread of its rounds stays
# above 5 %, or if other programs took the core in too many of its runs. `make figures` installs ONNX Runtime; `make
# test` and `make own-devices` install the others. `torch.compile` takes half a minute per cell: measure it with
# `simmore measure 1462 --runtime torch_compile`.
#
# **Table 7.2.** Latency in ms of the five cells of one operation alone (batch 1, one thread), ± spread of the rounds;
# number of doubtful latencies.

# %%
cells = space.single_operation_archs().tolist()
asked = [(name, kind) for name, kind in runtimes.installed() if name != "torch_compile"][: 2 if quick else None]
rows = {}
for name, kind in asked:
    found = measure.measure_many(cells, measure.Configuration(name, kind))
    shown = [one.reason or f"{one.latency_ms:.3f} ± {100 * one.spread:.0f} %" for one in found]
    rows[f"{name} {kind}"] = [*shown, sum(one.doubtful for one in found)]
pd.DataFrame.from_dict(rows, orient="index", columns=[*space.OPERATIONS, "doubtful"])

# %% [markdown]
# ## Ten measurements, live
#
# The default strategy, expected improvement (notebook 05), knows simulated devices and tables of other devices. Of this
# machine it knows only what it measures.

# %%
wanted = measure.Configuration(runtime, precision)
session = Session(BEST, problem, seed=seed)
ended = live.search_live(wanted, session, strategy=BEST, seed=seed)
print(f"{ended.seconds:.1f} s; all cells would have taken {ended.seconds_for_everything() / 60:.0f} minutes")

# %% [markdown]
# Drawing of the recommended cell.

# %%
found = ended.found
ax = drawings.cell(space.to_ops(found.arch))

# %% [markdown]
# **Table 7.3.** The recommendation: its latency on this machine, and its validation accuracy from NATS-Bench.

# %%
facts = {"cell": found.arch_str, "latency (ms)": round(found.latency_ms, 3)}
facts |= {f"{name}, validation (%)": round(data.accuracy(name)[found.arch], 2) for name in data.DATASETS}
pd.Series(facts, name="the recommendation").to_frame()

# %% [markdown]
# The live search over all cells: score against latency. The latencies of the cells in the background are those of the
# stored table of this runtime, times one factor that fits them to the ten measurements here. The factor compares this
# machine with the one of the table.

# %%
table = wanted.name if wanted.name in data.BENCHMARKED else "onnxruntime_fp32"
measured = found.trajectory.drop_duplicates("arch").query("latency_ms < inf")
factor = np.median(measured["latency_ms"] / data.latency_table(table)[measured["arch"]])
known = data.latency_table(table) * factor
reward = devices.reward(problem.score, known)
ax = plots.trajectory(found.trajectory, found.arch, int(reward.argmax()), known, problem.score, reward)
title = f"{wanted.name}: this machine takes {factor:.2f} of the table's time"
ax.set(xlabel="latency (ms, logarithmic)", ylabel="score $p$", title=title)
legend = ax.legend(loc="lower right")

# %% [markdown]
# The recommended network as an ONNX file. Its weights are initial ones; `layers.weights_of` takes those of a network
# that you trained.

# %%
(paths.BUILD / "live").mkdir(parents=True, exist_ok=True)
onnx_network.export(found.arch, paths.BUILD / "live" / "best.onnx")

# %% [markdown]
# ## The benchmarked runtimes
#
# A single disturbed measurement can make a cell the slowest of all. It then sets the range of the inverse latency, and
# with it every reward. The tables are therefore measured in three passes, at different times and in different
# processes. The first pass measures every network. The other two measure again what the range may depend on: the
# slowest 1 %, cells that take more than 1.25 times what a robust fit of their operations explains, doubtful cells, and
# the cells of one operation. 500 random networks are measured in every pass as a control. The table has the median of
# the measurements.
#
# **Table 7.4.** How the four runtimes were measured.

# %%
metadata = [data.benchmark_metadata(name) for name in data.BENCHMARKED]
first = [np.load(paths.TABLES / f"latency_{name}.npz")["readings_ms"][0] for name in data.BENCHMARKED]
tables = [data.latency_table(name) for name in data.BENCHMARKED]
columns = {
    "processor": [one["machine"]["processor"] for one in metadata],
    "networks": [one["networks"] for one in metadata],
    "measured again": [one["measured_again"] for one in metadata],
    "changed by > 25 %": [one["changed_by_more_than_a_quarter"] for one in metadata],
    "median (ms)": [np.median(table).round(3) for table in tables],
    "slowest, first pass (ms)": [one.max().round(2) for one in first],
    "slowest, table (ms)": [table.max().round(2) for table in tables],
    "minutes of a core": [round(one["core_seconds"] / 60) for one in metadata],
}
pd.DataFrame(columns, index=list(data.BENCHMARKED)).transpose()

# %% [markdown]
# How repeatable are these latencies? The 500 random networks tell.
#
# **Table 7.5.** By runtime: Kendall's $\tau$ between the first two passes, with its 95 % interval over networks; the
# median relative difference; the regret that noise causes. This is the regret of the network with the highest reward in
# the first pass, judged by the second: 0 is the best network of the second pass, 1 is a random one. *Drift* is the
# median difference between passes, without and with the correction by the reference network, on networks that the
# correction was not fitted to. Five more runtimes are measured on a sample of the cells. They are *blind*: no search
# was run on them before the searches of notebook 05 were fixed.

# %%
every = {name: data.benchmark_metadata(name) for name in (*data.BENCHMARKED, *data.BLIND)}
repeated = pd.DataFrame({name: one["repeatability"] for name, one in every.items()}).T
for what in ("kendall", "regret"):
    repeated[f"{what}_interval"] = [f"{low:.3f} to {high:.3f}" for low, high in repeated[f"{what}_interval"]]
repeated["drift"] = [f"{one['drift']['uncorrected']:.3f}, {one['drift']['corrected']:.3f}" for one in every.values()]
repeated = repeated.rename_axis("runtime").reset_index()
results.table(repeated, "repeatability")
repeated.round(4)

# %% [markdown]
# How alike are these devices and those of the paper? And could Ξ, the distribution of synthetic devices, have drawn
# them? A search sees latencies relative to its first measurement, so that the share of each operation in the latency
# counts. Where tables of the paper's devices are missing, sums of operation latencies take their place.

# %% [markdown]
# **Figure S2.** Comparison of the benchmarked runtimes with the paper's devices and with Ξ. (a) Kendall's $\tau$
# between the latencies of any two devices. (b) Place of each operation's share among the devices that Ξ draws: 50 % is
# the median draw.

# %%
own = devices.benchmarked_devices()
paper = devices.available(name for name in data.MEASURED if name in devices.PAPER_DEVICES)
paper = paper or [devices.load(f"{name}_lut") for name in devices.PAPER_DEVICES]
pairs = likeness.kendall({d.name: d.latency_ms(everything) for d in [*own, devices.load("nats_gpu"), *paper]})
profiles = likeness.within(devices.SyntheticDevices.fit(), [*own, *paper], seed=seed)
figure = likeness_plots.benchmarked_runtimes(pairs, profiles, list(data.BENCHMARKED))
results.figure(figure, "figS2_own_devices", pairs)
results.table(profiles, "figS2_own_devices_shares")

# %% [markdown]
# **Table 7.6.** Percentile (%) of each operation's share among draws of Ξ.

# %%
between = pairs[(pairs["device_a"] < pairs["device_b"])]
ours = between["device_a"].isin(data.BENCHMARKED).astype(int) + between["device_b"].isin(data.BENCHMARKED)
groups = ours.map({0: "two of the paper's devices", 1: "one of each", 2: "two benchmarked runtimes"})
medians = between.groupby(groups)["kendall"].median()
print(f"Kendall's τ, median of pairs: {', '.join(f'{name} {value:.2f}' for name, value in medians.items())}")
profiles = profiles[profiles["device"].isin(data.BENCHMARKED)]
profiles.pivot_table(index="device", columns="operation", values="share_percentile").round(1)

# %% [markdown]
# ## Searches on them
#
# No choice of this project was made with these devices. Regret is normalised (notebook 04): 0 is the best cell of the
# device, 1 is the best of ten random cells on average.
#
# **Table 7.7.** Inference regret (of the recommendation) and simple regret (of the best cell measured) after ten
# measurements, mean over random starts.

# %%
n_starts = 5 if quick else 25
names = (BEST, "linear_bound", "lut_evolution", "paper", "random")
frame = comparison.compare(own, problem, names=names, n_starts=n_starts, budget=10, seed=seed)
regrets = comparison.at(frame)
results.table(regrets, "own_regrets")
values = ["simple_regret", "inference_regret"]
regrets.pivot_table(index="device", columns="strategy", values=values).round(3)

# %% [markdown]
# The slowest cell sets the range of the inverse latency. A robust range, from the 0.1 % to the 99.9 % quantile of the
# latencies, does not depend on a single cell.
#
# **Table 7.8.** The same regrets by the robust range.

# %%
robust = [f"{name}_robust" for name in values]
regrets.pivot_table(index="device", columns="strategy", values=robust).round(3)

# %% [markdown]
# **Table 7.9.** The goals of this project.

# %%
best = regrets[regrets["strategy"] == BEST].groupby("device")[values].mean()
simple, inference = best["simple_regret"].mean(), best["inference_regret"].mean()
known = [d.name for d in [*own, *devices.available(data.MEASURED)]]
shown = f"{inference:.3f}, best measured {simple:.3f}"
results.goal("benchmarked runtimes", shown, known, inference_regret=inference, simple_regret=simple)
shown = f"{repeated['kendall'].min():.3f} to {repeated['kendall'].max():.3f}"
results.goal("repeatability", shown, list(every), lowest=repeated["kendall"].min())
results.goals()

# %%
outside = sorted(profiles.loc[~profiles["within"], "device"].unique())
print(f"outside of Ξ: {', '.join(outside) or 'none'}")
lowest = regrets.pivot_table(index="device", columns="strategy", values="inference_regret").idxmin(axis=1)
print(f"lowest inference regret: {', '.join(f'{strategy} on {device}' for device, strategy in lowest.items())}")

# %% [markdown]
# **What to see:** a live search takes seconds, and measuring all cells takes about half an hour of a core. The last
# line names the best strategy on each device. A device outside of Ξ is unlike the devices that the paper's policy was
# trained on. The paper warns that a search may fail there. Table 7.7 shows by how much.
#
# **Limits:** the benchmarked runtimes ran on one machine, with one thread and initial weights. Other machines have
# other latencies. A latency of a single network says nothing about throughput or energy.
#
# **A question to try:** set `precision = "int8"`, and run the live search again. Is the recommended cell another one?
