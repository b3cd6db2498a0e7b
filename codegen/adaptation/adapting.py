"""What the user says of live normalisation, and the constants that it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from driftc.codegen.adaptation.constants import Adaptation
from driftc.codegen.adaptation.find import find, method_named
from driftc.codegen.adaptation.known import known
from driftc.codegen.adaptation.learning import Learning, Progress
from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.adapt.live import PRECISIONS
from driftc.codegen.passes.border import border
from driftc.codegen.samples import load

if TYPE_CHECKING:
    from driftc.codegen.quantize.post_training import Quantized


@dataclass(frozen=True)
class Adapting:
    """`method`: None makes nothing live, unless `constants` names a file of them. The other fields are as
    `driftc.compile` describes them.
    """

    method: str | None = None
    layers: str = "all"
    budget: float | None = None
    precision: str | None = None
    constants: Path | None = None
    learning: Learning = field(default_factory=Learning)

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            raise UsageError(f"adapt precision '{self.precision}' is none of {', '.join(PRECISIONS)}")
        method = self.method if self.constants is None else None
        self.learning.check(method, method is not None and method_named(method).fitting is not None)

    def read(self) -> Adaptation | None:
        """The constants that the user gave."""
        if self.constants is None:
            return None
        found = Adaptation.read(self.constants)
        return replace(found, precision=self.precision or found.precision)

    def find(
        self, model: Graph, data: str | Path | None, quantized: Quantized | None, progress: Progress | None
    ) -> tuple[Adaptation, list[str]]:
        """The constants of `method`, found on the calibration samples in `data`, and what the user should know.

        `quantized`: where `model` was made of a float one.
        """
        assert self.method is not None
        if data is None:
            raise UsageError(f"--adapt {self.method}: needs --calibrate FILE, samples of what the model was trained on")
        samples = load(Path(data), border(model).inputs, divisor=self.learning.divisor)
        norms = known(quantized, model) if quantized else None
        precision = self.precision or "int8"
        return find(model, self.method, self.layers, samples, self.learning, progress, norms, precision, self.budget)
