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
# # 11 · How diverse should Ξ be, and what do T, γ and the history do?
#
# The paper trains its policy on synthetic devices of one distribution Ξ, with episodes of T = 50 steps, a discount of
# γ = 0.6 and a history of five steps. It leaves open how diverse the devices should be. This notebook compares
# trainings that differ from the paper's in one thing each, and draws **Figures 14 and 16**.
#
# All trainings have 500,000 steps and three seeds. A policy is judged by the best cell among the first ten (or three,
# or five) distinct ones that it visits, as normalised regret: 0 is the best cell, 1 is what ten random cells give on
# average. Every policy is also judged without seeing latencies: it is shown the latency of the first cell at every
# step. The difference is what it gains by measuring.

# %% tags=["parameters"]
seed = 0
quick = False  # the trainings are read from a table; a quick run is the same
figures = ""  # folder for the figures; empty: the project's own

# %%
from simmore import paths
from simmore.experiments import record
from simmore.experiments import training_choices as choices
from simmore.plots import choices as plots

results = record.Recorder("11_training_choices", figures or paths.FIGURES, seed=seed, quick=quick)
frame, traces = choices.results()

# %% [markdown]
# ## The width of Ξ
#
# Ξ draws the latency $t(o)$ of every operation $o$ from a Gaussian, $t(o) \sim \mathcal{N}(\mu_o, (w \sigma_o)^2)$,
# with $w = 1$ in the paper. Beside other widths $w$ there are two distributions on bounded logarithms: the uniform one
# between the extremes of the 18 devices, and one that widens during training by entropy maximisation (Tiboni et al.
# 2023). After each phase of 20,000 steps its parameters $\phi$ solve
#
# $$\max_\phi \; \mathcal{H}(\phi) \quad \text{subject to} \quad \hat{G}(\phi) \ge \tfrac{1}{2}, \quad
# \mathrm{KL}(\phi_\text{old} \,\|\, \phi) \le 0.1,$$
#
# where $\mathcal{H}$ is the entropy and $\hat{G}$ the share of successful episodes. An episode is successful if its
# regret is at most a threshold (`simmore.rl.entropy.SUCCESS`).
#
# The policies are judged on 40 devices of Ξ, on 40 additive devices with any costs between the extremes, and on the
# measured devices. Ξ is fitted to the operation latencies of the measured devices, so none of them is new to it.

# %%
widths = [choice.name for choice in choices.WIDTHS]
ten = frame[frame["budget"] == 10]
titles = {"inside Ξ": "devices of Ξ", "any costs": "additive, any costs", "measured": "measured devices"}
figure = plots.width(ten[ten["choice"].isin(widths)], traces, widths, titles)
results.figure(figure, "fig14_width", frame, digits=4)

# %% [markdown]
# The mean over seeds, with 95 % intervals over seeds:

# %%
choices.table(ten[ten["choice"].isin(widths)])

# %% [markdown]
# ## T, γ and the history

# %%
names = [choice.name for choice in choices.SETTINGS]
measured = frame[(frame["kind"] == "measured") & frame["choice"].isin(names)]
figure = plots.settings(measured, names)
results.figure(figure, "fig16_training", measured, digits=4)

# %%
choices.table(ten[ten["choice"].isin(names)])

# %% [markdown]
# **What to see:** where the marks of a choice with and without latencies lie close together, the policy hardly uses
# what it measures, and follows nearly the same path on every device. With a narrow Ξ that is so everywhere: one path
# serves all devices that it draws. From the paper's width on, more diverse devices change little, whether they are
# drawn from the start or Ξ widens during training; with four times the width, seeds differ more. The history is not
# needed, and γ may be anything up to 0.9. With T = 10 or γ = 0.99 the policies end at a worse path after as many steps:
# with T = 10, most steps are far from good cells.
#
# **Limits:** one thing is changed at a time, so the choices may do more together. The judgement is the best cell
# measured, by the true reward; a recommendation also needs an estimate of the range.
#
# **A question to try:** `choices.SETTINGS` lists the trainings. Add one, for example a longer episode with γ = 0.9, and
# run `make training-choices`.
