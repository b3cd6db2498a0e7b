"""What is written is what was read: the same operators, constants and quantisation, tensor by tensor."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import Activation, ModelBuilder
from models.zoo import autoencoder_model, keyword_model, residual_model
from oracle import load_bytes

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.tflite.load import load
from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.passes.dequantize import dequantize
from driftc.codegen.passes.fuse import fuse
from driftc.codegen.tensor import Tensor
from driftc.codegen.tflite_writer import write

random = np.random.default_rng(0)


def bytes_of(*shape: int) -> np.ndarray[Any, Any]:
    return random.integers(-127, 128, shape, dtype=np.int8)


def every_operator() -> bytes:
    """All that the writer knows, with options away from their defaults."""
    m = ModelBuilder()
    image = m.input("x", (1, 8, 6, 4), dtype=np.float32)
    x = m.quantize(image, out_scale=0.1, out_zero_point=3)
    x = m.conv_2d(
        x, bytes_of(6, 3, 2, 2), range(6), weight_scale=[0.01] * 6, stride=(1, 2), dilation=(2, 1), out_scale=0.2
    )
    x = m.depthwise_conv_2d(
        x,
        bytes_of(1, 2, 2, 12),
        range(12),
        weight_scale=[0.01] * 12,
        padding="VALID",
        activation=Activation.RELU6,
        out_scale=0.1,
    )
    x = m.max_pool_2d(x, (2, 1), stride=(1, 1), padding="SAME", activation=Activation.RELU)
    x = m.average_pool_2d(x, (2, 2), padding="VALID")
    x = m.pad(x, [(0, 0), (1, 0), (0, 2), (0, 0)])
    x = m.pad(x, [(0, 0), (0, 0), (0, 0), (1, 1)], value=-5)
    x = m.leaky_relu(x, 0.3, out_scale=0.1)
    x = m.hard_swish(x, out_scale=0.1, out_zero_point=-100)
    x = m.relu(x, out_scale=0.1, out_zero_point=-128)
    x = m.relu6(x)
    x = m.mul(x, m.constant(bytes_of(14), scale=0.01, zero_point=2), out_scale=0.05)
    x = m.sub(x, m.constant(bytes_of(1), scale=0.01), out_scale=0.05, activation=Activation.RELU)
    x = m.add(x, x, out_scale=0.1)
    x = m.strided_slice(x, [0, 1, 0, 0], [1, 6, 4, 14], [1, 2, 1, 3])
    x = m.strided_slice(x, [-1, 0, 0, 0], [0, 9, 9, 9], [1, 1, 1, 1], shrink_axis_mask=1, new_axis_mask=0)
    x = m.strided_slice(x, [0, 0, -1, 0], [0, 9, -9, 9], [1, 1, -2, 1], new_axis_mask=1, end_mask=4)
    x = m.transpose(x, [0, 2, 1, 3])
    x = m.resize_nearest_neighbor(x, (5, 4), half_pixel_centers=True)
    x = m.transpose_conv(x, bytes_of(6, 2, 3, x.shape[3]), range(6), weight_scale=0.1, stride=(2, 1), out_scale=1.0)
    x = m.slice(x, [0, 1, 0, 0], [1, -1, 3, 6])
    x = m.resize_bilinear(x, (6, 4), align_corners=True)
    x = m.depth_to_space(m.space_to_depth(x, 2), 2)
    x = m.batch_to_space_nd(m.space_to_batch_nd(x, [2, 1], [(0, 0), (1, 0)]), [2, 1], [(1, 0), (0, 0)])
    x = m.tile(m.reverse_v2(m.mirror_pad(x, [(0, 0), (0, 1), (2, 0), (0, 0)], reflect=False), [1]), [1, 1, 2, 1])
    x = m.broadcast_to(m.cast(m.cumsum(x, 1, exclusive=True), np.int8, scale=0.3), [1, *x.shape[1:]])
    x = m.concatenation(m.split(x, 2, 3), 1)
    x = m.concatenation(m.split_v(x, [1, 2], 3), 3)
    x = m.pack(m.unpack(x, 1), 2)
    x = m.concatenation([x, x], 2)
    y = m.squeeze(m.mean(x, [1, 2], keep_dims=True, out_scale=0.05), [1])
    y = m.expand_dims(y, 1)
    y = m.reshape(y, [1, y.shape[-1]])
    y = m.fully_connected(y, bytes_of(3, y.shape[-1]), None, weight_scale=[0.01] * 3, keep_num_dims=True, out_scale=0.1)
    y = m.quantize(y, out_scale=0.2, out_zero_point=1)
    m.output(m.softmax(y, beta=0.5), m.logistic(y), m.dequantize(m.tanh(y)))
    return m.build()


def float_model() -> bytes:
    return write(dequantize(load_bytes(residual_model())))


MODELS = {
    "float": float_model,
    "keyword": keyword_model,
    "residual": residual_model,
    "autoencoder": autoencoder_model,
    "every operator": every_operator,
}


def same_tensor(a: Tensor, b: Tensor) -> None:
    assert (a.shape, a.dtype, a.label) == (b.shape, b.dtype, b.label)
    assert (a.data is None) == (b.data is None)
    assert a.data is None or b.data is None or np.array_equal(a.data, b.data)
    assert (a.quantization is None) == (b.quantization is None)
    assert a.quantization is None or a.quantization.same_as(b.quantization), (a.quantization, b.quantization)


def same_operator(a: Operator, b: Operator) -> None:
    assert type(a) is type(b)
    for field in fields(a):
        mine, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(mine, Tensor):
            same_tensor(mine, other)
        elif field.name in ("inputs", "outputs"):
            for one, two in zip(mine, other, strict=True):
                same_tensor(one, two)
        else:
            assert mine == other, (a.name, field.name)


def written(graph: Graph) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(write(graph))
        return load(path)


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name: str) -> None:
    graph = load_bytes(MODELS[name]())
    again = written(graph)
    for a, b in zip(graph.operators, again.operators, strict=True):
        same_operator(a, b)
    for one, two in zip((*graph.inputs, *graph.outputs), (*again.inputs, *again.outputs), strict=True):
        same_tensor(one, two)
    assert write(graph) == write(graph)


def test_written_before_fuse() -> None:
    """A convolution with padding that the format cannot say is refused, not written wrong."""
    m = ModelBuilder()
    x = m.pad(m.input("x", (1, 6, 6, 2), scale=0.1), [(0, 0), (2, 0), (0, 1), (0, 0)])
    m.output(m.conv_2d(x, bytes_of(2, 3, 3, 2), None, weight_scale=0.1, padding="VALID", out_scale=1.0))
    graph = load_bytes(m.build())
    write(graph)
    with pytest.raises(ModelError, match="neither SAME nor VALID"):
        write(fuse(graph))
