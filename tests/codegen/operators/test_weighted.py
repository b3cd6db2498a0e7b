"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED against TFLite Micro and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import Image, activations, few, images, inputs, ratios, seeds, shapes, zero_points
from oracle import Oracle, compare

paddings = st.sampled_from(["SAME", "VALID"])
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def windows(draw: st.DrawFn, height: int, width: int) -> dict[str, Any]:
    """Kernel, stride, dilation and padding of a window that fits the image."""
    kernel, dilation = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(pairs)
    padding = draw(paddings)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    assume(padding == "SAME" or (reach[0] <= height and reach[1] <= width))
    return {"kernel": kernel, "stride": draw(pairs), "dilation": dilation, "padding": padding}


@st.composite
def weight_scales(draw: st.DrawFn, image: Image, channels: int, terms: int) -> dict[str, Any]:
    """Per tensor or per channel, and an output scale that lets sums overflow, fit or vanish."""
    middle = 0.01 * draw(ratios)
    spread = np.exp2(image.random.uniform(-2, 2, channels)) if draw(st.booleans()) and channels > 1 else np.ones(1)
    typical = image.tensor.scale[0] * middle * 60 * 60 * terms**0.5 / 127
    return {
        "weight_scale": (middle * spread).astype(np.float32),
        "out_scale": typical * draw(st.one_of(ratios, st.sampled_from([1e-4, 1e4]))),
        "out_zero_point": draw(zero_points),
        "activation": draw(activations),
    }


@st.composite
def convolutions(draw: st.DrawFn, bias: bool = False) -> Image:
    image = draw(images())
    _, height, width, channels = image.tensor.shape
    window = draw(windows(height, width))
    groups = draw(st.sampled_from([n for n in range(1, channels + 1) if channels % n == 0]))
    out = groups * draw(st.integers(1, 3))
    depth = channels // groups
    terms = window["kernel"][0] * window["kernel"][1] * depth
    weights = image.weights(out, *window.pop("kernel"), depth)
    added = image.bias(out, 5000) if bias or draw(st.booleans()) else None
    result = image.builder.conv_2d(image.tensor, weights, added, **window, **draw(weight_scales(image, out, terms)))
    image.builder.output(result)
    return image


@st.composite
def depthwise_convolutions(draw: st.DrawFn) -> Image:
    image = draw(images())
    _, height, width, channels = image.tensor.shape
    window = draw(windows(height, width))
    out = channels * draw(st.integers(1, 3))
    terms = window["kernel"][0] * window["kernel"][1]
    weights = image.weights(1, *window.pop("kernel"), out)
    added = image.bias(out, 2000) if draw(st.booleans()) else None
    result = image.builder.depthwise_conv_2d(
        image.tensor, weights, added, **window, **draw(weight_scales(image, out, terms))
    )
    image.builder.output(result)
    return image


@st.composite
def dense_layers(draw: st.DrawFn) -> Image:
    builder = ModelBuilder()
    shape = draw(shapes(2, 3, 6))
    image = Image(builder, draw(inputs(builder, shape)), np.random.default_rng(draw(seeds)))
    keep = draw(st.booleans())
    length = shape[-1] if keep or draw(st.booleans()) else int(np.prod(shape[1:]))
    out = draw(st.integers(1, 6))
    added = image.bias(out, 5000) if draw(st.booleans()) else None
    result = builder.fully_connected(
        image.tensor,
        image.weights(out, length),
        added,
        keep_num_dims=keep,
        **draw(weight_scales(image, out, length)),
    )
    builder.output(result)
    return image


@few
@given(convolutions(), seeds)
def test_conv_2d(tflm: Oracle, image: Image, seed: int) -> None:
    compare(image.builder, tflm, seed)


@few
@given(convolutions(bias=True), seeds)
def test_conv_2d_in_litert(litert: Oracle, image: Image, seed: int) -> None:
    compare(image.builder, litert, seed)


@few
@given(depthwise_convolutions(), seeds)
def test_depthwise_conv_2d(tflm: Oracle, image: Image, seed: int) -> None:
    compare(image.builder, tflm, seed)


@few
@given(depthwise_convolutions(), seeds)
def test_depthwise_conv_2d_in_litert(litert: Oracle, image: Image, seed: int) -> None:
    compare(image.builder, litert, seed)


@few
@given(dense_layers(), seeds)
def test_fully_connected(tflm: Oracle, image: Image, seed: int) -> None:
    compare(image.builder, tflm, seed)


@few
@given(dense_layers(), seeds)
def test_fully_connected_in_litert(litert: Oracle, image: Image, seed: int) -> None:
    compare(image.builder, litert, seed)
