"""What the .tflite reader refuses, and how it says so; each fault that the fuzzer found has its test here."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.layout import Field, layout
from models import Activation, ModelBuilder, keyword_model
from tflite import BuiltinOperator

from driftc.codegen.api import compile
from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.tflite.schema import LARGEST_FILE
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.options import Options
from driftc.codegen.report.tables import print_report
from driftc.codegen.samples import random
from driftc.simulator.host import HostEngine
from driftc.simulator.reference import PlanRun, run_graph


def read(model: bytes, folder: Path) -> Lowered:
    path = folder / "m.tflite"
    path.write_bytes(model)
    return lower(path, Options())


def refused(model: bytes, folder: Path, *expected: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(model, folder)
    said = str(caught.value)
    assert said.startswith("m.tflite: ")
    assert said.isprintable()
    for part in expected:
        assert part in said, said


def network() -> ModelBuilder:
    """conv -> pool -> dense, from a 6 x 6 image."""
    m = ModelBuilder()
    x = m.input("image", (1, 6, 6, 2), scale=0.1, zero_point=3)
    weights = np.ones((4, 3, 3, 2), np.int8)
    x = m.conv_2d(x, weights, np.arange(4), weight_scale=[0.1] * 4, stride=2, out_scale=0.2, name="conv")
    x = m.average_pool_2d(x, 3, name="pool")
    x = m.fully_connected(x, np.ones((5, 4), np.int8), np.arange(5), weight_scale=0.1, out_scale=0.3, name="dense")
    m.output(x)
    return m


def with_field(model: bytes, kind: str, value: int, number: int = 0) -> bytes:
    """The file with one of its fields overwritten."""
    import struct

    fields: list[Field] = [field for field in layout(model).fields if field.kind == kind]
    data = bytearray(model)
    struct.pack_into(fields[number].format, data, fields[number].position, value)
    return bytes(data)


def changed(**what: Any) -> bytes:
    """`network` with an operator's options or a tensor's fields replaced: operator=(number, options), tensor=..."""
    m = network()
    for number, options in what.get("operators", {}).items():
        operator = m.operators[number]
        m.operators[number] = replace(operator, options={**operator.options, **options})
    for name, fields in what.get("tensors", {}).items():
        (tensor,) = (tensor for tensor in m.tensors if tensor.name == name)
        m.tensors[tensor.index] = replace(tensor, **fields)
    return m.build()


def test_the_network_itself_is_taken(tmp_path: Path) -> None:
    assert len(read(network().build(), tmp_path).graph.operators) == 3


# --- the file ---


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0" * 64, b"\x1c\0\0\0TFL2" + b"\0" * 64, b"PK\x03\x04" * 20])
def test_not_a_model(content: bytes, tmp_path: Path) -> None:
    refused(content, tmp_path, "header: not a .tflite file")


def test_every_truncation(tmp_path: Path) -> None:
    model = network().build()
    for length in range(len(model)):
        with pytest.raises(ModelError, match=r"^m\.tflite: \S+ "):
            read(model[:length], tmp_path)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.tflite: cannot be read: No such file"):
        lower(tmp_path / "none.tflite", Options())
    (tmp_path / "folder.tflite").mkdir()
    with pytest.raises(ModelError, match=r"folder\.tflite: cannot be read: Is a directory"):
        lower(tmp_path / "folder.tflite", Options())


def test_file_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)  # sparse
    with pytest.raises(ModelError, match=r"large\.tflite: .* driftc reads models up to 256 MiB"):
        lower(path, Options())


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("length", [1 << 31, (1 << 32) - 1, 1 << 20])
def test_vectors_longer_than_the_file(number: int, length: int, tmp_path: Path) -> None:
    refused(with_field(network().build(), "length", length, number), tmp_path)


def test_options_table_outside_the_file(tmp_path: Path) -> None:
    """flatbuffers reads fields when they are asked for: it left the file with struct.error."""
    model = network().build()
    for value in (1 << 31, (1 << 32) - 1, 3, len(model)):
        refused(with_field(model, "options", value), tmp_path, "operator 0 CONV_2D")
    refused(with_field(model, "options", (1 << 32) - 20), tmp_path, "operator 0 CONV_2D 'conv': its Conv2DOptions")


def test_options_of_another_operator(tmp_path: Path) -> None:
    m = network()
    m.operators[0] = replace(m.operators[0], options_table="Pool2DOptions", options={})
    refused(m.build(), tmp_path, "operator 0 CONV_2D 'conv': has Pool2DOptions instead of Conv2DOptions")


# --- tensors ---


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, -1, 6, 2), "shape [1, -1, 6, 2] is not possible"),
        ((1, 1 << 14, 1 << 14, 2), "needs over 64 MiB"),
        ((1 << 30, 1 << 30, 1 << 30, 1 << 30), "needs over 64 MiB"),
        ((1,) * 9, "has 9 axes; driftc reads up to 8"),
        ((1, 0, 6, 2), "conv"),
        ((2, 6, 6, 2), "has 2 samples, but the file says [1, 3, 3, 4]"),
        ((), "conv"),
    ],
)
def test_shapes(shape: tuple[int, ...], expected: str, tmp_path: Path) -> None:
    refused(changed(tensors={"image": {"shape": shape}}), tmp_path, expected)


def test_a_batch_that_no_device_holds(tmp_path: Path) -> None:
    """It took 1.6 GiB and half a minute to plan, from a file of 2 kB."""
    m = ModelBuilder()
    x = m.input("x", (1 << 19, 4, 4, 1))
    m.output(m.relu(x, name="relu"))
    refused(
        m.build(),
        tmp_path,
        "operator 0 RELU 'relu': works on 16,777,216",
        "'x' [524288, 4, 4, 1] among them",
        "driftc plans up to 16,000,000",
    )


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -0.5, 0.0])
@pytest.mark.parametrize("tensor", ["image", "conv"])
def test_scales(scale: float, tensor: str, tmp_path: Path) -> None:
    refused(changed(tensors={tensor: {"scale": (scale,)}}), tmp_path, f"'{tensor}'", "scale")


@pytest.mark.parametrize("zero", [-129, 128, 1 << 40])
def test_zero_points(zero: int, tmp_path: Path) -> None:
    refused(changed(tensors={"image": {"zero_point": (zero,)}}), tmp_path, f"zero point {zero} is outside int8")


def test_quantisation_of_computed_tensors(tmp_path: Path) -> None:
    """Several scales got as far as the samples; none at all stopped a pass, which did not name the file."""
    several = {"scale": (0.1, 0.2), "zero_point": (0, 0)}
    refused(changed(tensors={"image": several}), tmp_path, "'image': has 2 scales")
    refused(changed(tensors={"pool": {"scale": (), "zero_point": ()}}), tmp_path, "'pool'")
    m = ModelBuilder()
    x = m.input("image", (1, 4, 4, 1))
    padded = m.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    m.output(m.conv_2d(padded, np.ones((1, 3, 3, 1), np.int8), weight_scale=0.1, padding="VALID", out_scale=0.5))
    refused(m.build(), tmp_path, "operator 0 PAD", "has no quantisation")


def test_scale_too_small_for_its_activation(tmp_path: Path) -> None:
    """It was refused only when the C was made, and NumPy warned of an overflow."""
    for scale in (1e-9, 1e-45):
        m = ModelBuilder()
        x = m.input("x", (1, 4), scale=0.1)
        y = m.fully_connected(
            x, np.ones((2, 4), np.int8), weight_scale=1e-9, out_scale=scale, activation=Activation.RELU6, name="dense"
        )
        m.output(y)
        refused(m.build(), tmp_path, "m.tflite: ", "dense")


@pytest.mark.parametrize("name", ["image", "conv", "conv/weights"])
def test_scale_without_a_zero_point(name: str, tmp_path: Path) -> None:
    """It counted as 0; TFLite Micro takes the tensor as not quantised, and gives other bytes."""
    refused(changed(tensors={name: {"zero_point": ()}}), tmp_path, f"'{name}': has a scale but no zero point")
    read(changed(tensors={"conv/bias": {"zero_point": ()}}), tmp_path)


@pytest.mark.parametrize("multiplier", [0, 1, 3, -2])
def test_depth_multiplier_against_the_shapes(multiplier: int, tmp_path: Path) -> None:
    """It was not read; TFLite Micro computes as many channels as it says."""
    m = ModelBuilder()
    x = m.input("image", (1, 4, 4, 2), scale=0.1)
    m.output(m.depthwise_conv_2d(x, np.ones((1, 3, 3, 4), np.int8), weight_scale=0.1, out_scale=0.5, name="deep"))
    read(m.build(), tmp_path)
    m.operators[0] = replace(m.operators[0], options={**m.operators[0].options, "DepthMultiplier": multiplier})
    refused(m.build(), tmp_path, f"'deep': depth multiplier {multiplier} does not make 4 output channels of 2")


@pytest.mark.parametrize("tensor", ["conv", "dense"])
def test_requantisation_beyond_int32(tensor: str, tmp_path: Path) -> None:
    """From a factor of 2^30 on TFLite Micro shifts by 31 bits or more: driftc took the largest factor instead."""
    model = changed(tensors={tensor: {"scale": (1e-38,)}})
    refused(model, tmp_path, f"'{tensor}': requantisation", "can overflow int32")


@pytest.mark.parametrize("scale", [1e36, 3.4e38])
def test_border_beyond_float32(scale: float, tmp_path: Path) -> None:
    """Real values of such int8 values are infinite, and what a reference makes of those is undefined."""

    def bordered(scale: float, back: float) -> bytes:
        m = ModelBuilder()
        x = m.quantize(m.input("real", (1, 4), dtype=np.float32), out_scale=scale, name="in")
        m.output(m.dequantize(m.quantize(x, out_scale=back), name="out"))
        return m.build()

    refused(bordered(scale, 1e35), tmp_path, "QUANTIZE 'in': scale", "beyond float32")
    refused(bordered(1e35, scale), tmp_path, "DEQUANTIZE 'out': scale", "beyond float32")
    same(read(bordered(1e35, 6e35), tmp_path))


# --- the graph ---


def rearranged(change: Callable[[ModelBuilder], None]) -> bytes:
    m = network()
    change(m)
    return m.build()


def test_order_and_cycles(tmp_path: Path) -> None:
    refused(rearranged(lambda m: m.operators.reverse()), tmp_path, "before it is computed")

    def cycle(m: ModelBuilder) -> None:
        m.operators[0] = replace(m.operators[0], inputs=(m.operators[2].outputs[0], *m.operators[0].inputs[1:]))

    refused(rearranged(cycle), tmp_path)


def test_tensor_computed_twice(tmp_path: Path) -> None:
    def double(m: ModelBuilder) -> None:
        m.operators.insert(1, m.operators[0])

    refused(rearranged(double), tmp_path, "computes 'conv' a second time")

    def into_the_input(m: ModelBuilder) -> None:
        m.operators[1] = replace(m.operators[1], outputs=(m.inputs[0].index,))

    refused(rearranged(into_the_input), tmp_path)


def test_input_listed_twice(tmp_path: Path) -> None:
    """The pass that sets float borders aside removed its QUANTIZE twice."""
    refused(rearranged(lambda m: m.inputs.append(m.inputs[0])), tmp_path, "lists an input twice")


def test_no_inputs_or_outputs(tmp_path: Path) -> None:
    refused(rearranged(lambda m: m.inputs.clear()), tmp_path, "no inputs or no outputs")
    refused(rearranged(lambda m: m.outputs.clear()), tmp_path, "no inputs or no outputs")


@pytest.mark.parametrize("output", [0, 2, 3])
def test_constants_and_inputs_as_outputs(output: int, tmp_path: Path) -> None:
    """An input that is an output is that; a constant is nothing that a model computes."""
    model = rearranged(lambda m: m.outputs.append(m.tensors[output]))
    if output == 0:
        same(read(model, tmp_path))
    else:
        refused(model, tmp_path)


# --- what must be taken ---


def same(lowered: Lowered) -> None:
    """Plan and Graph compute the same."""
    for sample in random(2, lowered.graph.inputs).quantized:
        values = run_graph(lowered.graph, sample)
        outputs, _ = PlanRun(lowered.plan).run(sample)
        for tensor, output in zip(lowered.plan.output_tensors, outputs, strict=True):
            assert np.array_equal(values[tensor.name], output), tensor.name


def test_dead_branches_and_outputs_used_inside(tmp_path: Path) -> None:
    m = network()
    m.tanh(m.inputs[0], name="dead")
    m.outputs += [m.tensors[m.operators[0].outputs[0]], m.outputs[0]]
    same(read(m.build(), tmp_path))


def test_constant_operands(tmp_path: Path) -> None:
    """A constant input of an operator without weights was refused as never computed."""
    m = ModelBuilder()
    x = m.input("x", (1, 4), scale=0.1)
    table = m.constant(np.arange(4, dtype=np.int8).reshape(1, 4), scale=0.1, name="a/b")
    other = m.constant(-np.arange(4, dtype=np.int8).reshape(1, 4), scale=0.1, name="a_b")
    m.output(m.add(m.add(x, table, out_scale=0.2), other, out_scale=0.2))
    lowered = read(m.build(), tmp_path)
    same(lowered)
    names = {buffer.name for buffer in lowered.plan.buffers() if buffer.data is not None}
    assert len(names) == 2


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (2, 2), (1, 1, 1, 4)])
def test_bias_of_any_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Kernels read it flat; NumPy spread it over the output."""
    plain = read(network().build(), tmp_path)
    m = network()
    (bias,) = (tensor for tensor in m.tensors if tensor.name == "conv/bias")
    m.tensors[bias.index] = replace(bias, shape=shape)
    shaped = read(m.build(), tmp_path)
    same(shaped)
    (sample,) = random(1, plain.graph.inputs).quantized[:1]
    assert np.array_equal(run_graph(plain.graph, sample)["dense"], run_graph(shaped.graph, sample)["dense"])


