"""What the search may choose from: each way of computing operators in parts is one entry of WAYS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from driftc.codegen.graph import Graph
from driftc.codegen.kernels.portable.loops import CALL
from driftc.codegen.kernels.portable.loops.weighted import SUM
from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.plan.block import Block, is_block
from driftc.codegen.plan.channels import Path, fans_in, fans_out, widths
from driftc.codegen.plan.propose import views_of
from driftc.codegen.plan.rows import Stream
from driftc.codegen.plan.search import Candidate
from driftc.codegen.plan.unit import Unit
from driftc.codegen.tensor import Tensor

Way = Callable[[Graph, Sequence[Unit]], Iterable[Candidate]]


def by_rows(graph: Graph, order: Sequence[Unit]) -> Iterator[Candidate]:
    """Every stretch of the order that can be streamed row by row."""
    views = views_of(graph)
    operators = [unit.operators[0] for unit in order]
    readers = _readers(graph, operators, views)
    variants = _Blocks(operators, readers)
    for first in range(len(operators)):
        for stop in range(first + 2, len(operators) + 1):
            part = operators[first:stop]
            results = [t for op in part for t in op.outputs if not _inner(readers[t.name], first, stop)]
            stream = Stream(tuple(part), tuple(results), views)
            if not stream.possible:
                break  # what cannot be streamed cannot be part of anything longer either
            if len(results) < len(part):
                extra = CALL * (sum(map(stream.turns, part)) - len(part))
                yield Candidate(first, stop, "rows", midway(stream), extra, stream.unit, partial(_bytes, stream))
                for stages in variants(part, first):
                    yield _in_blocks(Stream(stages, stream.results, views), first, stop)


SCRATCH = (512, 1024, 2048, 4096)  # bytes for what a block keeps while it makes a row, that are tried
STRIPS = (1, 2, 3, 4, 6, 8)  # into which its rows are cut


class _Blocks:
    """Where inverted bottlenecks are in the order, and how each is a block under each limit of SCRATCH."""

    def __init__(self, operators: Sequence[Operator], readers: Mapping[str, Sequence[int]]) -> None:
        self.found: dict[int, list[Block | None]] = {}  # by the number of the expansion
        self.longer: dict[int, list[Block | None]] = {}  # by the number of the convolution before it
        single = [readers[operator.outputs[0].name] == [n + 1] for n, operator in enumerate(operators)]
        for found, count in ((self.found, 3), (self.longer, 4)):
            for n in range(len(operators) - count + 1):
                if is_block(operators[n : n + count], single[n : n + count]):
                    found[n] = [_fitting(operators[n : n + count], limit) for limit in SCRATCH]

    def __call__(self, part: Sequence[Operator], first: int) -> Iterator[tuple[Operator, ...]]:
        """The stages of a stretch with its inverted bottlenecks as blocks, where that saves RAM under a limit."""
        stop = first + len(part)
        places = [n for n in self.found if first <= n <= stop - 3]
        if not places or (first > 0 and places[0] != first):
            return  # others begin where a block does, or where the model does
        known: set[tuple[int, ...]] = set()
        for number in range(len(SCRATCH)):
            for longer in ({}, self.longer):
                stages: list[Operator] = []
                place = first
                while place < stop:
                    block = longer[place][number] if place in longer and place + 4 <= stop else None
                    if block is None and place in places:
                        block = self.found[place][number]
                    stages.append(block or part[place - first])
                    place += len(block.parts) if block else 1
                key = tuple(map(id, stages))
                if len(stages) < len(part) and key not in known:
                    known.add(key)
                    yield tuple(stages)


def _fitting(operators: Sequence[Operator], limit: int) -> Block | None:
    """The cheapest whose scratch is within `limit`, or the smallest; None where lines of wide rows need no more."""
    depthwise = operators[-2]
    channels = depthwise.outputs[0].hwc[2]
    ways = [(n, width) for n in STRIPS for width in (widths(channels) if len(operators) == 3 else [channels])]
    tried = [Block.of(operators, width, n) for n, width in ways if n <= depthwise.outputs[0].hwc[1]]
    sizes = [sum(buffer.bytes for buffer in block.scratch) for block in tried]
    within = [n for n, size in enumerate(sizes) if size <= limit]
    if within:
        best = min(within, key=lambda n: (tried[n].extra, sizes[n]))
    else:
        best = min(range(len(tried)), key=lambda n: (sizes[n], tried[n].extra))
    block = tried[best]
    rows = max(stop - first for first, stop in block.windows)
    apart = _rows_of(block.expand.outputs[0], rows) + _rows_of(depthwise.outputs[0], 1)
    narrow = _rows_of(block.expand.inputs[0], 1)
    if block.before:
        return block if sizes[best] < apart + narrow else None
    return block if sizes[best] + narrow * rows < apart + narrow else None


def _rows_of(tensor: Tensor, rows: int) -> int:
    return rows * tensor.bytes // tensor.hwc[0]


def _in_blocks(stream: Stream, first: int, stop: int) -> Candidate:
    extra = sum(stage.extra for stage in stream.operators if isinstance(stage, Block))
    return Candidate(first, stop, "rows", midway(stream), extra, stream.unit, partial(_bytes, stream))


def _readers(graph: Graph, operators: Sequence[Operator], views: dict[str, str]) -> dict[str, list[int]]:
    """Storage -> positions of its readers; the end counts as one for what leaves the model."""
    found: dict[str, list[int]] = {t.name: [] for operator in operators for t in operator.outputs}
    for position, operator in enumerate(operators):
        for tensor in operator.inputs:
            found.setdefault(views.get(tensor.name, tensor.name), []).append(position)
    for name in graph.kept:
        found.setdefault(views.get(name, name), []).append(len(operators))
    return found


def _inner(readers: Sequence[int], first: int, stop: int) -> bool:
    """Read by operators [first, stop) alone."""
    return bool(readers) and all(first <= reader < stop for reader in readers)


def _bytes(stream: Stream) -> int:
    return stream.pack.bytes


def midway(stream: Stream) -> int:
    """Bytes of the rows that `stream` holds in the middle of the last operator that has more than one: no less will do.

    From there upwards each operator has made what the next one needs, and keeps what the next one's next row needs.
    """
    operators = stream.operators
    last = max((n for n, operator in enumerate(operators) if stream.turns(operator) > 1), default=0)
    whole = {tensor.name for tensor in stream.results}
    done = {operators[last].outputs[0].name: operators[last].outputs[0].hwc[0] // 2}
    kept: dict[str, int] = {}
    for number in range(len(operators) - 1, -1, -1):
        operator, name = operators[number], operators[number].outputs[0].name
        if number > last or name not in done:
            continue
        for tensor, now, then in _rows(stream, operator, done[name], number == last):
            if tensor.name in stream.maker:
                done[tensor.name] = max(done.get(tensor.name, 0), now)
                kept[tensor.name] = min(kept.get(tensor.name, then), then)
    sizes = {operator.outputs[0].name: operator.outputs[0] for operator in operators}
    return sum(
        max(done[name] - first, 0) * sizes[name].bytes // sizes[name].hwc[0]
        for name, first in kept.items()
        if name not in whole
    )


def _rows(stream: Stream, operator: Operator, made: int, during: bool) -> Iterator[tuple[Tensor, int, int]]:
    """When `made` rows of the output are there: the rows that are there of each input, and the first still needed.

    `during`: while the next row is computed.
    """
    source = stream.summed(operator)
    if source is not None:
        half = source.hwc[0] // 2 if during else source.hwc[0] * (made > 0)
        yield source, half, half
        return
    height, _, channels = operator.outputs[0].hwc
    before = operator.needs(Box(made - 1, made, 0, channels)) if made else None
    after = operator.needs(Box(made, made + 1, 0, channels)) if made < height else None
    for place, tensor in enumerate(operator.inputs):
        now = after if during and after else before
        yield tensor, now[place].row1 if now else 0, after[place].row0 if after else tensor.hwc[0]


def by_channels(graph: Graph, order: Sequence[Unit]) -> Iterator[Candidate]:
    """Every stretch of the order from a fan-out, in tiles of several widths, with or without a fan-in at its end."""
    views = views_of(graph)
    operators = [unit.operators[0] for unit in order]
    readers = _readers(graph, operators, views)
    for first in (n for n, operator in enumerate(operators) if fans_out(operator)):
        for stop in range(first + 2, len(operators) + 1):
            part = tuple(operators[first:stop])
            results = tuple(t for op in part for t in op.outputs if not _inner(readers[t.name], first, stop))
            if results == part[-1].outputs:
                yield from _in_tiles(part, results, views, first)
            if Tiling.CHANNELS not in part[-1].divisible or fans_out(part[-1]):
                break  # what follows is not made channel by channel


def _in_tiles(
    part: tuple[Operator, ...], results: tuple[Tensor, ...], views: dict[str, str], first: int
) -> Iterator[Candidate]:
    last = part[-1]
    if len(last.outputs) != 1:
        return
    ways = ((True, last.inputs[0].hwc[2]),) if fans_in(last) else ((False, last.outputs[0].hwc[2]),)
    for fan_in, channels in ways:
        first_channels = part[0].outputs[0].hwc[2]
        each = channels // first_channels if channels % first_channels == 0 else 1  # of a channel of the fan-out
        for width in widths(channels // each):
            path = Path(part, results, views, width * each, fan_in)
            if not path.possible:
                break
            assert path.tiles is not None
            calls = len(path.tiles) * len(part)
            sums = last.outputs[0].size * (len(path.tiles) - 1) if fan_in else 0
            yield Candidate(first, first + len(part), "channels", path.bytes, CALL * calls + SUM * sums, path.unit)


WAYS: list[Way] = [by_rows, by_channels]


def candidates(graph: Graph, order: Sequence[Unit]) -> list[Candidate]:
    """Every unit of several operators, for `order`, the whole ones in an order that can be executed."""
    return [candidate for way in WAYS for candidate in way(graph, order)]
