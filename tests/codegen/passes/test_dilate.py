"""Dilation by way of a batch is one convolution, and padding before a reshape is its padding: the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import Activation, ModelBuilder, Tensor
from operator_cases import examples, seeds
from oracle import load_bytes

import driftc
from driftc.codegen.graph import Graph
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.passes.dilate import dilate
from driftc.codegen.passes.pads import pads
from driftc.codegen.samples import random
from driftc.simulator.engines import engine, reference
from driftc.simulator.reference import run_graph

Padding = Literal["SAME", "VALID"]
Pairs = list[tuple[int, int]]


def convolved(
    m: ModelBuilder, x: Tensor, kernel: tuple[int, int], depthwise: bool, chance: np.random.Generator, **window: Any
) -> Tensor:
    channels = x.shape[3]
    about = {"weight_scale": 0.01, "out_scale": 0.3, "out_zero_point": -5, "activation": Activation.RELU} | window
    bias = chance.integers(-2000, 2000, 2 * channels)
    if depthwise:
        return m.depthwise_conv_2d(x, chance.integers(-127, 128, (1, *kernel, 2 * channels)), bias, **about)
    return m.conv_2d(x, chance.integers(-127, 128, (2 * channels, *kernel, channels)), bias, **about)


def through_batch(
    m: ModelBuilder, x: Tensor, block: tuple[int, ...], borders: Pairs, crops: Pairs, place: int, **about: Any
) -> Tensor:
    """As TensorFlow writes it; of sequences, as an image whose axis `place` is 1."""
    small = m.space_to_batch_nd(x, block, borders)
    if len(block) == 2:
        return m.batch_to_space_nd(convolved(m, small, **about), block, crops)
    y = convolved(m, m.expand_dims(small, place), **about)
    return m.batch_to_space_nd(m.squeeze(y, [place]), block, crops)


def assert_same(model: Graph, changed: Graph) -> None:
    changed.check()
    for operator in changed.operators:
        operator.check()
    made = {tensor.name for tensor in changed.tensors()}
    for tensor in model.tensors():
        assert tensor.name in made or tensor.name in changed.fused
    assert set(changed.fused.values()) <= {operator.name for operator in changed.operators}
    for sample in random(2, model.inputs).quantized:
        before, after = run_graph(model, sample), run_graph(changed, sample)
        for name in before.keys() & after.keys():
            assert np.array_equal(before[name], after[name])


@st.composite
def models(draw: st.DrawFn) -> tuple[ModelBuilder, bool]:
    """Any blocks, borders, crops and inner padding; and whether crops go beyond the padding."""
    m, chance = ModelBuilder(), np.random.default_rng(draw(seeds))
    axes = draw(st.integers(1, 2))
    place = draw(st.integers(1, 2))
    padding: Padding = draw(st.sampled_from(("SAME", "VALID")))
    block = tuple(draw(st.integers(1, 4)) for _ in range(axes))
    kernel = [draw(st.integers(1, 3)) for _ in range(2)]
    if axes == 1:
        kernel[place - 1] = 1
    extents, borders, crops = [], [], []
    beyond = False
    for number, size in enumerate(block):
        window = kernel[number] if axes == 2 else kernel[2 - place]
        extent = draw(st.integers(1, 9))
        before, after = draw(st.integers(0, 2 * size)), draw(st.integers(0, 2 * size))
        short = window * size if padding == "VALID" else size
        after += -(extent + before + after) % size
        after += max(0, -(-(short - extent - before - after) // size)) * size
        small = (extent + before + after) // size
        inner = (window - 1) // 2 if padding == "SAME" else 0
        large = (small if padding == "SAME" else small - window + 1) * size
        first = draw(st.integers(0, min(2 * size, large - 1)))
        last = draw(st.integers(0, min(2 * size, large - 1 - first)))
        front = before + inner * size - first
        reach = (window - 1) * size
        beyond = beyond or front < 0 or large - first - last + reach - extent - front < 0
        extents.append(extent)
        borders.append((before, after))
        crops.append((first, last))
    x = m.input("x", (draw(st.integers(1, 2)), *extents, draw(st.integers(1, 3))), scale=0.1, zero_point=-7)
    about = {"kernel": tuple(kernel), "depthwise": draw(st.booleans()), "chance": chance, "padding": padding}
    m.output(through_batch(m, x, block, borders, crops, place, **about))
    return m, beyond


@examples(120)
@given(models())
def test_any_blocks(made: tuple[ModelBuilder, bool]) -> None:
    builder, beyond = made
    model = load_bytes(builder.build())
    changed = dilate(model)
    assert_same(model, changed)
    computing = [operator for operator in changed.operators if not operator.view]
    assert (len(computing) == 1) is not beyond


def cases() -> dict[str, bytes]:
    chance = np.random.default_rng(2)
    found = {}

    def add(name: str, shape: tuple[int, ...], *between: Any, **about: Any) -> None:
        m = ModelBuilder()
        x = m.input("x", shape, scale=0.1, zero_point=11)
        m.output(through_batch(m, x, *between, **{"place": 1, "depthwise": False, "chance": chance, **about}))
        found[name] = m.build()

    same: Pairs = [(2, 3), (2, 3)]
    add("same", (1, 13, 11, 3), (2, 2), same, [(0, 1), (0, 1)], kernel=(3, 3), padding="VALID")
    add("depthwise", (1, 13, 11, 4), (2, 2), same, [(0, 1), (0, 1)], kernel=(3, 3), padding="VALID", depthwise=True)
    add("uneven", (1, 13, 11, 3), (2, 3), [(0, 1), (0, 1)], [(0, 0), (1, 2)], kernel=(2, 3), padding="SAME")
    add("causal", (1, 40, 4), (3,), [(6, 2)], [(0, 2)], kernel=(1, 3), padding="VALID")
    add("upright", (1, 40, 4), (4,), [(4, 4)], [(0, 0)], kernel=(3, 1), padding="VALID", place=2)
    add("batch", (2, 40, 4), (3,), [(6, 2)], [(0, 2)], kernel=(1, 3), padding="VALID")
    add("beyond", (1, 12, 12, 3), (2, 2), [(0, 0), (0, 0)], [(1, 0), (0, 1)], kernel=(1, 1), padding="VALID")
    return found


def there() -> list[str]:
    """The engines of these tests that are installed."""
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)
    return ["host", *(name for name in ("tflm", "litert") if reference(name).missing() is None)]


@pytest.mark.parametrize("name", cases())
def test_compiled(name: str, tmp_path: Path) -> None:
    """Beside LiteRT, and TFLite Micro where it fills the border, on the file's own operators."""
    path = tmp_path / "m.tflite"
    path.write_bytes(cases()[name])
    made = driftc.compile(path, measure=False)
    found = made.verify(engines=there(), random=3)
    assert found.bit_exact, str(found.first_difference)
    assert found.engines == ["numpy", *there()]
    kinds = [operator.kind for operator in made.lowered.graph.operators if not operator.view]
    assert len(kinds) == (3 if name == "beyond" else 1)
    assert len(found.fused) + len(found.compared) == found.total


