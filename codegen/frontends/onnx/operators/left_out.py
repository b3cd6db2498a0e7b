"""Operators that are not read, and what to do instead."""

from __future__ import annotations

from driftc.codegen.frontends.missing import BY_DATA, FEATURES, IN_CODE, UNROLL
from driftc.codegen.frontends.onnx.walk import operator

operator.leave_out(
    "a causal convolution over a window of steps; or the same model in Keras, as an int8 .tflite that TFLiteConverter "
    "makes with fixed shapes and unroll=True",
    *("GRU", "LSTM", "RNN"),
)
operator.leave_out(
    "the float model from before quantisation, with --calibrate: driftc does that itself",
    *("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
    *("QuantizeLinear", "RequantShift"),
    *(f"{domain}.Quant" for domain in ("finn.custom_op.general", "onnx.brevitas", "qonnx.custom_op.general")),
    *(f"com.microsoft.{kind}" for kind in ("DequantizeLinear", "QuantizeLinear", "QGemm", "QAttention")),
    *(f"com.microsoft.QLinear{kind}" for kind in ("Add", "AveragePool", "Concat", "Conv", "GlobalAveragePool")),
    *(f"com.microsoft.QLinear{kind}" for kind in ("LeakyRelu", "Mul", "ReduceMean", "Sigmoid", "Softmax", "Where")),
    *(f"com.microsoft.{kind}" for kind in ("DynamicQuantizeMatMul", "MatMulInteger16", "MatMulIntegerToFloat")),
)
operator.leave_out(
    "export attention as MatMul and Softmax: opset 22 or before, or torch's own layers with dynamo=False",
    *("Attention", "LinearAttention", "RotaryEmbedding", "com.microsoft.Attention", "com.microsoft.MultiHeadAttention"),
)
operator.leave_out(
    BY_DATA, "Compress", "NonZero", "SequenceAt", "SequenceConstruct", "SplitToSequence", "StringSplit", "Unique"
)
operator.leave_out(IN_CODE, "ImageDecoder", "NonMaxSuppression", "RegexFullMatch", "StringNormalizer", "TopK")
operator.leave_out(UNROLL, "If", "Loop", "Scan", "SequenceMap")
operator.leave_out(FEATURES, "DFT", "MelWeightMatrix", "STFT")
operator.leave_out("Gather or Slice with constant indices", "GatherElements", "GatherND", "ReverseSequence")
operator.leave_out(
    "Concat of slices, or Where with a constant mask", "Scatter", "ScatterElements", "ScatterND", "TensorScatter"
)
operator.leave_out(
    "Resize, or a convolution: windows that the data place are not computed",
    *("AffineGrid", "DeformConv", "GridSample", "MaxRoiPool", "MaxUnpool", "RoiAlign", "Col2Im"),
)
operator.leave_out(
    "Tanh, Sigmoid, Exp, Log or Sin, which have an int8 operator",
    *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Tan"),
)
operator.leave_out("ArgMax at the end of the model, and the rest in the program around", "Hardmax", "OneHot")
operator.leave_out("leave it out: int8 values are never NaN or infinite", "IsInf", "IsNaN")
operator.leave_out("Mul with a constant, or Sub and Floor of the quotient", "Mod", "BitShift", "CumProd", "Det")
operator.leave_out(
    "eval mode, without random numbers",
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
)
operator.leave_out("And, Or and Not of truth values", "BitCast", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor")
operator.leave_out("Split, Sigmoid and Mul", "SwiGLU")
operator.leave_out("Conv over a window of steps", "CausalConvWithState")
operator.leave_out(
    "the model that is trained, without its loss", "NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"
)
operator.leave_out(
    "tensors alone, without sequences and optional values",
    *("ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceEmpty", "SequenceErase"),
    *("SequenceInsert", "SequenceLength", "StringConcat", "TfIdfVectorizer"),
)
