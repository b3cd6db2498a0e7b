"""Operators on float tensors that int8 models write otherwise: between DEQUANTIZE and QUANTIZE, bool, int32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder, Tensor

import driftc
from driftc.simulator.engines import engine
from driftc.simulator.references import TflmReference


def float_model(path: Path) -> None:
    m = ModelBuilder()

    def made(
        code: str, operands: list[Tensor], table: str, shape: tuple[int, ...] = (1, 8, 4), **options: int
    ) -> Tensor:
        y = m.tensor(None, shape, dtype=np.float32)
        m.operator(code, operands, [y], table, **options)
        return y

    x = m.input("x", (1, 8, 4), dtype=np.float32)
    wave = m.unary("NEG", m.unary("SIN", x))
    larger = made("MAXIMUM", [wave, m.unary("SQUARE", x)], "MaximumMinimumOptions")
    mean = made("MEAN", [larger, m.constant([2], dtype=np.int32)], "ReducerOptions", (1, 8, 1), KeepDims=True)
    apart = made("SQUARED_DIFFERENCE", [larger, mean], "SquaredDifferenceOptions")
    chosen = made("SELECT_V2", [m.compare("LESS", larger, apart), larger, apart], "SelectV2Options")
    m.output(
        made("BATCH_MATMUL", [chosen, larger], "BatchMatMulOptions", (1, 8, 8), AdjY=True), m.arg("ARG_MAX", apart, 2)
    )
    path.write_bytes(m.build())


def test_float_operators_become_int8_ones(tmp_path: Path) -> None:
    if (reason := engine("host").missing() or TflmReference().missing()) is not None:
        pytest.skip(reason)
    path = tmp_path / "f.tflite"
    float_model(path)
    samples = np.random.default_rng(0).uniform(-2, 2, (40, 8, 4)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=samples)
    found = driftc.compile(path, calibrate=tmp_path / "samples.npz", measure=False)
    checked = found.verify(engines=["host", "tflm"], random=3)
    assert checked.bit_exact, checked.first_difference
    assert "tflm" in checked.engines
