"""Changes after which a float model is one that its framework might have written: most are read, and compute."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

SMALL = (1, 1, 2, 3)

# --- ONNX ---

ONNX_UNARY = (
    *("Relu", "Sigmoid", "Tanh", "Elu", "LeakyRelu", "HardSwish", "Softplus", "Abs", "Neg", "Exp", "Identity", "Erf"),
    *("HardSigmoid", "Selu", "Softsign", "Sin", "Sqrt", "Floor"),
)
ONNX_BINARY = ("Add", "Sub", "Mul", "Max", "Min")


def of_onnx(chance: random.Random, content: bytes) -> tuple[bytes, str]:
    model = import_module("onnx").load_model_from_string(content)
    done = [_in_onnx(chance, model) for _ in range(chance.choice((1, 1, 2, 3)))]
    return model.SerializeToString(), "; ".join(done)


def _in_onnx(chance: random.Random, model: Any) -> str:
    nodes = list(model.graph.node)
    way = chance.choice(("kind", "attribute", "values", "insert", "opset"))
    alike = [node for node in nodes if node.op_type in ONNX_UNARY or node.op_type in ONNX_BINARY]
    if way == "kind" and alike:
        node = chance.choice(alike)
        node.op_type = chance.choice(ONNX_UNARY if node.op_type in ONNX_UNARY else ONNX_BINARY)
        del node.attribute[:]
        return f"{node.name} is {node.op_type}"
    if way == "attribute":
        attributes = [held for node in nodes for held in node.attribute if held.name != "axis"]
        if attributes:
            held = chance.choice(attributes)
            if held.ints:
                held.ints[:] = [chance.choice((0, *SMALL))] * len(held.ints)
            elif held.type == 1:
                held.f *= chance.choice((-1.0, 0.5, 3.0, 0.0))
            return f"{held.name}"
    if way == "values":
        tensor = chance.choice(model.graph.initializer)
        if tensor.data_type == 1:
            values = np.random.default_rng(chance.randrange(1 << 30)).normal(size=len(tensor.raw_data) // 4)
            values *= chance.choice((1e-3, 1.0, 30.0, 0.0))
            tensor.raw_data = values.astype(np.float32).tobytes()
            return f"values of {tensor.name}"
    if way == "insert":
        place = chance.randrange(len(nodes))
        node = nodes[place]
        if node.op_type not in ("Shape", "Gather", "Concat"):
            made = type(node)(op_type=chance.choice(ONNX_UNARY), name=f"new_{place}", output=[node.output[0]])
            node.output[0] = f"{node.output[0]}_new"
            made.input.append(node.output[0])
            model.graph.node.insert(place + 1, made)
            return f"{made.op_type} behind {node.name}"
    model.opset_import[0].version = chance.choice((13, 15, 17, 18, 20))
    return f"opset {model.opset_import[0].version}"


# --- Keras and PyTorch: JSON in an archive ---

PLAUSIBLE: dict[str, tuple[Any, ...]] = {
    "activation": (*("relu", "relu6", "sigmoid", "tanh", "elu", "silu", "gelu", "softplus", "linear"), "hard_sigmoid"),
    "padding": ("same", "valid"),
    "strides": ([1, 1], [2, 2], [3, 3]),
    "dilation_rate": ([1, 1], [2, 2]),
    "pool_size": ([1, 1], [2, 2], [3, 3]),
    "epsilon": (1e-7, 1e-3, 0.5),
    "data_format": ("channels_last", "channels_first"),
    "trainable": (True, False),
    "as_float": (0.0, 0.1, -1.0, 3.0, 6.0),
    "as_int": (0, *SMALL),
    "as_ints": ([1, 1], [2, 2], [0, 0], [3, 3]),
    "as_bool": (True, False),
}
ATEN = ("relu", "sigmoid", "tanh", "silu", "hardswish", "softplus", "abs", "neg", "exp", "elu", "gelu", "hardsigmoid")
ATEN_BINARY = ("add.Tensor", "sub.Tensor", "mul.Tensor", "maximum.default", "minimum.default")


def of_archive(chance: random.Random, content: bytes) -> tuple[bytes, str]:
    """The configuration of a Keras model, the graph of a PyTorch one."""
    made, done = io.BytesIO(), []
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json" or name.endswith("models/model.json"):
                value = json.loads(data)
                done = [_in_json(chance, value) for _ in range(chance.choice((1, 1, 2, 3)))]
                data = json.dumps(value).encode()
            new.writestr(name, data)
    return made.getvalue(), "; ".join(done)


def _in_json(chance: random.Random, value: Any) -> str:
    places = list(_places(value))
    if not places:
        return "nothing"
    holder, key = chance.choice(places)
    if key == "target":
        found = (
            ATEN_BINARY
            if holder[key].removeprefix("torch.ops.aten.") in ATEN_BINARY
            else [f"{n}.default" for n in ATEN]
        )
        holder[key] = f"torch.ops.aten.{chance.choice(found)}"
    else:
        holder[key] = chance.choice(PLAUSIBLE[key])
    return f"{key} = {holder[key]}"


def _places(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Where another plausible value may stand."""
    if isinstance(value, dict):
        for key, item in value.items():
            target = item.removeprefix("torch.ops.aten.") if key == "target" and isinstance(item, str) else ""
            if key in PLAUSIBLE or target in ATEN_BINARY or target.removesuffix(".default") in ATEN:
                yield value, key
            else:
                yield from _places(item)
    elif isinstance(value, list):
        for item in value:
            yield from _places(item)


# --- SavedModel ---

ALIKE = (  # operations whose results have the same name
    ("Relu", "Relu6", "Elu", "Selu", "Softplus"),
    ("Sigmoid", "Tanh", "Abs", "Neg", "Exp", "Square", "Sin", "Sqrt"),
    ("AddV2", "Sub", "Mul", "Maximum", "Minimum", "SquaredDifference"),
)


def of_graph(chance: random.Random, content: bytes) -> tuple[bytes, str]:
    model = import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel.FromString(content)
    functions = model.meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    done = [_in_graph(chance, nodes) for _ in range(chance.choice((1, 1, 2)))]
    for node in nodes:
        del node.attr["_output_shapes"]  # they follow
    return model.SerializeToString(), "; ".join(done)


def _in_graph(chance: random.Random, nodes: list[Any]) -> str:
    able = [node for node in nodes if any(node.op in ops for ops in ALIKE) or "strides" in node.attr]
    if not able:
        return "nothing"
    node = chance.choice(able)
    if "strides" not in node.attr:
        node.op = chance.choice(next(ops for ops in ALIKE if node.op in ops))
        return f"{node.name} is {node.op}"
    if chance.random() < 0.5:
        node.attr["padding"].s = chance.choice((b"SAME", b"VALID"))
        return f"padding of {node.name}"
    step = chance.choice(SMALL)
    node.attr["strides"].list.i[1:3] = [step, step]
    return f"strides of {node.name}"
