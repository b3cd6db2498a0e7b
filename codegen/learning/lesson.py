"""What `--learn` decides when compiling, and the file that keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import DataError
from driftc.codegen.files import read_json

FORMAT = 1
LARGEST_CLASSES = 127
LARGEST_STORE = 4096  # samples
LARGEST_RATE = 1000.0
LARGEST_REACH = 1e6
TRAINED = ("classifier", "last", "lightcl")  # by gradient descent, from labelled samples
MOST_PARTS = 64
METHODS = (*TRAINED, "mean", "ecotta")
FARTHEST_CENTRE, LARGEST_SPREAD = 255 << 16, 255**2 << 12  # of an int8 map, Q.16 and Q.12
NUMBERS = {"known": (1, LARGEST_CLASSES), "classes": (2, LARGEST_CLASSES), "slots": (2, LARGEST_STORE),
           "keep": (1, LARGEST_STORE), "passes": (1, 1000), "seed": (1, 2**32 - 1)}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Lesson:
    """`references`: int8 [n, F], what is stored of samples that come with the model; `labels` their classes.

    Of a model of `known` classes with room for `classes` in all. `slots` samples that are learnt lie in RAM, of which
    `keep` of each class stay after learning. `rate` is the learning rate of real weights, per real feature. Of a tail
    `layers` are its convolutions, `rates` their learning rates (0: not learnt), and `sample` the tensor that is stored
    of a sample. `hold` weighs the squared distance of real values of the channels `held`, of the convolution's output,
    from what they are as compiled. `reach`: the largest real weight that the dense layer's rows have room for, where
    their own scales have not. `masters` are of 32 bits, or of 16.
    """

    method: str
    sha256: str
    layer: str  # the operator's name
    known: int
    classes: int
    slots: int
    keep: int
    rate: float
    passes: int
    guard: bool
    seed: int
    references: NDArray[np.int8]
    labels: NDArray[np.int8]
    sample: str = ""
    layers: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()
    hold: float = 0.0
    held: tuple[int, ...] = ()
    reach: float = 0.0
    masters: int = 32

    def __post_init__(self) -> None:
        """Raises ValueError where a number is out of range, or the arrays do not fit."""
        for name, (least, most) in NUMBERS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"'{name}' must be a whole number from {least} to {most}")
        if (self.method in TRAINED) != self.trains or self.known > self.classes or type(self.guard) is not bool:
            raise ValueError("method, classes or guard are none that driftc has")
        if not self.rate > 0 or not all(0 <= float(rate) < LARGEST_RATE for rate in (self.rate, *self.rates)):
            raise ValueError("'rate' and 'rates' must be above 0 and below 1000")
        if not 0 <= self.reach < LARGEST_REACH:
            raise ValueError(f"'reach' must be from 0 to below {LARGEST_REACH:g}")
        if len(self.rates) != len(self.layers) or bool(self.layers) != (self.method in ("last", "lightcl")):
            raise ValueError("'layers' and 'rates' do not belong together")
        if (
            not 0 <= self.hold < LARGEST_RATE
            or bool(self.hold) != bool(self.held)
            or bool(self.hold) > (len(self.layers) == 1)
            or min(self.held, default=0) < 0
        ):
            raise ValueError("'hold' and 'held' do not belong together")
        if self.masters not in (16, 32) or (self.masters == 16 and not self.trains):
            raise ValueError("'masters' must be 32, or 16 where they are trained")
        if self.references.ndim != 2 or self.labels.shape != self.references.shape[:1]:
            raise ValueError("'references' and 'labels' do not belong together")
        if self.labels.size and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.known:
            raise ValueError("'labels' must be classes that the model has")

    @property
    def alone(self) -> bool:
        """New classes are learnt among themselves, and no references with them: LightCL's task."""
        return self.method == "lightcl"

    @property
    def trains(self) -> bool:
        """By gradient descent: more than once through the samples, and references between them."""
        return True

    @property
    def constant_bytes(self) -> int:
        """Of the references, in flash."""
        return self.references.nbytes + self.labels.nbytes

    def as_data(self) -> dict[str, Any]:
        """What `of` takes."""
        numbers = ("method", "sha256", "layer", *NUMBERS, "rate", "guard")
        found: dict[str, Any] = {"format": FORMAT} | {name: getattr(self, name) for name in numbers}
        rows = self.references.tolist()
        more = ("sample", "layers", "rates", "hold", "held", "reach", "masters")
        found |= {name: getattr(self, name) for name in more}
        return found | {"labels": self.labels.tolist(), "references": rows}

    def as_text(self) -> str:
        return json.dumps(self.as_data()) + "\n"

    @classmethod
    def of(cls, data: dict[str, Any], **more: Any) -> Self:
        """Raises KeyError for what is missing, ValueError or TypeError for what does not fit."""
        given = {name: data[name] for name in ("method", "sha256", "layer", *NUMBERS, "rate", "guard")}
        sample, layers, rates = data["sample"], data["layers"], data["rates"]
        if not isinstance(layers, list) or not isinstance(rates, list):
            raise ValueError("'layers' and 'rates' must be lists")
        if not all(
            isinstance(name, str) for name in (*(given[n] for n in ("method", "sha256", "layer")), sample, *layers)
        ):
            raise ValueError("names must be strings")
        hold, held, reach = data["hold"], data["held"], data["reach"]
        reals = (given["rate"], *rates, hold, reach)
        if any(isinstance(real, bool) or not isinstance(real, int | float) for real in reals):
            raise ValueError("'rate', 'rates', 'hold' and 'reach' must be numbers")
        if not isinstance(held, list) or any(type(channel) is not int for channel in held):
            raise ValueError("'held' must be whole numbers")
        return cls(
            **given, references=_bytes(data["references"], 2), labels=_bytes(data["labels"], 1), sample=sample,
            layers=tuple(layers), rates=tuple(rates), hold=hold, held=tuple(held), reach=reach,
            masters=data["masters"], **more,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Means(Lesson):
    """`--learn mean`: `means` int8 [known, F] of the features of each class; `counts` of those with samples, else 0.

    `slope`: logits for each squared step of the distance to a mean. `passes` and `rate` are 1: there is nothing to
    decide.
    """

    means: NDArray[np.int8]
    counts: NDArray[np.int8]
    slope: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.means.shape[0] != self.known or self.counts.shape != (self.known,) or self.passes != 1:
            raise ValueError("'means', 'counts' and 'passes' do not belong together")
        if self.references.size and self.references.shape[1] != self.means.shape[1]:
            raise ValueError("'references' and 'means' do not belong together")
        if not 0 < float(self.slope) < LARGEST_RATE:
            raise ValueError("'slope' must be above 0 and below 1000")

    @property
    def trains(self) -> bool:
        return False

    def as_data(self) -> dict[str, Any]:
        own = {"means": self.means.tolist(), "counts": self.counts.tolist(), "slope": self.slope}
        return super().as_data() | own

    @classmethod
    def of(cls, data: dict[str, Any], **more: Any) -> Self:
        if isinstance(data["slope"], bool) or not isinstance(data["slope"], int | float):
            raise ValueError("'slope' must be a number")
        own = {"means": _bytes(data["means"], 2), "counts": _bytes(data["counts"], 1), "slope": data["slope"]}
        return super().of(data, **own, **more)


@dataclass(frozen=True, eq=False)
class Meta:
    """`--learn ecotta`: `rate` is the learning rate of real gains and offsets; 0 where nothing but statistics moves.

    `running`: statistics run at a rate of 2^-running, 0: they do not. `centres` (Q.16) and `spreads` (Q.12) are then
    those of the source, for each channel of the pooled map. `parts`: how many of the network a meta network ends.
    """

    sha256: str
    layer: str  # the operator's name
    rate: float
    method: str = "ecotta"
    running: int = 0
    centres: tuple[int, ...] = ()
    spreads: tuple[int, ...] = ()
    parts: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError where a value is of the wrong type or out of range."""
        if type(self.parts) is not int or not 1 <= self.parts <= MOST_PARTS or (self.parts > 1 and self.running):
            raise ValueError(f"'parts' must be a whole number from 1 to {MOST_PARTS}, and 1 where statistics run")
        if type(self.running) is not int or not 0 <= self.running <= 10 or len(self.centres) != len(self.spreads):
            raise ValueError("'running', 'centres' and 'spreads' do not belong together")
        for values, least in ((self.centres, -FARTHEST_CENTRE), (self.spreads, 0)):
            if not all(type(value) is int and least <= value <= LARGEST_SPREAD for value in values):
                raise ValueError("'centres' and 'spreads' must be whole numbers of a map's range")
        if not isinstance(self.sha256, str) or not isinstance(self.layer, str) or self.method != "ecotta":
            raise ValueError("names must be strings")
        if (
            isinstance(self.rate, bool)
            or not isinstance(self.rate, int | float)
            or not (float(self.rate) > 0 or (self.running and self.rate == 0))
            or not float(self.rate) < LARGEST_RATE
        ):
            raise ValueError("'rate' must be above 0 and below 1000, or 0 where statistics run")

    @property
    def constant_bytes(self) -> int:
        return 0

    def as_text(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}) + "\n"

    @classmethod
    def of(cls, data: dict[str, Any]) -> Meta:
        """Raises KeyError for what is missing, ValueError or TypeError for what does not fit."""
        given = {field.name: data[field.name] for field in fields(cls)}
        return cls(**given | {name: tuple(given[name]) for name in ("centres", "spreads")})


def read_lesson(path: Path) -> Lesson | Meta:
    """What `as_text` of either wrote. Raises DataError."""
    try:
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"is not of format {FORMAT}")
        if data.get("method") == "ecotta":
            return Meta.of(data)
        return Means.of(data) if data.get("method") == "mean" else Lesson.of(data)
    except (OSError, KeyError, ValueError, TypeError, OverflowError) as problem:
        what = f"'{problem.args[0]}' is missing" if isinstance(problem, KeyError) else str(problem)
        raise DataError(f"{path.name}: {what}; compile the model again with --learn") from None


def _bytes(values: Any, axes: int) -> NDArray[np.int8]:
    found = np.asarray(values)
    if found.size == 0:
        found = np.zeros((0,) * axes, np.int64)
    if found.ndim != axes or found.dtype.kind != "i" or np.any(np.abs(found) > 128) or np.any(found > 127):
        raise ValueError("references and labels must be whole numbers from -128 to 127")
    return found.astype(np.int8)
