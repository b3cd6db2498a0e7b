"""Operations that are not read, and what to do instead."""

from __future__ import annotations

from driftc.codegen.frontends.keras.walk import operation
from driftc.codegen.frontends.missing import BY_DATA, FEATURES, IN_CODE, UNROLL

operation.leave_out(BY_DATA, "Nonzero", "SegmentMax", "SegmentSum", "Unique")
operation.leave_out(IN_CODE, "Argpartition", "Argsort", "CTCDecode", "InTopK", "Median", "Quantile", "Sort", "TopK")
operation.leave_out(
    UNROLL, "AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch", "VectorizedMap", "WhileLoop"
)
operation.leave_out(FEATURES, "FFT", "FFT2", "ISTFT", "RFFT", "STFT")
operation.leave_out(
    "keras.ops.tanh, sigmoid, exp, log or sin, which have an int8 operator",
    *("Arccos", "Arccosh", "Arcsin", "Arcsinh", "Arctan", "Arctan2", "Arctanh", "Erf", "Erfinv", "Tan"),
)
operation.leave_out("leave it out: int8 values are never NaN or infinite", "Isfinite", "Isinf", "Isnan", "NanToNum")
operation.leave_out("keras.ops.max or min of the truth values cast to float32", "All", "Any")
operation.leave_out("keras.ops.subtract and floor of the quotient", "Fmod", "Mod")
operation.leave_out("keras.ops.matmul, or einsum with a letter an axis", "Dot", "Inner", "Outer", "Tensordot", "Vdot")
operation.leave_out(
    "keras.ops.take with constant indices, or slices and concatenate",
    *("Scatter", "ScatterUpdate", "SliceUpdate", "TakeAlongAxis"),
)
operation.leave_out(
    "the layer of keras.layers, which holds the weights",
    *("BatchNorm", "Conv", "ConvTranspose", "DepthwiseConv", "LayerNorm", "RMSNorm", "SeparableConv"),
)
operation.leave_out(
    "keras.ops.matmul and keras.ops.softmax; or an int8 .tflite, which TFLiteConverter makes", "DotProductAttention"
)
operation.leave_out("Embedding, or the program around the model", "MultiHot", "OneHot")
operation.leave_out(
    "the picture's treatment in the program around the model, or Resizing and cropping",
    *("AffineTransform", "ExtractPatches", "GaussianBlur", "HSVToRGB", "MapCoordinates", "PerspectiveTransform"),
    *("RGBToGrayscale", "RGBToHSV", "Unfold"),
)
