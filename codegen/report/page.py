"""`driftc report`: one HTML page, complete in itself, that shows what lies where in RAM while the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import driftc
from driftc.codegen.emit.emit import environment
from driftc.codegen.emit.program import step_name
from driftc.codegen.emit.text import by
from driftc.codegen.plan.choose import Point
from driftc.codegen.plan.live import Life, lives, occupied
from driftc.codegen.plan.plan import Buffer, Piece, Plan, Region, static_calls

# Of the drawing, in its own units.
HEIGHT = 420
MOST_HEIGHT_PER_BYTE = 40.0
WIDTH_PER_STEP = 44
WIDEST = 3000
LABEL_FROM = 14  # a box this high has room for its name
CHARACTER = 6.2
PLOT = (560, 160)  # of the front


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
class Drawing:
    """The RAM of one region over the steps of the program."""

    name: str
    bytes: int
    width: float
    height: float
    step: float  # width of one
    peak: int  # index of the step that uses the most bytes
    boxes: tuple[Box, ...]
    ticks: tuple[tuple[float, str], ...]  # y and label


@dataclass(frozen=True)
class Row:
    """A line of the table of buffers."""

    name: str
    kind: str
    shape: str
    bytes: int
    place: str
    steps: str
    at_peak: bool


@dataclass(frozen=True)
class Line:
    """A private buffer of what is computed in parts."""

    unit: str
    name: str
    keeps: str
    bytes: int
    written: str
    read: str


def arena_page(plan: Plan, report: dict[str, Any], front: Sequence[Point] = ()) -> str:
    """The page for `plan`; `report` is the object of `driftc compile --json`, `front` are plans with other RAM."""
    steps, known = _by_unit(plan)
    used = [occupied(life.buffer for life in known if life.first <= n <= life.last) for n in range(len(steps))]
    peak = max(range(len(steps)), key=lambda n: used[n])
    return str(
        environment()
        .get_template("report.html.j2")
        .render(
            name=plan.name,
            version=driftc.__version__,
            report=report,
            steps=steps,
            used=used,
            peak=peak,
            drawings=[_drawing(plan, region, known, len(steps), peak) for region in plan.regions],
            rows=[_row(plan, life, steps, peak) for life in sorted(known, key=lambda life: -life.buffer.bytes)],
            advice=[
                *_advice(plan, [life for life in known if life.first <= peak <= life.last], steps[peak], used[peak]),
                *_options(plan, front),
            ],
            lines=_lines(plan),
            front=front,
            plot=_plot(front, plan.arena_bytes),
        )
    )


def _by_unit(plan: Plan) -> tuple[list[str], list[Life]]:
    """The names of what is computed as one, and which of them each buffer lives through: private ones in theirs."""
    if not plan.pieces:
        return [step_name(statement) for statement in plan.program], lives(plan)
    names, place = [], {-1: -1, len(plan.program): len(plan.pieces)}
    for number, piece in enumerate(plan.pieces):
        ends = piece.operators[:1] + piece.operators[1:][-1:]
        names.append("..".join(ends) + (f" ({piece.kind})" if piece.kind else ""))
        place |= dict.fromkeys(range(piece.first, piece.stop), number)
    return names, [Life(life.buffer, place[life.first], place[life.last]) for life in lives(plan)]


def _kind(plan: Plan, buffer: Buffer) -> str:
    """input, output, tensor, or how the unit is cut whose own it is: rows, channels."""
    owner = _owner(plan, buffer)
    if owner is not None:
        return owner.kind
    for kind, ports in (("input", plan.inputs), ("output", plan.outputs)):
        roots = {plan.views.get(port.name, port.name) for port in ports}
        if plan.views.get(buffer.name, buffer.name) in roots:
            return kind
    return "tensor"


def _owner(plan: Plan, buffer: Buffer) -> Piece | None:
    """The unit computed in parts that alone uses `buffer`."""
    users = [piece for piece in plan.pieces if any(buffer is used for used in _used(plan, piece))]
    port = any(buffer is used for used in (*plan.inputs, *plan.outputs))
    return users[0] if len(users) == 1 and users[0].kind and not port else None


def _used(plan: Plan, piece: Piece) -> list[Buffer]:
    calls = static_calls(plan.program[piece.first : piece.stop])
    return [b for call in calls for b in (*call.inputs, *call.outputs, *([call.sums] if call.sums else []))]


def _drawing(plan: Plan, region: Region, known: list[Life], steps: int, peak: int) -> Drawing:
    step = min(WIDTH_PER_STEP, WIDEST / steps)
    scale = min(HEIGHT / max(region.bytes, 1), MOST_HEIGHT_PER_BYTE)
    height = region.bytes * scale
    boxes = []
    for life in known:
        buffer = life.buffer
        if buffer.region != region.name:
            continue
        first, last = max(life.first, 0), min(life.last, steps - 1)
        width, high = (last - first + 1) * step, buffer.bytes * scale
        room = int((width - 6) / CHARACTER)
        label = _short(buffer.name, room) if high >= LABEL_FROM and room >= 3 else ""
        title = f"{buffer.name}: {buffer.bytes:,} B at {region.name} + {buffer.offset}"
        top = height - buffer.offset * scale - high
        boxes.append(Box(first * step, top, width, high, _kind(plan, buffer), label, title))
    quarters = sorted({round(region.bytes * part / 4) for part in range(5)})
    ticks = tuple((height - mark * scale, f"{mark:,}") for mark in quarters)
    return Drawing(region.name, region.bytes, steps * step, height, step, peak, tuple(boxes), ticks)


def _short(name: str, room: int) -> str:
    """The end of a name tells more than its beginning."""
    plain = name.split(";")[0]
    return plain if len(plain) <= room else f"…{plain[-(room - 1) :]}"


def _row(plan: Plan, life: Life, steps: list[str], peak: int) -> Row:
    buffer = life.buffer
    first = "before the first" if life.first < 0 else steps[life.first]
    last = "after the last" if life.last >= len(steps) else steps[life.last]
    return Row(
        name=buffer.name,
        kind=_kind(plan, buffer),
        shape=f"{by(buffer.shape)} {buffer.dtype.name}",
        bytes=buffer.bytes,
        place=f"{buffer.region} + {buffer.offset}",
        steps=first if first == last else f"{first} to {last}",
        at_peak=life.first <= peak <= life.last,
    )


def _lines(plan: Plan) -> list[Line]:
    """What each unit computed in parts keeps for itself, and how much of each tensor that is."""
    found = []
    for piece in plan.pieces:
        calls = list(static_calls(plan.program[piece.first : piece.stop]))
        for buffer in plan.buffers():
            if _owner(plan, buffer) is not piece:
                continue
            writers = {c.operator.name: 0 for c in calls if buffer in (*c.outputs, c.sums)}
            readers = {c.operator.name: 0 for c in calls if buffer in c.inputs or (c.sums is buffer and c.reduce)}
            height, _, channels = buffer.shape
            keeps = [f"{buffer.rows} of {height} rows"] if buffer.rows < height else []
            keeps += [f"{buffer.kept} of {channels} channels"] if buffer.kept < channels else []
            if buffer.dtype.name != "int8":
                keeps.append(buffer.dtype.name)
            unit = "..".join(piece.operators[:1] + piece.operators[1:][-1:])
            found.append(
                Line(
                    f"{unit} ({piece.kind})",
                    buffer.name,
                    ", ".join(keeps) or "all",
                    buffer.bytes,
                    ", ".join(writers),
                    ", ".join(readers) or "-",
                )
            )
    return found


def _options(plan: Plan, front: Sequence[Point]) -> list[str]:
    """Which option gives how many bytes."""
    smaller = [point for point in front if point.bytes < plan.arena_bytes]
    if not front:
        return []
    if not smaller:
        return ["No plan that driftc knows needs less RAM."]
    least = smaller[-1]
    return [
        f"driftc compile --ram {smaller[0].bytes} gives {smaller[0].bytes:,} B for {smaller[0].extra:+.1%} "
        f"instructions (estimated); the least is --ram {least.bytes}, {least.bytes:,} B for {least.extra:+.1%}."
    ]


def _plot(front: Sequence[Point], arena: int) -> list[tuple[float, float, bool, str]]:
    """x, y, whether it is this plan, and label of each point: bytes to the right, instructions upwards."""
    if len(front) < 2:
        return []
    most, dear = max(point.bytes for point in front), max(*(point.extra for point in front), 0.01)
    cheap = min(0.0, *(point.extra for point in front))
    return [
        (
            PLOT[0] * point.bytes / most,
            PLOT[1] * (1 - (point.extra - cheap) / (dear - cheap)),
            point.bytes == arena,
            f"{point.bytes:,} B, {point.extra:+.1%}",
        )
        for point in front
    ]


def _advice(plan: Plan, held: list[Life], step: str, used: int) -> list[str]:
    """What makes the arena as large as it is, and what could make it smaller."""
    largest = max((life.buffer for life in held), key=lambda buffer: buffer.bytes)
    found = [
        f"Most bytes are in use while {step} runs: {used:,} of {plan.arena_bytes:,}. "
        f"The largest of its {len(held)} buffers is {largest.name} with {largest.bytes:,} B."
    ]
    if plan.arena_bytes == plan.bound:
        found.append(
            "No other placement is smaller: the buffers that are needed at once need this much. "
            "Fewer bytes take other tensors, or layers computed in other parts."
        )
    else:
        unproven = "The planner did not prove this the smallest" if plan.planner == "optimal" else "Placed greedily"
        more = "" if plan.planner == "optimal" else "; --planner optimal looks for the smallest"
        found.append(f"{unproven}: at least {plan.bound:,} B are needed{more}.")
    if any(life.buffer in plan.inputs and life.last >= (len(plan.pieces) or len(plan.program)) for life in held):
        found.append("An input that is an output too, or is read to the end, keeps its bytes all the time.")
    return found
