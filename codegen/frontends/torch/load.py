"""PyTorch, as torch.export saves it (.pt2) -> float Graph. Export the model in eval mode with one sample."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.builder import FloatBuilder, Pair
from driftc.codegen.frontends.channels_first import ChannelsFirst, Value, ceil_padding, first_order
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.graph import Array, Graph
from driftc.codegen.names import model_name
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub

EXTRA = "torch"
ACTIVATIONS = {
    "relu": "relu",
    "relu_": "relu",
    "relu6": "relu6",
    "relu6_": "relu6",
    "hardswish": "hard_swish",
    "hardswish_": "hard_swish",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "silu_": "silu",
    "hardsigmoid": "hard_sigmoid",
    "hardsigmoid_": "hard_sigmoid",
}
DROPPED = frozenset(
    {"dropout", "dropout_", "feature_dropout", "contiguous", "clone", "detach", "alias", "to", "_assert"}
)
BINARY = {"add": Add, "add_": Add, "sub": Sub, "sub_": Sub, "mul": Mul, "mul_": Mul}


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Raises ModelError for operators that driftc lacks, ToolError where PyTorch is not installed."""
    title = title or path.name
    if not path.is_file():
        raise ModelError(f"{path}: cannot be read: no such file")
    torch = load_extra("torch", EXTRA, title)
    try:
        program = torch.export.load(path)
    except Exception as problem:  # whatever its parts raise
        raise ModelError(f"{title}: torch.export cannot read it: {str(problem).strip().splitlines()[0]}") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return import_program(torch, program, FloatBuilder(name or model_name(Path(title).stem), title, digest))


def import_program(torch: Any, program: Any, builder: FloatBuilder) -> Graph:
    """An ExportedProgram that is in memory."""
    walk = _Walk(torch, program, builder)
    walk.run()
    graph = builder.graph([value.tensor for value in walk.outputs])
    module = program.module()

    def run(samples: Sequence[Array]) -> list[Array]:
        arguments = [
            torch.from_numpy(first_order(x) if value.layout == "image" else np.ascontiguousarray(x))
            for x, value in zip(samples, walk.inputs, strict=True)
        ]
        with torch.no_grad():
            found = module(*arguments)
        found = found if isinstance(found, list | tuple) else [found]
        return [value.as_here(np.asarray(output.numpy())) for output, value in zip(found, walk.outputs, strict=True)]

    return check_import(graph, f"PyTorch {torch.__version__}", run)


