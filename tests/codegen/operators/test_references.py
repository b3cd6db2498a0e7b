"""Every operator's specification against TFLite Micro and LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from operator_cases import examples, seeds
from operator_models import MODELS
from oracle import Oracle, compare, load_bytes

from driftc.codegen.operators import registry
from driftc.codegen.passes.tabulate import tabulate


def of(reference: str) -> list[str]:
    """The operators that `reference` computes in int8."""
    return [code for code in MODELS if reference in registry()[code.upper()].compared]


@pytest.mark.parametrize("code", of("TFLite Micro"))
@examples(25)
@given(st.data(), seeds)
def test_equals_tflite_micro(tflm: Oracle, code: str, data: st.DataObject, seed: int) -> None:
    builder = data.draw(MODELS[code])
    assume(not any(operator.tflm_undefined for operator in load_bytes(builder.build()).operators))
    compare(builder, tflm, seed)


@pytest.mark.parametrize("code", of("LiteRT"))
@examples(10)
@given(st.data(), seeds)
def test_equals_litert(litert: Oracle, code: str, data: st.DataObject, seed: int) -> None:
    builder = data.draw(MODELS[code])
    assume(code != "conv_2d" or len(builder.operators[0].inputs) == 3)  # LiteRT refuses a convolution without bias
    graph = tabulate(load_bytes(builder.build()))
    assume(not any(operator.litert_undefined for operator in graph.operators))
    compare(builder, litert, seed)
