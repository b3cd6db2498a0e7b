"""Folding and fused activations: the same reals, and no batch normalisation left but what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from float_models import MODELS, Net, residual, samples

from driftc.codegen.evaluate import evaluate
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.passes.activate import activate
from driftc.codegen.passes.fold import fold


def kinds(graph: object) -> list[str]:
    return [operator.kind for operator in graph.operators]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", MODELS)
def test_the_same_reals(name: str) -> None:
    graph = MODELS[name]()
    x = [samples(8)]
    made = activate(fold(graph))
    made.check()
    for operator in made.operators:
        operator.check_float()
    assert "BATCH_NORMALIZATION" not in kinds(made)
    for before, after in zip(evaluate(graph, x), evaluate(made, x), strict=True):
        assert np.allclose(before, after, atol=1e-4)


def test_where_each_normalisation_goes() -> None:
    """First layer and after the addition: depthwise; before the dense layer: MUL and ADD; else into the weights."""
    before, after = kinds(residual()), kinds(fold(residual()))
    assert before.count("BATCH_NORMALIZATION") == 7
    assert after.count("DEPTHWISE_CONV_2D") == before.count("DEPTHWISE_CONV_2D") + 2
    assert after.count("MUL") == 1
    assert after.count("ADD") == before.count("ADD") + 1


def test_kept() -> None:
    graph = residual()
    kept = [operator.name for operator in graph.operators if operator.kind == "BATCH_NORMALIZATION"][1:3]
    left = [operator.name for operator in fold(graph, kept).operators if operator.kind == "BATCH_NORMALIZATION"]
    assert left == kept


def test_shared_or_leaving_outputs_are_not_folded() -> None:
    net = Net()
    x = net.convolve(net.input("x", (1, 6, 6, 2)), 4)
    graph = net.graph([net.normalize(x), net.activate(x)])
    made = activate(fold(graph))
    assert kinds(made) == ["CONV_2D", "DEPTHWISE_CONV_2D", "RELU"]
    for before, after in zip(
        evaluate(graph, [samples(3, shape=(6, 6, 2))]), evaluate(made, [samples(3, shape=(6, 6, 2))]), strict=True
    ):
        assert np.allclose(before, after, atol=1e-5)


def test_activation_is_fused_and_the_layer_keeps_its_name() -> None:
    net = Net()
    x = net.conv("stem", net.input("x", (1, 6, 6, 2)), net.weights(4, 3, 3, 2), None)
    made = activate(fold(net.graph([net.activate(net.normalize(x), "relu6")])))
    (layer,) = made.operators
    assert isinstance(layer, Conv2D)
    assert (layer.activation, layer.label, layer.outputs[0].label) == (Activation.RELU6, "stem", "stem")
