"""What the commands print for people: tables and one-line verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from driftc.codegen.names import readable

if TYPE_CHECKING:
    from driftc.boards import Board
    from driftc.codegen.compiled import Compiled
    from driftc.codegen.plan.choose import Point
    from driftc.codegen.quantize.post_training import Quantized
    from driftc.simulator.simulate import Simulation
    from driftc.simulator.verify import Verification

NARROWEST, WIDEST = 120, 1000  # columns when the output is a file or a pipe
FUSED_SHOWN = 3  # of the tensors that are none of their own any more
BAR = 30  # characters of the longest bar
MEASURED = "- is measured on the emulated core"
MEASURED_BY = f"{MEASURED}: compile without --no-measure"


def _console() -> Console:
    """Lines are as long as they are: a terminal breaks them, a file or a pipe need not."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = max(NARROWEST, console.width)
    return console


def _show(console: Console, table: Table) -> None:
    """Print it; in a file or a pipe as wide as it takes, so that no number is cut."""
    if not console.is_terminal:
        whole = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
        console.width = max(console.width, whole)
    console.print(table, soft_wrap=False)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _show(_console(), table)


def print_report(compiled: Compiled, folder: Path) -> None:
    """The table by layer, and the totals against the board."""
    report = compiled.report
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
    measured = report["flash"]["code"] is not None
    table.add_column("#", justify="right")
    table.add_column("layer", footer="total", overflow="fold")
    table.add_column("operator", no_wrap=True)  # where space is short, the layer's name is folded
    table.add_column("kernel", no_wrap=True)
    table.add_column("output", no_wrap=True)
    table.add_column("MACs", justify="right", footer=_number(report["macs"]))
    table.add_column("constants", justify="right", footer=_number(report["flash"]["constants"]))
    table.add_column("arena", justify="right", footer=_number(report["arena_bytes"]))
    table.add_column("instructions", justify="right", footer=_number(report["instructions"]))
    time = report["cycles"]
    if time:
        table.add_column("~ cycles", justify="right", footer=_number(time["total"]))
    for layer, live in zip(report["layers"], _live_bytes(compiled), strict=True):
        table.add_row(
            str(layer["index"]),
            escape(layer["name"]),
            layer["operator"],
            layer["kernel"],
            " x ".join(map(str, layer["output_shape"])),
            _number(layer["macs"]),
            _number(layer["constant_bytes"]),
            _number(live),
            _number(layer["instructions"]),
            *([_number(layer["cycles"])] if time else []),
        )
    _show(console, table)
    console.print()
    for line in _totals(compiled, report):
        console.print(escape(line))
    if not measured:
        reason = f"{MEASURED}; not here: {compiled.not_measured}" if compiled.not_measured else MEASURED_BY
        console.print(escape(reason))
    fused = fused_text(compiled.lowered.graph.fused)
    if fused:
        console.print(escape(f"fused: {fused}"))
    console.print(escape(f"wrote {folder}/; next: driftc verify {folder}"))


def fused_text(fused: Mapping[str, str]) -> str:
    """The tensors that are none of their own any more, and where each is next seen: the first few."""
    pairs = [f"{readable(tensor)} -> {layer}" for tensor, layer in fused.items()]
    shown, rest = pairs[:FUSED_SHOWN], len(pairs) - FUSED_SHOWN
    return "; ".join(shown) + (f" and {rest} more (verify --json names all)" if rest > 0 else "")


def learning_text(learning: dict[str, Any]) -> str:
    """What a step of learning needs of RAM, and what it computes again so that it needs no more."""
    step, arena = learning["step"], (learning["step_arena_bytes"], learning["inference_arena_bytes"])
    needs = f"a step needs {arena[0]:,} B of the arena, an inference {arena[1]:,} B"
    if "weight_bytes" in learning:
        kept = learning["store_bytes"], learning["weight_bytes"]
        needs += f"; of the state samples are {kept[0]:,} B, weights and masters {kept[1]:,} B"
    if not step["again"]:
        return needs
    layers = ", ".join(
        f"{each['operator']} {readable(each['layer'])} {each['instructions']:,}"
        + (f" in {each['times']} times" if each["times"] > 1 else "")
        for each in step["again"]
    )
    price = f"{step['plain_bytes']:,} B otherwise; about {step['extra_instructions']:.1%} more instructions"
    return f"{needs}\n       {price}: computes again {layers}"


