"""What the planner schedules and places as one: an operator on whole tensors, or several computed in parts.

A unit reads some storages and writes others; private ones (line buffers, channel tiles, int32 sums) live only while it
runs. The planner knows no more of it than that, and how close dying inputs may come to new outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from driftc.codegen.kernels import Granted, kernels
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.kernels.walk import NEVER
from driftc.codegen.names import Names, identifier
from driftc.codegen.operators.base import Box, Operator
from driftc.codegen.plan.buffer import CONSTANTS, Buffer
from driftc.codegen.plan.call import Call, Statement, static_calls
from driftc.codegen.plan.overlap import Distance, distance, of_walk
from driftc.codegen.plan.place import aligned
from driftc.codegen.plan.roll import roll
from driftc.codegen.plan.schedule import Step
from driftc.codegen.plan.select import by_operator, choose, choose_for, rooms, scratch_of, served, weight_of_all
from driftc.codegen.tensor import Tensor

FEWER = 0.97  # of the cycles within less scratch: what operators in parts must come to with more


class Places:
    """Where storages lie: name -> (region, offset). Each tensor and each private buffer becomes one Buffer."""

    def __init__(
        self, where: Mapping[str, tuple[str, int]], views: Mapping[str, str], layers: Mapping[str, int]
    ) -> None:
        self._where, self._views, self._layers = where, views, layers
        self._known: dict[str, Buffer] = {}
        self._constants = Names()

    def whole(self, tensor: Tensor) -> Buffer:
        """All of `tensor`, dense; a constant in flash."""
        if tensor.name not in self._known:
            if tensor.data is None:
                region, offset = self._where[self._views.get(tensor.name, tensor.name)]
                start = tensor.start or 0
                made = replace(Buffer.whole(tensor, region, offset + start), first=start // tensor.dtype.itemsize)
            else:
                name = self._constants.unique(f"constant_{identifier(tensor.name, 'tensor')}")
                made = Buffer.part(tensor, CONSTANTS, 0, name=name, data=tensor.data)
            self._known[tensor.name] = made
        return self._known[tensor.name]

    def private(self, buffer: Buffer) -> Buffer:
        """A unit's own `buffer`, named as in Unit.private, at its place."""
        if buffer.name not in self._known:
            region, offset = self._where[buffer.name]
            self._known[buffer.name] = replace(buffer, region=region, offset=offset)
        return self._known[buffer.name]

    def layer(self, operator: Operator) -> int:
        """The hook's index of the operator's first output."""
        return self._layers[operator.outputs[0].name]


@dataclass(frozen=True, eq=False)
class Unit:
    """`program` gives the statements once every storage has its place; `private` are its own, by name, in bytes.

    `macs` counts what is computed, the same thing twice where a part is computed twice.
    """

    operators: tuple[Operator, ...]
    step: Step
    program: Callable[[Places], tuple[Statement, ...]]
    macs: int
    private: Mapping[str, int] = field(default_factory=dict)
    kind: str = ""  # "": a whole operator; else how the parts are cut, for reports
    calls: Callable[[Places], Sequence[Call]] | None = None  # of `program`, before they are rolled into loops
    again: Callable[[Sequence[Kernel], int], Unit] | None = None  # with other kernels and so many bytes of scratch


