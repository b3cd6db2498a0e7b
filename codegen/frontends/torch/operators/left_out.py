"""Operators that are not read, and what to do instead."""

from __future__ import annotations

from driftc.codegen.frontends.torch.walk import operator

operator.leave_out(
    "a causal convolution over a window of steps; or the same model in Keras, as an int8 .tflite that TFLiteConverter "
    "makes with fixed shapes and unroll=True",
    *("gru", "lstm", "rnn_relu", "rnn_tanh"),
)
operator.leave_out(
    "the float program from before quantisation, with --calibrate: driftc does that itself",
    *("quantized_decomposed", "quantize_per_tensor", "dequantize_per_tensor", "quantize_per_channel"),
)
