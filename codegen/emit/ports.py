"""The inputs and outputs of a model in C: names, macros, types, scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from driftc.codegen.emit import access, text
from driftc.codegen.emit.program import pointer
from driftc.codegen.names import Names, comment, identifier
from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.plan import Plan
from driftc.codegen.tensor import Tensor


@dataclass(frozen=True)
class Port:
    """An input or output of the model in C."""

    accessor: str
    macro: str
    type: str
    len: int
    bytes: int
    scale: str
    zero: int
    description: str
    pointer: str
    short: str  # the accessor without the model's name
    real: bool  # bytes with a scale: what NAME_float_io.c takes and gives as real values


def port_names(plan: Plan) -> tuple[list[str], list[str]]:
    """The inputs and outputs in C without the model's name: input, or input_left and input_right."""
    inputs = ports(plan, "input", plan.inputs, plan.input_tensors)
    return [port.short for port in inputs], [
        port.short for port in ports(plan, "output", plan.outputs, plan.output_tensors)
    ]


def interface(plan: Plan) -> dict[str, Any]:
    """The C interface in numbers, for what is made around it: a compiled folder's driftc.json keeps it for `export`.

    Of each port `name` is the accessor without the model's, `scale` a C literal, or null where there is none.
    """

    def described(ports: tuple[Port, ...], tensors: tuple[Tensor, ...]) -> list[dict[str, Any]]:
        return [
            {
                "name": port.short,
                "label": tensor.label,
                "type": port.type,
                "shape": list(tensor.shape[1:] or (1,)),
                "scale": port.scale or None,
                "zero": port.zero,
            }
            for port, tensor in zip(ports, tensors, strict=True)
        ]

    fed = None if plan.fed is None else plan.inputs[plan.fed].shape
    return {
        "name": plan.name,
        "inputs": described(ports(plan, "input", plan.inputs, plan.input_tensors), plan.input_tensors),
        "outputs": described(ports(plan, "output", plan.outputs, plan.output_tensors), plan.output_tensors),
        "regions": [{"name": r.name, "bytes": r.bytes, "align": r.align} for r in plan.memory],
        "state": bool(plan.states),
        "rows": None if fed is None else {"input": plan.fed, "count": fed[0], "length": fed[1] * fed[2]},
    }


def ports(plan: Plan, stem: str, buffers: tuple[Buffer, ...], tensors: tuple[Tensor, ...]) -> tuple[Port, ...]:
    """The inputs (`stem` "input") or outputs in C."""
    found: list[Port] = []
    suffixes = Names()
    for number, (buffer, tensor) in enumerate(zip(buffers, tensors, strict=True)):
        suffix = ""
        if len(buffers) > 1:
            short = identifier(tensor.label.split(";")[0].split(":")[0].rsplit("/", 1)[-1], f"{number}")
            suffix = f"_{suffixes.unique(short)}"
        name = f"{plan.name}_{stem}{suffix}"
        kind = access.c_type(buffer)
        reading = text.real(tensor) if tensor.dtype.kind in "iu" else ""
        described = f'{stem.capitalize()} "{comment(tensor.label)}": {text.by(tensor.shape[1:])}'
        where = pointer(buffer, f"{plan.name}->")
        has_scale = bool(reading)
        found.append(
            Port(
                accessor=name,
                macro=name.upper(),
                type=kind,
                len=tensor.size,
                bytes=tensor.bytes,
                scale=text.float_literal(tensor.scale) if has_scale else "",
                zero=tensor.zero_point if has_scale else 0,
                description=f"{described}{_type_of(tensor, reading)}.",
                pointer=where,
                short=f"{stem}{suffix}",
                real=tensor.stands_for_reals,
            )
        )
    return tuple(found)


def _type_of(tensor: Tensor, reading: str) -> str:
    """How to read its values, and their type where they are no bytes."""
    wide = "" if tensor.dtype.itemsize == 1 and reading else tensor.dtype.name
    return "".join(f", {part}" for part in (wide, reading) if part)
