"""Every operator's C, compiled for this machine plain and under sanitizers, against its specification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import examples
from operator_models import MODELS

import driftc
from driftc.simulator.engines import engine

VIEWS = ("reshape", "squeeze", "expand_dims")
# What shares a template is compiled together.
FAMILIES = {
    "extremes": ("maximum", "minimum"),
    "comparisons": ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"),
    "functions": ("abs", "rsqrt", "sqrt", "exp", "log", "elu", "gelu", "relu_n1_to_1", "relu_0_to_1", "neg"),
    "reductions": ("sum", "reduce_max", "reduce_min"),
    "rows": ("log_softmax", "l2_normalization"),
    "places": ("arg_max", "arg_min"),
    "pieces": ("concatenation", "split", "split_v", "pack", "unpack", "transpose"),
    "selections": (
        "slice",
        "strided_slice",
        "tile",
        "reverse_v2",
        "mirror_pad",
        "broadcast_to",
        "resize_nearest_neighbor",
    ),
    "blocks": ("space_to_depth", "depth_to_space", "space_to_batch_nd", "batch_to_space_nd"),
    "look-ups": ("gather", "gather_nd", "embedding_lookup"),
    "logic": ("logical_and", "logical_or", "logical_not", "select_v2"),
}
COMPUTING = {code: (code,) for code in MODELS if code not in {*VIEWS, *chain(*FAMILIES.values())}} | FAMILIES


def merged(builders: Sequence[ModelBuilder]) -> ModelBuilder:
    """One model that holds them all side by side."""
    whole = ModelBuilder()
    for number, builder in enumerate(builders):
        base = len(whole.tensors)
        moved = [replace(t, index=t.index + base, name=f"m{number}/{t.name}_{t.index}") for t in builder.tensors]
        whole.tensors += moved
        whole.operators += [
            replace(
                operator,
                inputs=tuple(index + base if index >= 0 else -1 for index in operator.inputs),
                outputs=tuple(index + base for index in operator.outputs),
            )
            for operator in builder.operators
        ]
        whole.inputs += [moved[tensor.index] for tensor in builder.inputs]
        whole.outputs += [moved[tensor.index] for tensor in builder.outputs]
    return whole


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)


def check(builders: Sequence[ModelBuilder], folder: Path, *, match: str = "tflm", sanitize: bool = False) -> None:
    path = folder / "m.tflite"
    path.write_bytes(merged(builders).build())
    found = driftc.compile(path, match=match, measure=False).verify(engines=["host"], random=2, sanitize=sanitize)
    assert found.bit_exact, found.first_difference


@examples(2, shrink=False)  # the first is always the simplest there is
@given(data=st.data())
def test_one_of_each(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    check([data.draw(MODELS[code]) for code in MODELS], tmp_path_factory.mktemp("each"))


@pytest.mark.slow
@pytest.mark.parametrize("family", COMPUTING)
@examples(3, shrink=False)
@given(data=st.data())
def test_twelve_of_one(family: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    codes = COMPUTING[family]
    models = [data.draw(MODELS[codes[number % len(codes)]]) for number in range(12)]
    check(models, tmp_path_factory.mktemp(family), sanitize=True)


@pytest.mark.slow
@pytest.mark.parametrize("code", ["mul", "leaky_relu", "fully_connected"])
@examples(3, shrink=False)
@given(data=st.data())
def test_twelve_of_one_as_litert_computes(
    code: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check([data.draw(MODELS[code]) for _ in range(12)], tmp_path_factory.mktemp(code), match="litert", sanitize=True)
