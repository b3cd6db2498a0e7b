"""Operators that are not read, and what to do instead."""

from __future__ import annotations

from driftc.codegen.frontends.onnx.walk import operator

operator.leave_out(
    "a causal convolution over a window of steps; or the same model in Keras, as an int8 .tflite that TFLiteConverter "
    "makes with fixed shapes and unroll=True",
    *("GRU", "LSTM", "RNN"),
)
operator.leave_out(
    "the float model from before quantisation, with --calibrate: driftc does that itself",
    *("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
    *("QLinearAdd", "QuantizeLinear", "com.microsoft.QLinearAdd", "com.microsoft.QLinearGlobalAveragePool"),
)
