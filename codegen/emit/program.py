"""The program of a Plan in C: the calls of NAME_step, or of NAME_feed where the input arrives row by row."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.emit import access
from driftc.codegen.emit.function import Functions
from driftc.codegen.plan.buffer import CONSTANTS, Buffer
from driftc.codegen.plan.call import Call, Loop, Statement
from driftc.codegen.plan.feed import Stretch, feed
from driftc.codegen.plan.plan import Plan


@dataclass(frozen=True)
class Fed:
    """What the templates see of a row-fed input as `m.fed`."""

    port: int  # index among the inputs
    rows: int
    row_len: int
    row_bytes: int
    kept: int  # rows that are in RAM at once
    target: str  # where row `y` is kept
    body: str  # what follows a row
    rest: str  # what follows the last


def step_names(plan: Plan) -> tuple[str, ...]:
    """Of each call of NAME_step: its layers; of NAME_feed: its row."""
    if plan.fed is not None:
        return tuple(f"row {row}" for row in range(plan.inputs[plan.fed].shape[0]))
    return tuple(step_name(statement) for statement in plan.program)


def fed_of(plan: Plan, functions: Functions) -> Fed | None:
    """None where the input is given whole."""
    if plan.fed is None:
        return None
    kept = plan.inputs[plan.fed]
    height, width, channels = kept.shape
    found = feed(plan)
    body: list[str] = []
    for stretch in found.stretches:
        inner = _stretch(stretch, functions)
        if inner:
            stop = stretch.first + stretch.turns * len(stretch.parts)
            terms = [f"y >= {stretch.first}"] if stretch.first else []
            terms += [f"y < {stop}"] if stop < height else []
            condition = f"y == {stretch.first}" if stop == stretch.first + 1 else " && ".join(terms) or "1"
            body += [f"if ({condition}) {{", *(f"    {line}".rstrip() for line in inner), "}"]
    rest = [line for statement in found.rest for line in lines_of(statement, functions)]
    where = access.offset(kept, "y")
    target = pointer(kept) if where == 0 else f"{pointer(kept)} + {where}"
    return Fed(
        plan.fed,
        height,
        width * channels,
        width * channels * kept.dtype.itemsize,
        kept.rows,
        target,
        "".join(f"    {line}".rstrip() + "\n" for line in body),
        "".join(f"    {line}".rstrip() + "\n" for line in rest),
    )


def _stretch(stretch: Stretch, functions: Functions) -> list[str]:
    """The lines for its rows `y`."""
    parts = [[line for statement in part for line in lines_of(statement, functions)] for part in stretch.parts]
    if not any(parts):
        return []
    count, since = len(parts), f"(y - {stretch.first})" if stretch.first else "y"
    lines = []
    if stretch.turns > 1:
        turn = since.strip("()") if count == 1 else f"{since} / {count}"
        lines += [f"const int i = {turn};", ""]
    if count == 1:
        return lines + parts[0]
    for number, part in enumerate(parts):
        if part:
            phase = f"{since} % {count} == {number}" if stretch.turns > 1 else f"y == {stretch.first + number}"
            lines += [f"if ({phase}) {{", *(f"    {line}" for line in part), "}"]
    return lines


def step_name(statement: Statement) -> str:
    """The layer, or the first and last of those that a loop runs."""
    if isinstance(statement, Call):
        return statement.operator.name
    inner = [step_name(part) for part in statement.body]
    return inner[0] if len(inner) == 1 else f"{inner[0]}..{inner[-1]}"


def in_step(statement: Statement, functions: Functions) -> str:
    """A case of NAME_step."""
    return "".join(f"        {line}\n" if line else "\n" for line in lines_of(statement, functions))


def lines_of(statement: Statement, functions: Functions) -> list[str]:
    """What runs `statement`, and the hook's lines."""
    if isinstance(statement, Loop):
        v = statement.variable
        head = f"for (int {v} = {statement.start}; {v} < {statement.stop}; {v} += {statement.step}) {{"
        inner = [line for part in statement.body for line in lines_of(part, functions)]
        return [head, *(f"    {line}" for line in inner), "}"]
    function = functions.of(statement)
    pointers = {id(buffer): pointer(buffer) for buffer in statement.buffers}
    lines = [f"{function.name}({function.arguments(statement, pointers)});"]
    if statement.layer is not None:
        for number, buffer in enumerate(statement.outputs):
            lines += _trace(statement, number, buffer)
    return lines


def _trace(call: Call, number: int, buffer: Buffer) -> list[str]:
    """The hook's line after a call: what of its output `number` is now complete, and where."""
    assert call.layer is not None
    layer = call.layer + number
    rows, channels = call.spans(number)
    row = rows.start.literal if rows.start.literal is not None else str(rows.start)
    channel = channels.start.literal if channels.start.literal is not None else str(channels.start)
    item = buffer.dtype.itemsize
    _, width, _ = buffer.shape
    if rows.count > 1 and (not buffer.whole_rows or buffer.strides[0] != width * buffer.strides[1]):
        raise NotImplementedError(f"{call.operator.name}: rows of a circular buffer are traced one at a time")
    where = access.times(access.offset(buffer, row, call.seen, channel), item)
    start = pointer(buffer)
    data = start if where == 0 else f"{start} + {where}" if item == 1 else f"(const int8_t *){start} + {where}"
    pixels = f"{buffer.pixel0 + call.seen}, {width - call.seen}"
    first = access.plus(row, buffer.row0)
    return [
        f"TRACE({layer}, {data}, {first}, {rows.count}, {pixels}, {channel}, {channels.count}, {buffer.strides[1]});"
    ]


def pointer(buffer: Buffer, prefix: str = "") -> str:
    """The C expression for the start of a buffer."""
    if buffer.region == CONSTANTS:
        return buffer.name
    place = f"{prefix}{buffer.region}" + (f" + {buffer.offset}" if buffer.offset else "")
    kind = access.c_type(buffer)
    return place if kind == "int8_t" else f"({kind} *)(void *)({place})"
