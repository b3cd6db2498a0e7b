"""TFLite Micro's own interpreter and reference kernels: the first reference, and the arena to compare with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from driftc.simulator.engine import FIRST, Starts
from driftc.simulator.references.worker import ReferenceRefused, Worker, outline

Array = NDArray[Any]

VERSION = "0.dev20261023182759"
_ARENA_LINE = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


@dataclass(frozen=True)
class ArenaUse:
    """Bytes of TFLite Micro's arena on this host: `head` holds tensors, `tail` its own structures.

    Pointers are 8 bytes here and 4 on a microcontroller, so `tail` is larger than there; `head` is the same.
    """

    total: int
    head: int
    tail: int


class TflmReference:
    """Runs a model in TFLite Micro, in a child process, and gives every tensor."""

    name: ClassVar[str] = "tflm"

    def missing(self) -> str | None:
        """None when it can run here; else one sentence: what is absent and how to install it."""
        if find_spec("tflite_micro") is not None:
            return None
        return (
            f"TFLite Micro is absent; 'pip install tflite-micro=={VERSION}' installs it on Linux x86-64, "
            "the only platform it has wheels for"
        )

    @property
    def note(self) -> str | None:
        """How the installed release differs from the one that driftc's arithmetic was compared with."""
        found = _installed("tflite-micro")
        return None if found in (None, VERSION) else f"tflite-micro {found} in place of {VERSION}"

    def run(
        self, model: Path, samples: Sequence[Sequence[Array]], starts: Starts = FIRST, *, timeout: float = 120.0
    ) -> Iterator[dict[int, Array]]:
        """For each sample (one array per graph input, in order) every tensor by its index in the file.

        A model with state begins anew with each of `starts`.
        Raises ReferenceRefused where TFLite Micro does not run the model; `timeout` is for one sample, in seconds.
        """
        known = outline("TFLite Micro", model)
        with Worker("TFLite Micro", model, timeout=timeout) as worker:
            worker.ask({"do": "open", "kind": "tflm", "model": str(model), "tensors": known.tensors})
            for number, sample in enumerate(samples):
                restart = known.stateful and number > 0 and number in starts
                yield worker.ask({"do": "run", "restart": restart}, sample)[1]

    def arena_use(self, model: Path, sample: Sequence[Array] = (), *, timeout: float = 120.0) -> ArenaUse:
        """What the model needs of the arena, recorded in one inference."""
        with Worker("TFLite Micro", model, timeout=timeout) as worker:
            printed = worker.ask({"do": "arena", "model": str(model)}, sample)[0]["printed"]
        parts = {part: int(number) for part, number in _ARENA_LINE.findall(printed)}
        if parts.keys() != {"total", "head", "tail"}:
            raise ReferenceRefused("TFLite Micro", model, "it printed no arena allocation")
        return ArenaUse(**parts)

    def arena_bytes(self, model: Path) -> int:
        return self.arena_use(model).total


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
