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
# # 5 · Ten measurements: which search finds the best cell?
#
# **Question.** The paper does not compare its controller with other searches. Which search recommends the best cell
# after ten measurements, and which one is the right tool in which situation?
#
# **Idea.** All strategies get the same scores, the same start cells and the same number of measurements. What a
# strategy may know of other devices is fixed by a *protocol*:
#
# - **family**: the tested device is left out with its own family, the same board with other batch sizes. Relatives of
#   the device are known, such as another GPU.
# - **class**: the whole class of hardware is left out: GPUs, Xeon processors, phones, or edge devices.
# - **none**: no table of another device is known.
# - **blind**: devices that no choice of this project has seen before.
#
# The last three say what to expect on a device of your own.
#
# **Equations.** The normalised regret of a cell $h$ with the reward $r(h) = p(h) + \bar\ell(h)$ (notebooks 01 and 02)
# is
#
# $$\frac{r^* - r(h)}{r^* - r_{10}},$$
#
# where $r^*$ is the reward of the device's best cell, and $r_{10}$ the best reward among ten uniformly random cells, in
# expectation. It is 0 for the best cell, and 1 for the best of ten random cells on average. The *simple regret* is that
# of the best cell measured, the *inference regret* that of the recommendation. Random search does not know which of its
# ten cells is the best, so its inference regret is above 1.
#
# The default strategy next measures the cell with the highest *expected improvement*:
#
# $$
# \mathrm{EI}(h) = \frac{1}{n} \sum_{s=1}^{n} \mathbb{E} \left[\, \max\left(0, \; r_s(h) - r_s^+ \right) \right]
# $$
#
# - $s = 1, \dots, n$ are devices that agree with the measurements so far. They are samples from the posterior of a
#   model that was fitted to simulated devices (notebook 09) and to the tables of known devices.
# - $r_s(h)$ is the reward of the cell $h$ on the sample $s$. It is Gaussian, because the model leaves a residual.
# - $r_s^+$ is the best reward of a measured cell on the sample $s$. Every sample has its own range of latencies, so
#   that the uncertain exchange rate between score and milliseconds enters the choice.
#
# **In this notebook.** One search, cell by cell. Figure 7: regret of the recommendation against the number of
# measurements, for each protocol. Figure 8: recommendations under a latency limit, beside HELP's published table. Then:
# how much accuracy each score loses after ten measurements, and how much of the best front the searches reach.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own
score = "freerea"  # of all searches but those that compare scores: freerea (the paper's p), az, combined or params

# %%
import time

import numpy as np
import pandas as pd

from simmore import devices, paths, proxies
from simmore.experiments import accuracy_lost, comparison, limits, record, summaries
from simmore.models import Knowledge
from simmore.plots import comparison as plots
from simmore.plots import drawings
from simmore.strategies import BEST, STRATEGIES, History, Problem, catalogue

results = record.Recorder("05_search_quality", figures or paths.FIGURES, seed=seed, quick=quick)
problem = Problem.of("cifar10", score=score)

# %% [markdown]
# The devices and strategies of this run. A quick run has fewer of both.

# %%
measured = comparison.measured_devices()
tested = measured[:1] if quick else measured
few = ["random", "mean_device", "fixed_cell", "paper", "paper_blind", "controller", "controller_blind", BEST]
names = few if quick else list(comparison.STRATEGY_NAMES)
names = [name for name in names if name != comparison.TARGET_ONLY or len(measured) > 1]
main = [name for name in comparison.MAIN if name in names]
controllers = [name for name in main if name.startswith("controller")]
others = [name for name in main if name not in controllers]
policies = [name for name in ("trpo", "a2c", "no_history", comparison.TARGET_ONLY) if name in names]
n_starts = 2 if quick else comparison.STARTS
print(f"{len(names)} strategies, {n_starts} starts, {len(tested)} devices: {', '.join(d.name for d in tested)}")

