"""Samples for an inference: from .npz and .npy files, or made from a seed. Quantised as the model's input says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import round_half_away
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.tensor import Tensor

Array = NDArray[Any]
SEED = 0
LARGEST_ARRAY = 1 << 31  # bytes that an array of a .npz unpacks to; a few kB may claim any number
FLOAT_MAX = np.finfo(np.float32).max


@dataclass(frozen=True, eq=False)
class Samples:
    """`quantized[n]` holds one array per input of the model; `real[n]` the float values where the file had some."""

    quantized: list[tuple[Array, ...]]
    real: list[tuple[Array | None, ...]]
    labels: Array | None = None
    described: str = ""
    starts: frozenset[int] = frozenset({0})  # those that begin a sequence, where the model has state

    def __len__(self) -> int:
        return len(self.quantized)

    def only(self, index: int) -> Samples:
        """The one sample `index`. Raises DataError where there is none."""
        if not 0 <= index < len(self):
            raise DataError(f"--sample {index}: there are samples 0 to {len(self) - 1}")
        labels = None if self.labels is None else self.labels[index : index + 1]
        return Samples([self.quantized[index]], [self.real[index]], labels, f"sample {index} of {self.described}")


def quantize(real: Array, tensor: Tensor) -> Array:
    """Real values to the tensor's bytes with TFLite's QUANTIZE: float32 division, halves away from zero, saturated."""
    with np.errstate(over="ignore", invalid="ignore"):  # more steps than float32 has: infinite, and saturated
        steps = round_half_away(np.asarray(real, np.float32) / np.float32(tensor.scale))
    return np.asarray(np.clip(steps.astype(np.float64) + tensor.zero_point, *tensor.limits), tensor.dtype)


def load(path: Path, inputs: Sequence[Tensor], *, labels: str | None = None, divisor: float = 1.0) -> Samples:
    """Read `path` for these inputs; `labels` is FILE.npz:KEY, else `y` of the same file is taken where it is there.

    Raises DataError saying what was expected.
    """
    if not 0 < divisor < np.inf:
        raise DataError(f"input divisor {divisor}: must be above 0")
    arrays = _Arrays(path)
    found = _columns(path, arrays, inputs)
    columns = [channels_last(column, tensor) for column, tensor in zip(found, inputs, strict=True)]
    turned = any(column is not before for column, before in zip(columns, found, strict=True))
    converted = [_convert(path, c, t, divisor) for c, t in zip(columns, inputs, strict=True)]
    if len({len(column) for column in columns}) != 1:
        counts = ", ".join(f"'{t.label}' {len(c)}" for t, c in zip(inputs, columns, strict=True))
        raise DataError(f"{path.name}: the inputs have different numbers of samples: {counts}")
    count = len(columns[0])
    return Samples(
        [
            tuple(quantized[n].reshape(t.shape) for (quantized, _), t in zip(converted, inputs, strict=True))
            for n in range(count)
        ],
        [
            tuple(
                None if real is None else real[n].reshape(t.shape)
                for (_, real), t in zip(converted, inputs, strict=True)
            )
            for n in range(count)
        ],
        _labels(path, arrays, labels, count),
        path.name + ", channels first" * turned,
    )


def channels_last(column: Array, tensor: Tensor) -> Array:
    """`column` itself, or turned, where its shape says that the channels are in front. Raw int8 stays as it is."""
    inner = tensor.shape[1:]
    first = (inner[-1], *inner[:-1]) if len(inner) > 1 else inner
    stays = inner == first or column.shape[1:] != first or column.dtype == np.int8
    return column if stays else np.moveaxis(column, 1, -1)


def random(
    count: int,
    inputs: Sequence[Tensor],
    limits: dict[str, int] | None = None,
    real: Collection[str] = (),
    seed: int = SEED,
) -> Samples:
    """`count` seeded samples, then the extremes: all lowest, all highest, all zero point.

    An int32 input takes indices below `limits[name]` (10 where unknown); its extremes are the first and last index.
    Inputs named in `real` get real values: quarters of a quantisation step, so that many lie exactly between two.
    """
    generator = np.random.default_rng(seed)
    rows: list[tuple[Array, ...]] = []
    reals: list[tuple[Array | None, ...]] = []
    for _ in range(count):
        values = tuple(_random_real(tensor, generator) if tensor.name in real else None for tensor in inputs)
        reals.append(values)
        rows.append(
            tuple(
                _random(tensor, generator, limits or {}) if value is None else quantize(value, tensor)
                for tensor, value in zip(inputs, values, strict=True)
            )
        )
    for extreme in ("low", "high", "zero"):
        rows.append(tuple(_extreme(tensor, extreme, limits or {}) for tensor in inputs))
        reals.append(tuple(None for _ in inputs))
    return Samples(rows, reals, None, f"{count} random samples and 3 extremes")


def _random_real(tensor: Tensor, generator: np.random.Generator) -> NDArray[np.float32]:
    quarters = generator.integers(-4 * 150, 4 * 150, tensor.shape) - 4 * tensor.zero_point
    with np.errstate(over="ignore"):
        real = quarters.astype(np.float32) / 4 * np.float32(tensor.scale)
    return np.clip(real, -FLOAT_MAX, FLOAT_MAX)


def _random(tensor: Tensor, generator: np.random.Generator, limits: dict[str, int]) -> Array:
    if tensor.dtype == np.int32:
        return generator.integers(0, limits.get(tensor.name, 10), tensor.shape).astype(np.int32)
    if tensor.dtype == np.bool_:
        return generator.integers(0, 2, tensor.shape).astype(np.bool_)
    return generator.integers(tensor.limits[0], tensor.limits[1] + 1, tensor.shape).astype(tensor.dtype)


def _extreme(tensor: Tensor, which: str, limits: dict[str, int]) -> Array:
    if tensor.dtype == np.int32:
        return np.full(tensor.shape, 0 if which != "high" else limits.get(tensor.name, 10) - 1, np.int32)
    if tensor.dtype == np.bool_:
        return np.full(tensor.shape, which == "high")
    zero = tensor.zero_point if tensor.quantization is not None else 0
    low, high = tensor.limits
    return np.full(tensor.shape, {"low": low, "high": high, "zero": zero}[which], tensor.dtype)


class _Arrays(Mapping[str, Array]):
    """The arrays of a .npz (or of a .npy, as 'x'). Each is read when it is asked for: others may be of any size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as loaded:
            self._names = ["x"] if isinstance(loaded, np.ndarray) else list(loaded.files)

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        with self._opened(f"'{name}' ") as loaded:
            if not isinstance(loaded, np.ndarray):
                self._check_size(name, loaded)
            found = loaded if isinstance(loaded, np.ndarray) else loaded[name]
            if not isinstance(found, np.ndarray):  # NumPy gives the bytes of what is no .npy
                raise ValueError("no array")
            return found

    def _check_size(self, name: str, loaded: Any) -> None:
        """Raises DataError where the member unpacks to more than LARGEST_ARRAY."""
        members = {info.filename: info.file_size for info in loaded.zip.infolist()}
        size = members.get(f"{name}.npy", members.get(name, 0))
        if size > LARGEST_ARRAY:
            raise DataError(
                f"{self._path.name}: '{name}' unpacks to {size} bytes; driftc reads up to {LARGEST_ARRAY >> 30} GiB: "
                "give fewer samples"
            )

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @contextmanager
    def _opened(self, what: str = "") -> Iterator[Any]:
        """NumPy, zipfile and zlib each have errors of their own for a file that is not what it should be."""
        try:
            with self._path.open("rb") as file:  # np.load leaves files open that it cannot read
                loaded = np.load(file, allow_pickle=False)
                with nullcontext(loaded) if isinstance(loaded, np.ndarray) else loaded:
                    yield loaded
        except DataError:
            raise
        except FileNotFoundError:
            raise DataError(f"{self._path}: no such file") from None
        except MemoryError:
            raise DataError(f"{self._path.name}: {what}does not fit into memory") from None
        except Exception as problem:
            said = str(problem).partition("\n")[0] or type(problem).__name__
            raise DataError(f"{self._path.name}: {what}is not a .npz or .npy of plain arrays ({said})") from None


