"""What is said of a model whose operators driftc lacks: each kind once, where it is, and what works instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from models import ModelBuilder

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.missing import missing_text
from driftc.codegen.frontends.tflite.load import load


def refusal(builder: ModelBuilder, folder: Path) -> str:
    (folder / "net.tflite").write_bytes(builder.build())
    with pytest.raises(ModelError) as caught:
        load(folder / "net.tflite")
    return str(caught.value)


def test_every_kind_is_named_once(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4, 4, 2), scale=0.1)
    for number, code in enumerate(("LOCAL_RESPONSE_NORMALIZATION", "RFFT2D", "LOCAL_RESPONSE_NORMALIZATION")):
        y = builder.tensor(f"net/layer_{number}/Op;net/other/BiasAdd", (1, 4, 4, 2), scale=0.1)
        builder.operator(code, [x], [y])
        x = y
    builder.output(builder.relu(x, out_scale=0.2))
    said = refusal(builder, tmp_path)
    assert said.startswith("net.tflite: not supported: 2 kinds of operator LOCAL_RESPONSE_NORMALIZATION (")
    assert "('Op' and 1 more; instead: batch normalisation" in said
    assert "RFFT2D (" in said
    assert "examples/logmel.py" in said
    assert said.count("RFFT2D") == said.count("LOCAL_RESPONSE_NORMALIZATION") == 1
    assert "CONV_2D" not in said


def test_what_follows_a_missing_operator_does_not_hide_it(tmp_path: Path) -> None:
    """The ADD is refused by itself, for its operand's shape: but that is the missing operator's."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 4, 4, 2), scale=0.1)
    wrong = builder.tensor("wrong", (1, 3, 4, 2), scale=0.1)
    builder.operator("RFFT2D", [x], [wrong])
    y = builder.tensor("sum", (1, 4, 4, 2), scale=0.1)
    builder.operator("ADD", [x, wrong], [y])
    z = builder.tensor("last", (1, 4, 4, 2), scale=0.1)
    builder.operator("BIDIRECTIONAL_SEQUENCE_RNN", [y], [z])
    builder.output(z)
    said = refusal(builder, tmp_path)
    assert "2 kinds of operator RFFT2D ('wrong'; " in said
    assert "BIDIRECTIONAL_SEQUENCE_RNN ('last'; " in said


def test_custom_operators_by_their_own_names() -> None:
    said = missing_text([("CUSTOM TFLite_Detection_PostProcess", "boxes"), ("CUSTOM mine", "own")])
    assert "CUSTOM TFLite_Detection_PostProcess ('boxes'; instead: leave it to the program" in said
    assert "CUSTOM mine ('own')" in said


def test_long_names_are_shortened_in_messages() -> None:
    long = "net/block_7/conv/Relu;net/block_7/bn/FusedBatchNormV3;net/block_7/conv/BiasAdd;net/c/Conv2D"
    assert str(ModelError(f"net.tflite: tensor '{long}': is odd")) == "net.tflite: tensor 'conv/Relu': is odd"
    assert str(ModelError("net.tflite: tensor 'a;b': is odd")) == "net.tflite: tensor 'a': is odd"
