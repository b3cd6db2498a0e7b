"""What is mutated: the shared real models, and small built ones that hold every operator between them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from models import Activation, ModelBuilder, Tensor, autoencoder_model, keyword_model, residual_model
from shared_data import data_folder

_RANDOM = 3


def small_weights(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return np.random.default_rng(_RANDOM).integers(-127, 128, shape, dtype=np.int8)


def convolutions() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("image", (1, 7, 6, 4), scale=0.1, zero_point=-3)
    x = m.pad(x, [(0, 0), (1, 1), (2, 0), (0, 0)], name="pad")
    x = m.conv_2d(
        x, small_weights(8, 3, 3, 2), np.arange(8), weight_scale=[0.01 * n for n in range(1, 9)], padding="VALID",
        activation=Activation.RELU6, out_scale=0.05, out_zero_point=-128, name="grouped",
    )  # fmt: skip
    y = m.depthwise_conv_2d(
        x,
        small_weights(1, 3, 2, 16),
        np.arange(16),
        weight_scale=[0.02] * 16,
        dilation=(2, 1),
        out_scale=0.2,
        name="wide",
    )
    y = m.conv_2d(y, small_weights(8, 1, 1, 16), weight_scale=0.01, out_scale=0.3, out_zero_point=5, name="point")
    m.output(m.relu(m.add(x, y, out_scale=0.3, out_zero_point=5, name="sum"), name="relu"))
    return m


def pools_and_dense() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("image", (1, 8, 8, 3), scale=0.1, zero_point=4)
    a = m.average_pool_2d(x, 3, stride=2, padding="SAME", name="average")
    b = m.max_pool_2d(x, (2, 2), activation=Activation.RELU, name="largest")
    c = m.concatenation([a, b], axis=3, name="both")
    d = m.mean(c, [1, 2], keep_dims=True, out_scale=0.05, name="mean")
    e = m.reshape(d, (1, 6), name="flat")
    f = m.fully_connected(e, small_weights(5, 6), np.arange(5), weight_scale=0.03, out_scale=0.2, name="dense")
    g = m.mean(c, [3], code="SUM", out_scale=0.4, name="sum")
    h = m.mean(g, [-1], code="REDUCE_MAX", keep_dims=True, name="maximum")
    m.output(m.softmax(f, name="softmax"), m.logistic(f, name="logistic"), m.arg("ARG_MIN", h, 1, name="where"))
    return m


def elementwise() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("left", (1, 4, 5), scale=0.1, zero_point=4)
    y = m.input("right", (1, 1, 5), scale=0.2, zero_point=-4)
    a = m.mul(m.sub(x, y, out_scale=0.3, name="sub"), x, out_scale=0.5, activation=Activation.RELU, name="mul")
    b = m.tanh(m.hard_swish(a, out_scale=0.4, name="swish"), name="tanh")
    c = m.leaky_relu(b, 0.1, out_scale=0.02, name="leaky")
    d = m.relu6(m.quantize(c, out_scale=0.05, out_zero_point=-128, name="again"), name="relu6")
    e = m.add(d, m.constant(small_weights(1, 1, 5), scale=0.1, name="table"), out_scale=0.2, name="shifted")
    m.output(e)
    return m


def decisions() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("left", (1, 4, 5), scale=0.1, zero_point=4)
    y = m.input("right", (1, 1, 5), scale=0.1, zero_point=4)
    a = m.maximum(x, m.minimum(x, y, name="less"), name="more")
    b = m.squared_difference(a, y, out_scale=0.9, out_zero_point=-128, name="apart")
    c = m.div(b, m.constant(small_weights(1, 1, 5) | 1, scale=0.1, name="divisors"), out_scale=0.2, name="quotient")
    d = m.compare("LESS", c, x, name="smaller")
    e = m.logical("LOGICAL_OR", d, m.logical("LOGICAL_NOT", m.compare("EQUAL", x, y, name="same")), name="either")
    m.output(m.select(e, a, x, name="chosen"), m.logical("LOGICAL_AND", d, e, name="both"))
    return m


def functions() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("image", (1, 5, 4), scale=0.05, zero_point=-128)
    a = m.unary("RSQRT", m.unary("ABS", x, out_scale=0.06, name="magnitude"), out_scale=0.04, name="root")
    b = m.unary("SQRT", x, out_scale=0.02, out_zero_point=-128, name="square_root")
    c = m.unary("LOG", m.unary("EXP", b, out_scale=0.2, name="power"), out_scale=0.05, name="logarithm")
    d = m.unary("GELU", m.unary("ELU", c, out_scale=0.04, name="linear"), out_scale=0.04, name="gauss")
    e = m.dequantize(m.unary("RELU_N1_TO_1", d, out_scale=0.01, name="one"), name="real")
    f = m.quantize(m.unary("NEG", m.unary("SIN", e, name="wave"), name="minus"), out_scale=0.01, name="back")
    m.output(a, f)
    return m


def attention() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("steps", (1, 4, 6), scale=0.05, zero_point=4)
    q = m.prelu(x, m.constant(small_weights(6), scale=0.01, name="slopes"), out_scale=0.04, name="query")
    a = m.batch_matmul(q, x, adj_y=True, out_scale=0.1, name="scores")
    b = m.batch_matmul(m.softmax(a, name="shares"), x, out_scale=0.05, name="attended")
    c = m.add_n(b, b, out_scale=0.1, name="twice")
    m.output(m.log_softmax(c, name="logarithms"), m.l2_normalization(c, name="length_1"))
    return m


def movement() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("image", (1, 6, 4, 4), scale=0.1, zero_point=4)
    a, b = m.split(x, 2, axis=3, names=["first", "second"])
    c = m.transpose(a, (0, 2, 1, 3), name="turned")
    d = m.strided_slice(c, (0, 0, 1, 0), (1, 4, 6, 2), (1, 2, 2, 1), begin_mask=1, name="slice")
    e = m.squeeze(m.strided_slice(b, (0, 1, 0, 0), (1, 2, 4, 2), (1, 1, 1, 1), shrink_axis_mask=1, name="row"), [0])
    f = m.expand_dims(e, 0, name="expanded")
    g = m.pad(f, [(0, 0), (1, 0), (0, 1)], value=-7, name="filled")
    m.output(d, m.concatenation([g, g], axis=1, name="twice"))
    return m


def more_movement() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("image", (1, 4, 4, 4), scale=0.1, zero_point=4)
    a, b, c = m.split_v(x, [1, -1, 1], axis=3, names=["one", "rest", "last"])
    d = m.unpack(m.slice(b, (0, 1, 0, 0), (1, 2, -1, 2), name="range"), axis=1, names=["upper", "lower"])
    e = m.resize_nearest_neighbor(a, (6, 8), name="nearest")
    m.output(m.pack(d, axis=3, name="packed"), m.concatenation([c, c], axis=2, name="wide"), e)
    return m


def rearrangement() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("image", (1, 4, 6, 4), scale=0.1, zero_point=4)
    a = m.reverse_v2(m.depth_to_space(x, 2, name="spread"), [1], name="backwards")
    b = m.mirror_pad(m.space_to_depth(a, 4, name="gathered_in"), [(0, 0), (1, 1), (0, 1), (0, 0)], name="mirrored")
    c = m.space_to_batch_nd(b, [2, 1], [(0, 0), (1, 0)], name="images")
    d = m.batch_to_space_nd(c, [2, 1], [(1, 0), (0, 1)], name="image_again")
    e = m.cumsum(m.tile(d, (1, 1, 2, 1), name="tiled"), 2, out_scale=0.5, exclusive=True, name="sums")
    f = m.broadcast_to(m.cast(m.cast(e, np.bool_, name="truth"), np.int8, scale=0.1, name="again"), (2, *e.shape[1:]))
    where = m.input("where", (3, 2), dtype=np.int32)
    m.output(m.resize_bilinear(e, (5, 9), half_pixel_centers=True, name="smooth"), m.gather_nd(f, where, name="found"))
    return m


def decoder() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("code", (1, 3, 3, 4), scale=0.1, zero_point=-3)
    x = m.transpose_conv(
        x, small_weights(6, 3, 3, 4), np.arange(6), weight_scale=[0.01 * n for n in range(1, 7)], stride=2,
        activation=Activation.RELU, out_scale=0.1, out_zero_point=-128, name="doubled",
    )  # fmt: skip
    x = m.resize_nearest_neighbor(x, (9, 12), half_pixel_centers=True, name="larger")
    m.output(
        m.transpose_conv(x, small_weights(2, 2, 2, 6), weight_scale=0.01, padding="VALID", out_scale=0.3, name="last")
    )
    return m


def look_up() -> ModelBuilder:
    m = ModelBuilder()
    words = m.input("words", (3,), dtype=np.int32)
    a = m.embedding_lookup(words, m.constant(small_weights(10, 4), scale=0.1, name="embedding"), name="looked_up")
    b = m.gather(m.constant(small_weights(6, 4), scale=0.1, name="rows"), words, name="gathered")
    m.output(m.add(a, b, out_scale=0.2, name="sum"))
    return m


def float_border() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("real", (1, 6), dtype=np.float32)
    y = m.fully_connected(
        m.quantize(x, out_scale=0.1, out_zero_point=3, name="quantized"), small_weights(4, 6), weight_scale=0.02,
        activation=Activation.RELU, out_scale=0.1, out_zero_point=-128, name="dense",
    )  # fmt: skip
    m.output(m.dequantize(y, name="result"))
    return m


def uint8_border() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("image", (1, 5, 6), dtype=np.uint8, scale=0.1, zero_point=131)
    y = m.fully_connected(
        m.quantize(x, out_scale=0.1, out_zero_point=3, name="signed"), small_weights(4, 6), weight_scale=0.02,
        out_scale=0.1, out_zero_point=-128, name="dense",
    )  # fmt: skip
    m.output(m.quantize(y, out_scale=0.13, out_zero_point=7, dtype=np.uint8, name="result"))
    return m


def batch() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("images", (3, 6, 5, 2), scale=0.1, zero_point=3)
    x = m.pad(x, [(0, 0), (1, 0), (0, 1), (0, 0)], name="pad")
    x = m.conv_2d(x, small_weights(4, 3, 3, 2), np.arange(4), weight_scale=[0.02] * 4, out_scale=0.1, name="conv")
    x = m.max_pool_2d(m.relu(x, name="relu"), (2, 2), name="pool")
    m.output(m.mean(x, [1, 2], out_scale=0.1, name="mean"))
    return m


def island() -> ModelBuilder:
    """Float between int8, around what only moves."""
    m = ModelBuilder()
    real = m.dequantize(m.input("x", (1, 3, 4), scale=0.1, zero_point=5), name="real")
    pieces = [m.tensor(f"piece_{n}", (1, 4), dtype=np.float32) for n in range(3)]
    m.operator("UNPACK", [real], pieces, "UnpackOptions", Num=3, Axis=1)
    joined = m.tensor("joined", (1, 8), dtype=np.float32)
    m.operator("CONCATENATION", [pieces[2], pieces[0]], [joined], "ConcatenationOptions", Axis=1)
    m.output(m.quantize(joined, out_scale=0.13, out_zero_point=-4, name="result"))
    m.output(m.quantize(pieces[1], out_scale=0.1, out_zero_point=5, name="same"))
    return m


def open_batch() -> ModelBuilder:
    """Flatten, as converters write it of a batch that is left open, and what else is folded."""
    m = ModelBuilder()
    x = m.input("image", (1, 4, 4, 2), scale=0.1, zero_point=3, open=(0,))

    def integers(
        name: str, code: str, operands: list[Tensor], shape: tuple[int, ...], table: str, **options: int
    ) -> Tensor:
        y = m.tensor(name, shape, dtype=np.int32)
        m.operator(code, operands, [y], table, **options)
        return y

    def number(value: int) -> Tensor:
        return m.constant(value, dtype=np.int32)

    def listed(*values: int) -> Tensor:
        return m.constant(list(values), dtype=np.int32)

    shape = integers("shape", "SHAPE", [x], (4,), "ShapeOptions", OutType=2)
    cut = [shape, listed(0), listed(1), listed(1)]
    batch = integers("batch", "STRIDED_SLICE", cut, (), "StridedSliceOptions", ShrinkAxisMask=1)
    rest = integers("rest", "GATHER", [shape, listed(1, 2, 3)], (3,), "GatherOptions")
    size = integers("size", "REDUCE_PROD", [rest, listed(0)], (), "ReducerOptions")
    twice = integers("twice", "MUL", [size, number(2)], (), "MulOptions")
    half = integers("half", "DIV", [twice, number(2)], (), "DivOptions")
    wanted = integers("wanted", "PACK", [batch, half], (2,), "PackOptions", ValuesCount=2)
    filled = integers("filled", "FILL", [listed(2), number(0)], (2,), "FillOptions")
    wanted = integers("sum", "ADD", [wanted, filled], (2,), "AddOptions")
    y = m.tensor("flat", (1, 32), scale=0.1, zero_point=3, open=(0, 1))
    m.operator("RESHAPE", [x, wanted], [y], "ReshapeOptions")
    stored = m.constant(small_weights(32, 4), scale=0.02)
    weights = m.tensor("weights", (4, 32), scale=0.02)
    m.operator("TRANSPOSE", [stored, listed(1, 0)], [weights], "TransposeOptions")
    z = m.tensor("dense", (1, 4), scale=0.5, open=(0,))
    m.operator("FULLY_CONNECTED", [y, weights, None], [z], "FullyConnectedOptions")
    m.output(z)
    return m


def streaming() -> ModelBuilder:
    m = ModelBuilder()
    window = np.arange(36, dtype=np.int8).reshape(1, 3, 3, 4)
    m.call_once({"window": window, "count": np.array([[1, 2]], np.int32)})
    x = m.input("x", (1, 1, 3, 4), scale=0.1, zero_point=3)
    handle, total = m.variable("window"), m.variable("total")
    rest = m.strided_slice(m.read_variable(handle, window.shape, x), (0, 1, 0, 0), (1, 3, 3, 4), (1, 1, 1, 1))
    now = m.concatenation([rest, x], axis=1, name="now")
    m.assign_variable(handle, now)
    y = m.conv_2d(now, small_weights(4, 3, 1, 4), weight_scale=0.01, out_scale=0.1, out_zero_point=3, name="conv")
    before = m.read_variable(total, y.shape, y, name="before")
    after = m.add(before, y, out_scale=0.1, out_zero_point=3, name="after")
    m.assign_variable(total, after)
    again = m.read_variable(total, y.shape, y, name="again")
    m.output(m.sub(again, before, out_scale=0.2, name="change"))
    return m


def recurrent() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 3, 4), scale=0.1, zero_point=3)
    y = m.lstm(
        x, [small_weights(5, 4)] * 4, [small_weights(5, 5)] * 4, [np.arange(5)] * 4, scales=([0.005] * 4, [0.006] * 4),
        hidden_scale=1 / 128, cell_clip=3.0, name="lstm",
    )  # fmt: skip
    flat = m.reshape(y, (1, 15), name="flat")
    z = m.svdf(
        flat, small_weights(4, 15), small_weights(4, 3), np.arange(2), scales=(0.01, 0.02, 0.1), state_zero_point=-7,
        out_scale=0.2, out_zero_point=-128, rank=2, name="units",
    )  # fmt: skip
    wide = m.tensor("shares", z.shape, dtype=np.int16, scale=2.0**-16, zero_point=-32768)
    m.operator("SOFTMAX", [z], [wide], "SoftmaxOptions", version=2, Beta=1.0)
    result = m.tensor("result", z.shape, dtype=np.int32, scale=2.0**-15)
    m.operator("QUANTIZE", [wide], [result], "QuantizeOptions", version=2)
    m.output(result)
    return m


BUILT: dict[str, Callable[[], ModelBuilder]] = {
    "convolutions": convolutions,
    "pools_and_dense": pools_and_dense,
    "elementwise": elementwise,
    "decisions": decisions,
    "functions": functions,
    "attention": attention,
    "movement": movement,
    "more_movement": more_movement,
    "decoder": decoder,
    "rearrangement": rearrangement,
    "look_up": look_up,
    "float_border": float_border,
    "open_batch": open_batch,
    "batch": batch,
    "island": island,
    "uint8_border": uint8_border,
    "streaming": streaming,
    "recurrent": recurrent,
}
ZOO: dict[str, Callable[[], bytes]] = {
    "keyword": keyword_model,
    "residual": residual_model,
    "autoencoder": autoencoder_model,
}


def _build(name: str) -> bytes:
    return BUILT[name]().build()


def real_models() -> list[Path]:
    """The .tflite files of the shared data, smallest first; none where the data is absent."""
    return sorted(data_folder().rglob("*.tflite"), key=lambda path: (path.stat().st_size, path.name))


def seeds() -> dict[str, Callable[[], bytes]]:
    """Every model by name, built or real, as a function that gives its bytes."""
    found: dict[str, Callable[[], bytes]] = {name: partial(_build, name) for name in BUILT}
    found.update(ZOO)
    found.update({path.stem: path.read_bytes for path in real_models()})
    return found
