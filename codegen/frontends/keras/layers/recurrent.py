"""Layers over time that are not read yet, and what to do instead."""

from __future__ import annotations

from driftc.codegen.frontends.keras.walk import layer

layer.leave_out(
    "an int8 .tflite of it, which TFLiteConverter makes of a model with fixed shapes (keras.Input(..., batch_size=1)) "
    "and unroll=True; or a causal Conv1D",
    *("Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "GRUCell", "LSTM", "LSTMCell", "RNN"),
    *("SimpleRNN", "SimpleRNNCell", "StackedRNNCells"),
)
