"""What float frontends build a Graph with: one method an operator, NHWC, names and shapes worked out here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, Literal, NoReturn

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.batch import batch_notes
from driftc.codegen.graph import Array, Graph, Shape, Tensor
from driftc.codegen.names import Names
from driftc.codegen.operators.base import Operator, same_padding
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.hard_swish import HardSwish
from driftc.codegen.operators.elementwise.leaky_relu import LeakyRelu
from driftc.codegen.operators.elementwise.logistic import Logistic
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.relu import Relu
from driftc.codegen.operators.elementwise.relu6 import Relu6
from driftc.codegen.operators.elementwise.tanh import Tanh
from driftc.codegen.operators.movement.concatenation import Concatenation
from driftc.codegen.operators.movement.pad import Pad
from driftc.codegen.operators.movement.reshape import Reshape
from driftc.codegen.operators.movement.strided_slice import StridedSlice
from driftc.codegen.operators.movement.transpose import Transpose
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.softmax import Softmax

Pair = tuple[int, int]
Around = tuple[int, int, int, int]  # top, bottom, left, right
Padding = Literal["same", "valid"] | Around
FLOAT = np.dtype(np.float32)
LOWEST = float(np.finfo(np.float32).min)
LARGEST_TENSOR = 1 << 24  # elements; beyond any microcontroller

ACTIVATIONS: dict[str, type[Operator]] = {
    "relu": Relu,
    "relu6": Relu6,
    "hard_swish": HardSwish,
    "sigmoid": Logistic,
    "tanh": Tanh,
    "softmax": Softmax,
}


class FloatBuilder:
    """Collects operators in program order; `graph` ends the model. Labels are the framework's own names."""

    def __init__(self, name: str, title: str, sha256: str) -> None:
        self._graph = Graph(name, (), (), (), title, sha256)
        self._layers = Names(name)
        self._tensors = Names()
        self._operators: list[Operator] = []
        self._inputs: list[Tensor] = []
        self.batches: dict[str, int | None] = {}  # inputs by name whose batch is not 1 in the model; None: open

    def refuse(self, problem: str) -> NoReturn:
        raise ModelError(f"{self._graph.source}: {problem}")

    def input(self, label: str, shape: Sequence[int | None]) -> Tensor:
        """An input of one sample; `shape` has the batch first."""
        inner = tuple(shape[1:])
        if shape and shape[0] not in (None, 1):  # None: as every model of Keras has it
            self.batches[label] = shape[0]
        if not inner or any(not isinstance(n, int) or n < 1 for n in inner):
            self.refuse(f"input '{label}' has shape {list(shape)}; driftc needs fixed extents after the batch axis")
        tensor = self._tensor(label, (1, *(int(n) for n in inner if n)))
        self._inputs.append(tensor)
        return tensor

    def constant(self, label: str, data: Array) -> Tensor:
        values = np.ascontiguousarray(data, np.float32)
        if not np.all(np.isfinite(values)):
            self.refuse(f"constant '{label}' holds NaN or infinite values")
        return Tensor(self._tensors.tensor(label, len(self._tensors.taken)), values.shape, FLOAT, None, values, label)

    def graph(self, outputs: Sequence[Tensor]) -> Graph:
        """The finished Graph, without what no output needs."""
        needed = {tensor.name for tensor in outputs}
        kept: list[Operator] = []
        for operator in reversed(self._operators):
            if any(tensor.name in needed for tensor in operator.outputs):
                kept.append(operator)
                needed.update(tensor.name for tensor in operator.inputs)
        made = replace(
            self._graph,
            operators=tuple(reversed(kept)),
            inputs=tuple(self._inputs),
            outputs=tuple(outputs),
            notes=batch_notes(self.batches),
        )
        made.check()
        return made

    # --- operators ---

    def conv(
        self,
        label: str,
        x: Tensor,
        weights: Array,
        bias: Array | None,
        *,
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: Padding = "valid",
        groups: int = 1,
    ) -> Tensor:
        """`weights` [out, kernel rows, kernel pixels, in / groups]; a filter a channel becomes DEPTHWISE_CONV_2D."""
        self._need_image(label, x)
        out, rows, pixels, depth = weights.shape
        if depth * groups != x.shape[3] or out % groups:
            self.refuse(f"'{label}': weights {list(weights.shape)} in {groups} groups do not fit {list(x.shape)}")
        kernel = (rows, pixels)
        x, around = self._padded(label, x, kernel, stride, dilation, padding, 0.0)
        window = {"stride": stride, "dilation": dilation, "padding": around}
        offsets = None if bias is None else self.constant(f"{label}/bias", bias.reshape(-1))
        if groups == x.shape[3] and groups > 1:
            filters = self.constant(f"{label}/weights", weights.reshape(out, rows, pixels).transpose(1, 2, 0)[None])
            return self._add(DepthwiseConv2D, label, x, weights=filters, bias=offsets, **window)
        filters = self.constant(f"{label}/weights", weights)
        return self._add(Conv2D, label, x, weights=filters, bias=offsets, **window)

    def dense(self, label: str, x: Tensor, weights: Array, bias: Array | None) -> Tensor:
        """`weights` [out, in], over the last axis."""
        if x.shape[-1] != weights.shape[1]:
            self.refuse(f"'{label}': weights {list(weights.shape)} do not fit {list(x.shape)}")
        return self._add(
            FullyConnected,
            label,
            x,
            weights=self.constant(f"{label}/weights", weights),
            bias=None if bias is None else self.constant(f"{label}/bias", bias.reshape(-1)),
            keep_dims=len(x.shape) > 2,
        )

    def batch_norm(
        self,
        label: str,
        x: Tensor,
        *,
        gamma: Array | None,
        beta: Array | None,
        mean: Array,
        variance: Array,
        epsilon: float,
    ) -> Tensor:
        channels = x.shape[-1]
        found = {
            "gamma": np.ones(channels) if gamma is None else gamma,
            "beta": np.zeros(channels) if beta is None else beta,
            "mean": mean,
            "variance": variance,
        }
        values: dict[str, Any] = {key: np.asarray(array, np.float32).reshape(-1) for key, array in found.items()}
        return self._add(BatchNormalization, label, x, **values, epsilon=float(epsilon))

    def activation(self, label: str, x: Tensor, name: str, alpha: float = 0.0) -> Tensor:
        """By its name in ACTIVATIONS, or 'linear', 'leaky_relu', 'silu' or 'hard_sigmoid', relu6(x + 3) / 6."""
        if name == "linear":
            return x
        if name == "leaky_relu":
            return self.activation(label, x, "relu") if alpha == 0 else self._add(LeakyRelu, label, x, alpha=alpha)
        if name == "silu":
            return self._add(Mul, label, x, self.activation(f"{label}/sigmoid", x, "sigmoid"))
        if name == "hard_sigmoid":
            shifted = self._add(Add, f"{label}/shifted", x, self.constant(f"{label}/three", np.full(1, 3.0)))
            kept = self._add(Relu6, f"{label}/relu6", shifted)
            return self._add(Mul, label, kept, self.constant(f"{label}/sixth", np.full(1, 1 / 6)))
        if name not in ACTIVATIONS:
            known = ", ".join(sorted([*ACTIVATIONS, "hard_sigmoid", "leaky_relu", "linear", "silu"]))
            self.refuse(f"'{label}': activation '{name}' is not supported; {known} are")
        return self._add(ACTIVATIONS[name], label, x)

    def pool(
        self, label: str, x: Tensor, kind: Literal["max", "average"], kernel: Pair, stride: Pair, padding: Padding
    ) -> Tensor:
        """Average pooling never counts what "same" pads; explicit padding is zeros that count."""
        self._need_image(label, x)
        x, around = self._padded(label, x, kernel, stride, (1, 1), padding, LOWEST if kind == "max" else None)
        operator = MaxPool2D if kind == "max" else AveragePool2D
        return self._add(operator, label, x, kernel=kernel, stride=stride, padding=around)

    def mean(self, label: str, x: Tensor, axes: Sequence[int], keep_dims: bool) -> Tensor:
        return self._add(Mean, label, x, axes=tuple(sorted(axes)), keep_dims=keep_dims)

    def binary(self, label: str, kind: type[Operator], a: Tensor, b: Tensor) -> Tensor:
        return self._add(kind, label, a, b)

    def affine(self, label: str, x: Tensor, scale: Array, offset: Array) -> Tensor:
        """scale * x + offset with constants, by operators of their own."""
        if np.any(scale != 1):
            x = self._add(Mul, f"{label}/scale", x, self.constant(f"{label}/factor", scale))
        if np.any(offset != 0):
            x = self._add(Add, label, x, self.constant(f"{label}/offset", offset))
        return x

    def pad(self, label: str, x: Tensor, paddings: Sequence[Pair], value: float = 0.0) -> Tensor:
        """`paddings` for every axis, the batch first."""
        if any(before < 0 or after < 0 for before, after in paddings):
            self.refuse(f"'{label}': negative padding {list(paddings)}")
        if not any(before or after for before, after in paddings):
            return x
        return self._add(Pad, label, x, paddings=tuple(paddings), value=0, real=value)

    def slice(self, label: str, x: Tensor, ranges: Sequence[range]) -> Tensor:
        """What `ranges` takes of each axis."""
        if any(len(taken) == 0 for taken in ranges):
            self.refuse(f"'{label}': takes nothing of an axis of {list(x.shape)}")
        if all(taken == range(extent) for taken, extent in zip(ranges, x.shape, strict=True)):
            return x
        return self._add(
            StridedSlice,
            label,
            x,
            begin=tuple(taken.start for taken in ranges),
            sizes=tuple(len(taken) for taken in ranges),
            strides=tuple(taken.step for taken in ranges),
            axes=tuple(range(len(ranges))),
        )

    def reshape(self, label: str, x: Tensor, shape: Shape) -> Tensor:
        """`shape` may hold one -1."""
        if -1 in shape:
            rest = prod(n for n in shape if n != -1)
            shape = tuple(x.size // rest if n == -1 and rest else n for n in shape)
        if shape == x.shape:
            return x
        if prod(shape) != x.size or shape[0] != 1:
            self.refuse(f"'{label}': cannot make {list(shape)} of {list(x.shape)}")
        return self._add(Reshape, label, x, shape=shape)

    def transpose(self, label: str, x: Tensor, permutation: Sequence[int]) -> Tensor:
        if tuple(permutation) == tuple(range(len(x.shape))):
            return x
        moved = [n for n in permutation if x.shape[n] > 1]
        if moved == sorted(moved):  # axes of extent 1 alone change places
            return self.reshape(label, x, tuple(x.shape[n] for n in permutation))
        return self._add(Transpose, label, x, permutation=tuple(permutation))

    def concat(self, label: str, parts: Sequence[Tensor], axis: int) -> Tensor:
        return self._add(Concatenation, label, *parts, axis=axis % len(parts[0].shape))

    # --- parts ---

    def _padded(
        self, label: str, x: Tensor, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding, fill: float | None
    ) -> tuple[Tensor, Around]:
        """The input and what the window itself pads: SAME or nothing, as in a .tflite; else a PAD comes before it."""
        if padding == "valid":
            padding = (0, 0, 0, 0)
        same = tuple(
            same_padding(size, k, s, d) for size, k, s, d in zip(x.shape[1:3], kernel, stride, dilation, strict=True)
        )
        around = (*same[0], *same[1])
        if padding != "same" and (padding != around or fill is None):
            edges = [(0, 0), padding[:2], padding[2:], (0, 0)]
            x = self.pad(f"{label}/pad", x, edges, 0.0 if fill is None else fill)
            around = (0, 0, 0, 0)
        for size, k, d, before, after in zip(x.shape[1:3], kernel, dilation, around[::2], around[1::2], strict=True):
            if (k - 1) * d + 1 > size + before + after:
                self.refuse(f"'{label}': a window of {list(kernel)} does not fit {list(x.shape)}")
        return x, around

    def _need_image(self, label: str, x: Tensor) -> None:
        if len(x.shape) != 4:
            self.refuse(f"'{label}': needs rows, pixels and channels, not shape {list(x.shape)}")

    def _tensor(self, label: str, shape: Shape) -> Tensor:
        if prod(shape) > LARGEST_TENSOR:
            self.refuse(f"'{label}': shape {list(shape)} is out of any sensible range")
        return Tensor(self._tensors.tensor(label, len(self._tensors.taken)), shape, FLOAT, label=label)

    def _add(
        self, kind: type[Operator], label: str, *inputs: Tensor, shape: Shape | None = None, **attributes: Any
    ) -> Tensor:
        draft = kind(name="", inputs=inputs, outputs=(Tensor("", shape or (), FLOAT),), label=label, **attributes)
        try:
            output = self._tensor(label, draft.infer()[0])
            operator = replace(
                draft,
                name=self._layers.layer(label, draft.kind),
                outputs=(output,),
                index=len(self._operators),
            )
            operator.check_float()
        except ModelError as error:
            self.refuse(str(error))
        self._operators.append(operator)
        return output
