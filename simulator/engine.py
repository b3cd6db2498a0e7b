"""What every simulator engine takes and gives, so that any two can be compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Starts = Collection[int]  # numbers of samples that begin a sequence
FIRST: Starts = (0,)


@dataclass(frozen=True)
class Port:
    """An input or output of the model: int8 or uint8 (int32 indices, bool), shape with the batch axis first."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    index: int | None = None  # the tensor's index in the model file


@dataclass(frozen=True)
class Layer:
    """A Plan step's output as the hook shows it: rows x pixels x channels of `dtype`."""

    name: str
    hwc: tuple[int, int, int]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Target:
    """What the C is compiled for: the core, the compiler and the optimisation level."""

    core: str = "cortex-m4"  # a file name in boards/cores/ without its suffix
    cc: str | None = None  # gcc, clang, zig or a path; None takes the first that is present
    optimize: str = "2"  # 2, 3 or s
    board: str | None = None  # whose memories the program has where it runs on the chip itself


@dataclass(frozen=True)
class Program:
    """A compiled folder: the C that is run, and how to read what it writes."""

    folder: Path
    name: str  # C prefix: NAME.c, NAME.h, NAME_invoke
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[Layer, ...]  # by hook layer index
    steps: tuple[str, ...]  # names of the steps of an inference, in order
    target: Target = Target()
    fed: bool = False  # the input arrives row by row: NAME_feed in place of NAME_invoke and NAME_step
    state_bytes: int = 0  # of what outlives an inference
    learns: bool = False  # its samples are events of NAME_learn: simulator/learning.py
    uploads: bool = False  # its last output is whether NAME_upload wants the sample: simulator/uploads.py
    updated: bool = False  # it begins with the update of simulator/packet.h in its folder: simulator/updated.py

    @property
    def step(self) -> str:
        """The C function that runs one step."""
        if self.learns:
            return "model_go_on"
        return f"{self.name}_{'feed' if self.fed else 'step'}"

    @property
    def entries(self) -> tuple[str, ...]:
        """The C functions from which an inference is run."""
        step = f"{self.name}_{'feed' if self.fed else 'step'}"
        return (step,) if self.fed else (f"{self.name}_invoke", step)


@dataclass
class Sample:
    """What one inference gave. `tensors`: hook layer index -> rows x pixels x channels, assembled."""

    outputs: tuple[Array, ...]
    tensors: dict[int, Array] = field(default_factory=dict)
    instructions: tuple[int, ...] | None = None  # one count per step; None where the engine counts none
    cycles: tuple[int, ...] | None = None  # one count per step, of a chip's own clock; None where none was read
    stack_peak: int | None = None  # bytes
    state: bytes = b""  # the whole region after the inference


class Engine(ABC):
    """One way to run the model. Engines that run generated C derive from this; references in `references/` too."""

    name: ClassVar[str]

    @abstractmethod
    def missing(self) -> str | None:
        """None when the engine can run here; else one sentence: what is absent and how to install it."""

    def missing_for(self, core: str) -> str | None:
        """As `missing`, for a program that is compiled for `core`."""
        return self.missing()

    @abstractmethod
    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        """Run each sample (one array per input); with `trace`, `Sample.tensors` holds every layer's output.

        A model with state keeps it from one sample to the next, but for those in `starts`, which begin a sequence.
        """
