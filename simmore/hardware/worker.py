"""Measuring in a process of its own: what dies or hangs there is an infinite latency, and the caller goes on.

A `Worker` starts the process at its first job and keeps it; one that died or overstayed its limit is replaced. For
each job the process takes as many cores as it has threads, for itself (`cores`).
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from simmore.hardware import cores, timing
from simmore.hardware.cores import CannotMeasure
from simmore.hardware.runtimes import N_CLASSES, SIZE, Configuration, Image, Network

LIMIT_SECONDS = 120.0  # for one cell; `torch.compile` takes half a minute
START_SECONDS = 120.0
PATIENCE_SECONDS = 5.0  # until a wait is said


@dataclass(frozen=True)
class Measurement:
    """Latency of one cell.

    Attributes
    ----------
    arch
        NATS index.
    latency_ms
        Infinite if the network failed to compile or to run.
    spread, runs, steady
        See `timing.Timing`; a latency that is not steady is not to be trusted.
    seconds
        That it took, compiling included.
    reason
        Why the latency is infinite, empty if it is not.
    """

    arch: int
    latency_ms: float
    spread: float = 0.0
    runs: int = 0
    steady: bool = True
    seconds: float = 0.0
    reason: str = ""


def failed(arch: int, reason: str, seconds: float = 0.0) -> Measurement:
    """The measurement of a cell that could not be measured."""
    return Measurement(arch, math.inf, seconds=seconds, reason=reason)


def measure_here(archs: Sequence[int], wanted: Configuration, seed: int = 0) -> list[Measurement]:
    """Compile cells, and time them in turns, in this very process."""
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((wanted.batch, 3, SIZE, SIZE), dtype=np.float32)
    found: dict[int, Measurement] = {}
    runs: dict[int, timing.Run] = {}
    seconds: dict[int, float] = {}
    for arch in archs:
        started = time.perf_counter()
        try:
            runs[arch] = _warm(wanted.compile(arch), image)
        except Exception as error:  # whatever a compiler throws is the cell's reason, never the search's end
            found[arch] = failed(arch, _said(error), time.perf_counter() - started)
        seconds[arch] = time.perf_counter() - started
    started = time.perf_counter()
    try:
        timings = timing.take_turns(list(runs.values()), rng)
    except Exception as error:
        if len(archs) > 1:  # which of them it was shows when they are measured one by one
            return [one for arch in archs for one in measure_here([arch], wanted, seed)]
        return [failed(archs[0], _said(error), seconds[archs[0]])]
    each = (time.perf_counter() - started) / max(len(runs), 1)
    for arch, one in zip(runs, timings, strict=True):
        took = seconds[arch] + each
        found[arch] = Measurement(arch, one.latency_ms, one.spread, one.runs, one.steady, took)
    return [found[arch] for arch in archs]


def _warm(network: Network, image: Image) -> timing.Run:
    """What runs a network on an image, warm, and seen to give logits."""
    shape = network(image).shape
    if shape != (len(image), N_CLASSES):
        raise RuntimeError(f"it gives logits of shape {shape}")
    run = partial(network, image)
    timing.warm(run)
    return run


def _said(error: Exception) -> str:
    """An error as a reason."""
    return f"{type(error).__name__}: {str(error).strip()[:300]}"


class Worker:
    """A measuring process, started when it is first needed.

    Parameters
    ----------
    wanted
        What it measures with.
    limit_seconds
        For one cell; a process that takes longer is ended.

    Raises
    ------
    MissingPackage
        If the runtime is not installed.
    ValueError
        For more threads than there are cores, or a limit that is none.
    CannotMeasure
        At the first job, if no process can be started or no core becomes free.
    """

    def __init__(self, wanted: Configuration, limit_seconds: float = LIMIT_SECONDS) -> None:
        if not limit_seconds > 0:
            raise ValueError(f"a limit is a positive number of seconds, got {limit_seconds}")
        wanted.check()
        self.wanted = wanted
        self.limit_seconds = limit_seconds
        self._one_at_a_time = threading.Lock()  # a Dask worker may have several threads
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def measure(self, archs: Sequence[int], seed: int = 0) -> list[Measurement]:
        """Measure cells in turns; if the process dies or hangs, one by one, to find out at which."""
        with self._one_at_a_time:
            return self._measure([int(arch) for arch in archs], seed)

    def _measure(self, archs: list[int], seed: int) -> list[Measurement]:
        started = time.perf_counter()
        try:
            return self._ask(archs, seed)
        except (EOFError, ConnectionError, TimeoutError) as error:
            self.close()
            if len(archs) == 1:
                return [failed(archs[0], str(error) or "the measuring process died", time.perf_counter() - started)]
            return [one for arch in archs for one in self._measure([arch], seed)]

    def _ask(self, archs: list[int], seed: int) -> list[Measurement]:
        """Send a job, wait until it has its cores, and then for its end."""
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        self._pipe.send((archs, seed))
        if not self._pipe.poll(PATIENCE_SECONDS):
            which = "a core" if self.wanted.threads == 1 else f"{self.wanted.threads} cores"
            print(f"waiting for {which}: something else measures on this machine", file=sys.stderr, flush=True)
        self._receive(cores.WAIT_SECONDS + 60)
        found: list[Measurement] = self._receive(self.limit_seconds * len(archs))
        return found

    def _receive(self, limit_seconds: float) -> Any:
        """What the process says next; an exception that it sends is raised."""
        assert self._pipe is not None and self._process is not None
        if not self._pipe.poll(limit_seconds):
            raise TimeoutError(f"the measuring process did not answer within {limit_seconds:g} s and was ended")
        try:
            said = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            status = self._process.wait()
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            raise EOFError(f"the measuring process ended {how}") from error
        if isinstance(said, Exception):
            raise said
        return said

    def _start(self) -> None:
        """Start the process, and see that it can measure here."""
        here, there = Pipe()
        with there:
            program = f"from simmore.hardware.worker import serve; serve({there.fileno()})"
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout is the caller's; what a runtime prints goes to stderr
                start_new_session=True,  # Ctrl-C is the caller's too, who ends this process in an orderly way
            )
        self._pipe = here
        here.send(self.wanted)
        try:
            self._receive(START_SECONDS)
        except (EOFError, TimeoutError) as error:
            self.close()
            raise CannotMeasure(f"no measuring process could be started: {error}") from error

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def serve(descriptor: int) -> None:
    """Answer jobs on a pipe until it is closed: with None when the job has its cores, and with its measurements."""
    with Connection(descriptor) as pipe, contextlib.suppress(EOFError):
        wanted: Configuration = pipe.recv()
        pipe.send(None)
        while True:
            archs, seed = pipe.recv()
            try:
                with cores.reserved(wanted.threads):
                    pipe.send(None)
                    found = measure_here(archs, wanted, seed)
            except CannotMeasure as error:
                pipe.send(error)
            else:
                pipe.send(found)
