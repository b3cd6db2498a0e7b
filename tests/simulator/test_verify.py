"""What `verify` compares with what: no false alarm, and what a reference leaves undefined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ModelError
from driftc.simulator.engines import ENGINES, REFERENCES, engine, reference


def compiled(model: ModelBuilder, folder: Path, match: str = "tflm") -> Compiled:
    path = folder / "m.tflite"
    path.write_bytes(model.build())
    return compile(path, match=match, measure=False)


def bit_exact(found: Compiled) -> list[str]:
    """Verified on the host and the references that are present; the notes."""
    names = ["numpy"]
    names += [name for name in REFERENCES if reference(name).missing() is None]
    names += [name for name in ENGINES if name == "host" and engine(name).missing() is None]
    verification = found.verify(engines=names)
    assert verification.bit_exact, verification.first_difference
    return verification.notes


@pytest.mark.parametrize("back", [False, True])
def test_quantised_input_that_is_an_output(back: bool, tmp_path: Path) -> None:
    """NAME_dequantize_* of the output was compared with the real values that the input was quantised from."""
    m = ModelBuilder()
    x = m.quantize(m.input("real", (1, 4), dtype=np.float32), out_scale=0.05, out_zero_point=3, name="x")
    y = m.tanh(x)
    m.output(x, m.dequantize(y if not back else x))
    if back:
        m.output(y)
    bit_exact(compiled(m, tmp_path))


def test_input_of_bytes_whose_real_values_are_an_output(tmp_path: Path) -> None:
    """Its border is float at the output alone: the references take the bytes."""
    m = ModelBuilder()
    x = m.input("x", (1, 4), scale=0.1, zero_point=5)
    m.output(m.dequantize(x), m.tanh(x))
    bit_exact(compiled(m, tmp_path))


def large_sums() -> ModelBuilder:
    """A dense layer whose sums times its factor leave int32."""
    m = ModelBuilder()
    x = m.input("x", (1, 7), scale=0.05, zero_point=-10)
    bias = np.array([-513690798, 210913039, -1852493081], np.int32)
    m.output(m.fully_connected(x, np.ones((3, 7), np.int8), bias, weight_scale=0.02, out_scale=0.000348, name="dense"))
    return m


def test_undefined_in_litert(tmp_path: Path) -> None:
    """LiteRT casts a float64 beyond int32; it was reported as a departure that no document lists."""
    notes = bit_exact(compiled(large_sums(), tmp_path))
    if reference("litert").missing() is None:
        assert any(note.startswith("litert was not compared at dense: its sums times its scales") for note in notes)
    with pytest.raises(ModelError, match=r"m\.tflite: operator 0 FULLY_CONNECTED 'dense': .*compile with --match tflm"):
        compiled(large_sums(), tmp_path, match="litert")