def whole(operator: Operator, views: Mapping[str, str], among: Sequence[Kernel] | None = None, room: int = 0) -> Unit:
    """`operator` in one call on whole tensors, by the cheapest kernel of `among` with `room` bytes of scratch."""
    among = kernels() if among is None else among
    draft = _draft(operator, _apart([*operator.inputs, *operator.outputs], [], [operator], views))
    chosen = choose([draft], among, room)
    private = scratch_of([draft], chosen, f"{operator.name} scratch")
    kernel = chosen[operator]
    reads = [_storage(tensor, views) for tensor in operator.inputs]
    writes = tuple(tensor.name for tensor in operator.outputs)
    found: dict[tuple[str, str], Distance] = {}
    for source in dict.fromkeys(name for name in reads if name is not None):
        for target, written in enumerate(writes):
            ways = []
            for backward in (False, True)[: 2 if kernel.reverses(operator) else 1]:
                inputs = [place for place, name in enumerate(reads) if name == source]
                ways.append(_all(operator, inputs, target, backward, kernel))
            allowed = [way for way in ways if way is not None]
            if allowed:
                found[source, written] = allowed[0] if len(allowed) == 1 else allowed[0].least(allowed[1])

    def program(places: Places) -> tuple[Statement, ...]:
        call = _draft(operator, places)
        call = replace(call, backward=_backward(operator, call.inputs, call.outputs, kernel))
        return (served(call, chosen, next(map(places.private, private), None)),)

    sizes = {buffer.name: aligned(buffer.bytes) for buffer in private}
    step = Step(tuple(dict.fromkeys(name for name in reads if name is not None)), (*writes, *sizes), found)
    return Unit((operator,), step, program, operator.macs, sizes, again=partial(whole, operator, views))


def _draft(operator: Operator, places: Places) -> Call:
    """Its call on whole tensors, forwards."""
    inputs = tuple(places.whole(tensor) for tensor in operator.inputs)
    outputs = tuple(places.whole(tensor) for tensor in operator.outputs)
    return Call.whole(operator, inputs, outputs, places.layer(operator))


def tiled(
    operators: Sequence[Operator],
    calls: Callable[[Places], Sequence[Call]],
    private: Sequence[Buffer],
    results: Sequence[Tensor],
    views: Mapping[str, str],
    macs: int,
    kind: str,
    among: Sequence[Kernel] | None = None,
    room: int = 0,
) -> Unit:
    """`operators` computed in parts by `calls`, which are in order and have literal starts.

    `private` are its own buffers (offsets ignored, names unique), `results` the tensors that it leaves whole for
    others; every computed tensor that it reads and does not compute itself must be whole as well. Kernels are the
    cheapest of `among` with `room` bytes of scratch.
    """
    again = partial(tiled, operators, calls, private, results, views, macs, kind)
    made = {tensor.name for operator in operators for tensor in operator.outputs}
    read = {
        views.get(tensor.name, tensor.name): tensor
        for operator in operators
        for tensor in operator.inputs
        if tensor.data is None and views.get(tensor.name, tensor.name) not in made
    }
    apart = _apart([*read.values(), *results], private, operators, views)
    flat = calls(apart)
    chosen = choose(flat, kernels() if among is None else among, room)
    scratch = scratch_of(flat, chosen, f"{operators[0].name}..{operators[-1].name} scratch")
    sizes = {buffer.name: aligned(buffer.bytes) for buffer in (*private, *scratch)}
    writes = (*(tensor.name for tensor in results), *sizes)
    parts = {_storage(t, views) for operator in operators for t in operator.inputs if t.start is not None}
    distances = {
        (source, result.name): _of_calls(flat, apart.whole(tensor), apart.whole(result))
        for source, tensor in read.items()
        for result in results
        if source not in parts
    }

    def by_kernels(places: Places) -> list[Call]:
        room = next(map(places.private, scratch), None)
        return [served(call, chosen, room) for call in calls(places)]

    step = Step(tuple(read), writes, distances)
    program = partial(_rolled, by_kernels)
    return Unit(tuple(operators), step, program, macs, sizes, kind, by_kernels, again)


def faster(unit: Unit, core: str | None, views: Mapping[str, str], granted: Granted = ()) -> list[Unit]:
    """The same by the kernels that `core` has beyond those of every core, within more and more scratch.

    With those of larger constants that are `granted`.
    """
    among, usual = kernels(core, granted), {kernel.name for kernel in kernels()}
    if unit.again is None or len(among) == len(usual):
        return []
    calls, found, least = by_operator(drafted(unit, views)), dict[tuple[str, ...], Unit](), math.inf
    sizes = rooms(calls, among)
    for room in sizes:
        chosen = choose_for(calls, among, room)
        names, cycles = tuple(kernel.name for kernel in chosen.values()), weight_of_all(calls, chosen)
        worth = len(unit.operators) == 1 or room == sizes[-1] or cycles < FEWER * least
        if names not in found and not usual.issuperset(names) and worth:
            found[names], least = unit.again(among, room), cycles
    return list(found.values())


