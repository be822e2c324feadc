"""Speed and memory: a table whose numbers are all measured in one run (``make bench``)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from simmore import devices, paths, proxies
from simmore.rl import training

if TYPE_CHECKING:
    import psutil

_ROWS = list[tuple[str, float, str, str]]


def table() -> pd.DataFrame:
    """Measure everything; a row per figure: ``what``, ``measured``, ``unit``, ``goal``. Takes several minutes."""
    parts: list[Callable[[], _ROWS]] = [_imports, _loading, _environment, _scoring, _training, _live, _figures]
    rows = [row for part in tqdm(parts, desc="bench", disable=None) for row in part()]
    frame = pd.DataFrame(rows, columns=["what", "measured", "unit", "goal"])
    return frame.assign(measured=frame["measured"].map("{:.3g}".format))


def _in_new_process(code: str, repeats: int = 5) -> float:
    """Median of the seconds that a new process prints."""
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(repeats)
    ]
    return float(np.median([float(run.stdout) for run in runs]))


def _imports() -> _ROWS:
    code = "import time; t = time.perf_counter(); import simmore; print(time.perf_counter() - t)"
    search = code.replace("import simmore;", "import simmore; simmore.search;")
    return [
        ("import simmore", _in_new_process(code), "s", "≤ 0.3"),
        ("simmore.search, without torch", _in_new_process(search), "s", ""),
    ]


def _loading() -> _ROWS:
    code = (
        "import time; from simmore import data; import pandas; t = time.perf_counter(); "
        "[data.accuracy(d) for d in data.DATASETS]; data.nats_gpu_latency_ms(); data.scores(); "
        "data.device_operations(); print(time.perf_counter() - t)"
    )
    return [("load the benchmark: three datasets, scores, devices", _in_new_process(code), "s", "≤ 0.5")]


def _environment(n: int = 64, steps: int = 2_000) -> _ROWS:
    from simmore.rl.environments import CellEnv, CellVecEnv

    sampler, score = devices.SyntheticDevices.fit(), proxies.stored_score()
    rng = np.random.default_rng(0)
    actions = np.stack([rng.integers(6, size=(steps, n)), rng.integers(5, size=(steps, n))], axis=-1)

    def vectorised() -> float:
        env = CellVecEnv(n, sampler, score)
        env.reset()
        started = time.perf_counter()
        for step in actions:
            env.step_async(step)
            env.step_wait()
        return steps * n / (time.perf_counter() - started)

    def one_at_a_time() -> float:
        env = CellEnv(sampler, score)
        env.reset(seed=0)
        started = time.perf_counter()
        for action in actions[:, 0]:
            if env.step(action)[3]:
                env.reset()
        return steps / (time.perf_counter() - started)

    # interleaved, so that a drift of the machine's speed affects both
    pairs = np.array([(vectorised(), one_at_a_time()) for _ in range(5)])
    many, single = np.median(pairs, axis=0)
    return [
        (f"vectorised environment, {n} side by side", many, "transitions/s", "≥ 250,000"),
        ("one gymnasium environment at a time", single, "transitions/s", ""),
        ("ratio of the two", float(np.median(pairs[:, 0] / pairs[:, 1])), "×", ""),
    ]


def _scoring(n: int = 20) -> _ROWS:
    from simmore import space
    from simmore.experiments import score_checks

    archs = np.random.default_rng(0).choice(space.N_ARCHS, size=n, replace=False)
    fast, plain = score_checks.scoring_seconds(archs.tolist())
    return [
        (f"scoring a network, mean of {n} random cells, one core", fast / n, "s", "≤ 0.15"),
        ("the plain implementation", plain / n, "s", ""),
        ("ratio of the two", plain / fast, "×", ""),
    ]


def _training() -> _ROWS:
    settings = training.Settings()
    started = time.perf_counter()
    training.train(settings, devices.SyntheticDevices.fit(), proxies.stored_score(), description="bench: training")
    seconds = time.perf_counter() - started
    evaluations = settings.total_steps // settings.evaluate_every + 1
    what = f"training, {settings.total_steps:,} steps with {evaluations} evaluations, one core"
    return [(what, seconds, "s", "≤ 90"), ("that is", settings.total_steps / seconds, "steps/s", "")]


def _live() -> _ROWS:
    """A search that measures: the process, the compiling and the ten measurements."""
    command = [sys.executable, "-m", "simmore", "search", "--live", "onnxruntime", "--budget", "10"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    return [("live search, ten cells measured in ONNX Runtime", seconds, "s", "≤ 30")]


def _figures() -> _ROWS:
    """`make figures` after the set-up, into a temporary folder: its time, and the memory of all its processes."""
    import psutil

    with tempfile.TemporaryDirectory() as folder:
        command = ["make", "figures", f"BUILD={folder}/build", f"OUT={folder}/figures"]
        started = time.perf_counter()
        with (Path(folder) / "log").open("w") as log:
            make = psutil.Popen(command, cwd=paths.ROOT, stdout=log, stderr=log)
            peak = 0
            while make.poll() is None:
                peak = max(peak, _memory(make))
                time.sleep(0.25)
        seconds = time.perf_counter() - started
        if make.returncode:
            raise RuntimeError(f"make figures failed:\n{(Path(folder) / 'log').read_text()[-2000:]}")
    return [
        ("make figures, after set-up", seconds / 60, "min", "≤ 10"),
        ("its memory, all processes", peak / 1e9, "GB", "≤ 3"),
    ]


def _memory(process: psutil.Process) -> int:
    """Resident memory of a process and its descendants, in bytes; one that has just ended counts nothing."""
    import psutil

    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
