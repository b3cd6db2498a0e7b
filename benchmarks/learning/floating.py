"""A tail in float64, by PyTorch's gradients: it learns from the device's samples in the device's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from driftc.codegen.errors import UsageError
from driftc.codegen.learning.layers import Tail, averages_all
from driftc.codegen.learning.learner import Learner, run
from driftc.codegen.learning.trainable import row_scales
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.master_sums import LARGEST_BIAS_MASTER

Int8 = NDArray[np.int8]
Labels = NDArray[np.int64]
CLAMPS = {Activation.NONE: (None, None), Activation.RELU: (0.0, None), Activation.RELU6: (0.0, 6.0)}
AT_ONCE = 64


class FloatTail:
    """Takes the place of `learner`'s step; weights and biases begin as those that were compiled, without int8 after."""

    def __init__(self, learner: Learner, tail: Tail) -> None:
        lesson = learner.lesson
        self.tail, self.learner = tail, learner
        unit = float(tail.dense.inputs[0].scale)
        rows = torch.tensor(row_scales(tail.dense, lesson.classes))
        values = {name: torch.tensor(np.array(value, np.float64)) for name, value in learner.values.items()}
        self.weights = (values["weights"] * rows[:, None]).requires_grad_()
        self.bias = torch.where(self.there, values["bias"] * rows * unit, 0.0).requires_grad_()
        self.rates = [(self.weights, lesson.rate), (self.bias, lesson.rate)]
        self.filters: dict[str, tuple[Tensor, Tensor]] = {}
        for layer, rate in zip(tail.layers, lesson.rates, strict=True):
            if not isinstance(layer, Conv2D):
                raise UsageError(f"{layer.kind} '{layer.name}': no row in float")
            scale = torch.tensor(np.broadcast_to(layer.quantization.scale.astype(np.float64), (layer.channels,)).copy())
            weights = (values[f"{layer.name} weights"] * scale[:, None, None, None]).requires_grad_()
            bias = (values[f"{layer.name} bias"] * scale * float(layer.inputs[0].scale)).requires_grad_()
            self.filters[layer.name] = weights, bias
            self.rates += [(weights, rate), (bias, rate)]
        self._seen: dict[bytes, dict[str, Tensor]] = {}
        learner.backward = self.step  # type: ignore[method-assign]

    @property
    def there(self) -> Tensor:
        """Classes that are not there yet have no logit."""
        masters, bias = self.learner.values["bias masters"], self.learner.values["bias"]
        begun = masters if masters.any() else bias.astype(np.int64) << 4
        return torch.tensor(begun > -LARGEST_BIAS_MASTER)

    def step(self, sample: Int8, label: int) -> int:
        """Against the gradient of the cross-entropy; the check, which wants decisions, is off."""
        given = sample.tobytes()
        if given not in self._seen:
            self._seen[given] = self._reads(sample[None])
        loss = F.cross_entropy(self.logits(self._seen[given]), torch.tensor([label]))
        gradients = torch.autograd.grad(loss, [tensor for tensor, _ in self.rates])
        with torch.no_grad():
            for (tensor, rate), gradient in zip(self.rates, gradients, strict=True):
                tensor -= rate * gradient
        return label

    def decide(self, samples: Int8, among: Sequence[int] | None) -> Labels:
        """The class of each sample, `among` some."""
        hidden = torch.ones(len(self.bias), dtype=torch.bool)
        hidden[list(range(len(self.bias)) if among is None else among)] = False
        found = []
        with torch.no_grad():
            for first in range(0, len(samples), AT_ONCE):
                logits = self.logits(self._reads(samples[first : first + AT_ONCE]))
                found.append(logits.masked_fill(hidden, -torch.inf).argmax(1).numpy())
        return np.concatenate(found)

    def _reads(self, samples: Int8) -> dict[str, Tensor]:
        """Real values of what the tail reads, by the integers of the frozen layers."""
        tail = self.tail
        written = {tensor.name for operator in tail.live for tensor in operator.outputs}
        read = {t.name: t for op in tail.live for t in op.inputs if t.name not in written and t.data is None}
        parts: dict[str, list[Tensor]] = {name: [] for name in read}
        for sample in samples:
            values: dict[str, Any] = {tail.sample.name: sample.reshape(tail.sample.shape)}
            run(tail.frozen, values)
            for name, tensor in read.items():
                real = (values[name].astype(np.float64) - tensor.zero_point) * float(tensor.scale)
                parts[name].append(_channels_first(torch.tensor(real)))
        return {name: torch.cat(found) for name, found in parts.items()}

    def logits(self, reads: dict[str, Tensor]) -> Tensor:
        values = dict(reads)
        for operator in self.tail.live:
            values[operator.outputs[0].name] = self._run(operator, [values.get(t.name) for t in operator.inputs])
        features = values[self.tail.dense.inputs[0].name].flatten(1)
        return (features @ self.weights.T + self.bias).masked_fill(~self.there, -torch.inf)

    def _run(self, operator: Operator, inputs: Sequence[Tensor | None]) -> Tensor:
        x = inputs[0]
        assert x is not None
        if isinstance(operator, Conv2D):
            weights, bias = self.filters[operator.name]
            top, bottom, left, right = operator.padding
            found = F.conv2d(
                F.pad(x, (left, right, top, bottom)), weights.permute(0, 3, 1, 2), bias, operator.stride,
                dilation=operator.dilation, groups=operator.groups,
            )  # fmt: skip
        elif isinstance(operator, Add):
            assert inputs[1] is not None
            found = x + inputs[1]
        elif averages_all(operator):
            return x.mean(dim=(2, 3), keepdim=True)
        elif operator.view:
            return x.flatten(1)  # of a pool's output: one value a channel
        else:
            raise UsageError(f"{operator.kind} '{operator.name}': no row in float")
        low, high = CLAMPS[operator.activation]
        return found if low is None else found.clamp(low, high)


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x
