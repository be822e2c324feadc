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
# # 3 · Training the controller
#
# **Question.** Can a policy learn on synthetic devices to design good cells for a device that it does not know
# (sections 3.1 and 4, Figures 4 and 5; claims 3 and 6)?
#
# **Idea.** The search is a game. A player starts from a random cell on an unknown device. In each step it puts one
# operation on one edge, and is told the latency of the new cell. Its reward is high for cells that are accurate by the
# score $p$ and fast on this device. A *policy* is the player's rule: the probability of each edit, given what was seen.
# Reinforcement learning improves the policy by playing many games, each on a new synthetic device.
#
# **Equation.** The game is a Markov decision process (MDP):
#
# $$
# s_t = [\,h_t, \; \ell(h_t)\,], \qquad a_t = [\,i, o\,], \qquad h_{t+1} = h_t \text{ with operation } o
# \text{ on edge } i, \qquad r_t = p(h_{t+1}) + \bar\ell(h_{t+1})
# $$
#
# - $h_t$ is the cell after $t$ edits, $h_0$ a uniformly random one, and $\ell(h_t)$ its latency on the device.
# - $s_t$ is the state. The policy also sees the last five states and actions.
# - $a_t$ is the action: one of 6 edges $i$ and one of 5 operations $o$. An action may leave the cell as it is.
# - $r_t$ is the reward, with the score $p$ (notebook 01) and the inverse latency $\bar\ell$ (notebook 02).
# - An episode has $T = 50$ steps on one device $\xi \sim \Xi$. The next episode has a new device.
#
# The policy never sees the score, the reward or the range of the device. It sees the latency as
# $\ln(\ell(h_t) / \ell(h_0))$, which an unknown device reveals.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import pandas as pd

from simmore import devices, paths, proxies, space
from simmore.experiments import episodes, evidence, record, summaries
from simmore.plots import drawings
from simmore.plots import paper as plots
from simmore.rl import mdp, policy, training

results = record.Recorder("03_training", figures or paths.FIGURES, seed=seed, quick=quick)

# %% [markdown]
# ## An episode

# %% [markdown]
# The first steps of an episode: the trained policy edits a cell on a new synthetic device. The edge that was edited is
# marked in red.

# %%
trained_policy = policy.load("paper")
xi, score = devices.SyntheticDevices.fit(), proxies.stored_score()
steps = episodes.episode(trained_policy, xi, score, seed=seed)
figure = drawings.episode(steps["arch"], steps["latency_ms"], steps["reward"])

# %% [markdown]
# **Table 3.1.** The same episode: NATS index of the cell, latency in ms, score $p$, inverse latency $\bar\ell$, reward.

# %%
steps.round(3)

# %% [markdown]
# ## The policy network
#
# The input of the network has five parts. Their sizes are numbers of units.

# %%
parts = [
    ("current cell", mdp.STATE_SIZE - 1),
    ("its latency", 1),
    ("5 past cells", mdp.HISTORY * (mdp.STATE_SIZE - 1)),
    ("their latencies", mdp.HISTORY),
    ("edits made", mdp.HISTORY * (space.N_EDGES + space.N_OPERATIONS)),
]

# %% [markdown]
# **Figure 4.** One step of the policy: from the state to the probabilities of edges and operations, and back by way of
# the device. The cell and the probabilities are those of the start of the episode above. The number beside a bar is the
# probability. Orange marks the most likely edge and the most likely operation, which are chosen here. In an episode,
# both are drawn by their probabilities.

# %%
start = int(steps["arch"].iloc[0])
outputs, after = episodes.first_action(trained_policy, start)
layers = pd.DataFrame(parts, columns=["part", "size"]).assign(layer="input")
logits = pd.DataFrame({"layer": "logits", "part": list(outputs), "size": [len(part) for part in outputs.values()]})
hidden = pd.DataFrame({"layer": "hidden", "part": "tanh", "size": trained_policy.layer_sizes[1:-1]})
layers = pd.concat([layers, hidden, logits])
figure = drawings.policy_network(trained_policy.layer_sizes, parts, outputs, space.to_ops(start), after)
results.figure(figure, "fig4_policy", layers[["layer", "part", "size"]])

