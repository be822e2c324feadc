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
# # 2 · Devices that never existed
#
# **Question.** A controller that is to work on any device has to see many devices in training. Where do they come from
# (section 3.2, Figures 1 and 2; claim 2)?
#
# **Idea.** The paper makes them up. For each operation it fits a Gaussian to the latencies that 18 real devices have. A
# *synthetic device* is one draw: a latency for each of the five operations. The latency of a cell is the sum of the
# latencies of its six operations. Such a device differs from every real device, but a controller that is trained on
# many of them has to find out by measuring which operations are slow.
#
# **Equation.**
#
# $$
# \xi = [t(o)]_{o \in \mathcal{O}} \sim \Xi: \quad t(o) \sim \mathcal{N}(\mu_o, \sigma_o^2), \qquad
# \ell(h; \xi) = \sum_{o \in h} t(o), \qquad
# \bar\ell(h) = 1 - \frac{\ell(h) - \min_{h'} \ell(h')}{\max_{h'} \ell(h') - \min_{h'} \ell(h')}
# $$
#
# - $\mathcal{O}$ is the set of the five operations, and $t(o)$ the latency of the operation $o$ on one edge, in ms.
# - $\mu_o$ and $\sigma_o$ are the mean and the standard deviation of that latency over the 18 devices.
# - $\Xi$ is the distribution of devices, and $\xi$ one device.
# - $\ell(h; \xi)$ is the latency of the cell $h$ on the device $\xi$. The sum is over its six edges.
# - $\bar\ell(h)$ is the *inverse latency*: 1 for the fastest of all cells $h'$ on the device, 0 for the slowest.
#
# The *reward* of a cell is $r(h) = p(h) + \bar\ell(h)$, with the score $p$ of notebook 01. The best cell of a device,
# $h^*$, has the highest reward.
#
# **In this notebook.** Figure 1: the method, the latencies of the operations, the Gaussians and draws from them. Figure
# 2: four synthetic devices with their cells. Then the optima of real devices are counted, and lookup tables are
# compared with measured latencies (claim 8, notebook 06).

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import numpy as np
import pandas as pd

from simmore import data, devices, paths, proxies, space
from simmore.experiments import prediction, record
from simmore.plots import drawings
from simmore.plots import paper as plots

results = record.Recorder("02_synthetic_devices", figures or paths.FIGURES, seed=seed, quick=quick)
rng = np.random.default_rng(seed)

# %% [markdown]
# **Table 2.1.** Latency of each operation on one edge in ms, of the 18 devices. It is a sixth of the latency of the
# cell that has this operation on all edges.

# %%
measured = data.device_operations()[list(space.OPERATIONS)]
measured.round(3)

# %% [markdown]
# The distribution $\Xi$. A latency is positive, so that values at or below zero are drawn again. This makes draws a
# little slower on average than the devices. The effect is largest for `none` and for the 3×3 convolution, whose
# Gaussians are wide. The operations are independent of one another in $\Xi$. Those of a real device are not.

# %% [markdown]
# **Figure 1.** The method, and the latencies of the five operations on measured and on synthetic devices. Top: the
# method. A device is shown as five bars, one for each operation, in the colours of the curves below. Bottom: black
# ticks are measured devices, red ticks are synthetic ones. The curve is the density of the Gaussian, scaled to the same
# height.

# %%
synthetic = devices.SyntheticDevices.fit()
drawn = synthetic.sample(100, rng)
figure = plots.operation_distributions(measured, synthetic.mean_ms, synthetic.sd_ms, drawn)
both = {"measured": measured, "synthetic": pd.DataFrame(drawn, columns=measured.columns)}
long = pd.concat(both, names=["kind", "device"]).reset_index()
long = long.melt(["kind", "device"], var_name="operation", value_name="latency_ms")
results.figure(figure, "fig1_devices", long)

# %% [markdown]
# One draw of $\Xi$: the latency of each operation on one edge, as bars. The latency of a cell is the sum of six bars.

