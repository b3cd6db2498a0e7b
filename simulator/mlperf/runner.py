"""A runner: accuracy over all samples, then latency by the rules, over the text protocol.

The rules (mlcommons/tiny): five windows, each another sample, of ten inferences and ten seconds at least by the
device's clock, after ten that are not timed; what counts is the median of their throughputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from driftc.codegen.errors import DataError, ToolError, UsageError
from driftc.simulator.mlperf.benchmarks import Benchmark, benchmark
from driftc.simulator.mlperf.client import INFER_SECONDS, Client, Inference
from driftc.simulator.mlperf.data import Labelled, labelled
from driftc.simulator.mlperf.stream import Heard, listen, recordings

WINDOWS, ITERATIONS, WARMUPS, SECONDS = 5, 10, 10, 10.0
MARGIN = 1.1  # more iterations than should do
GROWTH = 1.25  # from try to try, at the least
PATIENCE = 10  # times as long as the first inference says


@dataclass(frozen=True)
class Window:
    file: str
    iterations: int
    seconds: float
    throughput: float  # inferences a second


@dataclass
class Results:
    benchmark: str
    vendor: str
    samples: int
    metric: str | None = None  # top-1 or AUC
    score: float | None = None
    target: float | None = None
    windows: list[Window] = field(default_factory=list)
    throughput: float | None = None  # the median
    latency_ms: float | None = None
    streams: list[Heard] = field(default_factory=list)  # of the streaming wake word

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def accuracy(
    client: Client, benchmark: Benchmark, files: Sequence[Labelled], progress: Callable[[int, int], None] | None = None
) -> float:
    """Top-1 accuracy; of ad01 the area under the curve of each file's score, the mean over its windows."""
    scores = []
    for number, file in enumerate(files, 1):
        outputs = []
        for data in file.inputs(benchmark.bytes):
            client.load(data)
            outputs.append(client.infer(1, 0).results)
        wanted = benchmark.classes or 1
        if len(outputs[0]) != wanted:
            raise ToolError(
                f"{file.path.name}: the device gave {len(outputs[0])} results, {benchmark.name} has {wanted}"
            )
        scores.append(np.mean(outputs, axis=0))
        if progress is not None:
            progress(number, len(files))
    labels = np.array([file.label for file in files])
    if benchmark.classes is None:
        return area_under_curve(np.array(scores)[:, 0], labels)
    return float(np.mean(np.argmax(scores, axis=1) == labels))


def area_under_curve(scores: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """The share of pairs of an anomaly (1) and a normal file (0) where the anomaly scores higher; half where equal."""
    anomalies, normal = scores[labels == 1], scores[labels == 0]
    higher = (anomalies[:, None] > normal).mean()
    return float(higher + (anomalies[:, None] == normal).mean() / 2)


def latency(
    client: Client, benchmark: Benchmark, files: Sequence[Labelled], seconds: float = SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> list[Window]:  # fmt: skip
    """The windows, of `seconds` each at least."""
    windows = []
    for file in files[:WINDOWS]:
        client.load(file.inputs(benchmark.bytes)[0])
        one = max(_timed(client.infer(1, 0)), 1e-6)
        iterations = ITERATIONS
        while True:
            iterations = max(iterations, ceil(seconds / one * MARGIN))
            patience = INFER_SECONDS + PATIENCE * one * (iterations + WARMUPS)
            taken = _timed(client.infer(iterations, WARMUPS, patience))
            if taken >= seconds:
                break
            one = max(taken, 1e-6) / iterations  # the first was slower than they are together
            iterations = ceil(iterations * GROWTH)
        windows.append(Window(file.path.name, iterations, taken, iterations / taken))
        if progress is not None:
            progress(len(windows), WINDOWS)
    return windows


def _timed(inference: Inference) -> float:
    if inference.seconds is None:
        raise ToolError(
            "the device gives no times: in energy mode they are edges of a pin, for a power monitor; "
            "--mode accuracy leaves them out"
        )
    return inference.seconds


def _suffice(benchmark: Benchmark, files: Sequence[Labelled], mode: str | None) -> None:
    """Raises DataError, before hours have passed, where `files` are too few for what is to be measured."""
    if mode != "accuracy" and len(files) < WINDOWS:
        raise DataError(
            f"latency is measured on {WINDOWS} samples; there are {len(files)} (--mode accuracy leaves it out)"
        )
    if mode != "performance" and benchmark.classes is None and len({file.label for file in files}) < 2:
        raise DataError("the area under the curve needs files of both classes (--mode performance leaves it out)")


def run(
    port: str, data: Path, *, baud: int, mode: str | None = None, seconds: float = SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> Results:  # fmt: skip
    """The benchmark of the device on `port`, `data` a folder of samples, or a streaming test's file; `mode` accuracy,
    performance or both (None).
    """
    with Client(port, baud) as client:
        vendor, name = client.start()
        chosen = benchmark(name)
        if data.suffix == ".json":
            if not chosen.streams:
                raise UsageError(f"{data}: is a streaming test; the device on {port} is {chosen.name}, for a folder")
            tests = recordings(data)
            return Results(chosen.name, vendor, len(tests), streams=listen(client, tests, progress))
        files = labelled(data, chosen)
        _suffice(chosen, files, mode)
        results = Results(chosen.name, vendor, len(files))
        if mode != "performance":
            results.metric, results.target = chosen.metric, chosen.target
            results.score = accuracy(client, chosen, files, progress)
        if mode != "accuracy":
            results.windows = latency(client, chosen, files, seconds, progress)
            results.throughput = median(window.throughput for window in results.windows)
            results.latency_ms = 1000 / results.throughput
    return results