# %% [markdown]
# **Figure 5.1.** One search by expected improvement on the first device, cell by cell: latency and true reward of every
# cell. It knows no table of another device. Edges that differ from the cell before are marked in red. A search may also
# measure a slow cell: it is the best one if the range of the device is large.

# %%
one = measured[0]
case = comparison.Case(BEST, one, problem, protocol="none", n_starts=1, budget=10)
_, session = next(comparison.searches(case))
latency = devices.whole_table(one)
rewards, archs = devices.reward(problem.score, latency), session.history.archs
figure = drawings.episode(archs, latency[archs], rewards[archs])

# %% [markdown]
# **Table 5.1.** What each strategy knows of other devices before it measures.
#
# The protocols do not change what `paper`, `paper_blind`, `trpo`, `a2c` and `no_history` know: their policies were
# trained on a distribution fitted to all 18 devices, as in the paper. `target_only` was trained on the tested device
# itself. Their recommendations know Ξ without the devices that are left out. Where there are no tables, strategies that
# use tables use simulated devices alone, and `covariance_greedy` and `covariance_bound` the paper's lookup tables.

# %%
rows = {name: (entry.knows, entry.description) for name, entry in STRATEGIES.items() if name in names}
pd.DataFrame.from_dict(rows, orient="index", columns=["knows of other devices", "description"])

# %% [markdown]
# ## Own family left out
#
# **Table 5.2.** Normalised regret after ten measurements, of the recommendation and of the best cell measured: mean
# with its 95 % interval over devices, mean of the worst device, and both by the robust range of latencies (0.1 to
# 99.9 %), which single outliers do not change. The last column is the adaptation gain, defined below. All devices
# share the ten starts, so that the interval of random search is too narrow: in expectation, its best measured cell has
# a regret of 1.

# %%
learned = comparison.compare(
    tested, problem, protocol="none", names=[*controllers, "controller/blind"], n_starts=n_starts,
    all_trainings=not quick,
)  # fmt: skip
known = [name for name in names if name not in controllers] + [f"{name}/blind" for name in policies]
regrets = comparison.compare(tested, problem, names=known, n_starts=n_starts)
regrets = pd.concat([regrets, learned.assign(protocol="family")])
table = summaries.summary(regrets)
table.round(3)

# %% [markdown]
# **Table 5.3.** Regret of the recommendation after five and after three measurements.

# %%
early = {budget: summaries.summary(regrets, budget=budget) for budget in (5, 3)}
pd.concat({f"{n} measurements": part["recommended"] for n, part in early.items()}, axis=1).round(3)

# %% [markdown]
# ## Own class left out, and no tables at all
#
# **Table 5.4.** As table 5.2, without the tables of the device's class.

# %%
by_class = comparison.compare(tested, problem, protocol="class", names=others, n_starts=n_starts)
by_class = pd.concat([by_class, learned.assign(protocol="class")])
summaries.summary(by_class).round(3)

# %% [markdown]
# **Table 5.5.** As table 5.2, without any table of another device.

# %%
# without tables the others know what they knew before: their searches are the same
needs_tables = [name for name in others if STRATEGIES[name].knows == catalogue.TABLES]
alone = comparison.compare(tested, problem, protocol="none", names=needs_tables, n_starts=n_starts)
same = regrets["strategy"].isin(set(others) - set(needs_tables))
alone = pd.concat([regrets[same].assign(protocol="none"), alone, learned])
without = summaries.summary(alone)
without.round(3)

# %% [markdown]
# **Table 5.6.** As table 5.3, without any table of another device.

# %%
early_without = {budget: summaries.summary(alone, budget=budget) for budget in (5, 3)}
pd.concat({f"{n} measurements": part["recommended"] for n, part in early_without.items()}, axis=1).round(3)

