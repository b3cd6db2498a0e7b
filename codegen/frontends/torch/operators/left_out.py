"""Operators that are not read, and what to do instead."""

from __future__ import annotations

from driftc.codegen.frontends.missing import BY_DATA, FEATURES, IN_CODE
from driftc.codegen.frontends.torch.walk import operator

operator.leave_out(
    "a causal convolution over a window of steps; or the same model in Keras, as an int8 .tflite that TFLiteConverter "
    "makes with fixed shapes and unroll=True",
    *("gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh", "rnn_tanh_cell"),
)
operator.leave_out(
    "the float program from before quantisation, with --calibrate: driftc does that itself",
    *("quantized_decomposed", "quantize_per_tensor", "dequantize_per_tensor", "quantize_per_channel"),
)
operator.leave_out(BY_DATA, "masked_select", "nonzero", "unique", "unique_consecutive")
operator.leave_out(IN_CODE, "msort", "sort", "topk")
operator.leave_out(FEATURES, "_fft_r2c", "fft_fft", "fft_rfft", "istft", "stft")
operator.leave_out("index_select or slices with constant indices", "as_strided", "gather", "unfold")
operator.leave_out(
    "cat of slices, or where with a constant mask",
    *("copy", "copy_", "index_put", "index_put_", "scatter", "scatter_add", "select_scatter", "slice_scatter"),
)
operator.leave_out("interpolate, or a convolution", "col2im", "grid_sampler", "grid_sampler_2d", "im2col")
operator.leave_out("conv2d, with one axis folded into the channels", "conv3d", "conv_transpose3d", "max_pool3d")
operator.leave_out("avg_pool2d, with one axis folded into the channels", "avg_pool3d", "adaptive_avg_pool3d")
operator.leave_out("'nearest' or 'bilinear'", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "upsample_trilinear3d")
operator.leave_out(
    "tanh, sigmoid, exp, log or sin, which have an int8 operator",
    *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "erf", "erfinv", "tan"),
)
operator.leave_out("leave it out: int8 values are never NaN or infinite", "isfinite", "isinf", "isnan", "nan_to_num")
operator.leave_out("amax or amin of the truth values as real ones", "all", "any")
operator.leave_out("sub and floor of the quotient", "fmod", "remainder")
operator.leave_out("batch_norm, which is folded into the convolution before it", "local_response_norm")
operator.leave_out("eval mode, without random numbers", "bernoulli", "multinomial", "rand", "rand_like", "randn_like")
operator.leave_out("sub, mul and sum", "_cdist_forward", "_pdist_forward", "cdist", "pdist")
operator.leave_out("embedding, and a sum or a mean of what it gives", "_embedding_bag", "embedding_bag")
operator.leave_out("index_select with constant indices", "diagonal")
operator.leave_out("reflection_pad2d or replication_pad2d", "reflection_pad3d", "replication_pad3d")