def restarted(samples: Samples, path: Path | None, restart: str) -> Samples:
    """`samples` in sequences: of `restart` samples each, or beginning where that array of the file is not 0."""
    count = len(samples)
    if restart.isascii() and restart.isdigit():
        if int(restart) < 1:
            raise UsageError(f"--restart {restart}: a sequence has 1 sample or more")
        return replace(samples, starts=frozenset(range(0, count, int(restart))))
    if path is None:
        raise UsageError(f"--restart {restart}: a number of samples, or with --data an array of the file")
    arrays = _Arrays(path)
    if restart not in arrays:
        raise DataError(f"{path.name}: holds {', '.join(sorted(arrays))}; no '{restart}' for --restart")
    marks = arrays[restart]
    if marks.shape != (count,) or marks.dtype.kind not in "biu":
        raise DataError(
            f"{path.name}: '{restart}' is {marks.dtype}{list(marks.shape)}; expected [{count}] numbers that are not 0 "
            "where a sequence begins"
        )
    return replace(samples, starts=frozenset({0, *np.flatnonzero(marks).tolist()}))


def read(path: Path, inputs: Sequence[Tensor]) -> list[Array]:
    """The array of each input, as the file has it."""
    return _columns(path, _Arrays(path), inputs)


def integers(path: Path, key: str, count: int) -> NDArray[np.int64] | None:
    """The array `key` of the file, None where there is none. Raises DataError unless it is integers [count]."""
    found = _Arrays(path).get(key)
    if found is None:
        return None
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise DataError(f"{path.name}: '{key}' is {found.dtype}{list(found.shape)}; expected integers [{count}]")
    return found.astype(np.int64)


