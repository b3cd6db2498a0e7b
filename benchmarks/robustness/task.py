"""What a task brings to the benchmark: a network, samples, and ways to shift them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA = Path(os.environ.get("DRIFTC_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))

Samples = NDArray[Any]  # [n, ...] as `--data` has them
Labels = NDArray[np.int64]
Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Task:
    """`clean`: sets by name, of which the first is the one that `shifted(kind, severity)` shifts, labels and all."""

    model: Path
    calibration: Samples
    clean: dict[str, tuple[Samples, Labels]]
    shifted: Callable[[str, int], Samples]
    kinds: tuple[str, ...]
    augmented: tuple[str, ...]  # kinds near those that are fitted on
    augment: str
    layers: str = "all"  # which are live, as --adapt-layers has it

    @property
    def base(self) -> tuple[str, Samples, Labels]:
        name, (x, y) = next(iter(self.clean.items()))
        return name, x, y
