"""Models with state, and what the tests of it share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from models import ModelBuilder, Tensor

from driftc.codegen.compiled import Compiled
from driftc.codegen.lower import lower
from driftc.codegen.options import Options

RANDOM = np.random.default_rng(11)


def streaming(rows: int = 4, *, roll: bool = False) -> ModelBuilder:
    """A window of the last `rows` rows of 6 in a variable, and a dense layer over it.

    As converters write it: the new row behind the variable's, and what is not the oldest assigned; with `roll` the
    variable holds all rows of the window.
    """
    m = ModelBuilder()
    kept = rows if roll else rows - 1
    m.call_once({"window": np.arange(kept * 6, dtype=np.int8).reshape(1, kept, 1, 6)})
    x = m.input("x", (1, 1, 1, 6), scale=0.1, zero_point=3)
    handle = m.variable("window")
    before = m.read_variable(handle, (1, kept, 1, 6), x, name="before")
    if roll:
        before = m.strided_slice(before, (0, 1, 0, 0), (1, kept, 1, 6), (1, 1, 1, 1), name="rest")
    window = m.concatenation([before, x], axis=1, name="window_now")
    after = window
    if not roll:
        after = m.strided_slice(window, (0, 1, 0, 0), (1, rows, 1, 6), (1, 1, 1, 1), name="after")
    m.assign_variable(handle, after)
    flat = m.reshape(window, (1, rows * 6), name="flat")
    weights = RANDOM.integers(-127, 128, (3, rows * 6), dtype=np.int8)
    m.output(m.fully_connected(flat, weights, weight_scale=0.02, out_scale=0.3, name="dense"))
    return m


def counter(m: ModelBuilder, x: Tensor, name: str = "sum") -> Tensor:
    """A variable to which `x` is added at each step."""
    handle = m.variable(name)
    before = m.read_variable(handle, x.shape, x, name=f"{name}_before")
    after = m.add(before, x, out_scale=x.scale[0], out_zero_point=x.zero_point[0], name=f"{name}_after")
    m.assign_variable(handle, after)
    return after


def compiled(m: ModelBuilder, folder: Path, name: str = "stream", **options: object) -> Compiled:
    path = folder / f"{name}.tflite"
    path.write_bytes(m.build())
    chosen = Options(**options)  # type: ignore[arg-type]
    return Compiled(path.read_bytes(), chosen, lower(path, chosen))


def verified(found: Compiled, samples: int = 12, restart: str | None = "5") -> None:
    """Every engine that is here and counts for little, over sequences."""
    result = found.verify(random=samples, restart=restart, engines=ENGINES)
    assert result.first_difference is None, str(result.first_difference)


ENGINES = ("numpy", "tflm", "host")
