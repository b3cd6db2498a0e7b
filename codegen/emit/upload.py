"""What chooses samples that are worth sending, in C."""

from __future__ import annotations

import driftc
from driftc.codegen.elastic.upload import Upload
from driftc.codegen.emit.emit import environment
from driftc.codegen.emit.ports import ports
from driftc.codegen.emit.program import pointer
from driftc.codegen.plan.plan import Plan


def emit_upload(upload: Upload, plan: Plan) -> dict[str, str]:
    """File name -> text."""
    held = [pointer(buffer, "upload->model->") for buffer in plan.held]
    values = {
        "name": plan.name,
        "version": driftc.__version__,
        "upload": upload,
        "input": ports(plan, "input", plan.inputs, plan.input_tensors)[0],
        "entropy": held[0] if upload.method == "entropy" else "",
        "kept": held[-1] if held else "",
    }
    files = {f"{plan.name}_upload.{suffix}": f"upload.{suffix}.j2" for suffix in ("h", "c")}
    files |= {f"simulator/{part}.h": f"simulator_{part}.h.j2" for part in ("upload", "device")}
    return {name: str(environment().get_template(template).render(**values)) for name, template in files.items()}
