"""The `host` engine: the generated C as a program of this machine, optionally under ASan and UBSan."""

from __future__ import annotations

import os
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import ClassVar

from driftc.codegen.errors import ToolError
from driftc.simulator.engine import FIRST, Array, Engine, Program, Sample, Starts
from driftc.simulator.program import build_host
from driftc.simulator.stream import Batch, Decoder, encode, ended
from driftc.simulator.toolchain import host_compiler

BATCH_BYTES = 16 << 20  # results of one process; bounds the memory, and how long the first sample takes
BATCH_SAMPLES = 32
TIMEOUT = 600  # seconds for one batch


class HostEngine(Engine):
    """Runs batches of samples in as many processes as there are processors, and gives them back in order."""

    name: ClassVar[str] = "host"

    def __init__(self, *, sanitize: bool = False) -> None:
        self._sanitize = sanitize

    def missing(self) -> str | None:
        try:
            host_compiler()
        except ToolError as error:
            return str(error)
        return None

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        executable = build_host(program, trace=trace, sanitize=self._sanitize)
        size = _batch_size(program, len(samples), trace)
        if program.state_bytes:  # each batch goes on where the one before it ended
            state = b""
            for first in range(0, len(samples), size):
                done = _run_batch(executable, program, Batch.of(samples, first, size, starts, state), trace)
                state = done[-1].state
                yield from done
            return
        batches = (Batch(samples[start : start + size]) for start in range(0, len(samples), size))
        workers = os.cpu_count() or 1
        with ThreadPoolExecutor(workers) as pool:
            running: deque[Future[list[Sample]]] = deque()
            try:
                for batch in batches:
                    running.append(pool.submit(_run_batch, executable, program, batch, trace))
                    if len(running) > workers:  # never more results than the consumer has room for
                        yield from running.popleft().result()
                while running:
                    yield from running.popleft().result()
            finally:
                for future in running:
                    future.cancel()


def _batch_size(program: Program, samples: int, trace: bool) -> int:
    """Small enough to keep all processors busy to the end, and within BATCH_BYTES.

    Learning that is under way, and what chooses samples, is in no state, so that they are one batch.
    """
    if program.learns or program.uploads:
        return samples
    shown = [(layer.hwc, layer.dtype) for layer in program.layers] if trace else []
    shapes = [*shown, *((port.shape, port.dtype) for port in (*program.inputs, *program.outputs))]
    per_sample = max(1, sum(prod(shape) * dtype.itemsize for shape, dtype in shapes))
    fair = -(-samples // (4 * (os.cpu_count() or 1)))
    return max(1, min(BATCH_SAMPLES, fair, BATCH_BYTES // per_sample))


def _run_batch(executable: Path, program: Program, batch: Batch, trace: bool) -> list[Sample]:
    count = len(batch.samples)
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0:exitcode=97", "UBSAN_OPTIONS": "print_stacktrace=1"}
    try:
        done = subprocess.run(
            [str(executable)], input=encode(program, batch), capture_output=True, timeout=TIMEOUT, env=environment,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{program.name}: {count} samples not done after {TIMEOUT} s on this machine") from error
    if done.returncode != 0:
        report = "\n".join(done.stderr.decode(errors="replace").splitlines()[:15])
        raise ToolError(f"{program.name}: the program ended with {ended(done.returncode)}\n{report}".rstrip())
    decoder = Decoder(program, trace=trace)
    runs = decoder.feed(done.stdout)
    decoder.finish()
    if len(runs) != count:
        raise ToolError(f"{program.name}: {len(runs)} results for {count} samples")
    return [run.sample for run in runs]
