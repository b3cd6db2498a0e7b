"""The benchmarks of MLPerf Tiny: what their runner sends, and how a result is scored.

Source: mlcommons/tiny, benchmark/runner and benchmark/evaluation; the targets are those of the closed division.
"""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.errors import UsageError


@dataclass(frozen=True)
class Benchmark:
    name: str
    shape: tuple[int, ...]  # of the input, without its batch
    form: str  # what arrives: int8, uint8 (128 too large) or float32
    classes: int | None  # None: the result is one number
    target: float | None  # least top-1 accuracy, or area under the curve where there are no classes

    streams: bool = False  # sound comes too, piece by piece

    @property
    def values(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def bytes(self) -> int:
        """Of one input as it is sent."""
        return self.values * (4 if self.form == "float32" else 1)

    @property
    def metric(self) -> str:
        return "AUC" if self.classes is None else "top-1"


BENCHMARKS = {
    found.name: found
    for found in (
        Benchmark("kws01", (49, 10, 1), "int8", 12, 0.90),
        Benchmark("vww01", (96, 96, 3), "uint8", 2, 0.80),
        Benchmark("ic01", (32, 32, 3), "uint8", 10, 0.85),
        Benchmark("ad01", (640,), "float32", None, 0.85),
        Benchmark("sww01", (30, 1, 40), "int8", 3, None, streams=True),
    )
}


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises UsageError."""
    if name not in BENCHMARKS:
        raise UsageError(f"MLPerf Tiny has no '{name}'; there is {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]
