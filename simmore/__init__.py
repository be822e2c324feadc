"""simmore: the reproducible companion to "Sim-is-More: Randomizing HW-NAS with Synthetic Devices".

>>> from simmore import controller, devices, search
>>> found = search.search(devices.load("nats_gpu"), search.follow(controller.load()), budget=10, seed=0)
>>> found.measurements <= 10
True
"""

__version__ = "0.1.0"