def _totals(compiled: Compiled, report: dict[str, Any]) -> list[str]:
    from driftc.boards import load

    flash, board = report["flash"], load(report["board"]) if report["board"] else None
    used = (flash["code"] or 0) + flash["constants"]
    room = f" of {board.largest.bytes:,} B {board.largest.name}" if board else ""
    if len(report["regions"]) > 1:
        room = " in " + ", ".join(f"{part['memory']} {part['bytes']:,} B" for part in report["regions"])
    store = f" of {board.flash.bytes:,} B" if board else ""
    beside = f"state {report['state_bytes']:,} B, " if report["state_bytes"] else ""
    updates = report["updates"]
    beside += f"parameters {updates['parameter_bytes']:,} B, " if updates else ""
    beside += f"stack {_number(report['stack_bytes'])} B"
    lines = [
        f"RAM    arena {report['arena_bytes']:,} B{room} ({_proof(report)}), {beside}",
        f"flash  {used:,} B{store}: constants {flash['constants']:,} B, code {_number(flash['code'])} B",
    ]
    if updates:
        channels = f"{updates['layers']} layers, {updates['channels']:,} channels of model {updates['model_id']}"
        room = f"packets of {updates['packet_bytes']:,} B, which a buffer and each of two slots hold"
        lines.append(f"update {channels}; {room}")
    if report["learning"]:
        lines.append(f"learn  {learning_text(report['learning'])}")
    if report["cycles"]:
        lines += _time(report["cycles"], board)
    speed = report["flash_for_speed"]
    if speed["limit"]:
        layers = ", ".join(f"{part['name']} {part['bytes']:,} B" for part in speed["layers"]) or "none gains by them"
        lines.append(
            f"speed  constants {speed['bytes']:,} B larger of {speed['limit']:,} B allowed, about "
            f"{speed['cycles']:,} cycles saved: {layers}"
        )
    removed = report["removed"]
    if removed["channels"]:
        whole = f", {removed['layers']} layers whole" if removed["layers"] else ""
        lines.append(
            f"less   {removed['channels']:,} channels that are the same for every input{whole}: "
            f"{removed['macs']:,} MAC and {removed['weight_bytes']:,} B of weights; --keep-constant keeps them"
        )
    fed = report["feed"]
    if fed is not None:
        collected = ", ".join(f"{part['bytes']:,} B of '{readable(part['tensor'])}'" for part in fed["collected"])
        waiting = f"; collected whole for what follows: {collected}" if collected else ""
        lines.append(f"feed   {fed['rows']} rows of '{fed['input']}', {fed['kept_rows']} in RAM at once{waiting}")
    measured = compiled.measured_with
    if measured is not None:
        lines.append(f"on     {measured['core']}, {measured['version']}, -O{compiled.options.optimize}")
    return lines


def _time(time: dict[str, Any], board: Board | None) -> list[str]:
    """The estimate of how long it takes, and what it rests on."""
    from driftc.codegen.report.cycles import BY

    at = f", {time['milliseconds']:,.2f} ms at {time['clock_hz'] / 1e6:g} MHz" if board else ""
    flash = f", {time['waiting']:,} of them waiting for flash" if time["waiting"] is not None else ""
    if board and not flash:
        flash = ", misses of its cache not counted" if board.cache else ", waiting for its flash not counted"
    lines = [
        f"time   about {time['total']:,} cycles{at}{flash}",
        f"       an estimate: {BY[time['by']]} by {time['source']}",
    ]
    if time["waiting"] is not None and board and board.access:
        lines.append(f"       flash by {board.access.source}")
    return [*lines, *([f"       assumed: {', '.join(time['assumed'])}"] if time["assumed"] else [])]


def _proof(report: dict[str, Any]) -> str:
    """How good the arena is."""
    placement = report["placement"]
    if placement["proven"]:
        return "proven the smallest for this order of layers"
    return f"{placement['planner']}; at least {placement['bound_bytes']:,} B are needed"


