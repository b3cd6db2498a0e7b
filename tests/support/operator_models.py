"""A strategy for each operator: models of one operator, over everything that TFLite Micro accepts of it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from elementwise_models import ELEMENTWISE
from hypothesis import assume
from hypothesis import strategies as st
from models import ModelBuilder
from movement_models import MOVEMENT
from operator_cases import (
    Image,
    activations,
    images,
    inputs,
    pairs,
    ratios,
    results,
    scales,
    seeds,
    shapes,
    zero_points,
)

Models = st.SearchStrategy[ModelBuilder]
paddings: st.SearchStrategy[Literal["SAME", "VALID"]] = st.sampled_from(["SAME", "VALID"])
alphas = st.one_of(st.sampled_from([0.0, 0.1, 0.2, 1.0, -0.5, 2.0]), st.floats(-3, 3, width=32))
betas = st.one_of(st.sampled_from([1.0, 0.5]), st.floats(0.0625, 20, width=32))


# --- weighted ---


@st.composite
def windows(draw: st.DrawFn, image: Image) -> dict[str, Any]:
    """Kernel, stride, dilation and padding of a window that fits the image."""
    kernel, dilation, padding = draw(pairs(4)), draw(pairs(3)), draw(paddings)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    _, height, width, _ = image.tensor.shape
    assume(padding == "SAME" or (reach[0] <= height and reach[1] <= width))
    return {"kernel": kernel, "stride": draw(pairs(3)), "dilation": dilation, "padding": padding}


@st.composite
def requantised(draw: st.DrawFn, image: Image, channels: int, terms: int) -> dict[str, Any]:
    """Weight scales per tensor or per channel, and an output scale at which sums saturate, fit or vanish."""
    middle = 0.01 * draw(ratios)
    spread = np.exp2(image.random.uniform(-2, 2, channels)) if draw(st.booleans()) and channels > 1 else np.ones(1)
    typical = image.tensor.scale[0] * middle * 60 * 60 * terms**0.5 / 127
    return {
        "weight_scale": (middle * spread).astype(np.float32),
        "out_scale": typical * draw(st.one_of(ratios, st.sampled_from([1e-4, 1e4]))),
        "out_zero_point": draw(zero_points),
        "activation": draw(activations),
    }


@st.composite
def convolutions(draw: st.DrawFn) -> ModelBuilder:
    image = draw(images())
    window, channels = draw(windows(image)), image.tensor.shape[3]
    groups = draw(st.sampled_from([n for n in range(1, channels + 1) if channels % n == 0]))
    out, depth = groups * draw(st.integers(1, 3)), channels // groups
    weights = image.weights(out, *window.pop("kernel"), depth)
    bias = image.bias(out, 5000) if draw(st.booleans()) else None
    quantised = draw(requantised(image, out, weights[0].size))
    image.builder.output(image.builder.conv_2d(image.tensor, weights, bias, **window, **quantised))
    return image.builder


@st.composite
def depthwise_convolutions(draw: st.DrawFn) -> ModelBuilder:
    image = draw(images())
    window = draw(windows(image))
    out = image.tensor.shape[3] * draw(st.integers(1, 3))
    weights = image.weights(1, *window.pop("kernel"), out)
    bias = image.bias(out, 2000) if draw(st.booleans()) else None
    quantised = draw(requantised(image, out, weights.size // out))
    image.builder.output(image.builder.depthwise_conv_2d(image.tensor, weights, bias, **window, **quantised))
    return image.builder


@st.composite
def transposed_convolutions(draw: st.DrawFn, *, fitting: bool = True) -> ModelBuilder:
    """Outputs of a size that a convolution would make the input of; else of any, which only TFLite Micro takes."""
    image = draw(images(5, 5))
    out, stride, kernel = draw(st.integers(1, 6)), draw(pairs(3)), draw(pairs(4))
    padding: Literal["SAME", "VALID"] = draw(paddings)
    weights = image.weights(out, *kernel, image.tensor.shape[3])
    bias = image.bias(out, 5000) if draw(st.booleans()) else None
    quantised = draw(requantised(image, out, weights[0].size))
    least = [
        (extent - 1) * step + (size if padding == "VALID" else 1)
        for extent, step, size in zip(image.tensor.shape[1:3], stride, kernel, strict=True)
    ]
    rows, pixels = (
        draw(st.integers(n, n + step - 1) if fitting else st.integers(4, n + 4))
        for n, step in zip(least, stride, strict=True)
    )
    y = image.builder.transpose_conv(
        image.tensor, weights, bias, stride=stride, padding=padding, size=(rows, pixels), **quantised
    )
    image.builder.output(y)
    return image.builder


@st.composite
def dense_layers(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    shape = draw(shapes(2, 3, 6))
    image = Image(builder, draw(inputs(builder, shape)), np.random.default_rng(draw(seeds)))
    keep = draw(st.booleans())
    length = shape[-1] if keep or draw(st.booleans()) else int(np.prod(shape[1:]))
    out = draw(st.integers(1, 6))
    bias = image.bias(out, 5000) if draw(st.booleans()) else None
    weights, quantised = image.weights(out, length), draw(requantised(image, out, length))
    builder.output(builder.fully_connected(image.tensor, weights, bias, keep_num_dims=keep, **quantised))
    return builder


@st.composite
def matrix_products(draw: st.DrawFn) -> ModelBuilder:
    """Both computed, or the right one constant; either transposed, leading axes broadcast."""
    builder = ModelBuilder()
    rows, columns, depth = draw(st.integers(1, 5)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    adj_x, adj_y = draw(st.booleans()), draw(st.booleans())
    batch = draw(shapes(0, 2, 3))
    thin = tuple(draw(st.sampled_from([1, extent])) for extent in batch)
    leading = draw(st.permutations([batch, thin]))
    left = (*leading[0], *((depth, rows) if adj_x else (rows, depth)))
    right = (*leading[1], *((columns, depth) if adj_y else (depth, columns)))
    a = draw(inputs(builder, left))
    if draw(st.booleans()):
        data = np.random.default_rng(draw(seeds)).integers(-128, 128, right, dtype=np.int8)
        b = builder.constant(data, scale=draw(scales), zero_point=draw(zero_points))
    else:
        b = draw(inputs(builder, right, "y"))
    scale = a.scale[0] * b.scale[0] * 60 * depth**0.5 * draw(ratios)
    result: dict[str, Any] = {"out_scale": scale, "out_zero_point": draw(zero_points)}
    builder.output(builder.batch_matmul(a, b, adj_x=adj_x, adj_y=adj_y, **result))
    return builder


# --- two tensors, windows, reductions ---


def elementwise(code: str) -> Models:
    """Two operands of shapes that fit each other, either of which may be constant."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        builder = ModelBuilder()
        shape = draw(shapes(1, 6, 4))
        thin = tuple(draw(st.sampled_from([1, extent])) for extent in shape)
        thin = thin[draw(st.integers(0, len(thin))) :]
        other = draw(st.sampled_from([shape, thin]))
        operands = [draw(inputs(builder, shape))]
        if draw(st.booleans()):
            data = np.random.default_rng(draw(seeds)).integers(-128, 128, other, dtype=np.int8)
            operands.append(builder.constant(data, scale=draw(scales), zero_point=draw(zero_points)))
        else:
            operands.append(draw(inputs(builder, other, "y")))
        swapped = draw(st.permutations(operands))
        builder.output(getattr(builder, code)(*swapped, activation=draw(activations), **draw(results())))
        return builder

    return models()


