"""Strategies of `operator_models` for operators that compute each element by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from models import ModelBuilder, Tensor
from operator_cases import inputs, ratios, results, scales, seeds, shapes, zero_points

Models = st.SearchStrategy[ModelBuilder]
COMPARISONS = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
small_scales = st.one_of(st.sampled_from([1 / 256, 0.05, 0.5, 1e-4]), st.floats(2.0**-12, 0.875, width=32))


@st.composite
def thinned(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int, ...]:
    """`shape`, or one that broadcasts to it."""
    thin = tuple(draw(st.sampled_from([1, extent])) for extent in shape)
    return draw(st.sampled_from([shape, thin[draw(st.integers(0, len(thin))) :]]))


@st.composite
def like(draw: st.DrawFn, m: ModelBuilder, x: Tensor, name: str, *, alike: bool) -> Tensor:
    """A second operand, an input or a constant, quantised as `x` is or in any way."""
    shape = draw(thinned(x.shape))
    scale, zero = (x.scale[0], x.zero_point[0]) if alike else (draw(small_scales), draw(zero_points))
    if draw(st.booleans()):
        data = np.random.default_rng(draw(seeds)).integers(-128, 128, shape, dtype=np.int8)
        return m.constant(data, scale=scale, zero_point=zero)
    return m.input(name, shape, scale=scale, zero_point=zero)


def extreme(code: str) -> Models:
    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        m = ModelBuilder()
        x = draw(inputs(m, draw(shapes(1, 5, 4))))
        m.output(getattr(m, code)(*draw(st.permutations([x, draw(like(m, x, "y", alike=True))]))))
        return m

    return models()


@st.composite
def squared_differences(draw: st.DrawFn) -> ModelBuilder:
    m = ModelBuilder()
    x = draw(inputs(m, draw(shapes(1, 5, 4))))
    y = draw(like(m, x, "y", alike=draw(st.booleans())))
    scale = (50 * max(x.scale[0], y.scale[0])) ** 2 / 255 * draw(ratios)
    a, b = draw(st.permutations([x, y]))
    m.output(m.squared_difference(a, b, out_scale=scale, out_zero_point=draw(zero_points)))
    return m


@st.composite
def quotients(draw: st.DrawFn) -> ModelBuilder:
    """Of constants without 0: LiteRT refuses to divide by it, and TFLite Micro says nothing of it."""
    m = ModelBuilder()
    x = draw(inputs(m, draw(shapes(1, 5, 4))))
    shape, zero, scale = draw(thinned(x.shape)), draw(zero_points), draw(scales)
    data = np.random.default_rng(draw(seeds)).integers(-128, 128, shape, dtype=np.int8)
    data[data == zero] = 5 if zero != 5 else 6
    y = m.constant(data, scale=scale, zero_point=zero)
    m.output(m.div(x, y, out_scale=x.scale[0] / scale * draw(ratios), out_zero_point=draw(zero_points)))
    return m


def comparison(code: str) -> Models:
    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        m = ModelBuilder()
        shape = draw(shapes(1, 4, 4))
        if draw(st.integers(0, 4)) == 0:
            x = m.input("x", shape, dtype=np.int32)
            values = np.random.default_rng(draw(seeds)).integers(-3, 4, draw(thinned(shape)), dtype=np.int32)
            y = m.constant(values)
        else:
            x = m.input("x", shape, scale=draw(small_scales), zero_point=draw(zero_points))
            y = draw(like(m, x, "y", alike=draw(st.booleans())))
        m.output(m.compare(code.upper(), *draw(st.permutations([x, y]))))
        return m

    return models()


def logical(code: str) -> Models:
    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        m = ModelBuilder()
        shape = draw(shapes(1, 4, 4))
        operands = [m.input("x", shape, dtype=np.bool_)]
        if code != "logical_not":
            operands.append(m.input("y", draw(thinned(shape)), dtype=np.bool_))
        m.output(m.logical(code.upper(), *draw(st.permutations(operands))))
        return m

    return models()


@st.composite
def selects(draw: st.DrawFn) -> ModelBuilder:
    m = ModelBuilder()
    x = draw(inputs(m, draw(shapes(1, 5, 4))))
    y = draw(like(m, x, "y", alike=True))
    condition = m.input("condition", draw(thinned(x.shape)), dtype=np.bool_)
    m.output(m.select(condition, *draw(st.permutations([x, y]))))
    return m


@st.composite
def prelus(draw: st.DrawFn) -> ModelBuilder:
    m = ModelBuilder()
    x = draw(inputs(m, draw(shapes(1, 4, 4))))
    m.output(m.prelu(x, draw(like(m, x, "alpha", alike=False)), **draw(results())))
    return m


@st.composite
def sums(draw: st.DrawFn) -> ModelBuilder:
    m = ModelBuilder()
    x = draw(inputs(m, draw(shapes(1, 4, 4))))
    others = [
        m.input(f"y{n}", x.shape, scale=x.scale[0], zero_point=x.zero_point[0]) for n in range(draw(st.integers(1, 4)))
    ]
    m.output(m.add_n(x, *others, out_scale=x.scale[0] * draw(ratios), out_zero_point=draw(zero_points)))
    return m


def function(code: str) -> Models:
    """All 256 values are in the input, which `samples_of` fills with them once; none is below 0 where roots are."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        m = ModelBuilder()
        x = draw(inputs(m, (1, 256)))
        if code in ("RSQRT", "SQRT"):
            m = ModelBuilder()
            x = m.input("x", (1, 256), scale=draw(scales), zero_point=-128)
        options: dict[str, Any] = {"Approximate": draw(st.booleans())} if code == "GELU" else {}
        result: dict[str, Any] = draw(results())
        if code == "RSQRT":
            result["out_scale"] = x.scale[0] ** -0.5 / 120 * draw(ratios)
        m.output(m.unary(code, x, options=options, **result))
        return m

    return models()


def float_function(codes: Sequence[str]) -> Models:
    """One or two functions in float32 between DEQUANTIZE and QUANTIZE."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        m = ModelBuilder()
        x = m.input("x", (1, 256), scale=0.05 * draw(st.floats(0.0625, 1.0)), zero_point=draw(zero_points))
        y = m.dequantize(x)
        for code in draw(st.lists(st.sampled_from(codes), min_size=1, max_size=2, unique=True)):
            y = m.unary(code, y)
        m.output(m.quantize(y, out_scale=0.1 * draw(ratios), out_zero_point=draw(zero_points)))
        return m

    return models()


FUNCTIONS = ("abs", "rsqrt", "sqrt", "exp", "log", "elu", "gelu", "relu_n1_to_1", "relu_0_to_1")
FLOAT_FUNCTIONS = ("NEG", "SQUARE", "SIN", "COS", "CEIL", "FLOOR", "ROUND", "ABS", "ELU")

ELEMENTWISE: dict[str, Models] = {
    **{code: extreme(code) for code in ("maximum", "minimum")},
    "squared_difference": squared_differences(),
    "div": quotients(),
    **{code: comparison(code) for code in COMPARISONS},
    **{code: logical(code) for code in ("logical_and", "logical_or", "logical_not")},
    "select_v2": selects(),
    "prelu": prelus(),
    "add_n": sums(),
    **{code: function(code.upper()) for code in FUNCTIONS},
    "neg": float_function(FLOAT_FUNCTIONS),
}