# %%
one = synthetic.device(np.random.default_rng(seed), "one draw")
ax = drawings.operation_latencies(one.operation_ms)

# %% [markdown]
# **Table 2.2.** Latency of cell 0 on this device: number of edges with each operation, latency on one edge and on all
# these edges in ms. The sum is the latency of the cell.

# %%
parts = pd.DataFrame({"edges": space.operation_counts(0), "one edge (ms)": one.operation_ms}, list(space.OPERATIONS))
parts["all edges (ms)"] = parts["edges"] * parts["one edge (ms)"]
print(f"latency of cell 0 on this device: {one.latency_ms(0):.2f} ms")
parts.round(3)

# %% [markdown]
# **Figure 2.** Four synthetic devices, and all cells on them. A cell has the same height in all panels, because its
# score does not depend on the device. Its place from left to right depends on the device. The red star is the best
# cell.

# %%
score = proxies.stored_score()
everything = np.arange(space.N_ARCHS)
four = [synthetic.device(rng, f"synthetic {k + 1}") for k in range(4)]
inverse = [devices.inverse_latency(d.latency_ms(everything)) for d in four]
rewards = [score + each for each in inverse]
operation_ms = np.stack([d.operation_ms for d in four])
figure = plots.profiles(operation_ms, inverse, score, rewards, [int(r.argmax()) for r in rewards])
columns = {f"inverse_latency_{k + 1}": each for k, each in enumerate(inverse)}
results.figure(figure, "fig2_profiles", pd.DataFrame({"arch": everything, "score": score, **columns}), digits=5)

# %% [markdown]
# How many different optima are there, among synthetic devices and among the real ones?

# %%
many = [synthetic.device(rng) for _ in range(50 if quick else 500)]
synthetic_optima = {devices.optimum(score, d.latency_ms(everything)) for d in many}
real = devices.available(name for name in data.MEASURED) or devices.test_devices()
real_optima = {d.name: devices.optimum(score, d.latency_ms(everything)) for d in [*real, devices.load("nats_gpu")]}
print(f"{len(many)} synthetic devices have {len(synthetic_optima)} different optima")
print(f"{len(real_optima)} real devices have {len(set(real_optima.values()))}")

# %% [markdown]
# A lookup table (LUT) predicts the latency of a cell as the sum of the latencies of its operations, like a synthetic
# device. Kendall's $\tau$ says how well it ranks the cells: 1 if the order of all pairs of cells is right, 0 if it is
# right as often as wrong (notebook 06).
#
# **Table 2.3.** Kendall's $\tau$ between the LUT and the measured latencies of each device, all cells.

# %%
tables = [d for d in [*real, devices.load("nats_gpu")] if isinstance(d, devices.TableDevice)]
lut = pd.Series({d.name: prediction.lut_kendall(d) for d in tables}, name="Kendall's τ of the LUT").sort_values()
lut.round(3).to_frame()

# %% [markdown]
# **Table 2.4.** The verdict on claim 2.

# %%
different, n = len(set(real_optima.values())), len(real_optima)
results.claim(2, f"{different} different optima on {n} real devices", [*real_optima], different=different, n=n)
results.claims()

# %% [markdown]
# **What to see:** the devices differ much in speed, and less in which operations are slow. Their best cells differ, but
# there are fewer different best cells than devices. Table 2.3 shows that a LUT ranks nearly perfectly where latency is
# additive, and worse elsewhere.
#
# **Limits:** 18 devices are few, and some are relatives of others. The Gaussians are independent, so that $\Xi$ draws
# devices on which a 3×3 convolution is faster than a 1×1 convolution. Real devices are not sums of operations; notebook
# 09 checks what $\Xi$ lacks.
#
# **A question to try:** double the standard deviations, with `devices.SyntheticDevices(synthetic.mean_ms, 2 *
# synthetic.sd_ms)`. How many different optima do 500 devices have then?
