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
# The controller edits one operation of a cell at a time, sees the latency it gets, and is rewarded with $p +
# \bar\ell$. It is trained with PPO on a new synthetic device each episode (sections 3.1 and 4). This notebook
#
# - rebuilds **Figure 4**: the policy network, as it is;
# - trains controllers with several seeds in the paper's own setting (all 18 devices in the distribution), and
#   rebuilds **Figure 5**: how scores, latencies and accuracies of their final cells develop;
# - checks claims 3 and 6: training improves all of them, in less than an hour.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import pandas as pd

from simmore import devices, paths, proxies, space
from simmore.experiments import evidence, record, summaries
from simmore.plots import paper as plots
from simmore.rl import mdp, policy, training

results = record.Recorder("03_training", figures or paths.FIGURES, seed=seed, quick=quick)

# %% [markdown]
# What the policy sees: the current cell with its latency, and the last five cells with theirs and with the edits
# made. Its output: logits for the edge to edit and for the operation to put there.

# %%
trained_policy = policy.load("paper")
parts = [
    ("current cell", mdp.STATE_SIZE - 1),
    ("its latency", 1),
    ("5 past cells", mdp.HISTORY * (mdp.STATE_SIZE - 1)),
    ("their latencies", mdp.HISTORY),
    ("edits made", mdp.HISTORY * (space.N_EDGES + space.N_OPERATIONS)),
]
outputs = [("edge", space.N_EDGES), ("operation", space.N_OPERATIONS)]
figure = plots.policy_network(trained_policy.layer_sizes, parts, outputs)
layers = pd.DataFrame(parts, columns=["part", "size"]).assign(layer="input")
hidden = pd.DataFrame({"layer": "hidden", "part": "tanh", "size": trained_policy.layer_sizes[1:-1]})
layers = pd.concat([layers, hidden, pd.DataFrame(outputs, columns=["part", "size"]).assign(layer="logits")])
results.figure(figure, "fig4_policy", layers[["layer", "part", "size"]])

# %% [markdown]
# The training, once a seed. Every 10,000 steps, 20 test episodes on newly drawn devices.

# %%
settings = training.Settings(total_steps=20_000, evaluate_every=5_000) if quick else training.Settings()
seeds = [seed + k for k in range(2 if quick else 4)]
trained = training.train_seeds(
    settings, seeds, devices.SyntheticDevices.fit(), proxies.stored_score(), folder=paths.BUILD / "training"
)
curves = pd.concat([each.curve for each in trained], ignore_index=True)
curves.groupby("timestep").mean().drop(columns="seed").iloc[[0, -1]].round(3)

# %%
intervals = summaries.training_curves(curves)
figure = plots.training_curves(curves, intervals)
results.figure(figure, "fig5_training", curves)

# %% [markdown]
# A single evaluation is noisy: 20 episodes. So the mean of the last ten evaluations, the plateau, is compared with
# uniformly random cells, whose expectation is known from the tables. The gain has a 95 % interval over the seeds. The
# return has converged if the ten evaluations before the plateau have the same mean, up to 5 % of the gain.

# %%
last = 2 if quick else evidence.PLATEAU
expected = evidence.random_cells(devices.SyntheticDevices.fit(), proxies.stored_score())
gains = evidence.training_gain(curves, expected, last=last)
gains.round(3)

# %%
change = evidence.return_drift(curves, last=last)
drift = max(abs(change.low), abs(change.high)) / gains.loc["episode_return", "gain"]
hours = trained_policy.description["seconds"] / 3600
shown = ", ".join(
    "{} {:+.{n}f} [{:+.{n}f}, {:+.{n}f}]".format(name, *gains.loc[column, ["gain", "low", "high"]], n=digits)
    for name, column, digits in (
        ("p", "score", 2), ("inverse latency", "inverse_latency", 2),
        ("percentile", "latency_percentile", 0), ("accuracy", "val_accuracy", 1),
        ("return", "episode_return", 1),
    )
)  # fmt: skip
results.claim(3, shown, improved=gains["improves"].sum(), of=len(gains), drift=drift)
results.claim(6, f"{hours:.2f}", hours=hours)
results.claims()

# %%
accuracy = gains.loc["val_accuracy"]
print(f"accuracy: {accuracy['gain']:+.2f} points over random cells [{accuracy['low']:+.2f}, {accuracy['high']:+.2f}]")
print(f"return, last {last} evaluations against the {last} before: {change.low:+.2f} to {change.high:+.2f}")

# %% [markdown]
# **What to see:** the return rises steeply at first and then flattens. Score, latency and latency percentile improve.
# The policy never sees accuracy; the first line above says how much better than random cells it becomes. Panel (e)
# shows only noise, as it must: the latency of the reference cell depends on the device that was drawn, not on the
# policy.
