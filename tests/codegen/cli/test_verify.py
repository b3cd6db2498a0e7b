"""driftc verify: what was compared, the first difference, indices, saved tensors."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from commands import driftc, driftc_json
from models import ModelBuilder

from driftc.codegen.api import compile as compile_model
from driftc.simulator.engines import engine


def test_verify_says_what_was_compared(kws: Path) -> None:
    text = driftc("verify", "kws", "--engine", "numpy", "--random", "2", cwd=kws).stdout
    assert "compared 11 of 11 tensors" in text
    assert "bit-exact: 5 samples on numpy" in text
    found = driftc_json("verify", "kws", "--engine", "numpy", "--random", "2", cwd=kws)
    assert found == {
        "bit_exact": True,
        "engines": ["numpy"],
        "samples": 5,
        "tensors_compared": 11,
        "tensors_fused": [],
        "first_difference": None,
        "learning_events": None,
    }


def test_verify_takes_every_engine_that_is_present(kws: Path) -> None:
    doctor = driftc_json("doctor", cwd=kws)["tools"]
    present = {row["tool"].removeprefix("engine ") for row in doctor if row["present"] == "yes"}
    found = driftc_json("verify", "kws", "--random", "1", cwd=kws)
    assert found["bit_exact"]
    assert set(found["engines"]) == present & {"numpy", "tflm", "litert", "host", "unicorn", "qemu"}


def test_verify_names_the_first_difference(own: Path) -> None:
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    weights = own / "kws" / "kws_weights.h"
    text = weights.read_text()
    at = text.index("{", text.index("dense_weights["))
    number = re.compile(r"-?\d+").search(text, text.index("\n", at))
    assert number is not None
    wrong = str(-int(number[0]) or 1)
    weights.write_text(text[: number.start()] + wrong + text[number.end() :])
    found = driftc_json("verify", "kws", "--engine", "host", cwd=own, code=1)
    assert not found["bit_exact"]
    difference = found["first_difference"]
    assert (difference["engine"], difference["layer"], difference["element"]) == ("host", "dense", [0, 0])
    assert difference["expected"] != difference["got"]
    text = driftc("verify", "kws", "--engine", "host", cwd=own, code=1).stdout
    assert "NOT bit-exact (numpy, host): host: dense[0, 0] is" in text
    assert "Likely cause: kws_weights.h changed since driftc wrote it" in text


def test_a_difference_names_the_layer_as_compile_does(tmp_path: Path) -> None:
    """Tensor names of real models are long; the layer's is that of its function in C and in the other reports."""
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    builder = ModelBuilder()
    x = builder.input("serving_default_x:0", (1, 4), scale=0.1)
    label = "net/dense/MatMul;net/dense/BiasAdd"
    weights = np.eye(4, dtype=np.int8) * 64
    builder.output(builder.fully_connected(builder.relu(x), weights, weight_scale=0.02, out_scale=0.2, name=label))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    layers = driftc_json("compile", "m.tflite", "--no-measure", cwd=tmp_path)["layers"]
    stored = tmp_path / "m" / "m_weights.h"
    stored.write_text(stored.read_text().replace("64, 0, 0, 0, 0", "-64, 0, 0, 0, 0"))
    found = driftc_json("verify", "m", "--engine", "host", cwd=tmp_path, code=1)
    assert found["first_difference"]["layer"] == layers[-1]["name"]
    text = driftc("verify", "m", "--engine", "host", cwd=tmp_path, code=1).stdout
    assert f"host: {layers[-1]['name']}[0, 0] is" in text
    assert "(tensor 'dense/MatMul', sample 0;" in text  # in one line, wherever it goes


def test_an_edit_that_no_sample_meets_is_told(own: Path) -> None:
    weights = own / "kws" / "kws_weights.h"
    weights.write_text(weights.read_text() + "/* mine */\n")
    text = driftc("verify", "kws", "--engine", "numpy", "--random", "0", cwd=own).stdout
    assert "kws_weights.h changed since driftc wrote it" not in text  # NumPy does not read the C
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    text = driftc("verify", "kws", "--engine", "host", "--random", "0", cwd=own).stdout
    assert "kws_weights.h changed since driftc wrote it; no sample shows a difference" in text


def test_no_operator_is_cut_short_in_the_table(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 100, 100, 1), scale=0.1)
    name = "a_layer_with_a_name_that_takes_much_of_the_line"
    filters = np.ones((1, 3, 3, 1), np.int8)
    builder.output(builder.depthwise_conv_2d(x, filters, weight_scale=[0.1], out_scale=0.2, name=name))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    text = driftc("compile", "m.tflite", "--no-measure", cwd=tmp_path).stdout
    assert "DEPTHWISE_CONV_2D" in text
    assert "1 x 100 x 100 x 1" in text


def test_random_indices_are_rows_of_every_table_they_choose_from(tmp_path: Path) -> None:
    """The references refuse an index outside; the smallest table decides, also behind a RESHAPE."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 6), dtype=np.int32)
    tables = [builder.constant(np.ones((rows, 4), np.int8), scale=0.1) for rows in (3, 50)]
    indices = builder.reshape(x, (1, 2, 3))
    builder.output(*(builder.gather(table, indices) for table in tables))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    samples = compile_model(tmp_path / "m.tflite", measure=False).samples(random=20)
    assert {int(index) for (row,) in samples.quantized for index in row.flat} == {0, 1, 2}


def test_saved_tensors(kws: Path, tmp_path: Path) -> None:
    driftc("verify", "kws", "--engine", "numpy", "--random", "2", "--save-tensors", tmp_path / "t.npz", cwd=kws)
    with np.load(tmp_path / "t.npz") as kept:
        assert next(iter(kept)) == "000_conv"
        assert list(kept)[-1] == "009_probabilities"
        assert kept["000_conv"].shape == (5, 25, 5, 8)
        assert kept["009_probabilities"].shape == (5, 12)


def test_fused_tensors_are_named(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 6, 6, 2), scale=0.1)
    weights = np.ones((3, 3, 3, 2), np.int8)
    padded = builder.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], name="pad_1")
    builder.output(builder.conv_2d(padded, weights, weight_scale=0.1, padding="VALID", out_scale=0.5, name="conv_2"))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    driftc("compile", "m.tflite", "--no-measure", cwd=tmp_path)
    assert "compared 1 of 2 tensors; fused: pad_1 -> conv_2" in driftc("verify", "m", cwd=tmp_path).stdout
    assert driftc_json("verify", "m", cwd=tmp_path)["tensors_fused"] == ["pad_1 -> conv_2"]
