"""The files of a compiled folder: generated C, what it includes of firmware/, self-test, the simulator's programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from driftc.codegen.emit.emit import emit, emit_selftest, headers
from driftc.codegen.emit.learn import emit_learning, learning_headers
from driftc.codegen.emit.update import HEADERS, emit_update
from driftc.codegen.emit.upload import emit_upload
from driftc.codegen.lower import Lowered
from driftc.codegen.options import Options

ADAPTATION = "adaptation.json"  # the constants of the layers that are live, where there are any
LESSON = "learning.json"  # what learns, where something does


def sources(lowered: Lowered, options: Options, limits: dict[str, int]) -> dict[str, str | bytes]:
    """Relative name -> content, but for the model itself and the report.

    `limits`: rows of the smallest table that each int32 input indexes, for the self-test's input.
    """
    graph, plan, learned = lowered.graph, lowered.plan, lowered.learned
    found: dict[str, str | bytes] = dict(
        emit(
            plan,
            source=graph.source,
            sha256=graph.sha256,
            float_border=bool(graph.float_border),
            float_io=options.float_io,
            class_names=options.class_names or (),
            learns=() if learned is None else learned.c_files(plan.name),
            lent={} if learned is None else {name: name for name in learned.lent.values()},
            uploads=lowered.upload is not None,
        )
    )
    if learned is not None:
        found |= emit_learning(learned, plan, graph.source, graph.sha256)
        found[LESSON] = learned.lesson.as_text()
    if lowered.parameters is not None:
        found |= emit_update(lowered.parameters, plan)
    if lowered.upload is not None:
        found |= emit_upload(lowered.upload, plan)
    found[f"{plan.name}_selftest.c"] = _selftest(lowered, limits)
    firmware = files("driftc").joinpath("firmware")
    needed = [*headers(plan), *(headers(learned.plan) if learned is not None else ()), *learning_headers(learned)]
    if plan.states:
        needed.append("driftc_slots.h")  # and driftc_state.h, which it includes
    needed += HEADERS if lowered.parameters is not None else ()
    needed += ("driftc_chooser.h",) if lowered.upload is not None else ()
    for header in _with_included(needed):
        found[header] = firmware.joinpath(header).read_text(encoding="utf-8")
    if lowered.adaptation is not None:
        found[ADAPTATION] = lowered.adaptation.as_text()
    ports = Path(str(firmware.joinpath("ports")))
    for path in sorted(p for p in ports.rglob("*") if p.is_file() and p.suffix in (".c", ".h", ".ld")):
        found[f"simulator/{path.relative_to(ports).as_posix()}"] = path.read_text(encoding="utf-8")
    return found


def _selftest(lowered: Lowered, limits: dict[str, int]) -> str:
    from driftc.codegen.samples import random
    from driftc.simulator.reference import run_graph

    graph, plan = lowered.graph, lowered.plan
    inputs = random(1, graph.inputs, limits, seed=1).quantized[0]
    values = run_graph(graph, inputs)
    return emit_selftest(plan, inputs, [values[tensor.name] for tensor in plan.layers])


def _with_included(names: Sequence[str]) -> list[str]:
    """Files of firmware/, and those of it that they include."""
    firmware = files("driftc").joinpath("firmware")
    found = dict.fromkeys(names)
    for name in names:
        inner = re.findall(r'^#include "(driftc\w*\.h)"$', firmware.joinpath(name).read_text("utf-8"), re.MULTILINE)
        found |= dict.fromkeys(_with_included(inner))
    return list(found)
