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
# # 4 · Ten measurements on a device never seen
#
# The trained policy meets a real device. It edits cells, measures at most ten of them, and recommends one (section 4).
# The policy used here never saw the six test devices (HELP's split), nor variants of them. This notebook
#
# - rebuilds **Figure 6**: from one start, different ways on different devices, the benchmarked runtimes of this
#   project among them;
# - measures over 100 starts how much better than random search it is;
# - checks claims 4 and 5.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import numpy as np
import pandas as pd

from simmore import devices, paths, space
from simmore.devices import optimum
from simmore.experiments import comparison, evidence, record, statistics, summaries
from simmore.plots import paper as plots
from simmore.strategies import Problem, Search, Session, run

results = record.Recorder("04_search_trajectories", figures or paths.FIGURES, seed=seed, quick=quick)
problem = Problem.of("cifar10")
everything = np.arange(space.N_ARCHS)

# %% [markdown]
# The devices of the figure: HELP's six test devices if their tables are on this machine; NATS-Bench's own GPU; the
# four benchmarked runtimes of this project (notebook 07); and the mean synthetic device. All but the first six need no
# download.

# %%
tested = devices.available(devices.TEST_DEVICES)
own = devices.benchmarked_devices()
shown = [*tested, devices.load("nats_gpu"), *own, devices.load("mean")]
start = int(np.random.default_rng(seed).integers(space.N_ARCHS))
sessions = {d.name: Session("heldout", problem, start=start, seed=seed) for d in shown}
found: dict[str, Search] = {d.name: run(sessions[d.name], d) for d in shown}
facts = [(name, f.arch_str, f.latency_ms, f.n_measured) for name, f in found.items()]
pd.DataFrame(facts, columns=["device", "recommendation", "latency (ms)", "cells measured"])

# %%
latency = {d.name: d.latency_ms(everything) for d in shown}
searches = {name: (f.trajectory, f.arch, optimum(problem.score, latency[name])) for name, f in found.items()}
figure = plots.trajectories(searches, latency, problem.score)
steps = pd.concat([f.trajectory.assign(device=name) for name, f in found.items()])
columns = ["device", "step", "arch", "latency_ms", "score", "val_accuracy", "n_measured"]
results.figure(figure, "fig6_trajectories", steps[columns])

# %% [markdown]
# One start proves little. Normalised regret is 0 for the best cell of the device, and 1 for the best of ten random
# cells on average. The *simple regret* is that of the best cell measured. The *inference regret* is that of the
# recommendation, which is chosen without knowing the device's range of latencies. Beside `heldout`: `paper`, whose
# distribution of synthetic devices was fitted to all 18 devices, the tested ones included, and random search. If the
# test devices are missing, the benchmarked runtimes take their place in the tables; claims 4 and 5 are then not
# evaluated.

# %%
n_starts = 10 if quick else 100
names = ["heldout", "paper", "random"]
judged = tested or own
frame = comparison.compare(judged, problem, names=names, n_starts=n_starts, budget=10, seed=seed)
regrets = comparison.at(frame)
results.table(regrets, "regrets")
regrets.groupby("strategy")[["simple_regret", "inference_regret", "n_measured"]].mean().loc[names].round(3)

# %%
regrets.pivot_table(index="device", columns="strategy", values="simple_regret").round(3)

# %%
ax = plots.regret_by_device(summaries.by_device(regrets))

# %% [markdown]
# Do different devices lead to different recommendations from the same start, with the same random numbers? And does
# that help: has a device's own recommendation less regret on it than those that the same policy makes on the other
# devices from the same start?

# %%
ours = regrets[regrets["strategy"] == "heldout"]
different = ours.groupby("start")["arch"].nunique().mean()
print(f"{different:.2f} different recommendations on {len(judged)} devices, mean over {n_starts} starts")
fit = evidence.own_against_others(ours, judged, problem.score)
fit.round(3)

# %%
names, (own_regret, others_regret) = [d.name for d in tested], fit.mean()
difference, low, high = statistics.interval(fit["others"] - fit["own"])
shown_4 = f"{different:.2f} of {len(judged)}; {own_regret:.2f}; {others_regret:.2f}; "
shown_4 += f"{difference:.2f} [{low:.2f}, {high:.2f}]"
results.claim(4, shown_4, names, difference=difference, low=low)
most, by_device = ours["n_measured"].max(), ours.groupby("device")["inference_regret"].mean()
shown_5 = f"{most} ({ours['n_measured'].mean():.1f}); {by_device.mean():.2f}, {by_device.max():.2f}"
results.claim(5, shown_5, names, most=most, mean=by_device.mean(), worst=by_device.max())
results.claims()

# %% [markdown]
# **What to see:** the policy has only met synthetic devices. The table above compares what it measures in at most ten
# measurements with random search. The inference regret is the larger one: a policy can measure a very good cell and
# not know it. Notebook 05 compares other strategies with the same ten measurements.
