"""Running a model of one sample beside the import."""

from __future__ import annotations

from typing import Any


def fix_batch(model: Any) -> dict[str, int | None]:
    """One sample: the first axis of inputs and outputs is 1, so that every shape can be inferred.

    Gives the inputs by name whose batch was another; None: it was open.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, int | None] = {}
    inputs = {port.name for port in model.graph.input}
    for port in (*model.graph.input, *model.graph.output):
        shape = port.type.tensor_type.shape
        if port.name in constants or not shape.dim:
            continue
        batch = shape.dim[0].dim_value if shape.dim[0].HasField("dim_value") else None
        if port.name in inputs and batch != 1:
            found[port.name] = batch
        shape.dim[0].dim_value = 1
    return found


def opset(model: Any) -> int:
    """The version of ONNX's own operators."""
    return max((listed.version for listed in model.opset_import if listed.domain in ("", "ai.onnx")), default=1)


def session(onnx: Any, model: Any) -> Any:
    """ONNX Runtime where it is installed, else the reference of onnx itself, which is slow."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        # Before opset 14 it mixes the sample's own mean and variance in, by this momentum.
        plain = onnx.ModelProto.FromString(model.SerializeToString())
        for node in plain.graph.node:
            if node.op_type == "BatchNormalization":
                kept = [stored for stored in node.attribute if stored.name != "momentum"]
                del node.attribute[:]
                node.attribute.extend([*kept, onnx.helper.make_attribute("momentum", 1.0)])
        return ReferenceEvaluator(plain, new_ops=[_log_softmax(), *(_old_softmax() if opset(model) < 13 else [])])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _log_softmax() -> Any:
    """LogSoftmax for the reference, whose own is the logarithm of what may have become 0."""
    import numpy as np
    from onnx.reference.op_run import OpRun

    class LogSoftmax(OpRun):
        op_domain = ""

        def _run(self, x: Any, axis: int = -1) -> tuple[Any]:
            below = x - x.max(axis=axis, keepdims=True)
            return (below - np.log(np.exp(below).sum(axis=axis, keepdims=True)),)

    return LogSoftmax


def _old_softmax() -> list[Any]:
    """Softmax as it was before opset 13, over all axes from one on; the reference has the new one alone."""
    import numpy as np
    from onnx.reference.op_run import OpRun

    class Softmax(OpRun):
        op_domain = ""

        def _run(self, x: Any, axis: int = 1) -> tuple[Any]:
            flat = x.reshape(*x.shape[: axis % x.ndim], -1)
            above = np.exp(flat - flat.max(axis=-1, keepdims=True))
            return ((above / above.sum(axis=-1, keepdims=True)).reshape(x.shape),)

    return [Softmax]
