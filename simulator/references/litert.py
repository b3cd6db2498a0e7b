"""LiteRT's reference kernels (BUILTIN_REF): the second reference, and the first where TFLite Micro has no wheel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from driftc.simulator.engine import FIRST, Starts
from driftc.simulator.references.worker import Worker, outline

Array = NDArray[Any]

VERSION = "2.3.0"
# Import name -> distributions that carry it; the first that is present is used.
_MODULES = {
    "ai_edge_litert": ("ai-edge-litert",),
    "tflite_runtime": ("tflite-runtime",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
}
_DIFFERENCES = {
    "tflite_runtime": "its per-channel FULLY_CONNECTED differs by 1 in about 2 of 640 outputs, and ADD may overwrite "
    "the tensor it reads",
    "tensorflow": "2.21 gave the same bytes in every tensor of the networks compared",
}


class LitertReference:
    """Runs a model in LiteRT, in a child process (some models crash it), and gives every tensor."""

    name: ClassVar[str] = "litert"

    def __init__(self) -> None:
        self._module = next((module for module in _MODULES if find_spec(module) is not None), None)

    def missing(self) -> str | None:
        """None when it can run here; else one sentence: what is absent and how to install it."""
        if self._module is not None:
            return None
        return (
            f"LiteRT is absent; 'pip install ai-edge-litert=={VERSION}' installs it on Linux x86-64 and aarch64 and "
            "on macOS arm64; an installed tflite_runtime or tensorflow serves too"
        )

    @property
    def note(self) -> str | None:
        """What stands in for the release that driftc's arithmetic was compared with, and how it differs."""
        if self._module is None:
            return None
        found = _installed(_MODULES[self._module])
        if self._module in _DIFFERENCES:
            return f"{self._module} {found} in place of ai-edge-litert {VERSION}: {_DIFFERENCES[self._module]}"
        return None if found == VERSION else f"ai-edge-litert {found} in place of {VERSION}"

    def run(
        self, model: Path, samples: Sequence[Sequence[Array]], starts: Starts = FIRST, *, timeout: float = 120.0
    ) -> Iterator[dict[int, Array]]:
        """For each sample (one array per graph input, in order) every tensor by its index in the file.

        A model with state begins anew with each of `starts`.
        Raises ReferenceRefused where LiteRT does not run the model; `timeout` is for one sample, in seconds.
        """
        known = outline("LiteRT", model)
        with Worker("LiteRT", model, timeout=timeout) as worker:
            request = {"do": "open", "kind": self._module, "model": str(model)}
            worker.ask({**request, "tensors": known.tensors})
            for number, sample in enumerate(samples):
                restart = known.stateful and number > 0 and number in starts
                yield worker.ask({"do": "run", "restart": restart}, sample)[1]


def _installed(distributions: Sequence[str]) -> str:
    for distribution in distributions:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "of an unknown version"
