"""Normalisation by constants."""

from __future__ import annotations

from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value


@operator("batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm(call: Call) -> Value:
    _, gamma, beta, mean, variance, *rest = call.args
    native = call.kind != "batch_norm"
    if not native and rest[0]:
        call.refuse("was exported in training mode; call model.eval() before torch.export")
    epsilon = float(rest[1] if native else rest[2])
    arrays = [call.array(argument) for argument in (gamma, beta)]
    moments = [call.constant(argument) for argument in (mean, variance)]
    return call.to.batch_norm(call.label, call.value(), arrays[0], arrays[1], moments[0], moments[1], epsilon)
