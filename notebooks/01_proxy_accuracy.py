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
# # 1 · Do training-free scores know accuracy?
#
# The paper never trains a network while it searches. It ranks cells by $p$, the mean of three scores that a freshly
# initialised network shows: NASWOT, LogSynflow and SkipScore (section 2.1). This notebook
#
# - rebuilds **Figure 3**: validation accuracy against $p$, for all 15,625 cells;
# - scores a few random cells here and now, and compares them with the stored table;
# - checks claims 1 and 7.

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything, the same road
figures = ""  # folder for the figures; empty: the project's own

# %%
import time

import numpy as np
import pandas as pd
from IPython.display import display

from simmore import data, devices, metrics, paths, plots, proxies, record, scoring, space

results = record.Recorder("01_proxy_accuracy", figures or paths.FIGURES, seed=seed, quick=quick)
rng = np.random.default_rng(seed)

# %% [markdown]
# All cells with their accuracy (NATS-Bench, CIFAR-10, 200 epochs, mean over seeds) and this project's own scores,
# which were computed from noise images: no data set is involved.

# %%
cells = pd.DataFrame({"val_accuracy": data.accuracy("cifar10")})
cells = cells.join(data.scores("cifar10")[["naswot", "logsynflow", "skip"]]).assign(score=proxies.stored_score())
cells.describe().round(3)

# %% [markdown]
# The table was made by `make proxies`. A few cells, scored live, show that it is what it says it is.

# %%
sample = rng.choice(space.N_ARCHS, size=3 if quick else 6, replace=False)
started = time.perf_counter()
live = scoring.score(sample, dataset="cifar10")
print(f"{(time.perf_counter() - started) / len(sample):.2f} s a network, one core")
live[["naswot", "logsynflow", "skip"]].join(cells, rsuffix="_stored").drop(columns=["val_accuracy", "score"])

# %%
for name in ("naswot", "logsynflow", "skip"):
    np.testing.assert_allclose(live[name], cells.loc[live.index, name], rtol=1e-4)

# %% [markdown]
# How well does each score rank the cells? $\rho$ is Spearman's, $\tau$ Kendall's rank correlation with accuracy.

# %%
correlations = {
    name: (metrics.spearman(cells[name], cells["val_accuracy"]), metrics.kendall(cells[name], cells["val_accuracy"]))
    for name in ("score", "naswot", "logsynflow", "skip")
}
pd.DataFrame(correlations, index=["Spearman", "Kendall"]).round(3)

# %% [markdown]
# The cell that is best for a device, $h^*$, maximises $p + \bar\ell$. It differs from device to device.

# %%
shown = devices.test_devices()
everything = np.arange(space.N_ARCHS)
optima = {d.name: metrics.optimum(cells["score"], d.latency_ms(everything)) for d in shown}
figure = plots.proxy_accuracy(cells, correlations, optima)
results.figure(figure, "fig3_proxy_accuracy", cells.rename_axis("arch").reset_index())

# %% [markdown]
# What the paper claims of the scores, and what was found here. The time a network is the stored table's mean, on
# one core of a server CPU.

# %%
rho, tau = correlations["score"]
seconds = data.scores("cifar10")["seconds"].mean()
claims = [
    record.Claim(
        1, "p correlates with validation accuracy (Fig. 3)", "positive, drawn only", f"{rho:.2f} ({tau:.2f})",
        "Spearman (Kendall)", "reproduced" if rho > 0.6 else "partly" if rho > 0.3 else "not reproduced",
    ),
    record.Claim(
        7, "scoring a network takes about 300 ms on an RTX 4080", "300", f"{1e3 * seconds:.0f}",
        "ms a network (ours: one CPU core)", "reproduced" if seconds <= 0.3 else "not reproduced",
    ),
]  # fmt: skip
display(results.claims(claims))

# %% [markdown]
# **Seen:** $p$ ranks cells well over the whole space, carried by NASWOT and LogSynflow; SkipScore alone says next
# to nothing. Among the best cells, where a search ends, the cloud is wide: the score finds good cells, not the best
# one.