# %% [markdown]
# ## The training
#
# PPO plays episodes with the current policy, and then changes the parameters $\theta$ of the policy network to solve
#
# $$
# \max_\theta \; \mathbb{E}_t \left[\, \min\left( \rho_t A_t, \;
# \mathrm{clip}(\rho_t, 1 - \varepsilon, 1 + \varepsilon) \, A_t \right) \right],
# \qquad \rho_t = \frac{\pi_\theta(a_t \mid s_t)}{\pi_{\theta_\text{old}}(a_t \mid s_t)},
# $$
#
# where $\pi_\theta(a_t \mid s_t)$ is the probability of the action, and $\theta_\text{old}$ are the parameters that
# the episodes were played with. The advantage $A_t$ says by how much the action was better than expected, by the
# discounted sum of rewards $\sum_k \gamma^k r_{t+k}$ with $\gamma = 0.6$. So likely actions that turned out well become
# more likely. The clipping with $\varepsilon = 0.2$ keeps the new policy close to the old one.
#
# The training runs once per seed, in the paper's own setting: $\Xi$ is fitted to all 18 devices. Every 10,000 steps
# there are 20 test episodes on newly drawn devices.
#
# **Table 3.2.** First and last evaluation, mean over seeds. $h_T$ is the last cell of an episode: its score $p$,
# inverse latency, latency percentile (%) and validation accuracy (%); latency of a reference cell (ms); sum of rewards.

# %%
settings = training.Settings(total_steps=20_000, evaluate_every=5_000) if quick else training.Settings()
seeds = [seed + k for k in range(2 if quick else 4)]
trained = training.train_seeds(settings, seeds, xi, score, folder=paths.BUILD / "training")
curves = pd.concat([each.curve for each in trained], ignore_index=True)
curves.groupby("timestep").mean().drop(columns="seed").iloc[[0, -1]].round(3)

# %% [markdown]
# **Figure 5.** Score, latency, accuracy and return during the training, as six metrics. The reference cell has 3×3
# convolutions on all edges.

# %%
intervals = summaries.training_curves(curves)
figure = plots.training_curves(curves, intervals)
results.figure(figure, "fig5_training", curves)

# %% [markdown]
# A single evaluation has only 20 episodes and is noisy. The mean of the last ten evaluations is therefore compared with
# uniformly random cells, whose expectation is computed exactly. The return has converged if the ten evaluations before
# these have the same mean, up to 5 % of the gain.
#
# **Table 3.3.** Expectation of random cells, gain of the last ten evaluations over it, and its 95 % interval over
# seeds. Units as in Table 3.2.

# %%
last = 2 if quick else evidence.PLATEAU
expected = evidence.random_cells(xi, score)
gains = evidence.training_gain(curves, expected, last=last)
gains.round(3)

# %% [markdown]
# **Table 3.4.** The verdicts on claims 3 and 6.

# %%
change = evidence.return_drift(curves, last=last)
drift = max(abs(change.low), abs(change.high)) / gains.loc["episode_return", "gain"]
hours = trained_policy.description["seconds"] / 3600
shown = f"gain over random cells: {evidence.gains_text(gains)}"
results.claim(3, shown, improved=gains["improves"].sum(), of=len(gains), drift=drift)
results.claim(6, f"{hours:.2f} hours on one CPU core", hours=hours)
results.claims()

# %%
accuracy = gains.loc["val_accuracy"]
print(f"accuracy: {accuracy['gain']:+.2f} points over random cells [{accuracy['low']:+.2f}, {accuracy['high']:+.2f}]")
print(f"return, last {last} evaluations against the {last} before: {change.low:+.2f} to {change.high:+.2f}")

# %% [markdown]
# **What to see:** the return rises steeply at first and then flattens. Score, latency and latency percentile improve.
# The policy never sees accuracy; the first line above says how much better than random cells it becomes. Panel (e)
# shows only noise, because the latency of the reference cell depends on the device that was drawn, and not on the
# policy.
#
# **Limits:** the curves show synthetic devices, which the policy is trained on. Notebook 04 tests it on measured ones.
# Training rewards the sum over 50 steps, while a search counts the best of ten cells. Four seeds give wide intervals.
#
# **A question to try:** set `gamma=0.9` in `training.Settings` (with `quick = True` it takes seconds). Does the policy
# reach better cells? Notebook 11 compares such choices.