@pytest.mark.parametrize("shape", [(1, 6, 1), (1, 1, 2, 3), (2, 3), (1, 2, 3, 1), (6,)])
def test_dense_layer_flattens_its_input(shape: tuple[int, ...], tmp_path: Path) -> None:
    """The Plan took the last axis alone for the row."""
    m = ModelBuilder()
    x = m.input("x", shape, scale=0.1)
    weights = np.arange(18, dtype=np.int8).reshape(3, 6)
    m.output(m.fully_connected(x, weights, np.arange(3), weight_scale=0.1, out_scale=0.3, name="dense"))
    path = tmp_path / "m.tflite"
    path.write_bytes(m.build())
    compiled = compile(path, measure=False)
    same(compiled.lowered)
    if HostEngine().missing() is None:
        assert compiled.verify(engines=["host"], random=2).bit_exact


def test_model_that_ends_in_a_view(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table by layer looked for the layer that computes the view."""
    m = network()
    m.outputs[:] = [m.reshape(m.outputs[0], (5,), name="flat")]
    path = tmp_path / "m.tflite"
    path.write_bytes(m.build())
    compiled = compile(path, measure=False)
    same(compiled.lowered)
    print_report(compiled, tmp_path)
    assert "dense" in capsys.readouterr().out


def test_any_seed_of_the_builder(tmp_path: Path) -> None:
    same(read(keyword_model(channels=4), tmp_path))


def test_longest_name(tmp_path: Path) -> None:
    """flatbuffers cuts a string that claims more than there is, so a name may be the rest of the file."""
    same(read(changed(tensors={"image": {"name": "x" * (1 << 14)}}), tmp_path))
    refused(changed(tensors={"image": {"name": "x" * 100_000}}), tmp_path, "tensor 0: its name has 100000 characters")


def test_the_larger_of_two_operator_codes_counts(tmp_path: Path) -> None:
    """As in TFLite, where a file says one in the older field and another in the newer (found by the fuzzer)."""
    model = bytearray(network().build())
    fields = [field for field in layout(bytes(model)).fields if (field.kind, field.format) == ("operator code", "<i")]
    codes = {struct.unpack_from("<i", model, field.position)[0]: field.position for field in fields}
    struct.pack_into("<i", model, codes[BuiltinOperator.CONV_2D], BuiltinOperator.DEPTHWISE_CONV_2D)
    refused(bytes(model), tmp_path, "operator 0 DEPTHWISE_CONV_2D 'conv': has Conv2DOptions instead of Depthwise")


def test_quantize_to_float(tmp_path: Path) -> None:
    """A traceback, once the table of the layers behind was made (found by the fuzzer)."""
    m = ModelBuilder()
    real = m.dequantize(m.input("x", (1, 4), scale=0.1), name="real")
    wrong = m.tensor("wrong", (1, 4), dtype=np.float32)
    m.operator("QUANTIZE", [real], [wrong], "QuantizeOptions")
    m.output(m.quantize(wrong, out_scale=0.1, name="back"))
    refused(m.build(), tmp_path, "operator 1 QUANTIZE 'wrong': gives float32; driftc compiles int8 here")
