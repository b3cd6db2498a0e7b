"""What compile reports: RAM, flash, stack, MACs and instructions, in all and by layer, and whether a board holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from driftc.codegen.emit.emit import constant_bytes
from driftc.codegen.emit.function import functions
from driftc.codegen.emit.program import step_name
from driftc.codegen.emit.update import update_constant_bytes
from driftc.codegen.errors import FitError
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.room import StepPlan
from driftc.codegen.learning.trainable import trained_parts
from driftc.codegen.lower import Lowered, core_of
from driftc.codegen.names import readable
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.options import Options
from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.feed import collected
from driftc.codegen.plan.grant import Grant
from driftc.codegen.plan.live import live, occupied
from driftc.codegen.plan.plan import Plan
from driftc.codegen.report.cycles import estimate
from driftc.codegen.report.measured import Measured
from driftc.codegen.tensor import Tensor

if TYPE_CHECKING:
    from driftc.boards import Board

Json = dict[str, Any]
SLOT_UNIT = 32  # bytes, of firmware/driftc_slots.h


def report(lowered: Lowered, options: Options, measured: Measured | None) -> Json:
    """The object that `driftc compile --json` prints; docs/json.md describes it."""
    plan = lowered.plan
    time = estimate(plan, core_of(options), options, measured)
    by_operator = constant_bytes(functions(plan))
    constants = sum(by_operator.values()) + (lowered.learned.constant_bytes if lowered.learned else 0)
    constants += update_constant_bytes(lowered.parameters) if lowered.parameters else 0
    code = measured.code_bytes if measured else None
    units = _units(plan, measured.instructions if measured else None, time.steps if time else None)
    alone = {unit["layers"][0]: unit for unit in units if len(unit["layers"]) == 1}
    choice = lowered.choice
    kernels = {call.operator.name: call.kernel.name for call in static_calls(plan.program)}
    return {
        "model": lowered.graph.source,
        "board": options.board,
        "inputs": [_port(tensor) for tensor in lowered.graph.inputs],
        "outputs": [_port(tensor) for tensor in lowered.graph.outputs],
        "class_names": None if options.class_names is None else list(options.class_names),
        "arena_bytes": plan.arena_bytes,
        "regions": [
            {"name": region.name, "bytes": region.bytes, "memory": region.memory or None} for region in plan.regions
        ],
        "state_bytes": plan.state_bytes,
        "states": [
            {
                "name": state.label,
                "shape": list(given.tensor.shape),
                "dtype": state.before.dtype.name,
                "offset": state.before.offset,
                "bytes": state.before.bytes,
            }
            for state, given in zip(plan.states, lowered.graph.states, strict=True)
        ],
        "learning": _learning(lowered),
        "updates": _updates(lowered),
        "placement": {
            "planner": plan.planner,
            "bound_bytes": plan.bound,
            "proven": plan.arena_bytes == plan.bound,
            "gap": (plan.arena_bytes - plan.bound) / plan.arena_bytes if plan.arena_bytes else 0.0,
        },
        "stack_bytes": measured.stack_bytes if measured else None,
        "flash": {
            "code": code,
            "constants": constants,
            "total": None if code is None else code + constants,
        },
        "macs": sum(operator.macs for operator in _operators(plan)),
        "instructions": sum(measured.instructions) if measured and measured.instructions else None,
        "cycles": time.as_json() if time else None,
        "removed": {
            **asdict(lowered.graph.saved),
            "tensors": [
                {"tensor": name, "channels": len(each.values), "kept": len(each.kept)}
                for name, each in lowered.graph.removed.items()
            ],
        },
        "tiling": {
            "untiled_bytes": choice.untiled_bytes if choice else plan.arena_bytes,
            "extra_macs": sum(unit["macs"] for unit in units) - sum(operator.macs for operator in _operators(plan)),
            "extra_cycles": choice.point.extra if choice else 0.0,
        },
        "flash_for_speed": _grown(options.flash_for_speed, choice.grants if choice else ()),
        "feed": _feed(plan),
        "units": units,
        "layers": [
            {
                "index": index,
                "name": operator.name,
                "operator": operator.kind,
                "output_shape": list(operator.outputs[0].shape),
                "macs": operator.macs,
                "constant_bytes": by_operator.get(operator.name, 0),
                "kernel": kernels[operator.name],
                "instructions": alone.get(operator.name, {}).get("instructions"),
                "cycles": alone.get(operator.name, {}).get("cycles"),
            }
            for index, operator in enumerate(_operators(plan))
        ],
    }


def _updates(lowered: Lowered) -> Json | None:
    """What a server's packets change, and what that takes."""
    known = lowered.parameters
    if known is None:
        return None
    return {
        "layers": len(known.layers),
        "channels": sum(layer.channels for layer in known.layers),
        "model_id": known.model_id.hex(),
        "packet_bytes": known.packet_bytes,
        "parameter_bytes": lowered.plan.parameter_bytes,
        "slot_bytes": SLOT_UNIT + -(-known.packet_bytes // SLOT_UNIT) * SLOT_UNIT,
        "constant_bytes": update_constant_bytes(known),
    }


def _learning(lowered: Lowered) -> Json | None:
    """What learns on the device, and its share of RAM and flash."""
    learned = lowered.learned
    if learned is None:
        return None
    lesson, sizes = learned.lesson, {part(state.tensor): state.tensor.bytes for state in lowered.graph.states}
    about = {
        "method": lesson.method,
        "layer": next(op.label or op.name for op in lowered.model.operators if op.name == lesson.layer),
        "inference_arena_bytes": learned.inference_bytes,
        "step_arena_bytes": learned.plan.arena_bytes,
        "constant_bytes": learned.constant_bytes,
        "step": _step(learned.step),
    }
    if not isinstance(lesson, Lesson):
        return about | {"parts": learned.ends}
    return about | {
        "known_classes": lesson.known,
        "classes": lesson.classes,
        "features": sizes["features"],
        "convolutions": [
            next(o.label or o.name for o in lowered.model.operators if o.name == n) for n in lesson.layers
        ],
        "samples": lesson.slots,
        "store_bytes": sizes["store"] + sizes["store labels"],
        "weight_bytes": sum(sizes[name] for names in trained_parts(lesson) for name in names),
    }


def _step(found: StepPlan) -> Json:
    """What a step of learning needs, and what it computes again for that."""
    return {
        "limit_bytes": found.limit,
        "plain_bytes": found.plain_bytes,
        "extra_instructions": found.extra,
        "again": [
            {
                "layer": each.layer,
                "operator": each.operator,
                "times": each.times,
                "instructions": round(each.instructions),
            }
            for each in found.again
        ],
    }


def _grown(limit: int, grants: Sequence[Grant]) -> Json:
    """What larger constants take and save."""
    return {
        "limit": limit,
        "bytes": sum(grant.bytes for grant in grants),
        "cycles": sum(grant.cycles for grant in grants),
        "layers": [{"name": grant.operator, "bytes": grant.bytes, "cycles": grant.cycles} for grant in grants],
    }


def _feed(plan: Plan) -> Json | None:
    """How the input arrives by rows, and where rows are collected for what needs them all."""
    if plan.fed is None:
        return None
    kept = plan.inputs[plan.fed]
    return {
        "input": plan.input_tensors[plan.fed].label or plan.input_tensors[plan.fed].name,
        "rows": kept.shape[0],
        "kept_rows": kept.rows,
        "collected": [{"tensor": tensor.label or tensor.name, "bytes": size} for tensor, size in collected(plan)],
    }


def _units(plan: Plan, steps: Sequence[int] | None, cycles: Sequence[int] | None) -> list[Json]:
    """What is computed as one, in the order of execution; instructions and cycles are those of each statement."""
    return [
        {
            "kind": piece.kind or "whole",
            "layers": list(piece.operators),
            "macs": piece.macs,
            "private_bytes": piece.private,
            "instructions": sum(steps[piece.first : piece.stop]) if steps and plan.fed is None else None,
            "cycles": sum(cycles[piece.first : piece.stop]) if cycles else None,
        }
        for piece in plan.pieces
    ]


def _port(tensor: Tensor) -> Json:
    quantized = tensor.dtype.kind in "iu" and tensor.quantization is not None and tensor.quantization.scale.size == 1
    return {
        "name": tensor.label or tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.name,
        "scale": tensor.scale if quantized else None,
        "zero_point": tensor.zero_point if quantized else None,
    }


def _operators(plan: Plan) -> list[Operator]:
    """Each operator of the program once."""
    calls = (call for call in static_calls(plan.program) if not isinstance(call.operator, RowInput))
    return list({id(call.planned): call.planned for call in calls}.values())


def live_bytes(plan: Plan) -> list[int]:
    """Bytes of RAM in use while each operator runs, in the order of `report`'s layers."""
    found: dict[int, int] = {}
    for statement, buffers in zip(plan.program, live(plan), strict=True):
        for call in static_calls((statement,)):
            found[id(call.planned)] = max(occupied(buffers), found.get(id(call.planned), 0))
    return [found[id(operator)] for operator in _operators(plan)]


def peak(plan: Plan) -> tuple[str, list[Buffer]]:
    """The step during which the most bytes are in use, and the buffers that are, largest first."""
    steps = zip(plan.program, live(plan), strict=True)
    statement, buffers = max(steps, key=lambda pair: occupied(pair[1]))
    return step_name(statement), buffers


def check_ram(lowered: Lowered, options: Options) -> None:
    """Raise FitError where no plan that was found is within `options.ram`: the least there is, and what makes it so."""
    choice, plan = lowered.choice, lowered.plan
    if options.ram is None or choice is None or choice.met:
        return
    raise FitError(
        f"{lowered.graph.source}: --ram {options.ram} cannot be met: the least is {plan.arena_bytes:,} B "
        f"(untiled {choice.untiled_bytes:,} B); {_holders(plan)}; --ram {plan.arena_bytes} can be met"
    )


def _holders(plan: Plan) -> str:
    """The step that makes the arena as large as it is, with the largest buffers that are live."""
    step, held = peak(plan)
    holders = ", ".join(f"'{readable(buffer.name)}' {buffer.bytes:,} B" for buffer in held[:3])
    return f"{step} makes the peak, with {holders} live"


def check_fit(found: Json, lowered: Lowered, board: Board) -> None:
    """Raise FitError where the model does not fit `board`: by how much, and what makes it so."""
    plan, choice = lowered.plan, lowered.choice
    problems: list[str] = []
    room = board.largest
    arena, stack, state = found["arena_bytes"], found["stack_bytes"], found["state_bytes"] + plan.parameter_bytes
    needed = arena + state + (stack or 0)
    name = "state" if not plan.parameter_bytes else "state and parameters" if plan.states else "parameters"
    kept = f"{name} {state:,} B and " if state else ""
    if len(plan.regions) > 1:  # each lies within its RAM; the stack takes what is left of one
        used = {region.memory: region.bytes for region in plan.regions}
        room = max(board.ram, key=lambda ram: ram.bytes - used.get(ram.name, 0))
        left = room.bytes - used.get(room.name, 0)
        if state + (stack or 0) > left:
            verb = "exceed" if state else "exceeds"
            problems.append(
                f"{kept}stack {stack or 0:,} B {verb} the {left:,} B that the arena leaves of {board.key}'s {room.name}"
            )
    elif needed > room.bytes:
        sizes = {"arena": arena, name: state, "stack": stack}
        what = " and ".join(f"{part} {size:,} B" for part, size in sizes.items() if size)
        tiled = choice is not None and not choice.met and arena < choice.untiled_bytes
        least = f"; tiled already, from {choice.untiled_bytes:,} B" if choice is not None and tiled else ""
        problems.append(
            f"{what} exceed {board.key}'s {room.bytes:,} B of {room.name} by {needed - room.bytes:,} B; "
            f"{_holders(plan)}{least}"
        )
    flash = found["flash"]["constants"] + (found["flash"]["code"] or 0)
    if flash > board.flash.bytes:
        parts = "constants and code" if found["flash"]["code"] else "constants alone"
        largest = max(found["layers"], key=lambda layer: layer["constant_bytes"])
        problems.append(
            f"{parts} of {flash:,} B exceed {board.key}'s {board.flash.bytes:,} B of flash by "
            f"{flash - board.flash.bytes:,} B; {largest['name']} alone holds {largest['constant_bytes']:,} B"
        )
    if problems:
        raise FitError(f"{found['model']}: does not fit: " + "; ".join(problems))