# %% [markdown]
# ## Blind devices
#
# Samples of five runtimes, and NATS-Bench's own GPU. No search was run on them before the strategies were fixed.
#
# **Table 5.7.** As table 5.2, with the tables of all other devices.

# %%
blind_devices = comparison.blind_devices()[:1] if quick else comparison.blind_devices()
blind = comparison.compare(blind_devices, problem, protocol="blind", names=others, n_starts=n_starts)
blind_table = summaries.summary(blind)
blind_table.round(3)

# %% [markdown]
# **Table 5.8.** As table 5.2, without any table of another device.

# %%
blind_alone = comparison.compare(
    blind_devices, problem, protocol="none", names=[*main, "controller/blind"], n_starts=n_starts,
    all_trainings=not quick,
)  # fmt: skip
blind_without = summaries.summary(blind_alone)
blind_without.round(3)

# %% [markdown]
# **Table 5.9.** Regret of the recommendation on each blind device, with tables of other devices (blind) and without
# (none).

# %%
ten = comparison.at(pd.concat([blind, blind_alone]))
of_best = ten[ten["strategy"].isin([BEST, "controller"])]
of_best.pivot_table(index="device", columns=["strategy", "protocol"], values="inference_regret", sort=False).round(3)

# %% [markdown]
# ## Regret by number of measurements
#
# The controllers use no tables, so that their searches on blind devices are the same with and without tables.

# %%
learned = blind_alone[blind_alone["strategy"].isin(controllers)].assign(protocol="blind")
blind = pd.concat([blind, learned])
frames = {"family": regrets, "class": by_class, "none": alone, "blind": blind}
frames = {name: summaries.without_copies(frame) for name, frame in frames.items()}
curves = pd.concat([summaries.curves(frame).assign(protocol=name) for name, frame in frames.items()])
some = comparison.by_range(pd.concat([*frames.values(), summaries.without_copies(blind_alone)]))
some = some[some["budget"].isin([1, 2, 3, 5, 7, 10, 15, 20]) & (some["start"] < comparison.PUBLISHED_STARTS)]
columns = ["protocol", "strategy", "device", "start", "seed", "budget", "inference_regret", "simple_regret", "range"]

# %% [markdown]
# **Figure 7.** Normalised regret of the recommendation against the number of cells measured, a panel for each protocol:
# mean over devices and starts, on a logarithmic axis. Thick lines are the main strategies. Thin lines are the other
# strategies, and related strategies have one colour. Shading is the 95 % interval over devices of a thick line. It is
# cut where it leaves the axis. The panel of blind devices has no shading: it has only six devices, and the intervals
# would cover most of it. The vertical line marks ten measurements, the budget of the paper. In the data of this
# figure, the rows of the protocol `none` include the blind devices.

# %%
titles = {"family": "own family left out", "class": "own class left out", "none": "no tables", "blind": "blind devices"}
figure = plots.regret(curves, titles)
results.figure(figure, "fig7_regret", some[columns], digits=3)
results.table(curves, "fig7_curves", digits=4)

# %% [markdown]
# ## Do the policies use what they measure?
#
# The *adaptation gain* of a policy is the regret of a copy whose search sees no latencies, minus its own regret. Both
# are paired over devices and starts. The recommendation of the copy sees the latencies, as that of the policy does. The
# strategy `controller_blind` sees none in the recommendation, either. `fixed_cell` and `mean_device` are other
# strategies that cannot adapt.
#
# **Table 5.10.** Adaptation gain with its 95 % interval over devices. No tables of other devices are used.

# %%
copies = {("paper", "search"): "paper_blind"}
copies |= {(name, "search"): f"{name}/blind" for name in (*policies, "controller")}
copies |= {("controller", "search and recommendation"): "controller_blind"}
gains = {key: summaries.difference(regrets, copy, key[0]) for key, copy in copies.items()}
adaptation = pd.DataFrame(gains, index=["adaptation gain", "low", "high"]).T
adaptation = adaptation.rename_axis(["policy", "without latencies"])
results.table(adaptation.reset_index(), "adaptation", digits=4)
adaptation.round(3)

