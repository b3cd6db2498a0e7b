"""`driftc report`: one HTML page, complete in itself: what a compiled model costs, and what was proved of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import driftc
from driftc.boards import Board, load, names
from driftc.codegen.emit.emit import environment
from driftc.codegen.emit.text import by
from driftc.codegen.names import readable
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.choose import Point
from driftc.codegen.plan.live import Life
from driftc.codegen.plan.plan import Plan
from driftc.codegen.report.cycles import BY
from driftc.codegen.report.drawing import PLOT, Timeline, dearest, draw, kind_of, owner_of, plot, timeline, unit_name
from driftc.codegen.report.report import live_bytes

Json = dict[str, Any]
BARS = ("macs", "constant_bytes", "arena", "instructions")


@dataclass(frozen=True)
class Row:
    """A line of the table of buffers."""

    name: str
    title: str  # the name in full
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


@dataclass(frozen=True)
class Fit:
    """Whether a board holds the model."""

    board: str
    fits: bool
    reason: str


def page(plan: Plan, report: Json, front: Sequence[Point] = (), verified: Json | None = None) -> str:
    """The page for `plan`.

    `report` is the object of report.json (of `driftc compile --json` where nothing else is known), `front` are plans
    with other RAM, `verified` is what `driftc verify` found last.
    """
    time = timeline(plan)
    layers = _layers(plan, report)
    return str(
        environment()
        .get_template("report.html.j2")
        .render(
            name=plan.name,
            version=driftc.__version__,
            readable=readable,
            report=report,
            measured=report.get("measured_with"),
            by=BY,
            verified=verified,
            fits=_fits(report),
            layers=layers,
            most={key: max((layer[key] or 0 for layer in layers), default=0) for key in BARS},
            losses=_losses(report.get("quantization")),
            time=time,
            drawings=[draw(plan, region, time) for region in plan.regions],
            rows=[_row(plan, life, time) for life in sorted(time.lives, key=lambda life: -life.buffer.bytes)],
            advice=[*_advice(plan, time), *_options(plan, front)],
            lines=_lines(plan),
            front=front,
            dots=plot(front, plan.arena_bytes),
            plot=PLOT,
            dear=dearest(front) if len(front) > 1 else 0.0,
        )
    )


def _layers(plan: Plan, report: Json) -> list[Json]:
    """The layers of the report with the bytes of RAM in use during each."""
    return [
        {**layer, "arena": live, "output": by(tuple(layer["output_shape"]))}
        for layer, live in zip(report["layers"], live_bytes(plan), strict=True)
    ]


def _losses(quantization: Json | None) -> list[Json]:
    """Layers with what they lose, in dB, and the width of a bar that is longest where the most is lost."""
    found = [layer for layer in (quantization or {}).get("layers", []) if layer["total_db"] is not None]
    best = max((layer["total_db"] for layer in found), default=0.0)
    return [{**layer, "share": 1 - max(layer["total_db"], 0.0) / best if best > 0 else 1.0} for layer in found]


def _fits(report: Json) -> list[Fit]:
    """Every board, those that hold the model first."""
    found = [_fit(load(name), report) for name in names()]
    return sorted(found, key=lambda fit: (not fit.fits, fit.board))


def _fit(board: Board, report: Json) -> Fit:
    ram = report["arena_bytes"] + report["state_bytes"] + (report["stack_bytes"] or 0)
    ram += report["updates"]["parameter_bytes"] if report["updates"] else 0
    flash = report["flash"]["constants"] + (report["flash"]["code"] or 0)
    over = [
        f"{what} {needed:,} B of {there:,} B"
        for what, needed, there in (("RAM", ram, board.largest.bytes), ("flash", flash, board.flash.bytes))
        if needed > there
    ]
    used = f"{board.name}: RAM {ram / board.largest.bytes:.0%}, flash {flash / board.flash.bytes:.0%}"
    return Fit(board.key, not over, "; ".join([f"{board.name}: does not fit", *over]) if over else used)


def _row(plan: Plan, life: Life, time: Timeline) -> Row:
    buffer, steps = life.buffer, time.steps
    first = "before the first" if life.first < 0 else steps[life.first]
    last = "after the last" if life.last >= len(steps) else steps[life.last]
    return Row(
        name=readable(buffer.name),
        title=buffer.name,
        kind=kind_of(plan, buffer),
        shape=f"{by(buffer.shape)} {buffer.dtype.name}",
        bytes=buffer.bytes,
        place=f"{buffer.region} + {buffer.offset}",
        steps=first if first == last else f"{first} to {last}",
        at_peak=life.first <= time.peak <= life.last,
    )


def _lines(plan: Plan) -> list[Line]:
    """What each unit computed in parts keeps for itself, and how much of each tensor that is."""
    found = []
    for piece in plan.pieces:
        calls = list(static_calls(plan.program[piece.first : piece.stop]))
        for buffer in plan.buffers():
            if owner_of(plan, buffer) is not piece:
                continue
            writers = {c.operator.name: 0 for c in calls if buffer in (*c.outputs, c.sums)}
            readers = {c.operator.name: 0 for c in calls if buffer in c.inputs or (c.sums is buffer and c.reduce)}
            height, _, channels = buffer.shape
            keeps = [f"{buffer.rows} of {height} rows"] if buffer.rows < height else []
            keeps += [f"{buffer.kept} of {channels} channels"] if buffer.kept < channels else []
            if buffer.dtype.name not in ("int8", "uint8"):
                keeps.append(buffer.dtype.name)
            found.append(
                Line(
                    unit_name(piece),
                    readable(buffer.name),
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
        f"cycles (estimated); the least is --ram {least.bytes}, {least.bytes:,} B for {least.extra:+.1%}."
    ]


def _advice(plan: Plan, time: Timeline) -> list[str]:
    """What makes the arena as large as it is, and what could make it smaller."""
    held = [life for life in time.lives if life.first <= time.peak <= life.last]
    largest = max((life.buffer for life in held), key=lambda buffer: buffer.bytes)
    found = [
        f"Most bytes are in use while {time.steps[time.peak]} runs: {time.used[time.peak]:,} of {plan.arena_bytes:,}. "
        f"The largest of its {len(held)} buffers is {readable(largest.name)} with {largest.bytes:,} B."
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
    if any(life.buffer in plan.inputs and life.last >= len(time.steps) for life in held):
        found.append("An input that is an output too, or is read to the end, keeps its bytes all the time.")
    return found
