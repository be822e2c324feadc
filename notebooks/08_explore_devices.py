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
# # 8 · Explore devices
#
# **Question.** How does the best network depend on the device, and how near do ten measurements come to it? Every point
# is a network.

# %% tags=["parameters"]
device = "mean"  # the first device shown, and the one to compare it with
other = "raspi4"
seed = 0
quick = False  # no effect: nothing is trained here
figures = ""  # no figure is written here

# %%
from IPython.display import display

from simmore import explorer

app = explorer.Explorer(device, other, seed=seed)
display(app.widget)

# %% [markdown]
# **What to see:** h* depends on the device, and ten measurements often come near it. **Limits:** the latencies of a
# slider device add up exactly; those of real devices do not. The score p is not the accuracy.
#
# **Try:** make `conv 3×3` as fast as `conv 1×1`, and watch h* move. Compare `raspi4` with `gold_6226` from one start.
# Set a limit, and drag it. Which device needs the most measurements until the regret is below 0.1?
