"""The drawings of the page: RAM over time and the front of plans, as numbers that the template makes SVG of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftc.codegen.emit.program import step_name
from driftc.codegen.names import readable
from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.choose import Point
from driftc.codegen.plan.live import Life, lives, occupied
from driftc.codegen.plan.plan import Piece, Plan, Region

# In the drawing's own units, of which it is WIDTH wide on any screen.
WIDTH = 1100.0
HEIGHT = 360.0
MOST_HEIGHT_PER_BYTE = 40.0
WIDEST_STEP = 150.0
LABEL_FROM = 14  # a box this high has room for its name
CHARACTER = 6.8
NUMBER_EVERY = 26.0  # a step's number needs so much room
PLOT = (1040.0, 180.0)  # of the front


@dataclass(frozen=True)
class Box:
    """A buffer in the drawing."""

    x: float
    y: float
    width: float
    height: float
    kind: str  # a class of the style sheet
    label: str
    title: str


@dataclass(frozen=True)
class Column:
    """A step of the program: what is shown while the pointer is on it."""

    x: float
    number: str  # "" where there is no room for it
    title: str
    level: float  # y of the bytes in use


@dataclass(frozen=True)
class Drawing:
    """The RAM of one region over the steps of the program."""

    name: str
    bytes: int
    width: float
    height: float
    step: float  # width of one
    peak: int  # index of the step that uses the most bytes
    boxes: tuple[Box, ...]
    columns: tuple[Column, ...]
    ticks: tuple[tuple[float, str], ...]  # y and label


@dataclass(frozen=True)
class Dot:
    """A plan in the plot: bytes to the right, instructions upwards."""

    x: float
    y: float
    here: bool  # the plan that the page is about
    title: str


@dataclass(frozen=True, eq=False)
class Timeline:
    """What is computed as one, in order, and which of them each buffer lives through."""

    steps: tuple[str, ...]
    lives: tuple[Life, ...]
    used: tuple[int, ...]  # bytes in use during each

    @property
    def peak(self) -> int:
        return max(range(len(self.used)), key=lambda n: self.used[n])


def timeline(plan: Plan) -> Timeline:
    """By unit where layers are computed in parts; buffers of a unit's own are in theirs."""
    steps, known = _by_unit(plan)
    used = [occupied(life.buffer for life in known if life.first <= n <= life.last) for n in range(len(steps))]
    return Timeline(tuple(steps), tuple(known), tuple(used))


def _by_unit(plan: Plan) -> tuple[list[str], list[Life]]:
    if not plan.pieces:
        return [step_name(statement) for statement in plan.program], lives(plan)
    names, place = [], {-1: -1, len(plan.program): len(plan.pieces)}
    for number, piece in enumerate(plan.pieces):
        names.append(unit_name(piece))
        place |= dict.fromkeys(range(piece.first, piece.stop), number)
    return names, [Life(life.buffer, place[life.first], place[life.last]) for life in lives(plan)]


def unit_name(piece: Piece) -> str:
    ends = piece.operators[:1] + piece.operators[1:][-1:]
    return "..".join(ends) + (f" ({piece.kind})" if piece.kind else "")


def kind_of(plan: Plan, buffer: Buffer) -> str:
    """input, output, tensor, or how the unit is cut whose own it is: rows, channels."""
    owner = owner_of(plan, buffer)
    if owner is not None:
        return owner.kind
    for kind, ports in (("input", plan.inputs), ("output", plan.outputs)):
        roots = {plan.views.get(port.name, port.name) for port in ports}
        if plan.views.get(buffer.name, buffer.name) in roots:
            return kind
    return "tensor"


def owner_of(plan: Plan, buffer: Buffer) -> Piece | None:
    """The unit computed in parts that alone uses `buffer`."""
    users = [piece for piece in plan.pieces if any(buffer is used for used in _used(plan, piece))]
    port = any(buffer is used for used in (*plan.inputs, *plan.outputs))
    return users[0] if len(users) == 1 and users[0].kind and not port else None


def _used(plan: Plan, piece: Piece) -> list[Buffer]:
    calls = static_calls(plan.program[piece.first : piece.stop])
    return [b for call in calls for b in (*call.inputs, *call.outputs, *([call.sums] if call.sums else []))]


def draw(plan: Plan, region: Region, time: Timeline) -> Drawing:
    """`region` over `time`, as wide as the page."""
    steps = len(time.steps)
    step = min(WIDEST_STEP, WIDTH / steps)
    scale = min(HEIGHT / max(region.bytes, 1), MOST_HEIGHT_PER_BYTE)
    height = region.bytes * scale
    boxes = []
    for life in time.lives:
        buffer = life.buffer
        if buffer.region != region.name:
            continue
        first, last = max(life.first, 0), min(life.last, steps - 1)
        width, high = (last - first + 1) * step, buffer.bytes * scale
        room = int((width - 6) / CHARACTER)
        label = _short(readable(buffer.name), room) if high >= LABEL_FROM and room >= 3 else ""
        title = f"{buffer.name}: {buffer.bytes:,} B at {region.name} + {buffer.offset}"
        top = height - buffer.offset * scale - high
        boxes.append(Box(first * step, top, width, high, kind_of(plan, buffer), label, title))
    quarters = sorted({round(region.bytes * part / 4) for part in range(5)})
    ticks = tuple((height - mark * scale, f"{mark:,}") for mark in quarters)
    columns = _columns(region, time, step, height, scale)
    return Drawing(region.name, region.bytes, steps * step, height, step, time.peak, tuple(boxes), columns, ticks)


def _columns(region: Region, time: Timeline, step: float, height: float, scale: float) -> tuple[Column, ...]:
    every = max(1, -int(-NUMBER_EVERY // step))
    found = []
    for number, name in enumerate(time.steps):
        alive = (life.buffer for life in time.lives if life.first <= number <= life.last)
        here = [buffer for buffer in alive if buffer.region == region.name]
        used = occupied(here)
        largest = max((buffer.bytes, readable(buffer.name)) for buffer in here) if here else (0, "nothing")
        title = f"{number} {name}: {used:,} B in use, the most by {largest[1]}, {largest[0]:,} B"
        found.append(Column(number * step, str(number) if number % every == 0 else "", title, height - used * scale))
    return tuple(found)


def _short(name: str, room: int) -> str:
    """The end of a name tells more than its beginning."""
    return name if len(name) <= room else f"…{name[-(room - 1) :]}"


def dearest(front: Sequence[Point]) -> float:
    """What is at the top of the plot: the most extra instructions, and at least one in a hundred."""
    return max(*(point.extra for point in front), 0.01)


def plot(front: Sequence[Point], arena: int) -> list[Dot]:
    """The front as dots; none where it is a single plan."""
    if len(front) < 2:
        return []
    most, dear = max(point.bytes for point in front), dearest(front)
    cheap = min(0.0, *(point.extra for point in front))
    return [
        Dot(
            PLOT[0] * point.bytes / most,
            PLOT[1] * (1 - (point.extra - cheap) / (dear - cheap)),
            point.bytes == arena,
            f"{point.bytes:,} B, {point.extra:+.1%}",
        )
        for point in front
    ]
