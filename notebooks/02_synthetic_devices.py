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
# A controller that shall work on any device must have seen many. The paper invents them: one Gaussian for the
# latency of each operation, fitted to 18 real devices, and a device is a draw (section 3.2). This notebook
#
# - rebuilds **Figure 1**: the operations' latencies, the Gaussians, and draws from them;
# - rebuilds **Figure 2**: four synthetic devices, their cells and their optima;
# - checks claim 2, that optima depend on the device, and looks at how well lookup tables rank real latencies (claim 8,
#   notebook 06).

# %% tags=["parameters"]
seed = 0
quick = False  # True: less of everything
figures = ""  # folder for the figures; empty: the project's own

# %%
import numpy as np
import pandas as pd

from simmore import data, devices, paths, proxies, space
from simmore.experiments import prediction, record
from simmore.plots import paper as plots

results = record.Recorder("02_synthetic_devices", figures or paths.FIGURES, seed=seed, quick=quick)
rng = np.random.default_rng(seed)

# %% [markdown]
# The 18 devices: a sixth of the latency of the cell that is made of one operation alone.

# %%
measured = data.device_operations()[list(space.OPERATIONS)]
measured.round(3)

# %% [markdown]
# The distribution $\Xi$. A latency is positive, so draws at or below zero are drawn again, which makes the widest
# ones, of `none` and of the 3×3 convolution, a little slower on average than the devices are. The operations are
# independent of one another, which those of a real device are not.

# %%
synthetic = devices.SyntheticDevices.fit()
drawn = synthetic.sample(100, rng)
figure = plots.operation_distributions(measured, synthetic.mean_ms, synthetic.sd_ms, drawn)
long = pd.concat(
    [
        measured.rename_axis("device").reset_index().assign(kind="measured"),
        pd.DataFrame(drawn, columns=list(space.OPERATIONS))
        .assign(kind="synthetic")
        .rename_axis("device")
        .reset_index(),
    ]
).melt(["kind", "device"], var_name="operation", value_name="latency_ms")
results.figure(figure, "fig1_devices", long)

# %% [markdown]
# Four synthetic devices. The same cell stands at the same height in all panels, its score; how far to the right it
# stands, and so which one is best, is up to the device.

# %%
score = proxies.stored_score()
everything = np.arange(space.N_ARCHS)
four = [synthetic.device(rng, f"synthetic {k + 1}") for k in range(4)]
inverse = [devices.inverse_latency(d.latency_ms(everything)) for d in four]
rewards = [score + each for each in inverse]
figure = plots.profiles(inverse, score, rewards, [int(r.argmax()) for r in rewards])
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
# A lookup table (LUT) is a device's five operations, added up. How well does it rank the latencies that were
# measured?

# %%
tables = [d for d in [*real, devices.load("nats_gpu")] if isinstance(d, devices.TableDevice)]
lut = pd.Series({d.name: prediction.lut_kendall(d) for d in tables}, name="Kendall of the LUT").sort_values()
lut.round(3).to_frame()

# %%
different, n = len(set(real_optima.values())), len(real_optima)
results.claim(2, f"{different} of {n}", [*real_optima], different=different, n=n)
results.claims()

# %% [markdown]
# **What to see:** the devices differ much in speed, and less in which operations are slow. Their best cells differ,
# but there are fewer different best cells than devices. The last table shows how well the sum of its operations ranks
# the cells of each device whose table is on this machine. It is nearly perfect where latency is additive.
