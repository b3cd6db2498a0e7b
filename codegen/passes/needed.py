"""Which channels of which tensors must be computed: a least fixed point over the Graph, for the pass `constant`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.ranges import Ranges, of_constant
from driftc.codegen.tensor import Tensor

Keep = dict[str, NDArray[np.bool_]]
Known = Mapping[str, Ranges]
AT_ONCE = 4  # kernels take so many channels at once: where fewer are left over, as many more are kept


class _Classes:
    """Channels that are kept or removed together, by union and find."""

    def __init__(self, graph: Graph) -> None:
        self._place: dict[str, range] = {}
        count = 0
        for tensor in graph.tensors():
            self._place.setdefault(tensor.name, range(count, count + tensor.hwc[2]))
            count = self._place[tensor.name].stop
        self._root = list(range(count))

    def _find(self, number: int) -> int:
        while self._root[number] != number:
            self._root[number] = number = self._root[self._root[number]]
        return number

    def join(self, source: Tensor, output: Tensor, repeat: int = 1) -> None:
        """Channel c of `output` goes with channel c // `repeat` of `source`, counted anew where that has fewer."""
        if source.data is not None:
            return
        first = self._place[source.name]
        for channel, number in enumerate(self._place[output.name]):
            self._root[self._find(number)] = self._find(first[channel // repeat % len(first)])

    def of(self, tensor: Tensor) -> list[int]:
        """The class of each channel."""
        return [self._find(number) for number in self._place[tensor.name]]


def needed(graph: Graph, known: Known) -> Keep:
    """The channels that are kept, bool [channels], of each tensor that may lack some. `known` bounds every channel."""
    named = {tensor.name: tensor for tensor in graph.tensors()}
    classes = _Classes(graph)
    whole = {tensor.name for tensor in graph.inputs} | graph.kept | {state.tensor.name for state in graph.states}
    folding: list[Weighted] = []
    for operator in graph.operators:
        if folds(operator):
            assert isinstance(operator, Weighted)
            folding.append(operator)
        elif not _join(operator, classes, known):
            whole |= {tensor.name for tensor in (*operator.inputs, *operator.outputs)}
    kept = {number for name in whole & named.keys() for number in classes.of(named[name])}
    some = [tensor for name, tensor in named.items() if name not in whole]
    while True:
        _spread(folding, classes, known, kept)
        more = next(_odd(some, classes, kept), None)
        if more is None:
            return {tensor.name: np.array([c in kept for c in classes.of(tensor)], bool) for tensor in some}
        kept |= more


def folds(operator: Operator) -> bool:
    """Whether its inputs may lack channels, whose constants go into the bias, and its outputs any."""
    if len(operator.outputs) > 1:  # live: it counts what it computes
        return False
    if isinstance(operator, FullyConnected):
        return operator.whole_pixels
    return isinstance(operator, Conv2D) and operator.groups == 1


def _join(operator: Operator, classes: _Classes, known: Known) -> bool:
    """Join the channels that a channelwise operator relates; False where it is none."""
    output = operator.outputs[0]
    if len(operator.outputs) > 1:
        return False
    if isinstance(operator, DepthwiseConv2D):
        classes.join(operator.inputs[0], output, operator.multiplicity)
        return True
    if isinstance(operator, Weighted) or operator.channel_ranges(bounds_of(operator, known)) is None:
        return False
    for tensor in operator.inputs:
        classes.join(tensor, output)
    return True


def bounds_of(operator: Operator, known: Known) -> list[Ranges]:
    """What each input can hold."""
    return [known[tensor.name] if tensor.data is None else of_constant(tensor) for tensor in operator.inputs]


def foldable(operator: Weighted, known: Known) -> NDArray[np.bool_]:
    """Channels of the input whose value is known, and is the same within and beyond its border."""
    source = operator.inputs[0]
    low, high = known[source.name]
    same: NDArray[np.bool_] = low == high
    return same & (low == source.zero_point) if operator.reads_padding else same


def _spread(folding: Sequence[Weighted], classes: _Classes, known: Known, kept: set[int]) -> None:
    """Add to `kept` what its channels are computed from, until nothing more is needed."""
    before = -1
    while before != len(kept):
        before = len(kept)
        for operator in reversed(folding):
            wanted = np.array([number in kept for number in classes.of(operator.outputs[0])], bool)
            if not wanted.any():
                continue
            inputs = classes.of(operator.inputs[0])
            taps = operator.channel_taps
            assert taps is not None
            used = taps[wanted].any(axis=(0, 1)) & ~foldable(operator, known)
            kept.update(number for number, use in zip(inputs, used, strict=True) if use)
            if kept.isdisjoint(inputs):  # all of them are constant: a layer needs something to read
                kept.add(inputs[0])


def _odd(tensors: Sequence[Tensor], classes: _Classes, kept: set[int]) -> Iterator[set[int]]:
    """For each tensor with a number of channels that kernels do not like: those that make up for it."""
    for tensor in tensors:
        numbers = classes.of(tensor)
        there = sum(number in kept for number in numbers)
        missing = -there % AT_ONCE
        if there and missing and there + missing <= len(numbers):
            yield set([number for number in numbers if number not in kept][:missing])