# %% [markdown]
# The controller is compared with two strategies that know the same: its own supervised policy, before reinforcement
# learning, and expected improvement with the same simulated devices.
#
# **Table 5.11.** Regret of the other strategy minus that of the controller. Reinforcement learning helps if the whole
# interval is above 0, over devices and over seeds, against both. The controller is trained with three seeds. One
# interval is over devices, with means over seeds, and one is over seeds.

# %%
rivals = [name for name in ("controller_supervised", BEST) if name in main]
added = {}
for name in rivals:
    added[name, "devices"] = summaries.difference(alone, name, "controller")
    if not quick:
        added[name, "seeds"] = summaries.difference_over_seeds(alone, name, "controller")
paired = pd.DataFrame(added, index=["difference", "low", "high"]).T.rename_axis(["strategy", "interval over"])
results.table(paired.reset_index(), "reinforcement", digits=4)
paired.round(3)

# %% [markdown]
# **Table 5.12.** Regret of the recommendation after ten measurements, for the controller of each seed.

# %%
seeds = comparison.at(alone)
seeds = seeds[seeds["strategy"].isin(controllers)]
values = ["inference_regret", "simple_regret", "inference_regret_robust"]
seeds.pivot_table(index=["strategy", "seed"], values=values, sort=False).round(3)

# %% [markdown]
# **Figure 5.2.** Simple regret by strategy and device: normalised regret of the best cell measured, after ten
# measurements, mean over starts. Strategies are in the order of Table 5.2.

# %%
ten = comparison.at(summaries.without_copies(regrets))
by_device = ten.pivot_table(index="strategy", columns="device", values="simple_regret", sort=False)
ax = plots.regret_heatmap(by_device.loc[table.index])

# %% [markdown]
# **Figure 5.3.** Inference regret by strategy and device: that of the recommendation, otherwise as Figure 5.2.

# %%
by_device = ten.pivot_table(index="strategy", columns="device", values="inference_regret", sort=False)
ax = plots.regret_heatmap(by_device.loc[table.index])

# %% [markdown]
# **Figure 5.4.** Share of all searches whose recommendation has at most the regret on the horizontal axis, after ten
# measurements. A line in colour is a main strategy, and a grey line is one of the others.

# %%
ax = plots.performance_profiles(summaries.profiles(summaries.without_copies(regrets), np.linspace(0, 1.5, 151)))

# %% [markdown]
# **Table 5.13.** Probability that a search of the row's strategy recommends a better cell than a search of the column's
# strategy on the same device. Below it, the same for the default strategy with its 95 % interval over devices.

# %%
shown = [name for name in ("random", "mean_device", "lut_evolution", "covariance_bound", "paper", "controller", BEST)
         if name in names]  # fmt: skip
summaries.improvement(regrets).loc[shown, shown].round(2)

# %%
for rival in ("random", "paper", "controller"):
    probability, low, high = summaries.improvement_interval(regrets, BEST, rival)
    print(f"{BEST} recommends a better cell than {rival}: probability {probability:.2f} [{low:.2f}, {high:.2f}]")

# %% [markdown]
# ## Under a latency limit
#
# The highest score within a limit, from at most ten measurements (the paper's own formulation, section 3.1), at the
# fifteen limits of HELP's table 4 and with CIFAR-100's scores: p alone, and with the number of parameters as a fourth
# equal term, which needs no training either. Accuracy is FreeREA's published test accuracy if it is on this machine,
# and the validation accuracy otherwise.
#
# **Table 5.14.** Accuracy in %, mean over the ten limits that HELP keeps and over all, and number of limits broken. The
# score is the mean of $p$'s three terms and the number of parameters.

