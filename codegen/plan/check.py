"""Proof that a Plan reads only live, written bytes: the program is run on tags instead of values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.base import Box
from driftc.codegen.plan.plan import CONSTANTS, Buffer, Call, Plan

Tags = dict[str, NDArray[np.int64]]


class PlanError(AssertionError):
    """A Plan that would compute something else than the Graph. A bug in the planner, not in the model."""


def check(plan: Plan) -> None:
    """Raise PlanError unless each call reads exactly the elements of its inputs that were written last.

    Every byte of every region carries the tag of the element it holds; a read of a byte whose tag is another
    element's, or none's, is an error. What a kernel does within one call is bounded by two rules: an output shares
    bytes with an input only in place (same bytes, element for element), or not at all.
    """
    tags: Tags = {region.name: np.full(region.bytes, -1, np.int64) for region in plan.regions}
    numbers: dict[str, int] = {}

    def tagged(buffer: Buffer, box: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        root = plan.views.get(buffer.name, buffer.name)
        number = numbers.setdefault(root, len(numbers) + 1)
        _, width, channels = buffer.shape
        rows = np.arange(box.row0, box.row1)[:, None, None]
        element = (rows * width + np.arange(width)[None, :, None]) * channels
        element = element + np.arange(box.channel0, box.channel1)[None, None, :]
        item = np.arange(buffer.dtype.itemsize)
        where = buffer.addresses(box)[..., None] + item
        return where, (number << 40) + element[..., None] * 8 + item

    def write(buffer: Buffer, box: Box) -> None:
        where, tag = tagged(buffer, box)
        _inside(plan, buffer, where)
        tags[buffer.region][where] = tag

    def read(buffer: Buffer, box: Box, reader: str) -> None:
        if buffer.region == CONSTANTS:
            return
        where, tag = tagged(buffer, box)
        _inside(plan, buffer, where)
        wrong = np.argwhere(tags[buffer.region][where] != tag)
        if wrong.size:
            row, pixel, channel, _ = wrong[0]
            raise PlanError(
                f"{plan.name}: {reader} reads {buffer.name}[{box.row0 + row}, {pixel}, {box.channel0 + channel}], "
                f"which is not (or no longer) in {buffer.region}"
            )

    for buffer in plan.inputs:
        write(buffer, Box(0, buffer.shape[0], 0, buffer.shape[2]))
    for call, variables in plan.calls():
        box = call.box(variables)
        reduce = call.reduce.at(variables) if call.reduce else None
        for buffer, needed in zip(call.inputs, call.operator.needs(box, reduce), strict=True):
            read(buffer, needed, call.operator.name)
            for output in call.outputs:
                _check_overlap(plan, call, buffer, output)
        if call.sums is not None:
            if call.epilogue == "finish" or (reduce is not None and reduce.start > 0):
                read(call.sums, box, call.operator.name)
            if call.epilogue == "accumulate":
                write(call.sums, box)
        if call.epilogue != "accumulate":
            for output in call.outputs:
                whole = Box(0, output.shape[0], 0, output.shape[2])
                write(output, box if output is call.outputs[0] else whole)
    for buffer in plan.outputs:
        read(buffer, Box(0, buffer.shape[0], 0, buffer.shape[2]), "the caller")


def _inside(plan: Plan, buffer: Buffer, where: NDArray[np.int64]) -> None:
    size = next(region.bytes for region in plan.regions if region.name == buffer.region)
    if where.size and (where.min() < 0 or where.max() >= size):
        raise PlanError(f"{plan.name}: {buffer.name} leaves {buffer.region}")


def _check_overlap(plan: Plan, call: Call, source: Buffer, target: Buffer) -> None:
    """In place means the same bytes for the same elements; any other overlap is refused."""
    apart = (
        source.region != target.region
        or source.offset + source.bytes <= target.offset
        or target.offset + target.bytes <= source.offset
    )
    same = call.operator.in_place and source.offset == target.offset and source.strides == target.strides
    if not apart and not same:
        raise PlanError(f"{plan.name}: {call.operator.name}: {source.name} and {target.name} overlap")
