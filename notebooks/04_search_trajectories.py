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
# **Question.** Does the trained policy find good cells on real devices, with at most ten measurements (section 4,
# Figure 6; claims 4 and 5)?
#
# **Idea.** The policy of notebook 03 plays its game on a measured device. It edits cells, and every new cell is
# measured. A cell that was measured before costs nothing. After ten different cells the search ends and recommends one
# of them. The policy used here, `heldout`, was trained without the six test devices (HELP's split) and their variants.
#
# **Equation.** A search is judged by its *normalised regret*:
#
# $$
# \text{regret}(h) = \frac{r^* - r(h)}{r^* - r_{10}}
# $$
#
# - $r(h) = p(h) + \bar\ell(h)$ is the reward of the cell $h$ on the device (notebook 02).
# - $r^*$ is the reward of the best of all 15,625 cells on this device.
# - $r_{10}$ is the best reward among ten uniformly random cells, in expectation.
#
# It is 0 for the best cell, and 1 for the best of ten random cells on average. Two cells are judged. The *simple
# regret* is that of the best cell measured. The *inference regret* is that of the recommendation. They differ because
# the reward needs the fastest and the slowest cell of the device, which ten measurements do not show. So the inference
# regret of random search is above 1: it does not know which of its ten cells is the best.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import numpy as np
import pandas as pd

from simmore import devices, paths, space
from simmore.devices import optimum, reward
from simmore.experiments import comparison, evidence, record, statistics, summaries
from simmore.plots import drawings
from simmore.plots import paper as plots
from simmore.strategies import Problem, Search, Session, run

results = record.Recorder("04_search_trajectories", figures or paths.FIGURES, seed=seed, quick=quick)
problem = Problem.of("cifar10")
everything = np.arange(space.N_ARCHS)

# %% [markdown]
# The devices of the figure: HELP's six test devices if their tables are on this machine, NATS-Bench's own GPU, the four
# benchmarked runtimes of this project (notebook 07), and the mean synthetic device. All but the first six need no
# download.
#
# **Table 4.1.** One search per device, all from one start: the recommended cell, its latency in ms, cells measured.

# %%
tested = devices.available(devices.TEST_DEVICES)
own = devices.benchmarked_devices()
shown = [*tested, devices.load("nats_gpu"), *own, devices.load("mean")]
start = int(np.random.default_rng(seed).integers(space.N_ARCHS))
sessions = {d.name: Session("heldout", problem, start=start, seed=seed) for d in shown}
found: dict[str, Search] = {d.name: run(sessions[d.name], d) for d in shown}
facts = [(name, f.arch_str, f.latency_ms, f.n_measured) for name, f in found.items()]
pd.DataFrame(facts, columns=["device", "recommendation", "latency (ms)", "cells measured"])

# %% [markdown]
# One of these searches, cell by cell: latency and true reward of every cell. Edited edges are marked in red.

# %%
latency = {d.name: d.latency_ms(everything) for d in shown}
rewards = {name: reward(problem.score, table) for name, table in latency.items()}
first = found[shown[0].name].trajectory.drop_duplicates("arch")
figure = drawings.episode(first["arch"], first["latency_ms"], rewards[shown[0].name][first["arch"]])

# %% [markdown]
# **Figure 6.** All these searches, a panel for each device: score against latency. Each point is a cell. Its colour is
# its reward on this device. The line connects the cells in the order of the search.

# %%
searches = {name: (f.trajectory, f.arch, optimum(problem.score, latency[name])) for name, f in found.items()}
figure = plots.trajectories(searches, latency, problem.score, rewards)
steps = pd.concat([f.trajectory.assign(device=name) for name, f in found.items()])
columns = ["device", "step", "arch", "latency_ms", "score", "val_accuracy", "n_measured"]
results.figure(figure, "fig6_trajectories", steps[columns])

# %% [markdown]
# One start proves little, so that each device is searched from 100 starts. `heldout` is compared with random search and
# with `paper`, whose distribution of synthetic devices was fitted to all 18 devices, the tested ones included. If the
# test devices are missing, the benchmarked runtimes take their place in the tables, and claims 4 and 5 are not
# evaluated.
#
# **Table 4.2.** Normalised regrets and cells measured, means over devices and starts.

# %%
n_starts = 10 if quick else 100
names = ["heldout", "paper", "random"]
judged = tested or own
frame = comparison.compare(judged, problem, names=names, n_starts=n_starts, budget=10, seed=seed)
regrets = comparison.at(frame)
results.table(regrets, "regrets")
regrets.groupby("strategy")[["simple_regret", "inference_regret", "n_measured"]].mean().loc[names].round(3)

# %% [markdown]
# **Table 4.3.** Simple regret (normalised) by device, mean over starts.

# %%
regrets.pivot_table(index="device", columns="strategy", values="simple_regret").round(3)

# %% [markdown]
# The same as bars: simple regret by device and strategy, with 95 % intervals over starts. The dotted line at 1 is the
# best of ten random cells on average.

# %%
ax = plots.regret_by_device(summaries.by_device(regrets))

# %% [markdown]
# Do different devices lead to different recommendations from the same start, with the same random numbers? And do these
# fit their device better than the recommendations that the policy makes on the other devices?
#
# **Table 4.4.** Inference regret (normalised) on each device: of the recommendation that was made on it, and of those
# that were made on the other devices from the same starts.

# %%
ours = regrets[regrets["strategy"] == "heldout"]
different = ours.groupby("start")["arch"].nunique().mean()
print(f"{different:.2f} different recommendations on {len(judged)} devices, mean over {n_starts} starts")
fit = evidence.own_against_others(ours, judged, problem.score)
fit.round(3)

# %% [markdown]
# **Table 4.5.** The verdicts on claims 4 and 5.

# %%
names, (own_regret, others_regret) = [d.name for d in tested], fit.mean()
difference, low, high = statistics.interval(fit["others"] - fit["own"])
shown_4 = f"{different:.2f} different recommendations on {len(judged)} devices; regret {own_regret:.2f} with the "
shown_4 += f"device's own, {others_regret:.2f} with those of the others "
shown_4 += f"(difference {difference:.2f} [{low:.2f}, {high:.2f}])"
results.claim(4, shown_4, names, difference=difference, low=low)
most, by_device = ours["n_measured"].max(), ours.groupby("device")["inference_regret"].mean()
shown_5 = f"at most {most} cells, {ours['n_measured'].mean():.1f} on average; "
shown_5 += f"regret {by_device.mean():.2f}, on the worst device {by_device.max():.2f}"
results.claim(5, shown_5, names, most=most, mean=by_device.mean(), worst=by_device.max())
results.claims()

# %% [markdown]
# **What to see:** the policy was trained on synthetic devices alone, and its searches differ between devices. Table 4.2
# compares it with random search. The inference regret is the larger one, because a policy can measure a very good cell
# without knowing that it is the best.
#
# **Limits:** six devices and one policy. A policy samples its actions, so that another seed gives other searches.
# Notebook 05 compares more strategies on more devices with the same ten measurements.
#
# **A question to try:** change `seed`. Does the search on `raspi4` always take more steps than the one on `gold_6226`?