# %%
judges = limits.accuracies()
accuracy = next(iter(judges.values()))
scores = {"p": proxies.stored_score("cifar100"), "p and parameters": limits.score_with_parameters("cifar100")}
limited = [BEST] if quick else ["random", "lut_evolution", "paper", "controller", BEST]
cases = limits.cases()[:3] if quick else limits.cases()
found = {
    name: limits.constrained(limited, by, accuracy, cases=cases, n_starts=2 if quick else 20)
    for name, by in scores.items()
}
under = pd.concat([found["p and parameters"], limits.references(scores["p and parameters"], accuracy)])
limits.overview(under).round(2)

# %% [markdown]
# **Table 5.15.** The same with $p$ alone, as in the paper's reward.

# %%
alone = pd.concat([found["p"], limits.references(scores["p"], accuracy)])
limits.overview(alone).round(2)

# %% [markdown]
# **Table 5.16.** The default strategy with both scores, judged by validation accuracy.

# %%
of_best = {name: frame[frame["strategy"] == BEST] for name, frame in found.items()}
validation = {name: limits.judged(frame, judges["validation"]) for name, frame in of_best.items()}
pd.concat({name: limits.overview(frame) for name, frame in validation.items()}).round(2)

# %% [markdown]
# **Table 5.17.** All limits: latency in ms and accuracy in % of the default strategy (mean over starts), of HELP's
# published results, and of the most accurate cell within the limit.

# %%
drawn = [BEST, "HELP (published)", "best accuracy within"]
by_limit = under[under["strategy"].isin(drawn)].groupby(["strategy", "device", "limit_ms"], sort=False)
means = by_limit.agg({"latency_ms": "mean", "accuracy": "mean", "n_measured": "mean", "violates_limit": "max"})
means = means.reset_index()
values = ["latency_ms", "accuracy"]
means.pivot_table(index=["device", "limit_ms"], columns="strategy", values=values, sort=False).round(1)

# %% [markdown]
# **Figure 8.** Latency and CIFAR-100 accuracy of the recommendations under latency limits, a panel for each device. The
# vertical lines are the limits. Blue circles are the default strategy with the score of Table 5.14, mean over starts.
# Grey squares are HELP's published results, and a grey cross is one that is slower than its limit. Orange diamonds are
# the most accurate cells within the limits. Lines connect the points of one strategy, from limit to limit.

# %%
figure = plots.constrained(means, drawn)
results.figure(figure, "fig8_constrained", under[limits.COLUMNS])

# %% [markdown]
# ## Better scores
#
# The same fifteen limits with the default search and each named score (notebook 01 defines them). Nothing is trained
# again: searches are given the score. There are five starts for each limit, and twenty for $p$, as above.
#
# **Table 5.18.** As table 5.14, for each named score.

# %%
named = {"freerea": of_best["p"]} | {
    name: limits.constrained(
        [BEST], proxies.stored_score("cifar100", name), accuracy, cases=cases, n_starts=2 if quick else 5
    )
    for name in (["combined"] if quick else ["params", "az", "combined"])
}
by_name = pd.concat({name: limits.overview(frame) for name, frame in named.items()}).droplevel(1)
references = limits.overview(limits.references(proxies.stored_score("cifar100", "combined"), accuracy))
pd.concat([by_name, references]).round(2)

# %% [markdown]
# NASFLAT's published points on the Pixel 2 come from twenty samples, and its limits are not stated. Its latencies are
# the limits here.
#
# **Table 5.19.** Latency in ms and CIFAR-100 accuracy in %, on the Pixel 2, after ten measurements.

# %%
points = limits.nasflat_cases()[:1] if quick else limits.nasflat_cases()
ours = [
    limits.constrained([BEST], proxies.stored_score("cifar100", name), accuracy, cases=points, n_starts=5).assign(
        strategy=name
    )
    for name in (["freerea", "combined"] if points else [])
]
rivals = pd.concat([*ours, limits.nasflat_points()])
rivals.pivot_table(index="limit_ms", columns="strategy", values=["latency_ms", "accuracy"], sort=False).round(2)

