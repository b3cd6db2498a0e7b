"""`driftc report`: one HTML page, complete in itself, that shows what lies where in RAM while the model runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import driftc
from driftc.codegen.emit.emit import environment, step_name
from driftc.codegen.emit.text import by
from driftc.codegen.plan.live import Life, lives, occupied
from driftc.codegen.plan.plan import Buffer, Plan, Region

# Of the drawing, in its own units.
HEIGHT = 420
MOST_HEIGHT_PER_BYTE = 40.0
WIDTH_PER_STEP = 44
WIDEST = 3000
LABEL_FROM = 14  # a box this high has room for its name
CHARACTER = 6.2


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


def arena_page(plan: Plan, report: dict[str, Any]) -> str:
    """The page for `plan`; `report` is the object of `driftc compile --json`."""
    known = lives(plan)
    steps = [step_name(statement) for statement in plan.program]
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
            advice=_advice(plan, [life for life in known if life.first <= peak <= life.last], steps[peak], used[peak]),
        )
    )


def _kind(plan: Plan, buffer: Buffer) -> str:
    """input, output, part (a tile, a line buffer or sums) or tensor."""
    for kind, ports in (("input", plan.inputs), ("output", plan.outputs)):
        roots = {plan.views.get(port.name, port.name) for port in ports}
        if plan.views.get(buffer.name, buffer.name) in roots:
            return kind
    return "tensor" if buffer.dense else "part"


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
            "Fewer bytes take smaller tensors, or layers computed in parts."
        )
    else:
        unproven = "The planner did not prove this the smallest" if plan.planner == "optimal" else "Placed greedily"
        more = "" if plan.planner == "optimal" else "; --planner optimal looks for the smallest"
        found.append(f"{unproven}: at least {plan.bound:,} B are needed{more}.")
    if any(life.buffer in plan.inputs and life.last >= len(plan.program) for life in held):
        found.append("An input that is an output too, or is read to the end, keeps its bytes all the time.")
    return found
