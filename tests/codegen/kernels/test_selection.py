"""No layer takes longer than by portable kernels: the shapes on which estimates of cost erred, each by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import Activation, ModelBuilder

import driftc
from driftc.simulator.engines import engine

# Map, input channels, output channels (0: depthwise), window, stride.
SHAPES = [
    *(((size, size), 4, 4, (1, 1), 1) for size in (8, 16)),
    ((5, 7), 4, 4, (1, 1), 1),
    ((16, 16), 4, 4, (1, 1), 2),
    ((16, 16), 2, 2, (1, 1), 1),
    ((16, 16), 2, 2, (1, 1), 2),
    ((16, 16), 3, 3, (2, 2), 2),
    *(((20, 1), 4, 4, (taps, 1), 1) for taps in (2, 3, 5, 7)),
    *(((16, 16), 4, 4, (size, size), stride) for size, stride in ((2, 1), (5, 2), (7, 1))),
    ((16, 16), 5, 5, (5, 5), 1),
    ((16, 16), 1, 1, (7, 7), 1),
    ((16, 16), 2, 2, (6, 6), 1),
    ((11, 11), 33, 0, (5, 5), 1),
    ((15, 15), 16, 0, (7, 7), 1),
    ((16, 16), 3, 0, (6, 6), 2),
    ((16, 16), 5, 0, (5, 5), 1),
    ((1, 5), 8, 0, (3, 3), 1),
    *(((11, 11), 32, 0, (size, size), stride) for size, stride in ((2, 1), (5, 1), (6, 2))),
    *(((7, 7), 64, 0, (size, size), 1) for size in (2, 7)),
    ((15, 15), 16, 0, (5, 5), 2),
    ((16, 16), 3, 0, (2, 2), 2),
    *(((20, 1), depth, 0, (taps, 1), 1) for depth, taps in ((3, 3), (17, 2), (17, 3))),
    ((11, 11), 32, 0, (1, 1), 1),
    *(((16, 16), depth, 0, (size, size), 2) for depth, size in ((2, 2), (8, 2), (13, 3))),
    *(((11, 11), 33, 0, (size, size), 2) for size in (2, 5)),
    ((1, 1), 64, 0, (3, 3), 1),
    *(((1, 5), depth, 0, (3, 3), 1) for depth in (3, 4)),
    ((15, 15), 16, 0, (4, 4), 1),
    *(((11, 11), depth, 0, (4, 4), 1) for depth in (32, 33)),
    *(((16, 16), depth, 0, (4, 4), 2) for depth in (8, 13)),
]
CORES = [
    pytest.param("cortex-m4", "unicorn", "cycles", 10, id="cortex-m4"),  # counted by kind
    pytest.param("cortex-m55", "qemu", "instructions", 65, id="cortex-m55"),  # to two ticks of its clock
]


def model() -> bytes:
    """Each layer on an input of its own."""
    builder, random = ModelBuilder(), np.random.default_rng(3)
    for number, ((height, width), depth, out, window, stride) in enumerate(SHAPES):
        x = builder.input(f"x{number}", (1, height, width, depth), scale=0.05, zero_point=-4)
        shape = (out, *window, depth) if out else (1, *window, depth)
        weights = np.clip(np.rint(random.normal(0, 40, shape)), -127, 127).astype(np.int8)
        channels = out or depth
        about = {
            "bias": random.integers(-3000, 3001, channels, np.int32),
            "weight_scale": (0.01 * np.exp2(random.uniform(-2, 1, channels))).astype(np.float32),
            "out_scale": 0.03 * float(np.prod(window)) ** 0.5,
            "out_zero_point": -128,
            "activation": Activation.RELU,
            "stride": (stride, min(stride, width)),
            "name": f"layer{number}",
        }
        build = builder.conv_2d if out else builder.depthwise_conv_2d
        builder.output(build(x, weights, **about))
    return builder.build()


@pytest.mark.parametrize(("core", "name", "what", "margin"), CORES)
def test_no_layer_is_slower_than_by_portable_kernels(
    core: str, name: str, what: str, margin: int, tmp_path: Path
) -> None:
    if (absent := engine(name).missing_for(core)) is not None:
        pytest.skip(f"{name}: {absent}")
    path = tmp_path / "layers.tflite"
    path.write_bytes(model())
    portable = driftc.compile(path, core="cortex-m3", planner="greedy", measure=False, keep_constant=True)
    portable.options = portable.options.overridden(core=core)
    portable.measure()
    own = driftc.compile(path, core=core, planner="greedy", measure=True, keep_constant=True, ram=400_000)
    known = {layer["name"]: layer for layer in portable.report["layers"]}
    others = [layer for layer in own.report["layers"] if layer["kernel"] != known[layer["name"]]["kernel"]]
    slower = {
        layer["name"]: (layer["kernel"], layer[what], known[layer["name"]][what])
        for layer in others
        if layer[what] > known[layer["name"]][what] + margin
    }
    assert others and not slower
