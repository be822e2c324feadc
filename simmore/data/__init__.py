"""Where tables come from: the registry and its files, the benchmark's tables, and tables that users bring."""

from simmore.data.benchmark import (
    accuracy,
    device_operations,
    edgegpu_operations,
    latency_table,
    nats_gpu_latency_ms,
    own_card,
    parameters,
    published_scores,
    scores,
    training_seconds,
)
from simmore.data.registry import (
    DATASETS,
    MEASURED,
    OWN,
    REGISTRY,
    Table,
    cache_folder,
    fetch,
    fetch_all,
    mirror,
    status,
)
from simmore.data.user_tables import hw_nas_bench, latency_csv, nats_archive, restricted_loads

__all__ = [
    "DATASETS",
    "MEASURED",
    "OWN",
    "REGISTRY",
    "Table",
    "accuracy",
    "cache_folder",
    "device_operations",
    "edgegpu_operations",
    "fetch",
    "fetch_all",
    "hw_nas_bench",
    "latency_csv",
    "latency_table",
    "mirror",
    "nats_archive",
    "nats_gpu_latency_ms",
    "own_card",
    "parameters",
    "published_scores",
    "restricted_loads",
    "scores",
    "status",
    "training_seconds",
]