def _columns(path: Path, arrays: Mapping[str, Array], inputs: Sequence[Tensor]) -> list[Array]:
    return [_column(path, arrays, tensor, alone=len(inputs) == 1) for tensor in inputs]


def _column(path: Path, arrays: Mapping[str, Array], tensor: Tensor, alone: bool) -> Array:
    for name in (tensor.label, tensor.name, *(["x"] if alone else [])):
        if name in arrays:
            return arrays[name]
    wanted = f"'{tensor.label}'" + (" or 'x'" if alone else "")
    raise DataError(f"{path.name}: holds {', '.join(sorted(arrays)) or 'nothing'}; expected an array named {wanted}")


def _convert(path: Path, column: Array, tensor: Tensor, divisor: float) -> tuple[Array, Array | None]:
    """Quantised values and, for real ones, the float32 values too."""
    inner = tensor.shape[1:] if tensor.shape and tensor.shape[0] == 1 else tensor.shape
    wanted = ", ".join(["samples", *map(str, inner)])
    if column.ndim < 1 or column.shape[0] == 0 or column.shape[1:] not in (inner, tensor.shape):
        raise DataError(f"{path.name}: '{tensor.label}' has shape {list(column.shape)}; expected [{wanted}]")
    if tensor.dtype in (np.int32, np.bool_):
        if column.dtype != tensor.dtype:
            kind = "int32 indices" if tensor.dtype == np.int32 else "truth values (bool)"
            raise DataError(f"{path.name}: '{tensor.label}' is {column.dtype}; the model takes {kind}")
        return column, None
    if column.dtype == tensor.dtype and (divisor == 1 or column.dtype == np.int8):
        return column, None
    if column.dtype not in (np.float32, np.float64, np.uint8):
        known = "int8 (raw), float32 (real values) or uint8 (0..255, see --input-divisor)"
        known = known if tensor.dtype == np.int8 else f"{tensor.dtype.name} (raw) or float32 (real values)"
        raise DataError(f"{path.name}: '{tensor.label}' is {column.dtype}; expected {known}")
    scaled = column.astype(np.float64) / divisor if column.dtype == np.uint8 else column
    with np.errstate(over="ignore"):
        real = scaled.astype(np.float32)
    if not np.all(np.isfinite(real)):
        raise DataError(f"{path.name}: '{tensor.label}' holds NaN or infinite values")
    return quantize(real, tensor), real


def _labels(path: Path, arrays: Mapping[str, Array], option: str | None, count: int) -> Array | None:
    if option is None:
        found, where = arrays.get("y"), f"{path.name}: 'y'"
        if found is not None and (found.shape != (count,) or found.dtype.kind not in "iu"):
            return None  # some other y
    else:
        file, _, key = option.rpartition(":")
        if not file:
            raise DataError(f"--labels {option}: expected FILE.npz:KEY")
        table = _Arrays(Path(file))
        if key not in table:
            raise DataError(f"{file}: holds {', '.join(sorted(table))}; no '{key}'")
        found, where = table[key], f"{file}: '{key}'"
        if found.shape != (count,) or found.dtype.kind not in "iu":
            raise DataError(f"{where} is {found.dtype}{list(found.shape)}; expected integers [{count}]")
    return found
