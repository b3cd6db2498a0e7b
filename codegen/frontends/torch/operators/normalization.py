"""Normalisation, by constants and by the sample's own mean and variance."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator


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


@operator("layer_norm")
def layer_norm(call: Call) -> Value:
    axes = range(-len(call.args[1]), 0)
    gamma, beta = (call.array(call.argument(place, name, None)) for place, name in ((2, "weight"), (3, "bias")))
    epsilon = float(call.argument(4, "eps", 1e-5))
    return call.to.layer_norm(call.label, call.value(), axes, gamma, beta, epsilon)


@operator("native_layer_norm")
def native_layer_norm(call: Call) -> list[Value]:
    """The normalised values alone."""
    return [layer_norm(call)]


@operator("native_group_norm")
def native_group_norm(call: Call) -> list[Value]:
    """The normalised values alone."""
    gamma, beta = (call.array(call.args[place]) for place in (1, 2))
    return [call.to.group_norm(call.label, call.value(), int(call.args[6]), gamma, beta, float(call.args[7]))]


@operator("rms_norm")
def rms_norm(call: Call) -> Value:
    axes = range(-len(call.args[1]), 0)
    gamma = call.array(call.argument(2, "weight", None))
    epsilon = call.argument(3, "eps", None)
    epsilon = float(np.finfo(np.float32).eps) if epsilon is None else float(epsilon)
    return call.to.layer_norm(call.label, call.value(), axes, gamma, None, epsilon, centred=False)


@operator("group_norm")
def group_norm(call: Call) -> Value:
    gamma, beta = (call.array(call.argument(place, name, None)) for place, name in ((2, "weight"), (3, "bias")))
    epsilon = float(call.argument(4, "eps", 1e-5))
    return call.to.group_norm(call.label, call.value(), int(call.args[1]), gamma, beta, epsilon)


@operator("instance_norm")
def instance_norm(call: Call) -> Value:
    """Of the sample's own mean and variance."""
    x = call.value()
    if not call.args[5]:
        call.refuse("normalises by running statistics; driftc reads those of the sample")
    parts = [call.array(call.args[place]) for place in (1, 2)]
    shape = (-1, *(1,) * (x.rank - 2))
    gamma, beta = (None if part is None else part.reshape(shape) for part in parts)
    return call.to.layer_norm(call.label, x, range(2, x.rank), gamma, beta, float(call.args[7]))
