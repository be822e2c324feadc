"""Where tables come from: the registry and its files, the benchmark's tables, and tables that users bring.

- Installed with the project: `accuracy`, `parameters`, `nats_gpu_latency_ms`, `device_operations`, `scores`,
  `az_terms`, and `latency_table` of the benchmarked runtimes (`BENCHMARKED`, and samples of cells in `BLIND`).
- Downloaded once: `latency_table` of `MEASURED` devices, `published_scores`.
- The user's own: `latency_csv`, `measured_csv`, `nats_archive`, `hw_nas_bench`.

All tables are in NATS order; arrays are read-only. A loader raises `DataError` for wrong content, and `TableMissing`
for a table that is neither here nor downloadable.
"""

from simmore.data.archives import hw_nas_bench, nats_archive
from simmore.data.csv_tables import latency_csv, measured_csv
from simmore.data.datasets import DATASETS, Task, task
from simmore.data.latency_tables import benchmark_metadata, device_operations, latency_table
from simmore.data.nats import accuracy, nats_gpu_latency_ms, parameters
from simmore.data.registry import BENCHMARKED, BLIND, MEASURED, REGISTRY, fetch, fetch_all, mirror, status
from simmore.data.score_tables import az_terms, published_scores, scores

__all__ = [
    "BENCHMARKED",
    "BLIND",
    "DATASETS",
    "MEASURED",
    "REGISTRY",
    "Task",
    "accuracy",
    "az_terms",
    "benchmark_metadata",
    "device_operations",
    "fetch",
    "fetch_all",
    "hw_nas_bench",
    "latency_csv",
    "latency_table",
    "measured_csv",
    "mirror",
    "nats_archive",
    "nats_gpu_latency_ms",
    "parameters",
    "published_scores",
    "scores",
    "status",
    "task",
]