def test_what_something_else_reads_stays(tmp_path: Path) -> None:
    m, chance = ModelBuilder(), np.random.default_rng(3)
    x = m.input("x", (1, 8, 8, 2), scale=0.1, zero_point=3)
    small = m.space_to_batch_nd(x, (2, 2), [(0, 0), (0, 0)])
    y = convolved(m, small, (3, 3), False, chance, padding="SAME")
    m.output(m.batch_to_space_nd(y, (2, 2), [(0, 0), (0, 0)]), small)
    model = load_bytes(m.build())
    assert dilate(model).operators == model.operators


def causal(m: ModelBuilder, x: Tensor, dilation: int, chance: np.random.Generator, place: int) -> Tensor:
    """Conv1D(padding="causal"), as Keras' converter writes it."""
    padded = m.pad(x, [(0, 0), (2 * dilation, 0), (0, 0)])
    image = m.reshape(padded, (*padded.shape[:place], 1, *padded.shape[place:]))
    kernel, gaps = ((1, 3), (1, dilation)) if place == 1 else ((3, 1), (dilation, 1))
    return convolved(m, image, kernel, False, chance, padding="VALID", dilation=gaps)


@pytest.mark.parametrize("place", [1, 2])
def test_padding_before_a_reshape(place: int, tmp_path: Path) -> None:
    m, chance = ModelBuilder(), np.random.default_rng(4)
    x = m.input("x", (1, 20, 3), scale=0.1, zero_point=-9)
    for dilation in (1, 2, 4):
        y = causal(m, x, dilation, chance, place)
        x = m.reshape(y, (1, 20, y.shape[3]))
    m.output(x)
    model = load_bytes(m.build())
    assert_same(model, pads(model))
    path = tmp_path / "m.tflite"
    path.write_bytes(m.build())
    made = driftc.compile(path, measure=False)
    found = [operator for operator in made.lowered.graph.operators if not operator.view]
    assert all(isinstance(operator, Conv2D | DepthwiseConv2D) and any(operator.padding) for operator in found)
    assert len(found) == 3
    seen = made.verify(engines=there(), random=3)
    assert seen.bit_exact, str(seen.first_difference)
    assert len(seen.fused) == 6


def test_border_that_is_no_zero_to_the_convolution_stays() -> None:
    """Where a reshape says another zero point than what is split, the border adds to the sums."""
    m, chance = ModelBuilder(), np.random.default_rng(5)
    x = m.input("x", (1, 12, 2), scale=0.1, zero_point=3)
    small = m.expand_dims(m.space_to_batch_nd(x, (2,), [(2, 2)]), 1)
    y = m.squeeze(convolved(m, small, (1, 3), False, chance, padding="VALID"), [1])
    m.output(m.batch_to_space_nd(y, (2,), [(0, 0)]))
    (split,) = (operator for operator in m.operators if operator.code == "SPACE_TO_BATCH_ND")
    place = split.outputs[0]
    m.tensors[place] = replace(m.tensors[place], zero_point=(9,))
    model = load_bytes(m.build())
    assert dilate(model).operators == model.operators
