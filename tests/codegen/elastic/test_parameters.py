"""What of a model an update changes: exact integers, within bounds, and nothing for codes of zero."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from elastic_models import KINDS, graph_of, known_of, random_codes
from shared_data import shared_file

from driftc.codegen.elastic.coding import Codes, Folded, Live
from driftc.codegen.elastic.parameters import apply, parameters
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.inference import infer
from driftc.codegen.lower import lower
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.options import Options
from driftc.simulator.reference import run_graph


@pytest.mark.parametrize("kind", KINDS)
def test_codes_of_zero_change_nothing(kind: str, tmp_path: Path) -> None:
    graph, known = known_of(kind, tmp_path)
    made = apply(graph, known, known.unchanged())
    x = np.random.default_rng(1).integers(-128, 128, graph.inputs[0].shape).astype(np.int8)
    before, after = run_graph(graph, [x]), run_graph(made, [x])
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_changes_what_the_model_says(kind: str, tmp_path: Path) -> None:
    graph, known = known_of(kind, tmp_path)
    made = apply(graph, known, random_codes(known, 3))
    x = np.random.default_rng(1).integers(-128, 128, graph.inputs[0].shape).astype(np.int8)
    before, after = run_graph(graph, [x]), run_graph(made, [x])
    name = known.layers[0].name
    outputs = next(op for op in graph.operators if op.name in (name, f"{name}_affine")).outputs
    assert any(not np.array_equal(before[t.name], after[t.name]) for t in outputs) or isinstance(known.layers[0], Live)
    assert any(not np.array_equal(before[t.name], after[t.name]) for t in graph.outputs)
    many = infer(made, [np.stack([x, x])])
    assert np.array_equal(many[graph.outputs[0].name][1], after[graph.outputs[0].name])


def rounded(value: Fraction) -> int:
    return int((value + Fraction(1, 2)) // 1)


def test_the_arithmetic_is_what_the_module_says(tmp_path: Path) -> None:
    """Big integers instead of int64, channel by channel."""
    _, known = known_of("residual", tmp_path)
    layer = known.layers[0]
    assert isinstance(layer, Folded)
    random = np.random.default_rng(5)
    for octave in range(5):
        for exponent in (-8, -1, 0, 2):
            row = random.integers(-20, 21, (2, layer.channels)).astype(np.int8)
            codes = Codes(octave, (exponent,), row[0] // 8, (row[1],))
            found = np.stack(layer.updated(codes))
            for c in range(layer.channels):
                gain = int(codes.gain[c]) * 2 ** (4 - octave)
                factor = [round(2**30 * 2 ** (j / 16)) for j in range(16)]
                product = Fraction(int(layer.multiplier[c]) * factor[gain % 16], 2**30)
                shift = int(layer.shift[c]) - gain // 16
                value = rounded(product)
                if value >= 2**31:
                    value, shift = rounded(product / 2), shift - 1
                total = int(layer.raw[c]) + rounded(
                    Fraction(int(row[1, c]) * int(layer.step[c])) * Fraction(2) ** exponent
                )
                up = -(-gain // 16)
                raw = rounded(Fraction(total * factor[-gain % 16], 2**30) / Fraction(2) ** up)
                assert found[:, c].tolist() == [value, shift, raw]


def test_codes_are_the_nearest(tmp_path: Path) -> None:
    """What they decode to is within half a step of what was asked for."""
    _, known = known_of("residual", tmp_path)
    for layer in known.layers:
        assert isinstance(layer, Folded)
        random = np.random.default_rng(layer.channels)
        gain = np.exp2(random.uniform(-1.3, 1.3, layer.channels))
        real = layer.multiplier * np.exp2(-31.0 - layer.shift) * layer.scale
        bias = layer.raw * real + random.normal(0, 6, layer.channels) * layer.scale
        codes = layer.codes(gain, bias)
        multiplier, shift, raw = layer.updated(codes)
        slope = multiplier * np.exp2(-31.0 - shift) * layer.scale
        assert np.abs(np.log2(slope / real) - np.log2(gain)).max() <= 1 / 32 + 1e-6
        step = layer.step * 2.0 ** codes.exponents[0] * real
        assert np.all(np.abs(raw * slope - bias) <= step / 2 + slope + real)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_stay_within_bounds_whatever_is_asked_for(kind: str, tmp_path: Path) -> None:
    _, known = known_of(kind, tmp_path)
    for wide in (4.0, 40.0):
        for layer, codes in zip(known.layers, random_codes(known, 7, wide), strict=True):
            layer.updated(codes)


def test_what_leaves_the_bounds_is_refused(tmp_path: Path) -> None:
    graph, known = known_of("residual", tmp_path)
    for gain in (127, -128):
        codes = list(known.unchanged())
        codes[1] = replace(codes[1], octave=0, gain=np.full(known.layers[1].channels, gain, np.int8))
        with pytest.raises(ValueError, match=r"layer 'conv_1', channel 0: .*out of bounds"):
            apply(graph, known, codes)
    codes[1] = replace(known.unchanged()[1], exponents=(8,))
    with pytest.raises(ValueError, match="steps"):
        apply(graph, known, codes)


def test_updated_sums_stay_below_where_kernels_are_exact(tmp_path: Path) -> None:
    graph, known = known_of("residual", tmp_path)
    for seed in range(4):
        made = apply(graph, known, random_codes(known, seed, 40.0))
        for op in made.operators:
            if isinstance(op, Weighted) and op.rescaled is not None:
                assert op.largest_sum < 2**29
                op.check()


def test_a_part_of_an_updated_layer_is_that_part_of_it(tmp_path: Path) -> None:
    from driftc.codegen.operators.base import Box

    graph, known = known_of("residual", tmp_path)
    made = apply(graph, known, random_codes(known, 2))
    op = next(op for op in made.operators if op.name == known.layers[0].name)
    x = np.random.default_rng(1).integers(-128, 128, op.inputs[0].shape).astype(np.int8)
    (whole,) = op.spec(x)
    height, _, channels = op.outputs[0].hwc
    (part,) = op.part(Box(0, height, 2, channels - 1)).spec(x)
    assert np.array_equal(part, whole[..., 2 : channels - 1])


def test_the_layer_that_decides_is_left_out(tmp_path: Path) -> None:
    _, known = known_of("residual", tmp_path)
    assert "dense" not in [layer.name for layer in known.layers]
    assert len(known.layers) == 6


def test_some_layers(tmp_path: Path) -> None:
    graph = graph_of("residual", tmp_path)
    every = parameters(graph)
    some = parameters(graph, "stem, block_2/shortcut")
    assert [layer.name for layer in some.layers] == ["stem", "shortcut"]
    assert some.model_id != every.model_id
    with pytest.raises(UsageError, match="dense: decides the class; it could be stem, "):
        parameters(graph, "stem,dense")
    with pytest.raises(UsageError, match="elsewhere: the model has no such layer"):
        parameters(graph, "elsewhere")
    alone = graph.with_operators([op for op in graph.operators if op.name not in [la.name for la in every.layers]])
    with pytest.raises(ModelError, match="no layer can be updated: dense: decides the class"):
        parameters(alone)


def test_other_methods_of_adaptation_are_refused_with_the_reason(tmp_path: Path) -> None:
    from live_models import compiled
    from models import residual_model

    path = tmp_path / "m.tflite"
    path.write_bytes(residual_model())
    graph = compiled(path, "iabn").lowered.graph
    with pytest.raises(ModelError, match="moves the variance itself"):
        parameters(graph)


@pytest.mark.parametrize(
    ("path", "layers", "channels", "size"),
    [("ic/pretrainedResnet_quant", 9, 336, 754), ("kws/kws_ref_model_int8", 9, 576, 1234)],
)
def test_packets_of_published_models_are_as_small_as_said(path: str, layers: int, channels: int, size: int) -> None:
    file = shared_file(f"mlperf_tiny/models/{path}.tflite")
    known = parameters(lower(file, Options(planner="greedy")).graph)
    assert (len(known.layers), sum(layer.channels for layer in known.layers), known.packet_bytes) == (
        layers,
        channels,
        size,
    )
