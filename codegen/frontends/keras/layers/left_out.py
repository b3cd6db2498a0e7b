"""Layers that are not read, and what to do instead."""

from __future__ import annotations

from driftc.codegen.frontends.keras.walk import layer
from driftc.codegen.frontends.missing import FEATURES, IN_CODE

layer.leave_out(
    "the layer of two dimensions, with one axis folded into the channels",
    *("AdaptiveAveragePooling3D", "AdaptiveMaxPooling3D", "AveragePooling3D", "Conv3D", "Conv3DTranspose"),
    *("Cropping3D", "GlobalAveragePooling3D", "GlobalMaxPooling3D", "MaxPooling3D", "UpSampling3D", "ZeroPadding3D"),
)
layer.leave_out(
    IN_CODE,
    *("CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "StringLookup"),
    *("MaxNumBoundingBoxes", "TextVectorization"),
)
layer.leave_out(FEATURES, "MelSpectrogram", "STFTSpectrogram")
layer.leave_out("a fixed number of steps, without a mask", "Masking")
layer.leave_out("Embedding at the input, and Dense at the end", "ReversibleEmbedding")
layer.leave_out(
    "the picture's treatment in the program around the model",
    *("AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "Equalization", "RandomCrop", "Solarization"),
)
