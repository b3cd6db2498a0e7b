"""What learns on the device in C: the backward Plan, and NAME_learn around it."""

from __future__ import annotations

import driftc
from driftc.codegen.emit import text
from driftc.codegen.emit.emit import emit, environment
from driftc.codegen.emit.program import step_names
from driftc.codegen.learning.backward import SUFFIX
from driftc.codegen.learning.learned import Learned
from driftc.codegen.names import comment
from driftc.codegen.plan.plan import Plan

HEADERS = ("driftc_learn.h", "driftc_learned.h", "driftc_learner.h")


def emit_learning(learned: Learned, plan: Plan, source: str, sha256: str) -> dict[str, str]:
    """File name -> text; `plan` is the inference's, whose states the backward pass works on."""
    lesson = learned.lesson
    arrays: list[text.ConstantArray] = []
    if lesson.labels.size:
        shape = " x ".join(str(n) for n in lesson.references.shape)
        arrays.append(text.constant_array("references", lesson.references, "", shape))
        arrays.append(text.constant_array("labels", lesson.labels, ""))
    values = {
        "name": plan.name,
        "version": driftc.__version__,
        "suffix": SUFFIX,
        "layer": comment(lesson.layer),
        "lesson": lesson,
        "length": lesson.references.shape[1],
        "arrays": arrays,
        "at": {state.label.rsplit("/", 1)[-1]: state.before.offset for state in plan.states},
        "fed": plan.fed is not None,
        "steps": len(step_names(plan)),
        "row": f"{plan.name.upper()}_INPUT_ROW_LEN",
    }
    found = emit(learned.plan, source=source, sha256=sha256, guest=True)
    for suffix in ("h", "c"):
        made = environment().get_template(f"learn.{suffix}.j2").render(**values)
        found[f"{plan.name}_learn.{suffix}"] = made
    found["simulator/learning.h"] = environment().get_template("learning.h.j2").render(**values)
    return found
