"""Proof that a Plan reads only live, written bytes: the program is run on tags instead of values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.base import Box
from driftc.codegen.plan.buffer import CONSTANTS, Buffer
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.overlap import conflict
from driftc.codegen.plan.plan import Plan

Tags = dict[str, NDArray[np.int64]]


class PlanError(AssertionError):
    """A Plan that would compute something else than the Graph. A bug in the planner, not in the model."""


def check(plan: Plan) -> None:
    """Raise PlanError unless each call reads exactly the elements of its inputs that were written last.

    Every byte of every region carries the tag of the element it holds; a read of a byte whose tag is another
    element's, or none's, is an error. Within one call, an output that shares bytes with an input must be written in
    the kernel's own order (`Kernel.walk`) after each of those bytes is read for the last time; all else is apart.
    """
    tags: Tags = {region.name: np.full(region.bytes, -1, np.int64) for region in plan.memory}
    numbers: dict[str, int] = {}

    def tagged(buffer: Buffer, box: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        root = plan.views.get(buffer.name, buffer.name)
        number = numbers.setdefault(root, len(numbers) + 1)
        _, width, channels = buffer.shape
        rows = buffer.row0 + np.arange(box.row0, box.row1)[:, None, None]
        element = (rows * buffer.row_pixels + buffer.pixel0 + np.arange(width)[None, :, None]) * channels
        element = element + np.arange(box.channel0, box.channel1)[None, None, :] + buffer.first
        item = np.arange(buffer.dtype.itemsize)
        return buffer.byte_addresses(box), (number << 40) + element[..., None] * 8 + item

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

    for buffer in (*(buffer for _, buffer in plan.given), *(state.before for state in plan.states)):
        write(buffer, _whole(buffer))
    for call, variables in plan.calls():
        box = call.box(variables)
        reduce = call.reduce.at(variables) if call.reduce else None
        for buffer, needed in zip(call.inputs, call.computed.needs(box, reduce), strict=True):
            read(buffer, needed, call.operator.name)
        if call.scratch is not None:
            tags[call.scratch.region][call.scratch.byte_addresses(_whole(call.scratch))] = -1
        parts = [call.written(number, variables) for number in range(len(call.outputs))]
        _check_overlap(plan, call, parts, reduce)
        if call.sums is not None:
            if call.epilogue == "finish" or (reduce is not None and reduce.start > 0):
                read(call.sums, box, call.operator.name)
            if call.epilogue == "accumulate":
                write(call.sums, box)
        if call.epilogue != "accumulate":
            for output, part in zip(call.outputs, parts, strict=True):
                write(output, part)
    for buffer in (*plan.outputs, *plan.held):
        read(buffer, _whole(buffer), "the caller")
    for state in plan.states:
        read(state.after, _whole(state.after), "the next inference")


def _whole(buffer: Buffer) -> Box:
    return Box(0, buffer.shape[0], 0, buffer.shape[2])


def _inside(plan: Plan, buffer: Buffer, where: NDArray[np.int64]) -> None:
    size = next(region.bytes for region in plan.memory if region.name == buffer.region)
    if where.size and (where.min() < 0 or where.max() >= size):
        raise PlanError(f"{plan.name}: {buffer.name} leaves {buffer.region}")


def _check_scratch(plan: Plan, call: Call) -> None:
    """It is large enough, and nothing else that the call uses."""
    assert call.scratch is not None
    if call.scratch.bytes < call.kernel.scratch(call):
        raise PlanError(f"{plan.name}: {call.operator.name}: {call.scratch.name} is too small for {call.kernel.name}")
    for buffer in call.buffers:
        if buffer is not call.scratch and buffer.overlaps(call.scratch):
            raise PlanError(f"{plan.name}: {call.operator.name}: {buffer.name} overlaps {call.scratch.name}")


def _check_overlap(plan: Plan, call: Call, parts: list[Box], reduce: range | None) -> None:
    """No byte is overwritten within the call while it is still to be read; two outputs are apart.

    `parts`: what is written of each output.
    """
    box = parts[0]
    targets = list(zip(call.outputs, parts, strict=True))
    if call.sums is not None:
        targets = [(call.sums, box)] if call.epilogue == "accumulate" else [*targets, (call.sums, box)]
    if call.scratch is not None:
        _check_scratch(plan, call)
    for number, (output, _) in enumerate(targets):
        if any(output.overlaps(other) for other, _ in targets[:number]):
            raise PlanError(f"{plan.name}: {call.operator.name}: {output.name} overlaps another output")
    shared = [
        (source, target)
        for source, read in enumerate(call.inputs)
        for target, (written, _) in enumerate(targets)
        if read.overlaps(written)
    ]
    if not shared:
        return
    walk = call.kernel.walk(call.computed.part(box, reduce), call.backward)
    needs = call.computed.needs(box, reduce)
    for source, target in shared:
        read, (written, part) = call.inputs[source], targets[target]
        if walk is None or written is call.sums:
            raise PlanError(f"{plan.name}: {call.operator.name}: {read.name} and {written.name} overlap")
        where, into = read.byte_addresses(needs[source]), written.byte_addresses(part)
        times = walk.read[source].reshape(where.shape[:-1]), walk.written[target].reshape(into.shape[:-1])
        lost = conflict(times[0], where, times[1], into)
        if lost is not None:
            raise PlanError(
                f"{plan.name}: {call.operator.name}: {written.name} overlaps {read.name}, "
                f"and overwrites {read.region} + {lost} before it is read"
            )
