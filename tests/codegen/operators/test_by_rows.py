"""The C of operators that are streamed row by row between two convolutions, on circular line buffers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder, Tensor
from numpy.typing import NDArray

import driftc
from driftc.simulator.engines import engine

Build = Callable[[ModelBuilder, Tensor], Tensor]


def weights(*shape: int) -> NDArray[np.int8]:
    return np.random.default_rng(sum(shape)).integers(-127, 128, shape, dtype=np.int8)


BUILD: dict[str, Build] = {
    "nearest": lambda m, x: m.resize_nearest_neighbor(x, (32, 24)),
    "nearest of other sizes": lambda m, x: m.resize_nearest_neighbor(x, (29, 17), half_pixel_centers=True),
    "transposed convolution": lambda m, x: m.transpose_conv(
        x, weights(9, 3, 3, 8), range(9), weight_scale=0.01, stride=2, out_scale=0.5
    ),
    "transposed convolution without padding": lambda m, x: m.transpose_conv(
        x, weights(4, 4, 2, 8), weight_scale=0.01, stride=(1, 3), padding="VALID", out_scale=0.5
    ),
    "joined": lambda m, x: m.concatenation([x, m.max_pool_2d(x, 3, stride=1, padding="SAME")], 3),
    "beside itself": lambda m, x: m.concatenation([x, x], 2),
    "bilinear": lambda m, x: m.resize_bilinear(x, (32, 24), half_pixel_centers=True),
    "mirrored": lambda m, x: m.mirror_pad(x, [(0, 0), (2, 1), (1, 1), (0, 0)]),
    "tiled": lambda m, x: m.tile(x, [1, 1, 2, 1]),
    "space to depth": lambda m, x: m.space_to_depth(x, 2),
    "depth to space": lambda m, x: m.depth_to_space(x, 2),
    "crop": lambda m, x: m.slice(x, [0, 3, 2, 0], [1, 11, 9, 8]),
    "every other": lambda m, x: m.strided_slice(x, [0, 1, 0, 1], [1, 16, 12, 8], [1, 2, 1, 2]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILD)
def test_streamed(name: str, tmp_path: Path) -> None:
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)
    m = ModelBuilder()
    x = m.input("x", (1, 16, 12, 3), scale=0.1, zero_point=4)
    x = m.conv_2d(x, weights(8, 3, 3, 3), weight_scale=0.01, out_scale=0.5, out_zero_point=5, name="before")
    x = BUILD[name](m, x)
    x = m.conv_2d(x, weights(2, 3, 3, x.shape[3]), weight_scale=0.01, stride=2, out_scale=0.5, name="after")
    m.output(m.mean(x, [1, 2], keep_dims=True))
    path = tmp_path / "m.tflite"
    path.write_bytes(m.build())
    made = driftc.compile(path, measure=False, minimize="ram")
    streamed = {name for piece in made.lowered.plan.pieces if piece.kind == "rows" for name in piece.operators}
    assert {op.name for op in made.lowered.graph.operators[1:-2]} & streamed
    found = made.verify(engines=["host"], random=2, sanitize=True)
    assert found.bit_exact, found.first_difference