class _Walk:
    """Visits the nodes of the exported graph in order."""

    def __init__(self, torch: Any, program: Any, builder: FloatBuilder) -> None:
        self.torch = torch
        self.program = program
        self.builder = builder
        self.to = ChannelsFirst(builder)
        self.values: dict[str, Value | Array] = {}
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.labels: set[str] = set()
        self.handlers: dict[str, Callable[[Any, str], Value]] = {
            "conv2d": self.conv,
            "convolution": self.conv,
            "batch_norm": self.batch_norm,
            "_native_batch_norm_legit_no_training": self.batch_norm,
            "linear": self.linear,
            "addmm": self.addmm,
            "max_pool2d": lambda node, label: self.pool(node, label, "max"),
            "avg_pool2d": lambda node, label: self.pool(node, label, "average"),
            "adaptive_avg_pool2d": lambda node, label: self.adaptive(node, label, "average"),
            "adaptive_max_pool2d": lambda node, label: self.adaptive(node, label, "max"),
            "mean": self.mean,
            "flatten": self.flatten,
            "reshape": self.reshape,
            "view": self.reshape,
            "squeeze": self.reshape,
            "unsqueeze": self.reshape,
            "permute": self.permute,
            "transpose": self.swap,
            "div": self.divide,
            "div_": self.divide,
            "cat": self.cat,
            "pad": self.pad,
            "constant_pad_nd": self.pad,
            "slice": self.slice,
            "softmax": self.softmax,
            "_softmax": self.softmax,
            "leaky_relu": self.leaky_relu,
            "leaky_relu_": self.leaky_relu,
            "hardtanh": self.hardtanh,
            "hardtanh_": self.hardtanh,
            "clamp": self.hardtanh,
        }

    def run(self) -> None:
        parameters = self._parameters()
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.values[node.name] = parameters[node.name] if node.name in parameters else self.input(node)
            elif node.op == "output":
                self.outputs = [self.value(argument) for argument in node.args[0]]
            elif node.op == "call_function":
                self.values[node.name] = self.call(node)
            else:
                self.builder.refuse(f"node '{node.name}' ({node.op}) is not supported")

    def _parameters(self) -> dict[str, Array]:
        signature = self.program.graph_signature
        stored = {**self.program.constants, **dict(self.program.state_dict)}
        named = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        return {name: np.asarray(stored[target].detach().cpu().numpy()) for name, target in named.items()}

    def input(self, node: Any) -> Value:
        shape = [int(n) if isinstance(n, int) else None for n in node.meta["val"].shape]
        if shape and shape[0] not in (1, None):
            self.builder.refuse(f"input '{node.name}' was exported with {shape[0]} samples; export the model with one")
        value = self.to.input(node.name, shape, image=len(shape) == 4)
        self.inputs.append(value)
        return value

    def call(self, node: Any) -> Value:
        name = str(node.target).removeprefix("aten.").split(".")[0]
        label = self.label(node)
        if name == "getitem" or "getitem" in str(node.target):
            return self.value(node.args[0])
        if name in DROPPED:
            return self.value(node.args[0])
        if name in ACTIVATIONS:
            return self.to.activation(label, self.value(node.args[0]), ACTIVATIONS[name])
        if name in BINARY:
            return self.binary(node, label, BINARY[name])
        if name in self.handlers:
            return self.handlers[name](node, label)
        known = ", ".join(sorted([*self.handlers, *ACTIVATIONS, *BINARY]))
        return self.builder.refuse(f"operator aten.{name} of '{label}' is not supported; driftc reads {known}")

    def label(self, node: Any) -> str:
        """The module's path where the operator came from one ('layer1.0.conv1'), once; else the node's name."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = str(stack[-1][0]) if stack else ""
        if not path or path.startswith("L[") or path in self.labels:
            return str(node.name)
        self.labels.add(path)
        return path

    # --- arguments ---

    def value(self, argument: Any) -> Value:
        found = self.values[argument.name] if hasattr(argument, "name") else None
        if not isinstance(found, Value):
            self.builder.refuse(f"a constant stands where driftc expects a computed tensor ('{argument}')")
        return found

    def array(self, argument: Any) -> Array | None:
        if argument is None:
            return None
        found = self.values[argument.name] if hasattr(argument, "name") else np.asarray(argument)
        if isinstance(found, Value):
            self.builder.refuse(f"'{argument}' must be constant")
        return found

    def constant(self, argument: Any) -> Array:
        found = self.array(argument)
        if found is None:
            self.builder.refuse("an operand is missing")
        return found

    def argument(self, node: Any, place: int, name: str, default: Any) -> Any:
        return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)

    # --- operators ---

    def conv(self, node: Any, label: str) -> Value:
        general = "convolution" in str(node.target)
        padding = self.argument(node, 4, "padding", 0)
        if general and (node.args[6] or any(node.args[7])):
            self.builder.refuse(f"'{label}': transposed convolutions are not supported")
        x, weights = self.value(node.args[0]), self.constant(node.args[1])
        spread = _pair(self.argument(node, 5, "dilation", 1))
        if isinstance(padding, str):  # "same" comes with stride 1 alone
            reach = [(k - 1) * d if padding == "same" else 0 for k, d in zip(weights.shape[2:], spread, strict=True)]
            around = (reach[0] // 2, reach[0] - reach[0] // 2, reach[1] // 2, reach[1] - reach[1] // 2)
        else:
            rows, pixels = _pair(padding)
            around = (rows, rows, pixels, pixels)
        return self.to.conv(
            label,
            x,
            weights,
            self.array(self.argument(node, 2, "bias", None)),
            _pair(self.argument(node, 3, "stride", 1)),
            around,
            spread,
            int(self.argument(node, 8 if general else 6, "groups", 1)),
        )

    def batch_norm(self, node: Any, label: str) -> Value:
        x, gamma, beta, mean, variance, *rest = node.args
        if "_native" not in str(node.target) and rest[0]:
            self.builder.refuse(f"'{label}': was exported in training mode; call model.eval() before torch.export")
        epsilon = rest[1] if "_native" in str(node.target) else rest[2]
        arrays = [self.array(argument) for argument in (gamma, beta)]
        return self.to.batch_norm(
            label, self.value(x), arrays[0], arrays[1], self.constant(mean), self.constant(variance), float(epsilon)
        )

    def linear(self, node: Any, label: str) -> Value:
        bias = self.array(self.argument(node, 2, "bias", None))
        return self.to.dense(label, self.value(node.args[0]), self.constant(node.args[1]), bias)

    def addmm(self, node: Any, label: str) -> Value:
        return self.to.dense(label, self.value(node.args[1]), self.constant(node.args[2]).T, self.array(node.args[0]))

    def pool(self, node: Any, label: str, kind: Literal["max", "average"]) -> Value:
        kernel = _pair(node.args[1])
        stride = _pair(self.argument(node, 2, "stride", None) or kernel)
        rows, pixels = _pair(self.argument(node, 3, "padding", 0))
        spread = self.argument(node, 4, "dilation", 1) if kind == "max" else 1
        ceiling = self.argument(node, 5 if kind == "max" else 4, "ceil_mode", False)
        uncounted = kind == "average" and not self.argument(node, 5, "count_include_pad", True)
        divisor = self.argument(node, 6, "divisor_override", None) if kind == "average" else None
        if _pair(spread) != (1, 1) or divisor or (ceiling and kind == "average"):
            self.builder.refuse(f"'{label}': pooling dilated, with a divisor or averaging in ceil_mode: not supported")
        x, around = self.value(node.args[0]), (rows, rows, pixels, pixels)
        if uncounted:
            return self.to.average_uncounted(label, x, kernel, stride, around)
        if ceiling:
            around = ceil_padding(around, x.shape[2:], kernel, stride)
        return self.to.pool(label, x, kind, kernel, stride, around)

    def adaptive(self, node: Any, label: str, kind: Literal["max", "average"]) -> Value:
        x = self.value(node.args[0])
        sizes = node.args[1] if isinstance(node.args[1], list | tuple) else [node.args[1]] * 2
        high, wide = (extent if size is None else int(size) for size, extent in zip(sizes, x.shape[2:], strict=True))
        return self.to.adaptive(label, x, kind, (high, wide))

    def mean(self, node: Any, label: str) -> Value:
        axes = self.argument(node, 1, "dim", None)
        keep = bool(self.argument(node, 2, "keepdim", False))
        x = self.value(node.args[0])
        return self.to.mean(label, x, range(1, len(x.shape)) if axes is None else axes, keep)

    def flatten(self, node: Any, label: str) -> Value:
        return self.reshape(node, label)

    def reshape(self, node: Any, label: str) -> Value:
        return self.to.reshape(label, self.value(node.args[0]), (1, *(int(n) for n in node.meta["val"].shape[1:])))

    def permute(self, node: Any, label: str) -> Value:
        return self.to.transpose(label, self.value(node.args[0]), node.args[1])

    def swap(self, node: Any, label: str) -> Value:
        x = self.value(node.args[0])
        order = list(range(len(x.shape)))
        first, second = (int(axis) % len(order) for axis in node.args[1:3])
        order[first], order[second] = second, first
        return self.to.transpose(label, x, order)

    def divide(self, node: Any, label: str) -> Value:
        by = np.atleast_1d(np.asarray(self.constant(node.args[1]), np.float64))
        if node.kwargs.get("rounding_mode") or not np.all(by):
            self.builder.refuse(f"'{label}': divides by zero or rounds")
        return self.to.binary_constant(label, Mul, self.value(node.args[0]), 1 / by, first=False)

    def cat(self, node: Any, label: str) -> Value:
        parts = [self.value(part) for part in node.args[0]]
        return self.to.concat(label, parts, int(self.argument(node, 1, "dim", 0)))

    def pad(self, node: Any, label: str) -> Value:
        x, amounts = self.value(node.args[0]), list(node.args[1])
        mode = self.argument(node, 2, "mode", "constant") if "constant_pad" not in str(node.target) else "constant"
        if mode != "constant":
            self.builder.refuse(f"'{label}': padding mode '{mode}'; driftc reads 'constant'")
        place = 2 if "constant_pad" in str(node.target) else 3
        pairs = [(int(a), int(b)) for a, b in zip(amounts[::2], amounts[1::2], strict=True)]
        paddings = [(0, 0)] * (len(x.shape) - len(pairs)) + pairs[::-1]
        return self.to.pad(label, x, paddings, float(self.argument(node, place, "value", 0.0) or 0.0))

    def slice(self, node: Any, label: str) -> Value:
        x = self.value(node.args[0])
        axis = int(self.argument(node, 1, "dim", 0)) % len(x.shape)
        start, end, step = (
            self.argument(node, place, name, default)
            for place, name, default in ((2, "start", None), (3, "end", None), (4, "step", 1))
        )
        ranges = [range(n) for n in x.shape]
        ranges[axis] = ranges[axis][start:end:step]
        return self.to.slice(label, x, ranges)

    def softmax(self, node: Any, label: str) -> Value:
        return self.to.softmax(label, self.value(node.args[0]), int(node.args[1]))

    def leaky_relu(self, node: Any, label: str) -> Value:
        return self.to.activation(
            label, self.value(node.args[0]), "leaky_relu", float(self.argument(node, 1, "negative_slope", 0.01))
        )

    def hardtanh(self, node: Any, label: str) -> Value:
        bounds = (self.argument(node, 1, "min", -1), self.argument(node, 2, "max", 1))
        kinds = {(0, 6): "relu6", (0, None): "relu"}
        if bounds not in kinds:
            self.builder.refuse(f"'{label}': clamps to {bounds[0]}..{bounds[1]}; driftc reads 0..6 and 0..")
        return self.to.activation(label, self.value(node.args[0]), kinds[bounds])

    def binary(self, node: Any, label: str, kind: Any) -> Value:
        if node.kwargs.get("alpha", 1) != 1:
            self.builder.refuse(f"'{label}': alpha {node.kwargs['alpha']} is not supported")
        operands = [self.values[a.name] if hasattr(a, "name") else np.asarray(a) for a in node.args[:2]]
        a, b = operands
        if isinstance(a, Value) and isinstance(b, Value):
            return self.to.binary(label, kind, a, b)
        if isinstance(a, Value):
            return self.to.binary_constant(label, kind, a, np.atleast_1d(np.asarray(b)), first=False)
        if isinstance(b, Value):
            return self.to.binary_constant(label, kind, b, np.atleast_1d(np.asarray(a)), first=True)
        return self.builder.refuse(f"'{label}': combines two constants")


def _pair(value: Any) -> Pair:
    values = list(value) if isinstance(value, list | tuple) else [value]
    first, second = values if len(values) == 2 else (values[0], values[0])
    return int(first), int(second)
