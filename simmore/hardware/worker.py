"""Measuring in a separate process: a crash or timeout is reported as a failure of the cell, and the search continues.

A `Worker` starts the process at its first job and keeps it. A process that crashed or exceeded its time limit is
replaced. For each job the process reserves as many cores as it has threads (`cores`), the same ones every time.

A new process first measures the reference network. If that fails, the runtime does not work here, and this is an error
(`CannotMeasure`), not a property of a cell. Every job times the reference beside its cells, so that a change of the
machine's speed is seen.

The process is not started by ``multiprocessing``, which would run the main module of the caller again, and which cannot
start processes in the daemonic processes of a Dask worker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from simmore import parallel, provenance
from simmore.hardware import cores, timing
from simmore.hardware.cores import CannotMeasure
from simmore.hardware.layers import N_CLASSES, SIZE
from simmore.hardware.runtimes import RUNTIMES, Configuration, Image, Network
from simmore.space import N_ARCHS

REFERENCE = 4317  # the cell of 1×1 convolutions alone: its network shows the machine's speed
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
    spread, runs, preempted, stable, disturbed
        See `timing.Timing`; do not trust a latency that is unstable or disturbed.
    reference_ms
        Latency of the reference network, timed interleaved with the cell.
    seconds
        Duration of the measurement, compiling included.
    reason
        Why the latency is infinite; empty if it is not.
    cores
        Numbers of the cores that the network ran on.
    host, processor, versions
        Where it was measured: name and processor of the machine, versions of the runtime's packages.
    """

    arch: int
    latency_ms: float
    spread: float = 0.0
    runs: int = 0
    preempted: float = 0.0
    stable: bool = True
    disturbed: bool = False
    reference_ms: float = math.nan
    seconds: float = 0.0
    reason: str = ""
    cores: tuple[int, ...] = ()
    host: str = ""
    processor: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no measurement has: a journal may be damaged."""
        if self.arch not in range(N_ARCHS):
            raise ValueError(f"{self.arch!r} is no cell of the search space")
        if not self.latency_ms > 0 or self.reference_ms <= 0:
            raise ValueError(f"cell {self.arch}: {self.latency_ms!r} ms and {self.reference_ms!r} ms are no latencies")

    @property
    def doubtful(self) -> bool:
        """Whether other programs or the machine changed the latency while it was measured."""
        return math.isfinite(self.latency_ms) and (self.disturbed or not self.stable)

    @property
    def machine(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """Host, processor and versions: measurements with different ones are never mixed in one search."""
        return self.host, self.processor, tuple(sorted(self.versions.items()))


def failed(arch: int, reason: Exception | str, seconds: float = 0.0) -> Measurement:
    """The measurement of a cell that could not be measured."""
    if isinstance(reason, Exception):
        reason = f"{type(reason).__name__}: {str(reason).strip()[:300]}"
    return Measurement(arch, math.inf, seconds=seconds, reason=reason)


def measure_here(
    archs: Sequence[int], wanted: Configuration, seed: int = 0, *, reference: timing.Run | None = None
) -> list[Measurement]:
    """Compile cells, and measure them by interleaved timing with the reference network, in this process.

    Parameters
    ----------
    reference
        The reference network, if it is compiled already.

    Raises
    ------
    CannotMeasure
        If the reference network fails.
    """
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((wanted.batch, 3, SIZE, SIZE), dtype=np.float32)
    runs: dict[int, timing.Run] = {REFERENCE: reference or compile_reference(wanted)}
    found: dict[int, Measurement] = {}
    seconds: dict[int, float] = {}
    for arch in archs:
        started = time.perf_counter()
        try:
            if arch != REFERENCE:
                runs[arch] = _warm(wanted.compile(arch), image)
        except Exception as error:  # whatever a compiler raises is the cell's failure, and does not end the search
            found[arch] = failed(arch, error, time.perf_counter() - started)
        seconds[arch] = time.perf_counter() - started
    started = time.perf_counter()
    try:
        rounds = RUNTIMES[wanted.runtime].rounds
        timings = dict(zip(runs, timing.interleaved(list(runs.values()), rng, rounds), strict=True))
    except Exception as error:
        if len(archs) > 1:  # measured one by one, they show which one failed
            reference = runs[REFERENCE]
            return [one for arch in archs for one in measure_here([arch], wanted, seed, reference=reference)]
        try:
            runs[REFERENCE]()
        except Exception as worse:
            raise _reference_fails(wanted, worse) from worse
        return [failed(archs[0], error, seconds[archs[0]])]
    each = (time.perf_counter() - started) / len(runs)
    for arch in archs:
        if arch in timings:
            facts = dataclasses.asdict(timings[arch])
            reference_ms = timings[REFERENCE].latency_ms
            found[arch] = Measurement(arch, **facts, reference_ms=reference_ms, seconds=seconds[arch] + each)
    return [found[arch] for arch in archs]


def compile_reference(wanted: Configuration) -> timing.Run:
    """Compile and warm the reference network; returns a function that runs it.

    Raises
    ------
    CannotMeasure
        If it fails to compile or to run.
    """
    image = np.random.default_rng(0).standard_normal((wanted.batch, 3, SIZE, SIZE), dtype=np.float32)
    try:
        return _warm(wanted.compile(REFERENCE), image)
    except Exception as error:
        raise _reference_fails(wanted, error) from error


def _reference_fails(wanted: Configuration, error: Exception) -> CannotMeasure:
    return CannotMeasure(
        f"{wanted.name} does not work on this machine: the reference network (cell {REFERENCE}) fails with "
        f"{failed(REFERENCE, error).reason}"
    )


def _warm(network: Network, image: Image) -> timing.Run:
    """Warm a network and check the shape of its logits; returns a function that runs it on an image."""
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
        At a job, if no process can be started, no core becomes free, or the reference network fails; on Windows.
    """

    def __init__(self, wanted: Configuration, limit_seconds: float = LIMIT_SECONDS) -> None:
        if not 0 < limit_seconds < math.inf:
            raise ValueError(f"a limit is a positive number of seconds, got {limit_seconds}")
        wanted.check()
        self.wanted = wanted
        self.limit_seconds = limit_seconds
        self._one_at_a_time = threading.Lock()  # a Dask worker may have several threads
        self._process: subprocess.Popen[bytes] | None = None
        self._where: dict[str, Any] = {}
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
                one = failed(archs[0], reason, time.perf_counter() - started)
                return [dataclasses.replace(one, **self._where)]
            return [one for arch in archs for one in self._measure([arch], seed)]
        except KeyboardInterrupt:
            self.close()  # its late answer would be taken for that of the next job
            raise

    def _run(self, archs: list[int], seed: int) -> list[Measurement]:
        """Send a job, wait until the process has its cores, and then for the measurements."""
        if self._pipe is None:
            self._start()
        return self._job(archs, seed, self.limit_seconds * len(archs))

    def _job(self, archs: list[int], seed: int, limit_seconds: float) -> list[Measurement]:
        assert self._pipe is not None
        self._pipe.send((archs, seed))
        if not self._pipe.poll(PATIENCE_SECONDS):
            which = "a core" if self.wanted.threads == 1 else f"{self.wanted.threads} cores"
            print(f"waiting for {which}: something else measures on this machine", file=sys.stderr, flush=True)
        self._receive(cores.WAIT_SECONDS + 60)
        found: list[Measurement] = self._receive(limit_seconds)
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
        """Start the process, and wait until it has measured the reference network."""
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
        try:
            (found,) = self._job([REFERENCE], 0, max(START_SECONDS, self.limit_seconds))
            self._where = {key: getattr(found, key) for key in ("cores", "host", "processor", "versions")}
        except (EOFError, TimeoutError) as error:
            self.close()
            raise _reference_fails(self.wanted, error) from error

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
    parallel.end_with(os.getppid())
    with Connection(descriptor) as pipe, contextlib.suppress(EOFError, ConnectionError):
        wanted: Configuration = pipe.recv()
        pipe.send(None)
        where: dict[str, Any] = {}
        reference: timing.Run | None = None
        among: Sequence[int] | None = wanted.cores or None
        while True:
            archs, seed = pipe.recv()
            try:
                with cores.reserved(wanted.threads, among=among) as taken:
                    among = taken  # from then on the same cores
                    pipe.send(None)
                    if reference is None:
                        reference = compile_reference(wanted)
                        where = {
                            "host": platform.node(),
                            "processor": provenance.machine()["processor"],
                            "versions": wanted.versions(),
                        }
                    found = measure_here(archs, wanted, seed, reference=reference)
            except CannotMeasure as error:
                pipe.send(error)
            else:
                pipe.send([dataclasses.replace(one, cores=tuple(taken), **where) for one in found])