def pool(code: str) -> Models:
    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        image = draw(images())
        _, height, width, _ = image.tensor.shape
        size, padding = draw(pairs(6)), draw(paddings)
        assume(padding == "SAME" or (size[0] <= height and size[1] <= width))
        operator = getattr(image.builder, code)
        image.builder.output(
            operator(image.tensor, size, stride=draw(pairs(6)), padding=padding, activation=draw(activations))
        )
        return image.builder

    return models()


@st.composite
def reductions(draw: st.DrawFn, code: str) -> ModelBuilder:
    builder = ModelBuilder()
    shape = draw(st.one_of(shapes(1, 6, 4), st.tuples(st.just(1), *[st.integers(1, 40)] * 2, st.integers(1, 5))))
    rank = len(shape)
    axes = draw(st.one_of(st.just([1, 2]), st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=rank + 1)))
    assume(max(axes) < rank)
    quantised = {} if code.startswith("reduce") or draw(st.booleans()) else draw(results())
    x = draw(inputs(builder, shape))
    builder.output(builder.mean(x, axes, code=code.upper(), keep_dims=draw(st.booleans()), **quantised))
    return builder


@st.composite
def places(draw: st.DrawFn, code: str) -> ModelBuilder:
    """Few different values, so that some are equal."""
    builder = ModelBuilder()
    shape = draw(shapes(1, 5, 6))
    x = builder.relu6(draw(inputs(builder, shape)))
    builder.output(builder.arg(code.upper(), x, draw(st.integers(-len(shape), len(shape) - 1))))
    return builder


