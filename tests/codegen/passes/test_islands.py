"""Movement that a file does in float32 between int8: the same bytes as TFLite Micro, moved as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder, Tensor
from operator_cases import few, ratios, scales, seeds, zero_points
from oracle import Oracle, compare, load_bytes

from driftc.codegen.api import compile
from driftc.codegen.errors import ModelError
from driftc.simulator.engines import engine


def unpacked(m: ModelBuilder, x: Tensor) -> list[Tensor]:
    real = m.dequantize(x)
    pieces = [m.tensor(f"piece_{n}", (1, 4), dtype=np.float32) for n in range(3)]
    m.operator("UNPACK", [real], pieces, "UnpackOptions", Num=3, Axis=1)
    return pieces


def joined(m: ModelBuilder, parts: Sequence[Tensor]) -> Tensor:
    y = m.tensor("joined", (1, 4 * len(parts)), dtype=np.float32)
    m.operator("CONCATENATION", list(parts), [y], "ConcatenationOptions", Axis=1)
    return y


def kinds(m: ModelBuilder) -> list[str]:
    return [operator.kind for operator in load_bytes(m.build()).operators]


@few
@given(scale=scales, ratio=ratios, zero=zero_points, out_zero=zero_points, seed=seeds)
def test_one_input_and_several_outputs(
    tflm: Oracle, scale: float, ratio: float, zero: int, out_zero: int, seed: int
) -> None:
    """One piece is read as it was, one in another scale, one not at all."""
    m = ModelBuilder()
    pieces = unpacked(m, m.input("x", (1, 3, 4), scale=scale, zero_point=zero))
    m.output(m.quantize(pieces[0], out_scale=scale, out_zero_point=zero, name="same"))
    m.output(m.quantize(pieces[2], out_scale=scale * ratio, out_zero_point=out_zero, name="other"))
    alike = np.float32(scale * ratio) == np.float32(scale) and out_zero == zero
    expected = ["UNPACK"] if alike else ["UNPACK", "QUANTIZE"]
    assert kinds(m) == expected
    compare(m, tflm, seed)


@few
@given(scale=scales, ratio=ratios, zero=zero_points, out_zero=zero_points, seed=seeds)
def test_several_inputs_of_different_scales(
    tflm: Oracle, scale: float, ratio: float, zero: int, out_zero: int, seed: int
) -> None:
    m = ModelBuilder()
    left = m.dequantize(m.input("left", (1, 4), scale=scale, zero_point=zero))
    right = m.dequantize(m.input("right", (1, 4), scale=scale * ratio, zero_point=out_zero))
    constant = m.constant(np.array([[0.0, 0.1, -3.7, 1e6]], np.float32))
    m.output(m.quantize(joined(m, [left, constant, right]), out_scale=scale * 1.3, out_zero_point=5, name="result"))
    assert "DEQUANTIZE" not in kinds(m)
    compare(m, tflm, seed)


def test_zeros_that_are_exact_need_no_other_scale(tflm: Oracle) -> None:
    m = ModelBuilder()
    x = m.dequantize(m.input("x", (1, 4), scale=0.1, zero_point=7))
    zeros = m.tensor("zeros", (1, 4), dtype=np.float32)
    m.operator("ZEROS_LIKE", [x], [zeros], "ZerosLikeOptions")
    m.output(m.quantize(joined(m, [x, zeros]), out_scale=0.1, out_zero_point=7))
    assert kinds(m) == ["CONCATENATION"]
    compare(m, tflm)


def test_it_is_compiled_and_verified(tmp_path: Path) -> None:
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)
    m = ModelBuilder()
    x = m.tanh(m.input("x", (1, 3, 4), scale=0.1, zero_point=7), name="tanh")
    pieces = unpacked(m, x)
    m.output(m.quantize(joined(m, [pieces[2], pieces[0]]), out_scale=0.02, out_zero_point=-3, name="result"))
    (tmp_path / "net.tflite").write_bytes(m.build())
    found = compile(tmp_path / "net.tflite", measure=False).verify(engines=["host"], random=2)
    assert found.bit_exact, found.first_difference
    assert list(found.fused.values()) == ["piece_0"]


@st.composite
def chains(draw: st.DrawFn) -> ModelBuilder:
    """Views and transposes in a row, between two scales."""
    m = ModelBuilder()
    scale, zero = draw(scales), draw(zero_points)
    x = m.dequantize(m.input("x", (1, 2, 3, 4), scale=scale, zero_point=zero))
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            x = m.transpose(x, (0, *(1 + n for n in draw(st.permutations(range(len(x.shape) - 1))))))
        else:
            x = m.reshape(x, draw(st.sampled_from([(1, 24), (1, 6, 4), (1, 2, 3, 4)])))
    m.output(m.quantize(x, out_scale=draw(st.sampled_from([scale, 0.07])), out_zero_point=zero))
    return m


@few
@given(m=chains(), seed=seeds)
def test_chains(tflm: Oracle, m: ModelBuilder, seed: int) -> None:
    assert "DEQUANTIZE" not in kinds(m)
    compare(m, tflm, seed)


def test_what_computes_on_reals_is_refused(tmp_path: Path) -> None:
    m = ModelBuilder()
    x, z = (m.dequantize(m.input(name, (1, 4), scale=0.1)) for name in ("x", "z"))
    y = m.tensor("y", (1, 4), dtype=np.float32)
    m.operator("ADD", [x, z], [y], "AddOptions")
    m.output(m.quantize(y, out_scale=0.1))
    (tmp_path / "net.tflite").write_bytes(m.build())
    with pytest.raises(ModelError, match="ADD 'y': computed in float32, between DEQUANTIZE and QUANTIZE"):
        compile(tmp_path / "net.tflite", measure=False)


def test_what_is_moved_may_leave_as_reals_or_go_through_a_function(tflm: Oracle, tmp_path: Path) -> None:
    """DEQUANTIZE then comes behind the movement: at the border, or where `tabulate` takes it."""
    m = ModelBuilder()
    pieces = unpacked(m, m.input("x", (1, 3, 4), scale=0.1, zero_point=7))
    negative = m.tensor("negative", (1, 4), dtype=np.float32)
    m.operator("NEG", [pieces[1]], [negative], "NegOptions")
    m.output(pieces[0], m.quantize(negative, out_scale=0.1, name="result"))
    assert kinds(m) == ["UNPACK", "DEQUANTIZE", "DEQUANTIZE", "NEG", "QUANTIZE"]
    compare(m, tflm)
    (tmp_path / "net.tflite").write_bytes(m.build())
    found = compile(tmp_path / "net.tflite", measure=False).verify(engines=[], random=2)
    assert found.first_difference is None


def test_a_float_border_stays() -> None:
    m = ModelBuilder()
    x = m.quantize(m.input("x", (1, 4), dtype=np.float32), out_scale=0.1)
    m.output(m.dequantize(m.tanh(x)))
    assert kinds(m) == ["QUANTIZE", "TANH", "DEQUANTIZE"]


def test_steps_that_no_int32_holds(tmp_path: Path) -> None:
    """TFLite Micro casts them, which C leaves undefined (found by the fuzzer)."""
    m = ModelBuilder()
    pieces = unpacked(m, m.input("x", (1, 3, 4), scale=0.1, zero_point=5))
    m.output(m.quantize(joined(m, pieces[:2]), out_scale=9e-13, out_zero_point=-4, name="result"))
    with pytest.raises(ModelError, match="QUANTIZE 'result': makes steps that no int32 holds"):
        load_bytes(m.build())