def _live_bytes(compiled: Compiled) -> list[int]:
    """Bytes of RAM in use while each layer runs."""
    from driftc.codegen.report.report import live_bytes

    return live_bytes(compiled.lowered.plan)


def print_front(front: Sequence[Point]) -> None:
    """What RAM costs in time: a line a plan, with the option that gives it and a bar as long as its arena."""
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold", title="RAM against time", title_justify="left")
    table.add_column("option")
    table.add_column("arena", justify="right")
    table.add_column("cycles", justify="right")
    table.add_column("MACs", justify="right")
    table.add_column("in parts")
    table.add_column("")
    for number, point in enumerate(front):
        share = point.bytes / front[0].bytes
        parts = point.as_json()["units"]
        table.add_row(
            f"--ram {point.bytes}" if number else "untiled",
            _number(point.bytes),
            f"{point.extra:+.1%}",
            f"{point.macs / max(front[0].macs, 1) - 1:+.1%}",
            ", ".join(f"{count} {kind}" for kind, count in parts.items()) or "-",
            "█" * max(1, round(BAR * share)),
        )
    _show(console, table)
    console.print("cycles are estimated here; compile with the option to count instructions")


def print_quantized(found: Quantized, worst: int | None = None) -> None:
    """What was imported and calibrated, and the `worst` layers (None: all), those that lose most first."""
    console = _console()
    for note in found.notes:
        console.print(escape(note))
    console.print("signal to noise of the int8 layers, the worst first: of each alone, and of all up to it")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    table.add_column("operator")
    table.add_column("own dB", justify="right")
    table.add_column("total dB", justify="right")
    for loss in sorted(found.losses, key=lambda loss: loss.own)[:worst]:
        table.add_row(escape(loss.layer), loss.kind, f"{loss.own:.1f}", f"{loss.total:.1f}")
    _show(console, table)
    console.print()


def print_verification(found: Verification) -> None:
    console = _console()
    for note in found.notes:
        console.print(escape(note))
    fused = fused_text(found.fused)
    console.print(
        escape(f"compared {len(found.compared)} of {found.total} tensors" + (f"; fused: {fused}" if fused else "")),
    )
    engines = ", ".join(found.engines)
    if found.first_difference is None:
        events = f", and {found.events} events of learning" if found.events is not None else ""
        console.print(escape(f"bit-exact: {found.samples} samples on {engines}{events}"))
    else:
        console.print(escape(f"NOT bit-exact ({engines}): {found.first_difference}"))


def print_simulation(found: Simulation, names: Sequence[str] = ()) -> None:
    """`names`: of the classes, where they have some."""
    console = _console()
    counted = {"instructions": found.instructions, "cycles": found.cycles}
    columns = {title: counts for title, counts in counted.items() if counts is not None}
    if columns:
        table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
        table.add_column("layer", footer="total")
        for title, counts in columns.items():
            table.add_column(title, justify="right", footer=_number(sum(counts)))
        for name, *row in zip(found.steps, *columns.values(), strict=True):
            table.add_row(escape(name), *map(_number, row))
        _show(console, table)
    where = f"{found.engine} ({found.core})" if found.core else found.engine
    console.print(escape(f"{len(found.outputs)} samples on {where}"))
    if found.accuracy is not None:
        console.print(f"accuracy {found.accuracy:.1%}")
    if found.per_class:
        rows = [(s.name, f"{s.samples:,}", f"{s.right:,}", f"{s.wrongly:,}") for s in found.per_class]
        print_rows(("class", "samples", "found", "others taken for it"), rows)
    if found.wanted is not None:
        share = sum(found.wanted) / len(found.wanted)
        console.print(f"wanted {sum(found.wanted):,} of {len(found.wanted):,} samples for a server ({share:.0%})")
    if found.stack_peak_bytes is not None:
        console.print(f"stack peak {found.stack_peak_bytes:,} B")
    if len(found.outputs) == 1:
        for output in found.outputs[0]:
            console.print(escape(f"output {output.reshape(-1).tolist()}"))
        if names:
            console.print(escape(f"class {names[int(found.outputs[0][0].argmax())]}"))
