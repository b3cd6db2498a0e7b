"""Layers over steps: their reshapes come behind what acts on each channel, which can then be fused or live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from float_models import Net, samples

from driftc.codegen.adaptation.adapt import chosen
from driftc.codegen.adaptation.known import known
from driftc.codegen.evaluate import evaluate
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.options import Options
from driftc.codegen.passes.activate import activate
from driftc.codegen.passes.fold import fold
from driftc.codegen.passes.sink import sink
from driftc.codegen.quantize.calibration import check
from driftc.codegen.quantize.post_training import Settings, quantize_graph


def over_steps(read_twice: bool = False) -> Graph:
    """Two convolutions over 30 steps as frontends make them, each between two reshapes."""
    net = Net(11)
    x = net.input("steps", (1, 30, 4))
    for number in range(2):
        x = net.reshape(f"image_{number}", x, (1, 1, 30, x.shape[-1]))
        x = net.reshape(
            f"steps_{number}",
            net.conv(f"conv_{number}", x, net.weights(6, 1, 3, x.shape[3]), None, padding="same"),
            (1, 30, 6),
        )
        y = net.activate(net.normalize(x))
        x = net.plus(x, y) if read_twice else y
    return net.graph([net.connect(net.reshape("flat", x, (1, 180)), 3)])


def test_the_same_reals_and_every_norm_in_its_convolution() -> None:
    graph = over_steps()
    made = activate(fold(sink(graph)))
    made.check()
    assert [op.kind for op in made.operators if isinstance(op, Weighted)] == ["CONV_2D", "CONV_2D", "FULLY_CONNECTED"]
    assert {op.kind for op in made.operators} == {"CONV_2D", "FULLY_CONNECTED", "RESHAPE"}
    assert [op.activation for op in made.operators if op.kind == "CONV_2D"] == [Activation.RELU] * 2  # type: ignore[attr-defined]
    x = [samples(8, shape=(30, 4))]
    for before, after in zip(evaluate(graph, x), evaluate(made, x), strict=True):
        assert np.allclose(before, after, atol=1e-4)


def test_what_others_read_stays() -> None:
    graph = over_steps(read_twice=True)
    assert [op.name for op in sink(graph).operators] == [op.name for op in graph.operators]


def test_they_can_be_live(tmp_path: Path) -> None:
    real = over_steps()
    found = quantize_graph(real, check(real, [samples(shape=(30, 4))], "x.npz"), Settings())
    path = tmp_path / "net.tflite"
    path.write_bytes(found.model)
    graph = lower(path, Options(planner="greedy")).model
    assert len(chosen(graph, "all", known(found, graph).layers)) == 2