# --- functions of one byte, of one row ---


@st.composite
def signs(draw: st.DrawFn) -> ModelBuilder:
    """QUANTIZE from uint8 or to it: often of the same real values, where the top bit alone changes."""
    builder, scale, zero = ModelBuilder(), draw(scales), draw(zero_points)
    shape = draw(st.sampled_from([(1, 256), (1, 255), (2, 3, 5)]))
    out_scale, out_zero = draw(st.sampled_from([(scale, zero), (draw(scales), draw(zero_points))]))
    if draw(st.booleans()):
        x = builder.input("x", shape, dtype=np.uint8, scale=scale, zero_point=zero + 128)
        y = builder.quantize(x, out_scale=out_scale, out_zero_point=out_zero)
    else:
        x = builder.input("x", shape, scale=scale, zero_point=zero)
        y = builder.quantize(x, out_scale=out_scale, out_zero_point=out_zero + 128, dtype=np.uint8)
    builder.output(y)
    return builder


def mapping(code: str) -> Models:
    """All 256 values are in the input, which `samples_of` fills with them once."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        builder = ModelBuilder()
        x = draw(inputs(builder, (1, 256)))
        arguments: dict[str, Any] = {} if code in ("logistic", "tanh", "relu6") else draw(results())
        if code == "leaky_relu":
            arguments["alpha"] = draw(alphas)
        if code == "hard_swish":
            assume(x.scale[0] / 128 / arguments["out_scale"] < 0.99)
        builder.output(getattr(builder, code)(x, **arguments))
        return builder

    return models()


def by_row(code: str) -> Models:
    """Rows of a few values, and of many."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        builder = ModelBuilder()
        shape = (*draw(shapes(0, 3, 3)), draw(st.one_of(st.integers(1, 12), st.integers(1, 511))))
        x = draw(inputs(builder, shape))
        builder.output(getattr(builder, code)(x))
        return builder

    return models()


