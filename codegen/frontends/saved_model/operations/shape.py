"""What moves elements and computes nothing."""

from __future__ import annotations

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.graph import Tensor


@operation("Pad", "PadV2")
def pad(found: Operation) -> Tensor:
    amounts = [(int(a), int(b)) for a, b in found.constant(1)]
    fill = float(found.constant(2)) if found.kind == "PadV2" else 0.0
    return found.to.pad(found.label, found.value(0), amounts, fill)


@operation("ConcatV2")
def concat(found: Operation) -> Tensor:
    last = len(found.inputs) - 1
    parts = [found.value(place) for place in range(last)]
    return found.to.concat(found.label, parts, int(found.constant(last)))


@operation("ExpandDims", "Reshape", "Squeeze")
def reshape(found: Operation) -> Tensor:
    """To a shape that is known when compiling."""
    x, shape = found.value(0), found.node.outputs[0].shape
    known = found.walk.fetch(found.inputs[1]) if found.kind == "Reshape" else None
    if known is not None:
        wanted = [int(n) for n in known.reshape(-1)]
        return x if _rows(found, x, wanted) else found.to.reshape(found.label, x, tuple(wanted))
    inner = shape.as_list()[1:] if shape.rank else [None]
    if None not in inner:
        return found.to.reshape(found.label, x, (1, *(int(n) for n in inner if n)))
    return found.to.reshape(found.label, x, (1, *(int(n) for n in found.constant(1).reshape(-1)[1:])))


def _rows(found: Operation, x: Tensor, wanted: list[int]) -> bool:
    """It only lines rows up for a product, which here goes over the last axis of any shape: tf.tensordot."""
    readers = found.node.outputs[0].consumers()
    lined_up = len(x.shape) > 2 and len(wanted) == 2 and wanted[1] == x.shape[-1]
    return lined_up and all(reader.type == "MatMul" for reader in readers)


@operation("Transpose")
def transpose(found: Operation) -> Tensor:
    return found.to.transpose(found.label, found.value(0), [int(n) for n in found.constant(1)])
