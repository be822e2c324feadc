"""Build the page that needs no server: one HTML file with all cells, stored devices and the controller's network.

    python site/make_page.py BUILD

The page is written to ``BUILD/page/index.html``. It holds public tables, so it is built where it is needed and never
stored in the repository. Its modules are in ``site/page/``; the plane and the sliders are those of the explorer.
"""

from __future__ import annotations

import base64
import json
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

import simmore
from simmore import data, devices, provenance, proxies, space
from simmore.files import replace
from simmore.models import readings
from simmore.plots.labels import OPERATION_LABELS
from simmore.rl import context
from simmore.strategies import BUDGET

PAGE = Path(__file__).parent / "page"
BROWSER = Path(simmore.__file__).parent / "explorer" / "browser"
CONTROLLER = "controller_0"
DATASET_LABELS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "ImageNet16-120": "ImageNet16-120"}
FAILED, ABSENT = 65_535, 65_534  # codes of a cell that failed, and of one that the table lacks
_LARGEST = 65_533


def pack(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Arrays as text that ``arrays.js`` reads: a list of them and their bytes, compressed."""
    listed, parts, at = [], [], 0
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array).ravel()
        flat = flat.astype(flat.dtype.newbyteorder("<"))
        listed.append({"name": name, "kind": flat.dtype.str[1:], "length": flat.size, "at": at})
        parts.append(flat.view(np.uint8).reshape(flat.size, -1).T.tobytes())  # first bytes first: compresses better
        at += len(parts[-1])
    head = json.dumps(listed).encode()
    packed = zlib.compress(b"".join([len(head).to_bytes(4, "little"), head, *parts]), 9)
    return base64.b64encode(packed).decode()


def by_digits() -> NDArray[np.uint16]:
    """NATS indices of the cells in the order of their digits, ``(cells,)``; columns in this order compress better."""
    return np.lexsort(space.all_ops().T[::-1]).astype(np.uint16)


def cells(order: NDArray[np.uint16]) -> dict[str, NDArray[Any]]:
    """Order, scores and accuracies of all cells, by digits.

    All scores of a data set have one distribution. So `quantiles` holds its values in ascending order, and `places` of
    a score holds twice the place of each cell among them; cells with equal scores share their mean place.
    """
    found: dict[str, NDArray[Any]] = {"order": order}
    for name in data.DATASETS:
        found[f"quantiles/{name}"] = np.sort(proxies.stored_score(name)).astype(np.float32)
        for score in proxies.SCORES:
            places = rankdata(proxies.stored_score(name, score)[order]) - 1
            found[f"places/{name}/{score}"] = (2 * places).astype(np.uint16)
        found[f"accuracy/{name}"] = np.round(100 * data.accuracy(name)[order]).astype(np.uint16)
    return found


def latencies(shown: list[devices.Device], order: NDArray[np.uint16]) -> dict[str, NDArray[Any]]:
    """Tables of devices in 16 bits, ``(devices, cells)`` by digits; steps of the logarithm, see `quantised`."""
    tables = [quantised(devices.whole_table(device)[order]) for device in shown]
    codes, lowest, step = (np.array(part) for part in zip(*tables, strict=True))
    return {"codes": codes.astype(np.uint16), "lowest": lowest, "step": step}


def quantised(latency_ms: NDArray[np.float64]) -> tuple[NDArray[np.uint16], float, float]:
    """Latencies in 16 bits: code k is ``exp(lowest + k · step)`` ms; `FAILED` if infinite, `ABSENT` if NaN."""
    works = np.isfinite(latency_ms)
    log = np.log(latency_ms[works])
    lowest, step = float(log.min()), max(float(np.ptp(log)) / _LARGEST, 1e-12)
    codes = np.where(np.isnan(latency_ms), ABSENT, FAILED).astype(np.uint16)
    codes[works] = np.round((log - lowest) / step)
    return codes, lowest, step


def network(order: NDArray[np.uint16]) -> dict[str, NDArray[Any]]:
    """Parameters of the controller, and the features of all cells: the values of each column and a place among them."""
    columns = [np.unique(column, return_inverse=True) for column in context.cell_features().T[:, order]]
    assert max(len(values) for values, _ in columns) <= 256
    return {
        **context.load(CONTROLLER).arrays,
        "features/values": np.concatenate([values for values, _ in columns]),
        "features/sizes": np.array([len(values) for values, _ in columns], dtype=np.uint16),
        "features/places": np.array([places for _, places in columns], dtype=np.uint8),
    }


def description(shown: list[devices.Device]) -> dict[str, Any]:
    """Names, labels and constants that the page's modules need."""
    xi, operations = devices.SyntheticDevices.fit(), data.device_operations()[list(space.OPERATIONS)]
    return {
        "operations": list(space.OPERATIONS),
        "labels": list(OPERATION_LABELS),
        "edges": [list(edge) for edge in space.EDGES],
        "datasets": DATASET_LABELS,
        "scores": {
            name: {"label": score.label, "description": score.description} for name, score in proxies.SCORES.items()
        },
        "devices": [device.name for device in shown],
        "codes": {"failed": FAILED, "absent": ABSENT},
        "budget": BUDGET,
        "sliders": {"mean": xi.mean_ms.tolist(), "sd": xi.sd_ms.tolist(), "marks": operations.to_numpy().T.tolist()},
        "commit": provenance.commit(),
        "sizes": {
            "features": context.cell_features().shape[1], "components": context.COMPONENTS, "rank": context.RANK,
            "width": context.WIDTH, "heads": context.HEADS, "layers": context.LAYERS,
            "correction": context.CORRECTION, "offsetVariance": context.OFFSET_VARIANCE,
            "smallestNoise": context.SMALLEST_NOISE, "lowestLogEi": context.LOWEST_LOG_EI,
            "mostTokens": context.MOST_TOKENS, "tooSlow": readings.TOO_SLOW, "tooFast": readings.TOO_FAST,
            "agreement": readings.AGREEMENT,
        },
    }  # fmt: skip


def modules() -> dict[str, str]:
    """The page's modules by name, as addresses that hold their text: files on disk cannot import one another."""
    files = [*PAGE.glob("*.js"), BROWSER / "plane.js", BROWSER / "sliders.js"]
    return {
        file.stem: "data:text/javascript;base64," + base64.b64encode(file.read_bytes()).decode()
        for file in sorted(files)
    }


def page() -> str:
    """The whole page as HTML."""
    order = by_digits()
    shown = devices.available(["nats_gpu", *data.BENCHMARKED, *data.BLIND, *data.MEASURED, "edgegpu_lut"])
    parts = {
        "STYLE": (BROWSER / "explorer.css").read_text("utf-8") + (PAGE / "page.css").read_text("utf-8"),
        "MODULES": json.dumps({"imports": modules()}),
        "ABOUT": json.dumps(description(shown), ensure_ascii=False).replace("<", "\\u003c"),
        "CELLS": pack(cells(order)),
        "LATENCIES": pack(latencies(shown, order)),
        "NETWORK": pack(network(order)),
    }
    text = (PAGE / "page.html").read_text("utf-8")
    for name, part in parts.items():
        text = text.replace(f"{{{{{name}}}}}", part)
    return text


def write(folder: Path) -> None:
    """Write the page, ``page/index.html`` in a folder."""
    file, content = folder / "page" / "index.html", page().encode()
    replace(file, content)
    print(f"{file}: {len(content) / 1e6:.2f} MB")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
