"""What a method decides, in real numbers, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import DataError, first_line
from driftc.codegen.files import read_json
from driftc.codegen.operators.adapt.adapt_rank import LARGEST_RANK
from driftc.codegen.operators.adapt.live import PRECISIONS

Floats = NDArray[np.float64]
FORMAT = 1


@dataclass(frozen=True)
class Form:
    """What a method does beyond `Constants`' equations; a device kernel has only what its method needs.

    `linear`: not the logarithm of the variance is moved but the variance itself, and both by the trust w:
        mu = mu_s + w * (dm * mu_i + cm - mu_s)        var = var_s + w * dv * (var_i - var_s)
    `shrink` k: what lies within k standard errors of the source moves nothing, what lies further out by the rest.
    `trust`: w = 1 - q by the divergence d of the layer, 0 for the source, to 1: q is d^rate ("power") or rate * d
    ("product"); w = 1 where it is "". `mean`: d is of the mean over the channels, not of their sum.
    """

    linear: bool = False
    shrink: float = 0.0
    trust: str = ""
    rate: float = 0.0
    mean: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError where a value is of the wrong type, or no kernel has the combination."""
        for name, kind in (("linear", bool), ("mean", bool), ("trust", str), ("shrink", float), ("rate", float)):
            if type(getattr(self, name)) is not kind:
                raise ValueError(f"form: '{name}' must be {kind.__name__}")
        if self.trust not in ("", "power", "product") or not 0 <= self.rate <= 1 or not 0 <= self.shrink <= 100:
            raise ValueError("form: trust is power or product, rate 0 to 1, shrink 0 to 100")
        if (self.trust or self.shrink) and not (self.linear and bool(self.trust) != bool(self.shrink)):
            raise ValueError("form: trust and shrink are for the linear form, one of them at a time")


@dataclass(frozen=True, eq=False)
class Rank:
    """What the statistics of all C channels say together of each of them, a term of rank R; float64.

    With z within +-8:
        z = [(mu_i - mean) / deviation, (log2(var_i + eps) - log_mean) / log_deviation]
        o = up relu(down z + start)        mu += deviation * o[:C]        L += log_deviation * o[C:]
    """

    down: Floats  # A, [R, 2 C]
    start: Floats  # a, [R]
    up: Floats  # B, [2 C, R]
    mean: Floats  # [C], and those below: of the statistics of the source's samples
    deviation: Floats
    log_mean: Floats
    log_deviation: Floats

    def __post_init__(self) -> None:
        """Raises ValueError where an array has another shape, or values out of range."""
        rank, channels = self.start.size, self.mean.size
        if not 1 <= rank <= LARGEST_RANK:
            raise ValueError(f"rank: {rank} is not from 1 to {LARGEST_RANK}")
        shapes = {"down": (rank, 2 * channels), "start": (rank,), "up": (2 * channels, rank)}
        for field in fields(self):
            array = getattr(self, field.name)
            if array.shape != shapes.get(field.name, (channels,)):
                raise ValueError(f"rank: '{field.name}' has shape {list(array.shape)}")
            if not np.all(np.isfinite(array)):
                raise ValueError(f"rank: '{field.name}' holds NaN or infinite values")
        if not np.all(self.deviation > 0) or not np.all(self.log_deviation > 0):
            raise ValueError("rank: deviations must be positive")

    def as_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name).tolist() for field in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rank:
        """Raises KeyError for what is missing, ValueError for what does not fit."""
        return cls(**{field.name: np.asarray(data[field.name], np.float64) for field in fields(cls)})


@dataclass(frozen=True, eq=False)
class Constants:
    """One layer's constants, float64 [channels], in units of the layer's real values x before normalisation.

    With the mean mu_i and the variance var_i of this sample's channel:
        mu = dm * mu_i + cm        L = dv * log2(var_i + eps) + cv        y = gamma * 2^(-L / 2) * (x - mu) + beta
    `mean`, `var` are the source's, around which fixed point is most exact; `reach` is the largest |x - mean| that int8
    must hold. `rank` adds its term to mu and L.
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
    form: Form = Form()
    rank: Rank | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where the linear form is given what its kernel does not have."""
        if self.form.linear and not np.all((self.dv == self.dv[:1]) & (self.dv >= 0) & (self.dv <= 1)):
            raise ValueError("form: the linear form has one dv for the whole layer, from 0 to 1")

    def as_json(self) -> dict[str, Any]:
        found = {name: getattr(self, name).tolist() for name in ARRAYS}
        form = {} if self.form == Form() else {"form": asdict(self.form)}
        rank = {} if self.rank is None else {"rank": self.rank.as_json()}
        return {**found, **form, **rank}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Constants:
        """Raises ValueError unless every array is there, finite, of one length, and in its range."""
        arrays = {name: np.asarray(data[name], np.float64) for name in ARRAYS}
        if len({array.shape for array in arrays.values()}) != 1 or arrays["dm"].ndim != 1:
            raise ValueError("the arrays differ in length")
        for name, array in arrays.items():
            if not np.all(np.isfinite(array)):
                raise ValueError(f"'{name}' holds NaN or infinite values")
            if name in ("gamma", "eps", "reach") and not np.all(array > 0):
                raise ValueError(f"'{name}' must be positive")
        if np.any(arrays["var"] < 0):
            raise ValueError("'var' must not be negative")
        form, rank = Form(**data.get("form", {})), Rank.from_json(data["rank"]) if "rank" in data else None
        if rank is not None and (form.linear or rank.mean.shape != arrays["dm"].shape):
            raise ValueError("rank: is not of this many channels, or beside the linear form, which has no such term")
        return cls(**arrays, form=form, rank=rank)


ARRAYS = tuple(field.name for field in fields(Constants) if field.name not in ("form", "rank"))


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
            data = read_json(path)
        except OSError as problem:
            raise DataError(f"{path}: cannot be read: {problem.strerror}") from None
        except ValueError as problem:
            raise DataError(f"{path.name}: is no JSON: {problem}") from None
        if not isinstance(data, dict) or data.get("driftc_adaptation") != FORMAT:
            raise DataError(f"{path.name}: is no adaptation file of format {FORMAT}, as driftc compile --adapt writes")
        layers: dict[str, Constants] = {}
        stored = data.get("layers")
        if not isinstance(stored, dict):
            raise DataError(f"{path.name}: 'layers' must be an object: of each live layer, its constants")
        for name, arrays in stored.items():
            try:
                layers[name] = Constants.from_json(arrays)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as problem:
                what = f"'{problem.args[0]}' is missing" if isinstance(problem, KeyError) else first_line(problem)
                raise DataError(f"{path.name}: layer '{name}': {what}") from None
        precision = str(data.get("precision", "int8"))
        if precision not in PRECISIONS:
            raise DataError(f"{path.name}: precision '{precision}' is none of {', '.join(PRECISIONS)}")
        return cls(str(data.get("method", "")), str(data.get("sha256", "")), layers, precision)
