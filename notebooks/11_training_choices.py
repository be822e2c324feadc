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
# **Question.** The paper trains its policy (notebook 03) on synthetic devices of one distribution Ξ, with episodes of T
# = 50 steps, a discount of γ = 0.6 and a history of five steps. It leaves open how diverse the devices should be. Which
# of these choices matter?
#
# **Idea.** Compare trainings that differ from the paper's in one thing each (Figures 14 and 16). All have 500,000 steps
# and three seeds. A policy is judged by the simple regret (notebook 04): that of the best cell among the first ten (or
# three, or five) different ones that it visits. Every policy is also judged without seeing latencies: it is shown the
# latency of the first cell at every step. The difference is what it gains by measuring. The trainings take about half
# an hour, so that their results are read from a table of the package (`make training-choices` computes it again).

# %% tags=["parameters"]
seed = 0
quick = False  # the trainings are read from a table; a quick run is the same
figures = ""  # folder for the figures; empty: the project's own

# %%
import numpy as np

from simmore import devices, paths
from simmore.experiments import record
from simmore.experiments import training_choices as choices
from simmore.plots import choices as plots
from simmore.plots import drawings

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
# where $\mathcal{H}$ is the entropy, $\hat{G}$ the share of successful episodes, $\phi_\text{old}$ the parameters
# before, and $\mathrm{KL}$ the Kullback–Leibler divergence. An episode is successful if its regret is at most a
# threshold (`simmore.rl.entropy.SUCCESS`).
#
# The policies are judged on 40 devices of Ξ, on 40 additive devices whose costs are uniform between the extremes of the
# 18 devices, on the logarithmic scale, and on the measured devices. Ξ is fitted to the operation latencies of the
# measured devices, so none of them is new to it.

# %% [markdown]
# Four draws of Ξ at each of three widths $w$. Each bar is the latency of an operation on one edge.

# %%
xi, rng = devices.SyntheticDevices.fit(), np.random.default_rng(seed)
draws = {f"w = {w:g}": devices.SyntheticDevices(xi.mean_ms, w * xi.sd_ms).sample(4, rng) for w in (0.25, 1.0, 4.0)}
figure = drawings.devices(draws)

# %% [markdown]
# **Figure 14.** Simple regret after ten measurements of policies that were trained with other widths of Ξ. A large mark
# is the mean over seeds, a dash is one seed. Right: how entropy and success change while Ξ widens.

# %%
widths = [choice.name for choice in choices.WIDTHS]
ten = frame[frame["budget"] == 10]
titles = {"inside Ξ": "devices of Ξ", "any costs": "additive, any costs", "measured": "measured devices"}
shown = ten[ten["choice"].isin(widths)]
figure = plots.width(shown, traces, widths, titles)
results.figure(figure, "fig14_width", shown, digits=4)

# %% [markdown]
# **Table 11.1.** The same: mean over seeds of the normalised regret, with its 95 % interval over seeds. `True`: the
# policy sees latencies.

# %%
choices.table(shown)

# %% [markdown]
# ## T, γ and the history

# %% [markdown]
# **Figure 16.** Simple regret of policies that were trained with other T, γ and history, on the measured devices after
# 3, 5 and 10 measurements. Marks are those of Figure 14.

# %%
names = [choice.name for choice in choices.SETTINGS]
measured = frame[(frame["kind"] == "measured") & frame["choice"].isin(names)]
figure = plots.settings(measured, names)
results.figure(figure, "fig16_training", measured, digits=4)

# %% [markdown]
# **Table 11.2.** As Table 11.1, for T, γ and the history.

# %%
choices.table(ten[ten["choice"].isin(names)])

# %% [markdown]
# **What to see:** where the marks of a choice with and without latencies lie close together, the policy hardly uses
# what it measures, and follows nearly the same path on every device. With a narrow Ξ, this holds on all kinds of
# devices: one path serves all devices that it draws. From the paper's width on, more diverse devices change little,
# whether they are drawn from the start or Ξ widens during training; with four times the width, seeds differ more. The
# history is not needed, and γ may be anything up to 0.9. With T = 10 or γ = 0.99 the policies end at a worse path after
# as many steps: with T = 10, most steps are far from good cells.
#
# **Limits:** one thing is changed at a time, so the choices may do more together. The judgement is the best cell
# measured, by the true reward; a recommendation also needs an estimate of the range.
#
# **A question to try:** `choices.SETTINGS` lists the trainings. Add one, for example a longer episode with γ = 0.9, and
# run `make training-choices`.