# %% [markdown]
# How much accuracy is lost within latency limits (notebook 01), if all latencies are known, and after ten measurements
# without tables of other devices? To save time, there is one search for each device, data set, score and limit.
#
# **Table 5.20.** Accuracy lost in points of validation accuracy: mean over limits with its 95 % interval over devices.
# An infinite number of measurements means that all latencies are known; `none` is the share of searches in which no
# measured cell kept the limit. Below it, the accuracy that is lost because there are only ten measurements.

# %%
everything = accuracy_lost.tested_devices()[-2:] if quick else accuracy_lost.tested_devices()
known_ms = accuracy_lost.known_latency(everything)
some_limits = [0.1, 0.5] if quick else list(accuracy_lost.QUANTILES)
after = accuracy_lost.after_measurements(everything, quantiles=some_limits)
lost = pd.concat([known_ms, after])
results.table(lost, "accuracy_lost", digits=5)
same_limits = lost[lost["quantile"].isin(some_limits) & lost["score"].isin(accuracy_lost.SEARCHED)]
accuracy_lost.summary(same_limits).set_index(["dataset", "score", "measurements"]).round(2)

# %%
sets = list(dict.fromkeys(lost["dataset"]))
added = {dataset: accuracy_lost.added(same_limits, dataset, "combined") for dataset in sets}
pd.DataFrame(added, index=["added by ten measurements", "low", "high"]).T.round(2)

# %% [markdown]
# A search also gives a front of latency and accuracy: the measured cells for which no other one is both faster and
# more accurate. Its hypervolume is the area that it dominates, above the accuracy of the median cell and below the
# latency of the slowest cell. The searches maximise the reward with weight 1.
#
# **Table 5.21.** Hypervolume of the front of ten measured cells, over that of the true front; mean over devices with
# its 95 % interval.

# %%
reached = accuracy_lost.fronts(everything)
results.table(reached, "accuracy_fronts", digits=5)
fronts = accuracy_lost.summary(reached, "hypervolume").drop(columns=["worst", "none", "measurements"])
fronts.set_index(["dataset", "score"]).round(3)

# %% [markdown]
# ## Time of a step
#
# The time to choose the next cell, without that of the measurement. The first choice prepares the search.
#
# **Table 5.22.** Processor time in milliseconds of each choice on the first device, by number of cells measured.

# %%
steps = pd.DataFrame(index=pd.RangeIndex(1, 11, name="cells measured"))
for name in ("controller", BEST):
    strategy, _ = catalogue.make(name, problem, Knowledge(tables=False))
    history, rng = History([(archs[0], latency[archs[0]])]), np.random.default_rng(seed)
    for n in steps.index:
        began = time.process_time()
        arch = strategy.ask(history, rng, 11 - n)
        steps.loc[n, name] = 1e3 * (time.process_time() - began)
        history.add(arch, latency[arch])
steps.round(1)

# %% [markdown]
# ## Goals of this project
#
# **Table 5.23.** The verdicts on the goals.

# %%
available = [d.name for d in tested]
for known, one, few in (("tables", table, early), ("no tables", without, early_without)):
    recommended, best_measured = one.loc[BEST, "recommended"], one.loc[BEST, ("best measured", "mean")]
    mean, low, high, worst = recommended[["mean", "low", "high", "worst"]]
    ours = f"{mean:.3f} [{low:.3f}, {high:.3f}], worst {worst:.2f}; best measured {best_measured:.3f}"
    results.goal(f"{known}, 10", ours, available, mean=mean, worst=worst, measured=best_measured)
    five, three = (few[n].loc[BEST, ("recommended", "mean")] for n in (5, 3))
    results.goal(f"{known}, 5 and 3", f"{five:.3f} and {three:.3f}", available, five=five, three=three)
