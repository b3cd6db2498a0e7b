"""What a method decides, in real numbers, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import DataError
from driftc.codegen.operators.live import PRECISIONS

Floats = NDArray[np.float64]
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Constants:
    """One layer's constants, float64 [channels], in units of the layer's real values x before normalisation.

    With the mean mu_i and the variance var_i of this sample's channel:
        mu = dm * mu_i + cm        L = dv * log2(var_i + eps) + cv        y = gamma * 2^(-L / 2) * (x - mu) + beta
    `mean`, `var` are the source's, around which fixed point is most exact; `reach` is the largest |x - mean| that int8
    must hold.
    """

    dm: Floats
    cm: Floats
    dv: Floats
    cv: Floats
    gamma: Floats
    beta: Floats
    eps: Floats
    mean: Floats
    var: Floats
    reach: Floats

    def as_json(self) -> dict[str, list[float]]:
        return {field.name: getattr(self, field.name).tolist() for field in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Constants:
        """Raises ValueError unless every array is there, finite, of one length, and in its range."""
        arrays = {field.name: np.asarray(data[field.name], np.float64) for field in fields(cls)}
        if len({array.shape for array in arrays.values()}) != 1 or arrays["dm"].ndim != 1:
            raise ValueError("the arrays differ in length")
        for name, array in arrays.items():
            if not np.all(np.isfinite(array)):
                raise ValueError(f"'{name}' holds NaN or infinite values")
            if name in ("gamma", "eps", "reach") and not np.all(array > 0):
                raise ValueError(f"'{name}' must be positive")
        if np.any(arrays["var"] < 0):
            raise ValueError("'var' must not be negative")
        return cls(**arrays)


@dataclass(frozen=True, eq=False)
class Adaptation:
    """Which layers of a model are live: operator name -> constants. `method` says where they came from.

    `precision` is that of their values before normalisation: int8, int16 or int32.
    """

    method: str
    sha256: str  # of the model file
    layers: dict[str, Constants]
    precision: str = "int8"

    def as_text(self) -> str:
        """The file's text: the same for the same constants, on every machine."""
        layers = {name: constants.as_json() for name, constants in self.layers.items()}
        head = {
            "driftc_adaptation": FORMAT,
            "method": self.method,
            "precision": self.precision,
            "sha256": self.sha256,
        }
        return json.dumps({**head, "layers": layers}, indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> Adaptation:
        """Raises DataError saying what is wrong with the file."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as problem:
            raise DataError(f"{path}: cannot be read: {problem.strerror}") from None
        except ValueError as problem:
            raise DataError(f"{path.name}: is no JSON: {problem}") from None
        if not isinstance(data, dict) or data.get("driftc_adaptation") != FORMAT:
            raise DataError(f"{path.name}: is no adaptation file of format {FORMAT}, as driftc compile --adapt writes")
        layers: dict[str, Constants] = {}
        for name, arrays in dict(data.get("layers", {})).items():
            try:
                layers[name] = Constants.from_json(arrays)
            except (KeyError, TypeError, ValueError) as problem:
                what = f"'{problem.args[0]}' is missing" if isinstance(problem, KeyError) else str(problem)
                raise DataError(f"{path.name}: layer '{name}': {what}") from None
        precision = str(data.get("precision", "int8"))
        if precision not in PRECISIONS:
            raise DataError(f"{path.name}: precision '{precision}' is none of {', '.join(PRECISIONS)}")
        return cls(str(data.get("method", "")), str(data.get("sha256", "")), layers, precision)
