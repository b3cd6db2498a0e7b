"""Attention layers are not read yet."""

from __future__ import annotations

from driftc.codegen.frontends.keras.walk import layer

layer.leave_out(
    "the same of Dense layers, keras.ops.matmul and keras.ops.softmax; or an int8 .tflite, which TFLiteConverter makes",
    *("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"),
)
