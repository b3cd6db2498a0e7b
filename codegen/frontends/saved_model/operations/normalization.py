"""Batch normalisation, whole or as TensorFlow takes it apart."""

from __future__ import annotations

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.tensor import Array, Tensor


@operation("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def batch_norm(found: Operation) -> Tensor:
    if found.node.get_attr("is_training"):
        found.refuse("was saved in training mode")
    gamma, beta, mean, variance = (found.constant(place) for place in range(1, 5))
    return found.to.batch_norm(
        found.label,
        found.value(0),
        gamma=gamma,
        beta=beta,
        mean=mean,
        variance=variance,
        epsilon=float(found.node.get_attr("epsilon")),
    )


def decomposed(found: Operation) -> Tensor | None:
    """tf.nn.batch_normalization, by the names it gives: x * mul + (beta - mean * mul), mul = gamma * rsqrt(...)."""
    prefix, _, last = found.node.name.rpartition("/")
    if not prefix.endswith("batchnorm") or last not in ("mul_1", "add_1"):
        return None
    x = found.computed()
    if last == "mul_1" or x is None:  # add_1 does all of it
        return x
    graph = found.walk.function.graph
    parts: dict[str, list[Array | None]] = {}
    for part in ("add", "mul", "mul_2", "sub"):
        inputs = graph.get_operation_by_name(f"{prefix}/{part}").inputs
        parts[part] = [found.walk.fetch(tensor.name) for tensor in inputs]
    variance, epsilon = parts["add"]
    gamma, mean, beta = parts["mul"][1], parts["mul_2"][0], parts["sub"][0]
    if variance is None or epsilon is None or mean is None or gamma is None or beta is None:
        found.refuse("a batch normalisation without scale or offset is not supported")
    return found.to.batch_norm(
        found.label, x, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=float(epsilon)
    )
