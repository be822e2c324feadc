"""simmore: the reproducible companion to "Sim-is-More: Randomizing HW-NAS with Synthetic Devices".

>>> import simmore
>>> found = simmore.search("nats_gpu", budget=10, seed=0)
>>> found.n_measured
10
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from simmore.rl import registration

if TYPE_CHECKING:
    from simmore.api import load_device, search, train
    from simmore.data import accuracy, hw_nas_bench, latency_csv, latency_table, nats_archive, scores
    from simmore.proxies.scoring import score
    from simmore.space import to_arch, to_ops, to_string
    from simmore.strategies import Problem, Session

__version__ = "0.1.0"
registration.register_on_import()

_HOME = {  # where each public name lives; imported when it is first used, so that `import simmore` is fast
    **dict.fromkeys(("load_device", "search", "train"), "simmore.api"),
    **dict.fromkeys(
        ("accuracy", "hw_nas_bench", "latency_csv", "latency_table", "nats_archive", "scores"), "simmore.data"
    ),
    "score": "simmore.proxies.scoring",
    **dict.fromkeys(("to_arch", "to_ops", "to_string"), "simmore.space"),
    **dict.fromkeys(("Problem", "Session"), "simmore.strategies"),
}

__all__ = [
    "Problem",
    "Session",
    "accuracy",
    "hw_nas_bench",
    "latency_csv",
    "latency_table",
    "load_device",
    "nats_archive",
    "score",
    "scores",
    "search",
    "to_arch",
    "to_ops",
    "to_string",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'simmore' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
