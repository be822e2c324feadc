"""simmore: the reproducible companion to "Sim-is-More: Randomizing HW-NAS with Synthetic Devices".

>>> from simmore.rl import policy as policies
>>> from simmore import devices
>>> from simmore.strategies import loop
>>> found = loop.search(devices.load("nats_gpu"), loop.follow(policies.load()), budget=10, seed=0)
>>> found.measurements <= 10
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simmore.proxies.scoring import score

__all__ = ["score"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`simmore.score`, imported when it is first used, so that `import simmore` costs next to nothing."""
    if name != "score":
        raise AttributeError(f"module 'simmore' has no attribute {name!r}")
    from simmore.proxies.scoring import score

    return score
