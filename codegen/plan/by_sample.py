"""A batch: the operator of one sample is called on each, at its place in the whole tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from driftc.codegen.operators.by_sample import BySample
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.unit import Places, Unit, tiled


def by_sample(operator: BySample, views: Mapping[str, str]) -> Unit:
    """An output may lie over the samples of a dying input that were read before: the first ones, or the last ones
    where an output is larger than its input.
    """
    count = operator.samples
    grows = operator.outputs[0].bytes > operator.inputs[0].bytes

    def calls(places: Places) -> Sequence[Call]:
        inputs, outputs = (
            [places.whole(tensor) for tensor in tensors] for tensors in (operator.inputs, operator.outputs)
        )
        layer = places.layer(operator)
        return [
            Call.whole(
                operator.sample,
                tuple(buffer.sample(number, count) for buffer in inputs),
                tuple(buffer.sample(number, count) for buffer in outputs),
                layer,
                origin=operator,
            )
            for number in range(count)[:: -1 if grows else 1]
        ]

    return tiled((operator,), calls, (), operator.outputs, views, operator.macs, "")