def drafted(unit: Unit, views: Mapping[str, str]) -> Sequence[Call]:
    """The calls of `unit`, wherever it lies."""
    names = (*unit.step.reads, *unit.step.writes)
    layers = {tensor.name: 0 for operator in unit.operators for tensor in operator.outputs}
    places = Places({name: (name, 0) for name in names}, views, layers)
    return unit.calls(places) if unit.calls else list(static_calls(unit.program(places)))


def _rolled(calls: Callable[[Places], Sequence[Call]], places: Places) -> tuple[Statement, ...]:
    return roll(calls(places))


def _apart(
    tensors: Iterable[Tensor], private: Iterable[Buffer], operators: Iterable[Operator], views: Mapping[str, str]
) -> Places:
    """Every storage in a region of its own."""
    names = [*(views.get(tensor.name, tensor.name) for tensor in tensors), *(buffer.name for buffer in private)]
    layers = {tensor.name: 0 for operator in operators for tensor in operator.outputs}
    return Places({name: (name, 0) for name in names}, views, layers)


def _of_calls(calls: Sequence[Call], source: Buffer, target: Buffer) -> Distance:
    """From the order of the calls alone: a call that reads `source` and writes `target` is taken to write first."""
    read = np.full(source.shape, NEVER, np.int64)
    written = np.full(target.shape, 2 * len(calls), np.int64)
    for number, call in enumerate(calls):
        box = call.box({})
        needs = call.operator.needs(box, call.reduce.at({}) if call.reduce else None)
        for buffer, need in zip(call.inputs, needs, strict=True):
            if buffer.region == source.region:
                # a view of it has the same bytes in another shape: all of it, then
                where = _slices(need, buffer.row0) if buffer.storage.shape == source.shape else ...
                read[where] = 2 * number + 1
        if call.epilogue == "accumulate":
            continue
        for place, buffer in enumerate(call.outputs):
            if buffer.region == target.region:
                part = written[_slices(call.written(place, {}), buffer.row0)]
                np.minimum(part, 2 * number, out=part)
    return of_walk(read.reshape(-1), written.reshape(-1), source.dtype.itemsize, target.dtype.itemsize)


def _slices(box: Box, row0: int) -> tuple[slice, slice, slice]:
    """Where `box` of rows from `row0` on is in the whole tensor."""
    return slice(row0 + box.row0, row0 + box.row1), slice(None), slice(box.channel0, box.channel1)


def _storage(tensor: Tensor, views: Mapping[str, str]) -> str | None:
    return None if tensor.data is not None else views.get(tensor.name, tensor.name)


def _all(operator: Operator, places: Sequence[int], target: int, backward: bool, kernel: Kernel) -> Distance | None:
    """The distance that suits every one of the inputs `places`, which are the same storage."""
    found: Distance | None = None
    for place in places:
        one = distance(operator, place, target, backward, kernel)
        if one is None:
            return None
        one = one.behind(operator.inputs[place].start or 0)
        found = one if found is None else found.most(one)
    return found


def _backward(operator: Operator, inputs: Sequence[Buffer], outputs: Sequence[Buffer], kernel: Kernel) -> bool:
    """Only the way from the last pixel to the first reads each shared byte before it overwrites it."""
    for source, read in enumerate(inputs):
        for target, written in enumerate(outputs):
            if kernel.reverses(operator) and read.overlaps(written):
                forward = distance(operator, source, target, kernel=kernel)
                return forward is None or not forward.allows(read.offset, written.offset)
    return False