mean, worst = without.loc[BEST, "recommended"][["robust", "worst robust"]]
results.goal("no tables, robust", f"{mean:.3f}, worst {worst:.2f}", available, mean=mean, worst=worst)

# %%
mean, low, high = summaries.summary(by_class).loc[BEST, "recommended"][["mean", "low", "high"]]
results.goal("class left out", f"{mean:.3f} [{low:.3f}, {high:.3f}]", available, mean=mean)
mean, worst = blind_table.loc[BEST, "recommended"][["mean", "worst"]]
results.goal("blind, tables", f"{mean:.3f}, worst {worst:.2f}", available, mean=mean, worst=worst)
mean, worst = blind_without.loc[BEST, "recommended"][["mean", "worst"]]
gpu = summaries.by_device(comparison.at(blind_alone), "inference_regret").set_index(["device", "strategy"])
gpu = gpu["mean"].get(("nats_gpu", BEST), np.nan)
ours = f"{mean:.3f}, worst {worst:.2f}; nats_gpu {gpu:.2f}"
results.goal("blind, no tables", ours, mean=mean, worst=worst, nats_gpu=gpu)
gain, low, high = gains["controller", "search"]
both = gains["controller", "search and recommendation"].value
ours = f"{gain:.3f} [{low:.3f}, {high:.3f}]; {both:.3f} with the recommendation"
results.goal("adaptation", ours, available, gain=gain)

# %%
median = steps.iloc[1:].median() / 1e3
shown = f"{median['controller']:.3f} s (controller), {median[BEST]:.3f} s (expected improvement)"
results.goal("one step", shown, controller=median["controller"], improvement=median[BEST])

# %%
ours = limits.overview(under).loc[BEST]
kept, broken = ours.get("accuracy, kept", np.nan), ours["limits broken"]
shown = f"{kept:.2f}, {broken:.0f} broken"
results.goal("within a limit", shown, [d.name for d, _ in cases], accuracy=kept, broken=broken)
ours = by_name.loc["combined"]
kept, every, broken = ours.get("accuracy, kept", np.nan), ours["accuracy, all"], ours["limits broken"]
shown = f"{kept:.2f}; {every:.2f}; {broken:.0f} broken"
judged = {"kept": kept, "everything": every, "broken": broken}
results.goal("within a limit, combined", shown, [d.name for d, _ in cases], **judged)
shown = ", ".join(f"{value:+.2f} [{low:+.2f}, {high:+.2f}]" for value, low, high in added.values())
most = max(value for value, _, _ in added.values())
results.goal("accuracy lost, 10", shown, [d.name for d in everything], most=most)
results.goals()

# %% [markdown]
# **What to see:** compare the protocols before the strategies. Without tables of other devices, the strategies that
# know simulated devices keep most of their quality. `paper` changes one edge with each measurement, knows other
# devices as independent Gaussians, and gains little from what it measures. Table 5.10 says how much each policy gains
# from what it measures, and Table 5.11 what reinforcement learning adds.
#
# **What was chosen by looking at devices:** the widths of the simulated devices, the weights of known tables, and the
# recommendation of the controller were chosen on twelve devices (`devices.DESIGN_DEVICES`), eleven of which are among
# the 17. The other six, which are HELP's test devices, and the blind devices had no part in any choice.
#
# **Limits:** the 17 devices are not a random sample of hardware. An interval over devices says how much the mean would
# change with other devices of these kinds.
#
# **Which tool when?** Use expected improvement for a device of your own; it uses other devices' tables where they are
# on your machine, and simulated devices alone where they are not. The controller is one small network that needs no
# tables: the page that needs no server runs it in the browser. Use the paper's policy to rebuild the paper. Random
# search is only a baseline.
#
# **A question to try:** run `simmore search --device raspi4 --budget 5`, and other budgets. From how many measurements
# on does it recommend the same cell?
