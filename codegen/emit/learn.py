"""What learns on the device in C: the Plan of a step, and NAME_learn or NAME_adapt around it."""

from __future__ import annotations

from typing import Any

import driftc
from driftc.codegen.emit import text
from driftc.codegen.emit.emit import emit, environment
from driftc.codegen.emit.program import step_names
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.learned import Learned
from driftc.codegen.learning.lesson import Lesson, Meta
from driftc.codegen.learning.trainable import trained_parts
from driftc.codegen.names import comment
from driftc.codegen.plan.plan import Plan


def emit_learning(learned: Learned, plan: Plan, source: str, sha256: str) -> dict[str, str]:
    """File name -> text; `plan` is the inference's, whose states a step of learning works on."""
    lesson = learned.lesson
    values: dict[str, Any] = {
        "api": learned.api,
        "name": plan.name,
        "version": driftc.__version__,
        "suffix": learned.plan.name.removeprefix(plan.name),
        "layer": comment(lesson.layer),
        "lesson": lesson,
        "fed": plan.fed is not None,
        "steps": len(step_names(plan)),
        "row": f"{plan.name.upper()}_INPUT_ROW_LEN",
    }
    values |= _trained(learned, lesson, plan) if isinstance(lesson, Lesson) else {"learns": _learns(lesson, plan)}
    found = emit(learned.plan, source=source, sha256=sha256, guest=plan.name, lent=learned.lent)
    for suffix in ("h", "c"):
        made = environment().get_template(f"{learned.api}.{suffix}.j2").render(**values)
        found[f"{plan.name}_{learned.api}.{suffix}"] = made
    found["simulator/learning.h"] = environment().get_template("learning.h.j2").render(**values)
    return found


def learning_headers(learned: Learned | None) -> tuple[str, ...]:
    """The files of firmware/ that it includes, besides what the operators of a step do."""
    if learned is None:
        return ()
    return ("driftc_learned.h", *(("driftc_learner.h",) if isinstance(learned.lesson, Lesson) else ()))


def _learns(lesson: Meta, plan: Plan) -> str:
    """What a meta network learns."""
    features = next(state.initial.size for state in plan.states if state.label.endswith("/sums"))
    each = ["a gain and an offset"] if lesson.rate else []
    each += ["a running mean and variance"] if lesson.running else []
    return f"{', and '.join(each)} of each of {features} features"


def _trained(learned: Learned, lesson: Lesson, plan: Plan) -> dict[str, Any]:
    arrays: list[text.ConstantArray] = []
    if lesson.labels.size:
        shape = " x ".join(str(n) for n in lesson.references.shape)
        arrays.append(text.constant_array("references", lesson.references, "", shape))
        arrays.append(text.constant_array("labels", lesson.labels, ""))
    at, tensors = {}, {}
    for kept, state in zip(learned.graph.states, plan.states, strict=True):
        at[part(kept.tensor)], tensors[part(kept.tensor)] = state.before.offset, kept.tensor
    return {
        "length": tensors["features"].size,
        "width": tensors["weights"].shape[1],
        "arrays": arrays,
        "at": at,
        "trained": [
            (*(at[name] for name in names), tensors[names[0]].size, tensors[names[1]].size)
            for names in trained_parts(lesson)
        ],
    }
