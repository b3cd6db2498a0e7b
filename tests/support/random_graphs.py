"""Random small networks for the planner: branches, joins, views, outputs that are read on, dead branches."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from models import ModelBuilder, Tensor
from operator_cases import seeds

OUT: dict[str, Any] = {"out_scale": 0.05, "out_zero_point": 3}


@st.composite
def networks(draw: st.DrawFn, most: int = 12) -> ModelBuilder:
    """Up to `most` operators on images of at most 6 x 5 x 8; every value from a seed."""
    random = np.random.default_rng(draw(seeds))
    builder = ModelBuilder()
    known: list[Tensor] = []
    for number in range(draw(st.integers(1, 2))):
        shape = (1, draw(st.integers(2, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 8)))
        known.append(builder.input(f"x{number}", shape, scale=0.05, zero_point=3))
    for _ in range(draw(st.integers(1, most))):
        known += _layer(draw, builder, random, known)
    made = known[len(builder.inputs) :] or [builder.relu(known[0], **OUT)]
    outputs = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique_by=lambda tensor: tensor.index))
    if draw(st.integers(0, 4)) == 0:
        outputs.append(builder.inputs[0])
    builder.output(*outputs)
    return builder


def _layer(draw: st.DrawFn, builder: ModelBuilder, random: np.random.Generator, known: list[Tensor]) -> list[Tensor]:
    """One more operator on something known, mostly on what came last."""
    x = draw(st.sampled_from([*known, *known[-2:], *known[-1:]]))
    alike = [other for other in known if other.shape == x.shape]
    beside = [other for other in known if len(other.shape) == 4 == len(x.shape) and other.shape[1:3] == x.shape[1:3]]
    images = [
        "conv",
        "conv",
        "point",
        "point",
        "depthwise",
        "depthwise",
        "max_pool",
        "concatenation",
        "mean",
        "larger",
        "halves",
        "crop",
        "deconv",
    ]
    kinds = ["relu", "add", "reshape", "split", *(images if len(x.shape) == 4 else ["dense"])]
    kind = draw(st.sampled_from(kinds))
    channels = x.shape[-1]

    def weights(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return random.integers(-127, 128, shape)

    if kind == "relu":
        return [builder.relu(x, **OUT)]
    if kind == "add":
        return [builder.add(x, draw(st.sampled_from(alike)), **OUT)]
    if kind == "reshape":
        return [builder.reshape(x, (1, int(np.prod(x.shape))))]
    if kind == "split":
        return list(builder.split(x, 2, axis=len(x.shape) - 1)) if channels % 2 == 0 else []
    if kind == "dense":
        return [builder.fully_connected(x, weights(draw(st.integers(1, 12)), channels), weight_scale=0.01, **OUT)]
    if kind == "mean":
        return [builder.mean(x, [1, 2], keep_dims=True, **OUT)]
    if kind == "concatenation":
        return [builder.concatenation([x, draw(st.sampled_from(beside))], axis=3)]
    if kind == "larger":
        return [builder.resize_nearest_neighbor(x, (draw(st.integers(1, 8)), 2 * x.shape[2]))] if x.shape[1] < 9 else []
    if kind == "halves":
        return list(builder.split(x, 2, axis=1)) if x.shape[1] % 2 == 0 else []
    if kind == "crop":
        first = draw(st.integers(0, x.shape[1] - 1))
        return [builder.strided_slice(x, [0, first, 0, 0], [1, 99, 99, 99], [1, draw(st.integers(1, 2)), 1, 1])]
    stride = draw(st.integers(1, 2))
    if kind == "deconv":
        filters = weights(draw(st.integers(1, 8)), 3, 3, channels)
        return [builder.transpose_conv(x, filters, weight_scale=0.01, stride=stride, **OUT)] if x.shape[1] < 9 else []
    if kind == "max_pool":
        return [builder.max_pool_2d(x, 2, stride=stride, padding="SAME")]
    if kind == "depthwise":
        filters = weights(1, 3, 3, channels * draw(st.integers(1, 2)))
        return [builder.depthwise_conv_2d(x, filters, weight_scale=0.01, stride=stride, **OUT)]
    size = 1 if kind == "point" else draw(st.integers(2, 3))
    filters = weights(draw(st.integers(1, 12)), size, size, channels)
    return [builder.conv_2d(x, filters, weight_scale=0.01, stride=stride, **OUT)]
