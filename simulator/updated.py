"""A model with a server's update: what it is in NumPy, and the C that takes the packet before the first sample."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from driftc.codegen.elastic.coding import Codes
from driftc.codegen.elastic.packet import DEVICE_BYTES, encode
from driftc.codegen.elastic.parameters import Parameters, apply, changed
from driftc.codegen.elastic.signed import key_of, packet_of
from driftc.codegen.errors import UsageError
from driftc.codegen.lower import Lowered
from driftc.codegen.plan.call import Call, Loop, Statement
from driftc.simulator.engine import Program

KEY = bytes(range(32))  # of the packet as the simulated device is given it


def read_update(lowered: Lowered, path: Path, key: Path | None) -> Sequence[Codes]:
    """The codes of the packet in a file; whoever signed it, unless `key` is given. Raises UsageError or DataError."""
    return packet_of(path, known_of(lowered), None if key is None else key_of(key))[1]


def known_of(lowered: Lowered) -> Parameters:
    """What can be updated. Raises UsageError where nothing can."""
    if lowered.parameters is None:
        raise UsageError(f"{lowered.graph.source}: nothing can be updated here; compile it with --updatable")
    return lowered.parameters


def updated(lowered: Lowered, codes: Sequence[Codes]) -> Lowered:
    """`lowered` with the update's parameters. Its model is what the passes left: what is updated."""
    known = known_of(lowered)
    graph = replace(apply(lowered.graph, known, codes), removed={}, fused={}, float_border={})
    plan = replace(lowered.plan, program=_changed(lowered.plan.program, known, codes))
    return replace(lowered, source=graph, model=graph, graph=graph, plan=plan)


def _changed(program: Sequence[Statement], known: Parameters, codes: Sequence[Codes]) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for statement in program:
        if isinstance(statement, Loop):
            found.append(replace(statement, body=_changed(statement.body, known, codes)))
        else:
            found.append(_call(statement, known, codes))
    return tuple(found)


def _call(call: Call, known: Parameters, codes: Sequence[Codes]) -> Call:
    (operator,) = changed([call.operator], known, codes)
    return replace(call, operator=operator)


@contextmanager
def as_updated(program: Program, known: Parameters, codes: Sequence[Codes]) -> Iterator[Program]:
    """`program` built to take the update first, in a folder of its own for as long as it is needed."""
    packet = encode(known, codes, key=KEY, sequence=1)
    with TemporaryDirectory(prefix="driftc-") as place:
        folder = Path(place, program.folder.name)
        shutil.copytree(program.folder, folder)
        (folder / "simulator" / "packet.h").write_text(_header(packet), encoding="utf-8", newline="\n")
        yield replace(program, folder=folder, updated=True)


def _header(packet: bytes) -> str:
    device = ", ".join(["0"] * DEVICE_BYTES)
    arrays = (
        f"static const uint8_t model_{name}[] = {{ {', '.join(map(str, content))} }};"
        for name, content in (("key", KEY), ("packet", packet))
    )
    return "\n".join([f"#define MODEL_DEVICE {{ {device} }}", *arrays, ""])
