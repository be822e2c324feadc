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
# Every point is a network. Move a slider to change how long an operation takes on the device, and see which network
# becomes the best. Then search the device: the search knows only what it measures.

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
# **Try:** make `conv 3×3` as fast as `conv 1×1`, and watch h* move. Compare `raspi4` with `gold_6226` from one start.
# Set a limit, and drag it.