@st.composite
def softmaxes(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    shape = (*draw(shapes(0, 3, 3)), draw(st.one_of(st.integers(1, 12), st.integers(1, 511))))
    builder.output(builder.softmax(draw(inputs(builder, shape)), beta=draw(betas)))
    return builder


@st.composite
def cumsums(draw: st.DrawFn) -> ModelBuilder:
    """Some so long that the sums wrap."""
    builder = ModelBuilder()
    shape = draw(st.one_of(shapes(1, 4), st.tuples(st.integers(1, 3), st.integers(17, 40), st.integers(1, 3))))
    x = draw(inputs(builder, shape))
    quantised: dict[str, Any] = {
        "out_scale": x.scale[0] * draw(st.sampled_from([1.0, 1.7, 8.0])),
        "out_zero_point": draw(zero_points),
    }
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    builder.output(builder.cumsum(x, axis, exclusive=draw(st.booleans()), reverse=draw(st.booleans()), **quantised))
    return builder


@st.composite
def svdfs(draw: st.DrawFn) -> ModelBuilder:
    m = ModelBuilder()
    rank, memory = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    units, length, batch = draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 2))
    x = draw(inputs(m, (batch, length)))
    random = np.random.default_rng(draw(seeds))
    feature = random.integers(-127, 128, (units * rank, length), dtype=np.int8)
    time = random.integers(-127, 128, (units * rank, memory), dtype=np.int8)
    first, second = 0.01 * draw(ratios), 0.01 * draw(ratios)
    kept = x.scale[0] * first * 60 * 60 * length**0.5 / 127 * draw(ratios)
    typical = kept * second * 60 * 60 * (memory * rank) ** 0.5 / 127
    bias = random.integers(-5000, 5001, units)
    m.output(
        m.svdf(
            x, feature, time, bias, scales=(first, second, kept), state_zero_point=draw(zero_points),
            out_scale=typical * draw(ratios), out_zero_point=draw(zero_points), rank=rank, name="units",
        )
    )  # fmt: skip
    return m


@st.composite
def lstms(draw: st.DrawFn) -> ModelBuilder:
    m = ModelBuilder()
    units, length, steps, batch = (draw(st.integers(1, n)) for n in (5, 6, 4, 2))
    time_major = draw(st.booleans())
    x = draw(inputs(m, (steps, batch, length) if time_major else (batch, steps, length)))
    random = np.random.default_rng(draw(seeds))
    weights = [random.integers(-127, 128, (units, length), dtype=np.int8) for _ in range(4)]
    recurrent = [random.integers(-127, 128, (units, units), dtype=np.int8) for _ in range(4)]
    hidden = draw(st.sampled_from([1 / 128, 1 / 256, 0.004]))
    into = [draw(ratios) / (x.scale[0] * 60 * 60 * length**0.5) for _ in range(4)]
    back = [draw(ratios) / (hidden * 60 * 60 * units**0.5) for _ in range(4)]
    biases = [random.integers(-3000, 3001, units) for _ in range(4)]
    m.output(
        m.lstm(
            x, weights, recurrent, biases, scales=(into, back), hidden_scale=hidden,
            hidden_zero_point=draw(st.sampled_from([0, 0, -7, 30])), cell_power=draw(st.integers(-15, -9)),
            cell_clip=draw(st.sampled_from([0.0, 0.0, 0.5, 10.0])), time_major=time_major, name="lstm",
        )
    )  # fmt: skip
    return m


MODELS: dict[str, Models] = {
    "conv_2d": convolutions(),
    "depthwise_conv_2d": depthwise_convolutions(),
    "transpose_conv": transposed_convolutions(),
    "fully_connected": dense_layers(),
    "batch_matmul": matrix_products(),
    **{code: elementwise(code) for code in ("add", "sub", "mul")},
    **ELEMENTWISE,
    **{code: pool(code) for code in ("average_pool_2d", "max_pool_2d")},
    **{code: reductions(code) for code in ("mean", "sum", "reduce_max", "reduce_min")},
    **{code: places(code) for code in ("arg_max", "arg_min")},
    **{code: mapping(code) for code in ("logistic", "tanh", "relu", "relu6", "hard_swish", "leaky_relu")},
    "quantize": st.one_of(mapping("quantize"), signs()),
    "softmax": softmaxes(),
    **{code: by_row(code) for code in ("log_softmax", "l2_normalization")},
    **MOVEMENT,
    "cumsum": cumsums(),
    "svdf": svdfs(),
    "unidirectional_sequence_lstm": lstms(),
}
