"""Run samples on one engine: outputs, accuracy, instructions, stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.samples import Samples
from driftc.simulator.engine import Engine, Program

Array = NDArray[Any]


@dataclass(frozen=True)
class ClassScore:
    """How many samples a class has, how many of them are taken for it, and how many others are."""

    name: str
    samples: int
    right: int
    wrongly: int


@dataclass
class Simulation:
    """What the samples gave. `outputs[n]` holds one array per output of the model."""

    engine: str
    core: str | None
    outputs: list[tuple[Array, ...]] = field(default_factory=list)
    accuracy: float | None = None
    per_class: tuple[ClassScore, ...] = ()  # where the classes have names
    instructions: tuple[int, ...] | None = None  # by step, of the sample with the median total
    cycles: tuple[int, ...] | None = None  # of a chip's own clock, likewise
    sample: int = 0  # whose cycles these are
    steps: tuple[str, ...] = ()
    stack_peak_bytes: int | None = None  # the worst of all samples
    wanted: list[bool] | None = None  # of each sample, whether it would be sent to a server

    def as_json(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "core": self.core,
            "samples": len(self.outputs),
            "accuracy": self.accuracy,
            "per_class": [asdict(score) for score in self.per_class],
            "instructions": self._by_layer("instructions", self.instructions),
            "cycles": self._by_layer("cycles", self.cycles),
            "stack_peak_bytes": self.stack_peak_bytes,
            "wanted": None if self.wanted is None else sum(self.wanted),
        }

    def _by_layer(self, what: str, counts: tuple[int, ...] | None) -> dict[str, Any] | None:
        if counts is None:
            return None
        layers = [{"name": name, what: count} for name, count in zip(self.steps, counts, strict=True)]
        return {"total": sum(counts), "per_layer": layers}


def simulate(
    program: Program, engine: Engine, samples: Samples, progress: Callable[[], None], names: Sequence[str] = ()
) -> Simulation:
    """Run all samples; `progress` is called after each. `names` are those of the classes."""
    emulated = engine.name in ("unicorn", "qemu")
    found = Simulation(engine.name, program.target.core if emulated else None, steps=program.steps)
    counted: list[tuple[int, ...]] = []
    timed: list[tuple[int, ...]] = []
    for sample in engine.run(program, samples.quantized, trace=False, starts=samples.starts):
        found.outputs.append(sample.outputs[: len(sample.outputs) - program.uploads])
        if program.uploads:
            found.wanted = [*(found.wanted or ()), bool(sample.outputs[-1][0])]
        if sample.instructions is not None:
            counted.append(sample.instructions)
        if sample.cycles is not None:
            timed.append(sample.cycles)
        if sample.stack_peak is not None:
            found.stack_peak_bytes = max(sample.stack_peak, found.stack_peak_bytes or 0)
        progress()
    found.instructions, found.cycles = _median(counted), _median(timed)
    found.sample = timed.index(found.cycles) if found.cycles is not None else 0
    found.accuracy = accuracy(found.outputs, samples.labels)
    if found.accuracy is not None:
        found.per_class = _per_class(_decisions(found.outputs), np.asarray(samples.labels), names)
    return found


def _median(counts: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The counts with the median total."""
    return sorted(counts, key=sum)[(len(counts) - 1) // 2] if counts else None


def accuracy(outputs: list[tuple[Array, ...]], labels: Array | None) -> float | None:
    """The share of samples whose largest output is at the label; None without labels or for a single value."""
    if labels is None or not outputs or len(outputs[0]) != 1 or outputs[0][0].size < 2:
        return None
    return float(np.mean(_decisions(outputs) == labels))


def _decisions(outputs: list[tuple[Array, ...]]) -> Array:
    """The class that each sample is taken for: the first of the largest values."""
    return np.array([int(np.argmax(output[0].reshape(-1))) for output in outputs])


def _per_class(chosen: Array, labels: Array, names: Sequence[str]) -> tuple[ClassScore, ...]:
    return tuple(
        ClassScore(
            name,
            int(np.sum(labels == number)),
            int(np.sum((labels == number) & (chosen == number))),
            int(np.sum((labels != number) & (chosen == number))),
        )
        for number, name in enumerate(names)
    )
