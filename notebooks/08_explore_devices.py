# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8 · Explore devices
#
# Every point is a network. Move a slider, and see which one is best on a device whose operations take that long;
# then search it, as on a device of which nothing is known but what is measured.

# %% tags=["parameters"]
device = "mean"  # the first device shown, and the one to compare it with
other = "raspi4"
seed = 0
quick = False  # the same either way: nothing is trained here
figures = ""  # no figure is written here

# %%
from IPython.display import display

from simmore import explorer

app = explorer.Explorer(device, other, seed=seed)
display(app.widget)

# %% [markdown]
# **Try:** make `conv 3×3` as fast as `conv 1×1`, and watch h* move. Compare `raspi4` with `gold_6226` from one start.
# Set a limit, and drag it.
