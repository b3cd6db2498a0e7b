"""A depthwise convolution over one channel becomes a convolution: the same bytes, by faster kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import Activation, ModelBuilder

from driftc.codegen.lower import lower
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.options import Options
from driftc.codegen.passes.one_channel import one_channel
from driftc.codegen.samples import random
from driftc.simulator.reference import run_graph


@pytest.mark.parametrize("scales", [1, 8])
@pytest.mark.parametrize("channels", [1, 2])
def test_same_bytes(scales: int, channels: int, tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    m = ModelBuilder()
    x = m.input("x", (1, 11, 9, channels), scale=0.1, zero_point=-7)
    weights = chance.integers(-127, 128, (1, 4, 3, 8))
    scale = 0.01 * chance.uniform(0.5, 2, scales)
    options: dict[str, Any] = {"weight_scale": scale, "stride": 2, "activation": Activation.RELU6, "out_scale": 0.02}
    m.output(m.depthwise_conv_2d(x, weights, chance.integers(-999, 999, 8), **options))
    path = tmp_path / "m.tflite"
    path.write_bytes(m.build())
    model = lower(path, Options()).model
    changed = one_channel(model)
    for operator in changed.operators:
        operator.check()
    kinds = [operator.kind for operator in changed.operators]
    assert kinds == ["CONV_2D" if channels == 1 else "DEPTHWISE_CONV_2D"]
    assert isinstance(model.operators[0], DepthwiseConv2D)
    for sample in random(3, model.inputs).quantized:
        name = model.outputs[0].name
        assert np.array_equal(run_graph(model, sample)[name], run_graph(changed, sample)[name])
