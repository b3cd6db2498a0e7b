"""Small float networks by the seed, written by each framework: what its mutants are made of."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

ACTIVATIONS = ("relu", "relu", "relu6", "sigmoid", "tanh", "elu", "leaky_relu", "hard_swish", "silu", "softplus")


@dataclass(frozen=True)
class Step:
    """`kind` is conv, depthwise, norm, pool or one of ACTIVATIONS; with `skip` its input is added to what it makes."""

    kind: str
    channels: int = 0
    kernel: int = 1
    stride: int = 1
    average: bool = False
    skip: bool = False


@dataclass(frozen=True)
class Network:
    """Steps on an image of 8 x 8 x 2, its values in a row, and a dense layer, with a softmax or without."""

    steps: tuple[Step, ...]
    classes: int
    softmax: bool


def network(seed: int) -> Network:
    chance = random.Random(f"network {seed}")
    steps: list[Step] = []
    depth, extent = 2, 8
    for _ in range(chance.randrange(1, 4)):
        kind = chance.choice(("conv", "conv", "depthwise", "pool"))
        stride = chance.choice((1, 1, 2)) if extent > 2 else 1
        kernel = chance.choice((1, 3))
        if kind == "conv":
            channels = chance.choice((depth, 3, 4))
            skip = channels == depth and stride == 1 and chance.random() < 0.5
            steps.append(Step("conv", channels, kernel, stride, skip=skip))
            depth = channels
        elif kind == "depthwise":
            steps.append(Step("depthwise", depth, 3, stride, skip=stride == 1 and chance.random() < 0.5))
        elif extent > 2:
            stride = 2
            steps.append(Step("pool", depth, 2, 2, average=chance.random() < 0.5))
        else:
            stride = 1
        extent = -(-extent // stride)
        if chance.random() < 0.4:
            steps.append(Step("norm", depth))
        if chance.random() < 0.8:
            steps.append(Step(chance.choice(ACTIVATIONS), depth))
    return Network(tuple(steps), chance.choice((1, 3, 5)), chance.random() < 0.5)


# --- ONNX ---

_ONNX = {
    "relu": ("Relu", {}), "sigmoid": ("Sigmoid", {}), "tanh": ("Tanh", {}), "elu": ("Elu", {"alpha": 1.0}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.1}), "hard_swish": ("HardSwish", {}), "softplus": ("Softplus", {}),
}  # fmt: skip


def onnx_model(folder: Path, seed: int) -> Path:
    """With a Reshape whose shape is computed."""
    onnx = import_module("onnx")
    helper, values, made = onnx.helper, np.random.default_rng(seed), network(seed)
    held: dict[str, Any] = {"rest": np.array([-1], np.int64), "zero": np.array([0], np.int64)}
    held |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    nodes: list[Any] = []

    def node(kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], name=f"{kind.lower()}_{len(nodes)}", **attributes))
        return name

    def constant(*shape: int) -> str:
        name = f"c{len(held)}"
        held[name] = values.normal(size=shape, scale=0.5).astype(np.float32)
        return name

    now, depth, extent = "x", 2, 8
    for step in made.steps:
        before, about = now, {"kernel_shape": [step.kernel] * 2, "strides": [step.stride] * 2}
        pads = [step.kernel // 2] * 4
        if step.kind in ("conv", "depthwise"):
            groups = depth if step.kind == "depthwise" else 1
            weights = constant(step.channels, depth // groups, step.kernel, step.kernel)
            now = node("Conv", [now, weights, constant(step.channels)], pads=pads, group=groups, **about)
        elif step.kind == "pool":
            now = node("AveragePool" if step.average else "MaxPool", [now], **about)
        elif step.kind == "norm":
            variance = constant(depth)
            held[variance] = np.abs(held[variance]) + 0.5
            now = node("BatchNormalization", [now, constant(depth), constant(depth), constant(depth), variance])
        elif step.kind == "relu6":
            now = node("Clip", [now, "low", "high"])
        elif step.kind == "silu":
            now = node("Mul", [now, node("Sigmoid", [now])])
        else:
            kind, attributes = _ONNX[step.kind]
            now = node(kind, [now], **attributes)
        if step.skip:
            now = node("Add", [now, before])
        depth, extent = step.channels, -(-extent // step.stride)
    batch = node("Gather", [node("Shape", [now]), "zero"], axis=0)
    flat = node("Reshape", [now, node("Concat", [batch, "rest"], axis=0)])
    now = node("Add", [node("MatMul", [flat, constant(depth * extent**2, made.classes)]), constant(made.classes)])
    now = node("Softmax", [now], axis=-1) if made.softmax else now
    nodes[-1].output[0] = "y"
    real = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", real, ["n", 2, 8, 8])],
        [helper.make_tensor_value_info("y", real, ["n", made.classes])],
        [onnx.numpy_helper.from_array(data, name) for name, data in held.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return folder / "net.onnx"


# --- Keras ---


def keras_model(folder: Path, seed: int) -> Path:
    keras = import_module("tensorflow").keras
    keras.utils.set_random_seed(seed)
    layers, made = keras.layers, network(seed)
    x = first = layers.Input((8, 8, 2))
    for step in made.steps:
        before = x
        if step.kind == "conv":
            x = layers.Conv2D(step.channels, step.kernel, step.stride, padding="same")(x)
        elif step.kind == "depthwise":
            x = layers.DepthwiseConv2D(step.kernel, step.stride, padding="same")(x)
        elif step.kind == "pool":
            x = (layers.AveragePooling2D if step.average else layers.MaxPooling2D)(2, padding="same")(x)
        elif step.kind == "norm":
            x = layers.BatchNormalization()(x)
        else:
            x = layers.Activation(step.kind)(x)
        x = layers.Add()([x, before]) if step.skip else x
    x = layers.Dense(made.classes, activation="softmax" if made.softmax else None)(layers.Flatten()(x))
    keras.Model(first, x).save(folder / "net.keras")
    return folder / "net.keras"


# --- PyTorch ---

_TORCH = {
    "relu": "ReLU", "relu6": "ReLU6", "sigmoid": "Sigmoid", "tanh": "Tanh", "elu": "ELU", "leaky_relu": "LeakyReLU",
    "hard_swish": "Hardswish", "silu": "SiLU", "softplus": "Softplus",
}  # fmt: skip


def torch_model(folder: Path, seed: int) -> Path:
    torch = import_module("torch")
    torch.manual_seed(seed)
    nn, made = torch.nn, network(seed)

    class Skip(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return self.inner(x) + x

    parts: list[Any] = []
    depth, extent = 2, 8
    for step in made.steps:
        if step.kind in ("conv", "depthwise"):
            groups = depth if step.kind == "depthwise" else 1
            part = nn.Conv2d(depth, step.channels, step.kernel, step.stride, step.kernel // 2, groups=groups)
        elif step.kind == "pool":
            part = (nn.AvgPool2d if step.average else nn.MaxPool2d)(2)
        elif step.kind == "norm":
            part = nn.BatchNorm2d(depth)
        else:
            part = getattr(nn, _TORCH[step.kind])()
        parts.append(Skip(part) if step.skip else part)
        depth, extent = step.channels, -(-extent // step.stride)
    parts += [nn.Flatten(), nn.Linear(depth * extent**2, made.classes), *([nn.Softmax(-1)] if made.softmax else [])]
    model = nn.Sequential(*parts).eval()
    torch.export.save(torch.export.export(model, (torch.zeros(1, 2, 8, 8),)), folder / "net.pt2")
    return folder / "net.pt2"


# --- SavedModel ---


def saved_model(folder: Path, seed: int) -> Path:
    tf = import_module("tensorflow")
    values, made = np.random.default_rng(seed), network(seed)
    net = tf.Module()
    net.held = []

    def variable(*shape: int) -> Any:
        net.held.append(tf.Variable(values.normal(size=shape, scale=0.5).astype(np.float32)))
        return net.held[-1]

    functions: list[Callable[[Any], Any]] = []
    depth, extent = 2, 8
    for step in made.steps:
        functions.append(_operation(tf, step, depth, variable))
        depth, extent = step.channels, -(-extent // step.stride)
    dense, bias = variable(depth * extent**2, made.classes), variable(made.classes)

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 2], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def serve(x: Any) -> Any:
        for step, function in zip(made.steps, functions, strict=True):
            x = function(x) + x if step.skip else function(x)
        y = tf.nn.bias_add(tf.linalg.matmul(tf.reshape(x, [1, -1]), dense), bias)
        return tf.nn.softmax(y) if made.softmax else y

    tf.saved_model.save(net, str(folder / "net"), signatures={"serving_default": serve})
    return folder / "net"


def _operation(tf: Any, step: Step, depth: int, variable: Callable[..., Any]) -> Callable[[Any], Any]:
    strides = [1, step.stride, step.stride, 1]
    if step.kind == "conv":
        weights, bias = variable(step.kernel, step.kernel, depth, step.channels), variable(step.channels)
        return lambda x: tf.nn.bias_add(tf.nn.conv2d(x, weights, strides, "SAME"), bias)
    if step.kind == "depthwise":
        weights = variable(step.kernel, step.kernel, depth, 1)
        return lambda x: tf.nn.depthwise_conv2d(x, weights, strides, "SAME")
    if step.kind == "pool":
        return lambda x: (tf.nn.avg_pool2d if step.average else tf.nn.max_pool2d)(x, 2, 2, "SAME")
    if step.kind == "norm":
        scale, offset = variable(depth), variable(depth)
        return lambda x: x * scale + offset
    if step.kind == "hard_swish":
        return lambda x: x * tf.nn.relu6(x + 3.0) / 6.0
    function: Callable[[Any], Any] = getattr(tf.nn, step.kind)
    return function


MODELS: dict[str, Callable[[Path, int], Path]] = {
    "onnx": onnx_model,
    "keras": keras_model,
    "torch": torch_model,
    "saved_model": saved_model,
}
