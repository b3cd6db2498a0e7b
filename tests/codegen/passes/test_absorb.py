"""Constants at the model's input go into the weights behind, where that is exact."""

from __future__ import annotations

import numpy as np
from float_models import Net, samples
from numpy.typing import NDArray

from driftc.codegen.evaluate import evaluate
from driftc.codegen.graph import Graph
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.passes.absorb import absorb


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]


def rescaled(padding: str, scale: NDArray[np.float64], offset: NDArray[np.float64], layer: str) -> Graph:
    net = Net()
    x = net.affine("rescaling", net.input("image", (1, 12, 10, 3)), scale, offset)
    if layer == "dense":
        return net.graph([net.connect(net.binary("shift", Sub, x, net.constant("half", np.full(1, 0.5))), 4)])
    y = net.depthwise(x, padding=padding) if layer == "depthwise" else net.convolve(x, 4, padding=padding)
    return net.graph([y])


def check(graph: Graph, want: list[str]) -> None:
    found = absorb(graph)
    found.check()
    assert kinds(found) == want
    x = samples(4) * 100
    assert np.allclose(evaluate(found, [x])[0], evaluate(graph, [x])[0], rtol=1e-4, atol=1e-3)
    assert any("folded: 'rescaling" in note for note in found.notes) == (kinds(found) != kinds(graph))


def test_exact_where_nothing_is_padded() -> None:
    channels = np.array([0.5, 1 / 127.5, 2.0])
    check(rescaled("valid", channels, np.array([-1.0, 0.0, 0.25]), "conv"), ["CONV_2D"])
    check(rescaled("valid", channels, np.full(1, -1.0), "depthwise"), ["DEPTHWISE_CONV_2D"])
    check(rescaled("valid", np.full(1, 1 / 255), np.full(1, -1.0), "dense"), ["FULLY_CONNECTED"])


def test_padding_admits_no_offset() -> None:
    check(rescaled("same", np.full(1, 1 / 255), np.zeros(1), "conv"), ["CONV_2D"])
    check(rescaled("same", np.full(1, 1 / 255), np.full(1, -1.0), "conv"), ["MUL", "ADD", "CONV_2D"])


def test_what_others_read_stays() -> None:
    net = Net()
    x = net.affine("rescaling", net.input("image", (1, 12, 10, 3)), np.full(1, 0.5), np.zeros(1))
    check(net.graph([net.convolve(x, 4), x]), ["MUL", "CONV_2D"])
