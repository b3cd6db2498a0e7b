"""After this pass SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND are one dilated convolution.

So TensorFlow wrote dilation, and converters still do where the batch is open or an activation lies inside. Every
block-th pixel is an image of its own: a window there is one with gaps in the whole image, the border that is added
minus the crop is its padding, and both hold the zero point, which adds nothing to a sum. Left alone: strides inside,
crops beyond the padding, tensors that something else reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator, single
from driftc.codegen.operators.by_sample import BySample
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.movement.batch_to_space_nd import BatchToSpaceND
from driftc.codegen.operators.movement.reshape import Reshape
from driftc.codegen.operators.movement.space_to_batch_nd import SpaceToBatchND
from driftc.codegen.operators.movement.view import View
from driftc.codegen.tensor import Tensor

Pair = tuple[int, int]
Convolution = Conv2D | DepthwiseConv2D


def dilate(graph: Graph) -> Graph:
    readers, kept = graph.consumers(), graph.kept
    made: dict[Operator, list[Operator]] = {}  # BATCH_TO_SPACE_ND -> what stands for it
    gone: dict[Operator, str] = {}  # the others of a chain -> the dilated convolution
    for operator in graph.operators:
        if isinstance(operator, SpaceToBatchND):
            *before, last = _chain(operator, readers, kept)
            found = _dilated([*before, last])
            if found:
                made[last] = found
                (name,) = (each.name for each in found if not each.view)
                gone |= dict.fromkeys(before, name)
    operators = [
        each for operator in graph.operators if operator not in gone for each in made.get(operator, [operator])
    ]
    fused = {tensor.name: name for operator, name in gone.items() for tensor in operator.outputs}
    return graph.with_operators(operators, fused=graph.fused | fused)


def _chain(first: Operator, readers: dict[str, list[Operator]], kept: set[str]) -> list[Operator]:
    """`first`, the only reader of its result, and so on, up to a BATCH_TO_SPACE_ND."""
    found = [first]
    while not isinstance(found[-1], BatchToSpaceND):
        name = found[-1].outputs[0].name
        following = readers.get(name, [])
        if len(following) != 1 or name in kept:
            break
        found.append(following[0])
    return found


@dataclass(frozen=True)
class _Axis:
    """Along one axis of the image; `border` and `crop` are before its first pixel."""

    size: int
    out: int
    block: int
    border: int
    crop: int

    def padding(self, kernel: int, dilation: int, inner: int) -> Pair | None:
        """Before and after, for a window that is dilated in the whole image; None where a crop goes beyond."""
        before = self.border + inner * self.block - self.crop
        after = self.out - 1 + (kernel - 1) * dilation + 1 - self.size - before
        return (before, after) if min(before, after) >= 0 else None


def _dilated(chain: Sequence[Operator]) -> list[Operator]:
    """What stands for the chain: one convolution, and views around it where the image has one axis; else nothing."""
    split, middle, join = chain[0], chain[1:-1], chain[-1]
    steps = [operator for operator in middle if not isinstance(operator, View)]
    if not isinstance(split, SpaceToBatchND) or not isinstance(join, BatchToSpaceND) or len(steps) != 1:
        return []
    step, image = steps[0], steps[0].inputs[0].shape
    inner = step.one if isinstance(step, BySample) else step
    x, z = split.inputs[0], join.outputs[0]
    if not isinstance(inner, Convolution) or inner.stride != (1, 1) or not _alike(x, z, inner):
        return []
    if split.fill not in (None, inner.inputs[0].zero_point):
        return []
    fitting = (axes for axes in _axes(split, join, middle, image) if None not in _padding(inner, axes))
    axes = next(fitting, None)
    if axes is None:
        return []
    rows, pixels = _padding(inner, axes)
    assert rows is not None
    assert pixels is not None
    dilation = _gaps(inner, axes)
    source, target = (_as_image(tensor, axes, [a.size if tensor is x else a.out for a in axes]) for tensor in (x, z))
    one = replace(
        inner,
        inputs=(single(source),),
        outputs=(single(target),),
        dilation=(dilation[0], dilation[1]),
        padding=(*rows, *pixels),
    )
    batch: Operator = one
    if x.shape[0] > 1:
        about = {"name": step.name, "label": step.label, "index": step.index, "litert": step.litert}
        batch = BySample(inputs=(source,), outputs=(target,), one=one, **about)  # type: ignore[arg-type]
    if source is x:
        return [batch]
    return [
        Reshape(name=f"{step.name}_image", inputs=(x,), outputs=(source,), label=x.label),
        batch,
        Reshape(name=join.name, inputs=(target,), outputs=(z,), label=join.label, index=join.index),
    ]


def _gaps(inner: Convolution, axes: Sequence[_Axis]) -> list[int]:
    """From tap to tap in the whole image."""
    each = zip(inner.dilation, axes, inner.kernel, strict=True)
    return [inside * axis.block if kernel > 1 else 1 for inside, axis, kernel in each]


def _padding(inner: Convolution, axes: Sequence[_Axis]) -> list[Pair | None]:
    """Of rows and of pixels."""
    each = zip(axes, inner.kernel, _gaps(inner, axes), inner.padding[::2], strict=True)
    return [axis.padding(kernel, gap, before) for axis, kernel, gap, before in each]


def _alike(x: Tensor, z: Tensor, inner: Operator) -> bool:
    """Bytes mean outside what they mean to the convolution."""
    return all(
        one.quantization is not None and one.quantization.same_as(other.quantization)
        for one, other in ((x, inner.inputs[0]), (z, inner.outputs[0]))
    )


def _axes(
    split: SpaceToBatchND, join: BatchToSpaceND, middle: Sequence[Operator], image: Sequence[int]
) -> Iterator[list[_Axis]]:
    """Rows and pixels. Of a split of one axis the convolution's other one has an extent of 1: either, where both do."""
    if split.block != join.block:
        return
    x, z = split.inputs[0].shape, join.outputs[0].shape
    found = [
        _Axis(x[1 + n], z[1 + n], split.block[n], split.borders[n][0], join.borders[n][0])
        for n in range(len(split.block))
    ]
    if len(found) == 2:
        if len(middle) == 1:
            yield found
        return
    small, alone = split.outputs[0].shape, _Axis(1, 1, 1, 0, 0)
    back = join.inputs[0].shape
    for place, wanted in ((1, [alone, *found]), (2, [*found, alone])):
        reshaped = (*small[:place], 1, *small[place:])
        step = next(operator for operator in middle if not isinstance(operator, View))
        if tuple(image) == reshaped and step.outputs[0].shape == (*back[:place], 1, *back[place:]):
            yield wanted


def _as_image(tensor: Tensor, axes: Sequence[_Axis], extents: Sequence[int]) -> Tensor:
    """[N, rows, pixels, C]; itself where it has that shape."""
    shape = (tensor.shape[0], *extents, tensor.shape[-1])
    return tensor if tensor.shape == shape else replace(tensor, name=f"{tensor.name}/image", shape=shape)
