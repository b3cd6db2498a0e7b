"""A strategy for each operator: models of one operator, over everything that TFLite Micro accepts of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from elementwise_models import ELEMENTWISE
from hypothesis import assume
from hypothesis import strategies as st
from models import ModelBuilder, Tensor
from operator_cases import (
    Image,
    activations,
    images,
    inputs,
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


def pairs(largest: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(1, largest), st.integers(1, largest))


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


# --- movers of bytes ---


def moving(build: Callable[[st.DrawFn, ModelBuilder, Tensor], None], most: int, largest: int = 5) -> Models:
    """Models with one input of up to `most` axes, to which `build` adds the rest."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        builder = ModelBuilder()
        build(draw, builder, draw(inputs(builder, draw(shapes(1, most, largest)))))
        return builder

    return models()


def pad(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    amounts = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in x.shape]
    m.output(m.pad(x, amounts, value=draw(st.one_of(st.none(), st.integers(-128, 127)))))


def reshape(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    shape = [*draw(st.permutations(x.shape)), *draw(st.lists(st.just(1), max_size=2))]
    m.output(m.reshape(x, shape, operand=draw(st.booleans())))


def squeeze(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    ones = [axis for axis, extent in enumerate(x.shape) if extent == 1]
    chosen = draw(st.lists(st.sampled_from(ones), unique=True)) if ones else []
    m.output(m.squeeze(x, [axis - len(x.shape) if draw(st.booleans()) else axis for axis in chosen]))


def expand_dims(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    m.output(m.expand_dims(x, draw(st.integers(-len(x.shape) - 1, len(x.shape)))))


def transpose(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    m.output(m.transpose(x, draw(st.permutations(range(len(x.shape))))))


def concatenation(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    axis = draw(st.integers(-len(x.shape), len(x.shape) - 1))
    quantised: dict[str, Any] = {"scale": x.scale[0], "zero_point": x.zero_point[0]}
    random = np.random.default_rng(draw(seeds))
    parts = [x]
    for number in range(draw(st.integers(0, 4))):
        shape = list(x.shape)
        shape[axis] = draw(st.integers(1, 4))
        if draw(st.booleans()):
            parts.append(m.constant(random.integers(-128, 128, shape, dtype=np.int8), **quantised))
        else:
            parts.append(m.input(f"x{number}", tuple(shape), **quantised))
    m.output(m.concatenation(draw(st.permutations(parts)), axis))


def strided_slice(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    begin, end, strides = [], [], []
    masks: dict[str, Any] = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0}
    for axis, extent in enumerate(x.shape):
        step = draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        first = draw(st.integers(0, extent - 1))
        if draw(st.integers(0, 4)) == 0:
            masks["shrink_axis_mask"] |= 1 << axis
            first, last, step = first - draw(st.sampled_from([0, extent])), first + 1, 1
        elif step > 0:
            last = draw(st.integers(first + 1, extent + 3))
            masks["begin_mask"] |= draw(st.sampled_from([0, 1])) << axis
            masks["end_mask"] |= draw(st.sampled_from([0, 1])) << axis
            first -= draw(st.sampled_from([0, extent]))
        else:
            last = -extent - 1 - draw(st.integers(0, 2))
            masks["end_mask"] |= draw(st.sampled_from([0, 1])) << axis
        begin.append(first)
        end.append(last)
        strides.append(step)
    m.output(m.strided_slice(x, begin, end, strides, **masks))


def split(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    axis = draw(st.integers(-len(x.shape), len(x.shape) - 1))
    pieces = [n for n in range(1, x.shape[axis] + 1) if x.shape[axis] % n == 0]
    m.output(*m.split(x, draw(st.sampled_from(pieces)), axis))


def split_v(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    axis = draw(st.integers(-len(x.shape), len(x.shape) - 1))
    cuts = sorted(draw(st.sets(st.integers(1, x.shape[axis])))) or [x.shape[axis]]
    sizes = [stop - start for start, stop in zip([0, *cuts], [*cuts, x.shape[axis]], strict=False) if stop > start]
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    m.output(*m.split_v(x, sizes, axis))


def slice_(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    begin = [draw(st.integers(0, extent - 1)) for extent in x.shape]
    sizes = [
        draw(st.one_of(st.just(-1), st.integers(1, extent - first)))
        for first, extent in zip(begin, x.shape, strict=True)
    ]
    m.output(m.slice(x, begin, sizes))


def pack(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    axis = draw(st.integers(-len(x.shape) - 1, len(x.shape)))
    quantised: dict[str, Any] = {"scale": x.scale[0], "zero_point": x.zero_point[0]}
    others = [m.input(f"x{number}", x.shape, **quantised) for number in range(draw(st.integers(0, 3)))]
    m.output(m.pack(draw(st.permutations([x, *others])), axis))


def unpack(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    m.output(*m.unpack(x, draw(st.integers(-len(x.shape), len(x.shape) - 1))))


def tile(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    m.output(m.tile(x, [draw(st.integers(1, 3)) for _ in x.shape]))


def reverse_v2(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    first = draw(st.integers(0, len(x.shape) - 1))
    axes = range(first, draw(st.integers(first, len(x.shape) - 1)) + 1)
    m.output(m.reverse_v2(x, [axis - draw(st.sampled_from([0, len(x.shape)])) for axis in draw(st.permutations(axes))]))


def mirror_pad(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    reflect = draw(st.booleans())
    amounts = [st.integers(0, extent - reflect) for extent in x.shape]
    m.output(m.mirror_pad(x, [(draw(amount), draw(amount)) for amount in amounts], reflect=reflect))


def broadcast_to(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    new = draw(st.lists(st.integers(1, 3), max_size=5 - len(x.shape)))
    m.output(m.broadcast_to(x, [*new, *(draw(st.integers(1, 4)) if n == 1 else n for n in x.shape)]))


def blocks(code: str) -> Models:
    """SPACE_TO_DEPTH and DEPTH_TO_SPACE."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        builder, block = ModelBuilder(), draw(st.integers(1, 3))
        space, depth = (block, 1) if code == "space_to_depth" else (1, block * block)
        height, width, channels = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
        shape = (draw(st.sampled_from([1, 1, 2])), height * space, width * space, channels * depth)
        builder.output(getattr(builder, code)(draw(inputs(builder, shape)), block))
        return builder

    return models()


@st.composite
def spaces_to_batches(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    spatial = draw(st.integers(1, 2))
    block = [draw(st.integers(1, 3)) for _ in range(spatial)]
    before = [draw(st.integers(0, 3)) for _ in block]
    extents = [draw(st.integers(1, 7)) for _ in block]
    after = [
        -(n + first) % size + size * draw(st.integers(0, 1))
        for n, first, size in zip(extents, before, block, strict=True)
    ]
    shape = (draw(st.integers(1, 2)), *extents, draw(st.integers(1, 5)))
    x = draw(inputs(builder, shape))
    builder.output(builder.space_to_batch_nd(x, block, list(zip(before, after, strict=True))))
    return builder


@st.composite
def batches_to_spaces(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    spatial = draw(st.integers(1, 2))
    block = [draw(st.integers(1, 3)) for _ in range(spatial)]
    extents = [draw(st.integers(1, 4)) for _ in block]
    crops = []
    for n, size in zip(extents, block, strict=True):
        first = draw(st.integers(0, min(3, n * size - 1)))
        crops.append((first, draw(st.integers(0, min(3, n * size - 1 - first)))))
    shape = (draw(st.integers(1, 2)) * int(np.prod(block)), *extents, draw(st.integers(1, 5)))
    builder.output(builder.batch_to_space_nd(draw(inputs(builder, shape)), block, crops))
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
def casts(draw: st.DrawFn) -> ModelBuilder:
    """From one type to another, and to a third."""
    builder = ModelBuilder()
    kinds = draw(st.permutations([np.int8, np.int32, np.bool_]))
    scale: dict[Any, Any] = {np.int8: {"scale": draw(scales), "zero_point": draw(zero_points)}}
    x = builder.input("x", draw(shapes(1, 4)), dtype=kinds[0], **scale.get(kinds[0], {}))
    y = builder.cast(x, kinds[1], **scale.get(kinds[1], {}))
    builder.output(y, builder.cast(y, kinds[2], **scale.get(kinds[2], {})))
    return builder


def resize(code: str, largest: int = 6) -> Models:
    """To any size, with every grid."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        image = draw(images(largest, 5))
        _, height, width, _ = image.tensor.shape
        factors = st.tuples(st.just(height * draw(st.integers(1, 4))), st.just(width * draw(st.integers(1, 4))))
        size = draw(st.one_of(factors, pairs(3 * largest)))
        grid = draw(st.sampled_from([{}, {"align_corners": True}, {"half_pixel_centers": True}]))
        image.builder.output(getattr(image.builder, code)(image.tensor, size, **grid))
        return image.builder

    return models()


@st.composite
def gathers(draw: st.DrawFn) -> ModelBuilder:
    """A look-up in a table that is constant or computed."""
    builder = ModelBuilder()
    shape = draw(shapes(1, 4, 4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    batch_dims = draw(st.integers(0, axis % len(shape)))
    where = (*shape[:batch_dims], *draw(shapes(0, 2, 3)))
    if draw(st.booleans()):
        data = np.random.default_rng(draw(seeds)).integers(-128, 128, shape, dtype=np.int8)
        table = builder.constant(data, scale=0.1, zero_point=3)
    else:
        table = draw(inputs(builder, shape))
    indices = builder.input("indices", where, dtype=np.int32)
    builder.output(builder.gather(table, indices, axis=axis, batch_dims=batch_dims))
    return builder


@st.composite
def gathers_nd(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    shape = draw(shapes(1, 4, 4))
    data = np.random.default_rng(draw(seeds)).integers(-128, 128, shape, dtype=np.int8)
    table = builder.constant(data, scale=0.1, zero_point=3) if draw(st.booleans()) else draw(inputs(builder, shape))
    where = (*draw(shapes(0, 2, 3)), draw(st.integers(1, len(shape))))
    builder.output(builder.gather_nd(table, builder.input("indices", where, dtype=np.int32)))
    return builder


@st.composite
def embeddings(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    shape = draw(shapes(2, 4))
    data = np.random.default_rng(draw(seeds)).integers(-128, 128, shape, dtype=np.int8)
    indices = builder.input("indices", (draw(st.integers(1, 5)),), dtype=np.int32)
    builder.output(builder.embedding_lookup(indices, builder.constant(data, scale=0.1)))
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
    "pad": moving(pad, 5, 4),
    "reshape": moving(reshape, 4),
    "squeeze": moving(squeeze, 5, 2),
    "expand_dims": moving(expand_dims, 5),
    "transpose": moving(transpose, 5, 4),
    "concatenation": moving(concatenation, 5, 4),
    "strided_slice": moving(strided_slice, 4, 6),
    "split": moving(split, 5, 6),
    "split_v": moving(split_v, 4, 6),
    "slice": moving(slice_, 5, 6),
    "pack": moving(pack, 4, 4),
    "unpack": moving(unpack, 4, 5),
    "resize_nearest_neighbor": resize("resize_nearest_neighbor"),
    "resize_bilinear": resize("resize_bilinear"),
    "tile": moving(tile, 4, 4),
    "reverse_v2": moving(reverse_v2, 4, 5),
    "mirror_pad": moving(mirror_pad, 4, 4),
    "broadcast_to": moving(broadcast_to, 4, 3),
    "space_to_depth": blocks("space_to_depth"),
    "depth_to_space": blocks("depth_to_space"),
    "space_to_batch_nd": spaces_to_batches(),
    "batch_to_space_nd": batches_to_spaces(),
    "cumsum": cumsums(),
    "cast": casts(),
    "gather": gathers(),
    "gather_nd": gathers_nd(),
    "embedding_lookup": embeddings(),
    "svdf": svdfs(),
    "unidirectional_sequence_lstm": lstms(),
}
