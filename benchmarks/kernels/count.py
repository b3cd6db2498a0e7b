"""What each layer takes on an emulated core, by the kernels of several: a run counts the many layers of a model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from shapes import Shape, model

from driftc.codegen.compiled import Compiled
from driftc.codegen.kernels import kernels
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.operators.base import Operator
from driftc.codegen.options import Options
from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.check import check
from driftc.codegen.plan.place import aligned
from driftc.codegen.plan.plan import Piece, Plan, Region
from driftc.codegen.plan.select import choose, scratch_of, served

# What is counted on a core: the folder of codegen/kernels, and the core whose kernels end there.
BUILDS = {
    "cortex-m4": {"portable": "cortex-m3", "dsp": "cortex-m4"},
    "cortex-m55": {"portable": "cortex-m3", "dsp": "cortex-m7", "mve": "cortex-m55"},
}
MARGIN = {"cortex-m4": 1, "cortex-m55": 65}  # instructions by which a layer's count may be off: QEMU's clock is coarse
LAYERS, BYTES = 120, 600_000  # of one model, at most
ROOM = 100_000  # bytes of scratch, so that no kernel is left out for them


@dataclass(frozen=True)
class Count:
    """A layer on a core; `instructions` and `kernels` by what it was compiled for, the core's own last.

    `cycles` likewise where they are weighed from what was counted, else empty.
    """

    core: str
    shape: Shape
    macs: int
    outputs: int
    instructions: dict[str, int]
    cycles: dict[str, int]
    kernels: dict[str, str]

    @property
    def kernel(self) -> str:
        return list(self.kernels.values())[-1]

    @property
    def own(self) -> int:
        return list(self.instructions.values())[-1]

    @property
    def ratio(self) -> float:
        """Of the time that portable kernels take: in cycles where they are known."""
        time = self.cycles or self.instructions
        return list(time.values())[-1] / max(1, time["portable"])

    @property
    def slower(self) -> bool:
        """By another kernel than the portable one, and beyond doubt; the same one may differ by what is around it."""
        time = self.cycles or self.instructions
        other = self.kernel != self.kernels["portable"]
        return other and list(time.values())[-1] > time["portable"] + MARGIN[self.core]


def batches(shapes: Sequence[Shape]) -> Iterator[list[Shape]]:
    batch: list[Shape] = []
    for shape in shapes:
        if batch and (len(batch) == LAYERS or sum(other.bytes for other in batch) + shape.bytes > BYTES):
            yield batch
            batch = []
        batch.append(shape)
    yield batch


def apart(lowered: Lowered, core: str) -> Plan:
    """Each operator in a region of its own, by the kernel that the planner takes where RAM is plenty."""
    operators = lowered.graph.operators
    calls, regions = zip(*(_alone(operator, number, core) for number, operator in enumerate(operators)), strict=True)
    buffers = {buffer.name: buffer for call in calls for buffer in (*call.inputs, *call.outputs)}
    plan = replace(
        lowered.plan,
        regions=regions,
        program=calls,
        inputs=tuple(buffers[tensor.name] for tensor in lowered.graph.inputs),
        outputs=tuple(buffers[tensor.name] for tensor in lowered.graph.outputs),
        layers=tuple(tensor for operator in operators for tensor in operator.outputs),
        views={},
        pieces=tuple(Piece("", n, n + 1, (each.name,), 0, each.macs) for n, each in enumerate(operators)),
    )
    check(plan)
    return plan


def _alone(operator: Operator, number: int, core: str) -> tuple[Call, Region]:
    region, at, buffers = f"ram{number}", 0, []
    for tensor in (*operator.outputs, *operator.inputs):
        buffers.append(Buffer.whole(tensor, region, at))
        at += aligned(tensor.bytes)
    call = Call.whole(operator, tuple(buffers[1:]), tuple(buffers[:1]), number)
    chosen = choose([call], kernels(core), ROOM)
    scratch = [replace(buffer, region=region, offset=at) for buffer in scratch_of([call], chosen, "scratch")]
    size = at + sum(aligned(buffer.bytes) for buffer in scratch)
    return served(call, chosen, scratch[0] if scratch else None), Region(region, size)


def count(core: str, shapes: Sequence[Shape], cc: str | None, optimize: str) -> list[Count]:
    """Of one model with these layers. Raises ToolError where the core or a compiler for it is missing."""
    names = [f"layer{number}" for number in range(len(shapes))]
    found, counted = [], True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.tflite"
        path.write_bytes(model(shapes, names))
        for other in BUILDS[core].values():
            options = Options(core=other, planner="greedy", keep_constant=True, cc=cc, optimize=optimize)
            lowered = lower(path, options)
            compiled = Compiled(path.read_bytes(), options, replace(lowered, plan=apart(lowered, other)))
            compiled.options = options.overridden(core=core)
            compiled.measure()
            report = compiled.report
            counted = counted and report["cycles"]["by"] == "events"
            found.append({layer["name"]: layer for layer in report["layers"]})
    return [
        Count(
            core,
            shape,
            found[-1][name]["macs"],
            prod(found[-1][name]["output_shape"]),
            {kind: layers[name]["instructions"] for kind, layers in zip(BUILDS[core], found, strict=True)},
            {kind: layers[name]["cycles"] for kind, layers in zip(BUILDS[core], found, strict=True)} if counted else {},
            {kind: layers[name]["kernel"] for kind, layers in zip(BUILDS[core], found, strict=True)},
        )
        for name, shape in zip(names, shapes, strict=True)
    ]
