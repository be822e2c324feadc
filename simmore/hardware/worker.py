"""Measuring in a process of its own: a crash or timeout is reported as a failure of the cell, and the search continues.

A `Worker` starts the process at its first job and keeps it. A process that crashed or exceeded its time limit is
replaced. For each job the process reserves as many cores as it has threads (`cores`).

The process is not a child of ``multiprocessing``: that runs the caller's main module again, and does not start from the
daemonic processes of a Dask worker.
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
from simmore.hardware.layers import N_CLASSES, SIZE
from simmore.hardware.runtimes import Configuration, Image, Network

LIMIT_SECONDS = 120.0  # for one cell; `torch.compile` takes half a minute
START_SECONDS = 120.0
PATIENCE_SECONDS = 5.0  # until a message says that the worker waits for cores


@dataclass(frozen=True)
class Measurement:
    """Latency of one cell.

    Attributes
    ----------
    arch
        NATS index.
    latency_ms
        Infinite if the network failed to compile or to run.
    spread, runs, stable
        See `timing.Timing`; do not trust an unstable latency.
    seconds
        Duration of the measurement, compiling included.
    reason
        Why the latency is infinite; empty if it is not.
    """

    arch: int
    latency_ms: float
    spread: float = 0.0
    runs: int = 0
    stable: bool = True
    seconds: float = 0.0
    reason: str = ""


def failed(arch: int, reason: Exception | str, seconds: float = 0.0) -> Measurement:
    """The measurement of a cell that could not be measured."""
    if isinstance(reason, Exception):
        reason = f"{type(reason).__name__}: {str(reason).strip()[:300]}"
    return Measurement(arch, math.inf, seconds=seconds, reason=reason)


def measure_here(archs: Sequence[int], wanted: Configuration, seed: int = 0) -> list[Measurement]:
    """Compile cells, and measure them by interleaved timing, in this process."""
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((wanted.batch, 3, SIZE, SIZE), dtype=np.float32)
    found: dict[int, Measurement] = {}
    runs: dict[int, timing.Run] = {}
    seconds: dict[int, float] = {}
    for arch in archs:
        started = time.perf_counter()
        try:
            runs[arch] = _warm(wanted.compile(arch), image)
        except Exception as error:  # whatever a compiler raises is the cell's failure, and does not end the search
            found[arch] = failed(arch, error, time.perf_counter() - started)
        seconds[arch] = time.perf_counter() - started
    started = time.perf_counter()
    try:
        timings = timing.interleaved(list(runs.values()), rng)
    except Exception as error:
        if len(archs) > 1:  # measured one by one, they show which one failed
            return [one for arch in archs for one in measure_here([arch], wanted, seed)]
        return [failed(archs[0], error, seconds[archs[0]])]
    each = (time.perf_counter() - started) / max(len(runs), 1)
    for arch, one in zip(runs, timings, strict=True):
        found[arch] = Measurement(arch, one.latency_ms, one.spread, one.runs, one.stable, seconds[arch] + each)
    return [found[arch] for arch in archs]


def _warm(network: Network, image: Image) -> timing.Run:
    """A function that runs a network on an image; the network is warm and returns logits."""
    shape = network(image).shape
    if shape != (len(image), N_CLASSES):
        raise RuntimeError(f"the network returns logits of shape {shape}")
    run = partial(network, image)
    timing.warm(run)
    return run


class Worker:
    """A measuring process, started when it is first needed.

    Parameters
    ----------
    wanted
        Runtime, precision, threads and batch.
    limit_seconds
        Time limit for one cell; a process that exceeds it is ended.

    Raises
    ------
    MissingPackage
        If the runtime is not installed.
    ValueError
        For more threads than there are cores, or a limit that is not a positive number.
    CannotMeasure
        At the first job, if no process can be started or no core becomes free; on Windows.
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
        """Measure cells together; if the process crashes or exceeds its limit, one by one, to find out at which."""
        with self._one_at_a_time:
            return self._measure([int(arch) for arch in archs], seed)

    def _measure(self, archs: list[int], seed: int) -> list[Measurement]:
        started = time.perf_counter()
        try:
            return self._run(archs, seed)
        except (EOFError, ConnectionError, TimeoutError) as error:
            self.close()
            if len(archs) == 1:
                reason = str(error) or "the measuring process crashed"
                return [failed(archs[0], reason, time.perf_counter() - started)]
            return [one for arch in archs for one in self._measure([arch], seed)]
        except KeyboardInterrupt:
            self.close()  # its late answer would be taken for that of the next job
            raise

    def _run(self, archs: list[int], seed: int) -> list[Measurement]:
        """Send a job, wait until the process has its cores, and then for the measurements."""
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
        """The next message of the process; raised if it is an exception."""
        assert self._pipe is not None and self._process is not None
        if not self._pipe.poll(limit_seconds):
            raise TimeoutError(f"the measuring process did not answer within {limit_seconds:g} s and was ended")
        try:
            message = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            status = self._process.wait()
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            raise EOFError(f"the measuring process ended {how}") from error
        if isinstance(message, Exception):
            raise message
        return message

    def _start(self) -> None:
        """Start the process, and wait until it is ready."""
        here, there = Pipe()
        with there:
            program = f"from simmore.hardware.worker import serve; serve({there.fileno()})"
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout belongs to the caller: what a runtime prints goes to stderr
                start_new_session=True,  # Ctrl-C is for the caller, which ends this process
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
    """Answer jobs on a pipe until it is closed: first with None when the cores are reserved, then with the result."""
    with Connection(descriptor) as pipe, contextlib.suppress(EOFError, ConnectionError):
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
