"""After this pass a PAD before a convolution of one axis is a PAD of its image: `fuse` makes it the padding.

Keras writes a causal Conv1D as PAD, RESHAPE to an image of one row, CONV_2D. Here the reshape, which costs nothing,
comes first; the bytes are the same.
"""

from __future__ import annotations

from dataclasses import replace

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.by_sample import BySample
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.movement.pad import Pad
from driftc.codegen.operators.movement.reshape import Reshape
from driftc.codegen.operators.movement.view import View


def pads(graph: Graph) -> Graph:
    readers, kept = graph.consumers(), graph.kept

    def reader(operator: Operator) -> Operator | None:
        """The only one of a result that is none of the model's."""
        name = operator.outputs[0].name
        found = readers.get(name, [])
        return found[0] if len(found) == 1 and name not in kept else None

    made: dict[Operator, Operator] = {}
    fused: dict[str, str] = {}
    for pad in graph.operators:
        view = reader(pad) if isinstance(pad, Pad) else None
        convolution = reader(view) if isinstance(view, View) else None
        if view is None or convolution is None or not _convolves(convolution):
            continue
        assert isinstance(pad, Pad)
        place = _inserted(pad.outputs[0].shape, view.outputs[0].shape)
        if place is None or not _alike(pad, view):
            continue
        x, image = pad.inputs[0], view.outputs[0]
        shape = (*x.shape[:place], 1, *x.shape[place:])
        source = replace(x, name=f"{pad.outputs[0].name}/unpadded", shape=shape, index=None)
        paddings = (*pad.paddings[:place], (0, 0), *pad.paddings[place:])
        made[pad] = Reshape(name=view.name, label=view.label, index=view.index, inputs=(x,), outputs=(source,))
        made[view] = replace(pad, inputs=(source,), outputs=(image,), paddings=paddings)
        fused[pad.outputs[0].name] = convolution.name
    operators = [made.get(operator, operator) for operator in graph.operators]
    return graph.with_operators(operators, fused=graph.fused | fused)


def _convolves(operator: Operator) -> bool:
    one = operator.one if isinstance(operator, BySample) else operator
    return isinstance(one, Conv2D | DepthwiseConv2D)


def _inserted(shape: tuple[int, ...], image: tuple[int, ...]) -> int | None:
    """Where `image` has one axis more than the sequences of `shape`, of extent 1."""
    places = (place for place in (1, 2) if len(shape) == 3 and image == (*shape[:place], 1, *shape[place:]))
    return next(places, None)


def _alike(pad: Pad, view: Operator) -> bool:
    first = pad.outputs[0].quantization
    return first is not None and first.same_as(view.outputs[0].quantization)
