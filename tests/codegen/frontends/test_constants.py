"""Shapes settled when compiling: what is folded is what LiteRT computes, and what is not is refused in words."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from constant_cases import CASES, VERSIONS, listed
from float_models import needs
from hypothesis import assume, given
from models import ModelBuilder
from operator_cases import examples, seeds
from oracle import Oracle, compare, load_bytes

from driftc.codegen.api import compile
from driftc.codegen.errors import ModelError
from driftc.codegen.frontends import load_model
from driftc.codegen.frontends.constants import FUNCTIONS, LARGEST, Constants
from driftc.codegen.frontends.tflite.load import Walk
from driftc.codegen.frontends.tflite.schema import read
from driftc.simulator.references import ReferenceRefused, TflmReference


def test_every_function_has_a_case() -> None:
    assert set(FUNCTIONS) - set(CASES) == {"CEIL", "SIGN"}  # LiteRT has no reference kernels


@pytest.mark.parametrize("code", CASES)
@examples(15)
@given(seed=seeds)
def test_equals_litert(litert: Oracle, tmp_path_factory: pytest.TempPathFactory, code: str, seed: int) -> None:
    m = ModelBuilder()
    operands, results, (table, options) = CASES[code](m, np.random.default_rng(seed))
    m.operator(code, operands, results, table or None, version=VERSIONS.get(code, 1), **options)
    if not m.inputs:
        m.input("unread", (1, 1), scale=0.1)
    m.output(*results)
    assume(all(prod(result.shape) for result in results))  # LiteRT gives nothing to read then
    model = m.build()
    expected = litert.run(model, [[np.zeros(tensor.shape, np.int8) for tensor in m.inputs]])
    path = tmp_path_factory.getbasetemp() / "constants.tflite"
    path.write_bytes(model)
    walk = Walk(read(path, path.name)[0], "m")
    assert not isinstance(expected, ReferenceRefused), expected
    walk.run()
    for result in results:
        found = walk.tensors[result.index].data
        assert found is not None
        want = expected[0][result.index]
        assert found.shape == want.shape
        assert found.tobytes() == want.tobytes(), (found, want)


# --- whole models ---


def flat(open: bool = True, axes: tuple[int, ...] = (0,)) -> ModelBuilder:
    """conv -> Flatten, as a converter writes it of a batch that is left open -> dense."""
    m = ModelBuilder()
    x = m.input("image", (1, 6, 6, 2), scale=0.1, zero_point=3, open=axes if open else ())
    weights = np.ones((4, 3, 3, 2), np.int8)
    x = m.conv_2d(x, weights, np.arange(4), weight_scale=[0.1] * 4, stride=2, out_scale=0.2, name="conv")
    shape = m.tensor("shape", (4,), dtype=np.int32)
    m.operator("SHAPE", [x], [shape], "ShapeOptions", OutType=2)
    batch = m.tensor("batch", (), dtype=np.int32)
    m.operator(
        "STRIDED_SLICE",
        [shape, listed(m, 0), listed(m, 1), listed(m, 1)],
        [batch],
        "StridedSliceOptions",
        ShrinkAxisMask=1,
    )
    wanted = m.tensor("wanted", (2,), dtype=np.int32)
    m.operator("PACK", [batch, m.constant(-1, dtype=np.int32)], [wanted], "PackOptions", ValuesCount=2)
    y = m.tensor("flat", (1, prod(x.shape)), scale=0.2, zero_point=x.zero_point[0], open=(0, 1) if open else ())
    m.operator("RESHAPE", [x, wanted], [y], "ReshapeOptions")
    m.output(m.fully_connected(y, np.ones((5, y.shape[1]), np.int8), weight_scale=0.1, out_scale=0.3, name="dense"))
    return m


def test_flatten_of_an_open_batch(litert: Oracle) -> None:
    graph = load_bytes(flat().build())
    assert [operator.kind for operator in graph.operators] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert graph.notes == ("the batch of 'image' is open in the model; compiled for 1",)
    compare(flat(), litert)


def test_a_fixed_batch_is_not_noted() -> None:
    assert load_bytes(flat(open=False).build()).notes == ()


def test_shapes_follow_from_the_inputs(litert: Oracle) -> None:
    """A converter writes 1 for what it does not know: [1, 1] for the [5, 6] of a dense layer over the last axis."""
    m = ModelBuilder()
    x = m.input("x", (1, 5, 6), scale=0.1, open=(0,))
    rows = m.tensor("rows", (1, 1), scale=0.1, open=(0, 1))
    m.operator("RESHAPE", [x, listed(m, -1, 6)], [rows], "ReshapeOptions")
    y = m.tensor("y", (1, 3), scale=0.2, open=(0,))
    weights = m.constant(np.arange(18, dtype=np.int8).reshape(3, 6), scale=0.1)
    m.operator("FULLY_CONNECTED", [rows, weights, None], [y], "FullyConnectedOptions")
    z = m.tensor("z", (1, 1, 3), scale=0.2, open=(0, 1))
    m.operator("RESHAPE", [y, listed(m, 1, -1, 3)], [z], "ReshapeOptions")
    m.output(z)
    graph = load_bytes(m.build())
    assert [tensor.shape for tensor in graph.tensors()] == [(1, 5, 6), (5, 6), (5, 3), (1, 5, 3)]
    compare(m, litert)


def test_a_reference_that_takes_open_extents_as_they_stand(tmp_path: Path) -> None:
    """TFLite Micro takes the 1 for an extent that is open; then it is no reference, and verify says so."""
    if (reason := TflmReference().missing()) is not None:
        pytest.skip(reason)
    m = ModelBuilder()
    x = m.input("x", (1, 5, 6), scale=0.1, open=(0,))
    y = m.tensor("y", (1, 1, 6), scale=0.1, open=(0, 1))
    m.operator("RELU", [x], [y])
    m.output(y)
    (tmp_path / "net.tflite").write_bytes(m.build())
    found = compile(tmp_path / "net.tflite", measure=False).verify(engines=["tflm"], random=1)
    assert found.first_difference is None
    assert "tensor 'y' has [1, 1, 6] there, which the file leaves open" in " ".join(found.notes)


@pytest.mark.parametrize("code", ["TRANSPOSE", "RESHAPE"])
def test_weights_that_are_computed(litert: Oracle, code: str) -> None:
    """int8 weights that the file turns around first, which its own operator computes."""
    m = ModelBuilder()
    x = m.input("x", (1, 4), scale=0.1)
    stored = m.constant(np.arange(12, dtype=np.int8).reshape(4, 3), scale=0.1)
    weights = m.tensor("weights", (3, 4), scale=0.1)
    m.operator(
        code, [stored, listed(m, *((1, 0) if code == "TRANSPOSE" else (3, 4)))], [weights], f"{code.title()}Options"
    )
    y = m.tensor("y", (1, 3), scale=0.3)
    m.operator("FULLY_CONNECTED", [x, weights, None], [y], "FullyConnectedOptions")
    m.output(y)
    graph = load_bytes(m.build())
    assert [operator.kind for operator in graph.operators] == ["FULLY_CONNECTED"]
    compare(m, litert)


def test_operators_that_nothing_needs_vanish() -> None:
    m = flat()
    m.tanh(m.inputs[0], name="dead")
    unsupported = m.tensor("unsupported", (1,), dtype=np.int32)
    m.operator("WHERE", [m.tanh(m.inputs[0])], [unsupported])
    assert len(load_bytes(m.build()).operators) == 3


# --- what is refused ---


def refused(m: ModelBuilder, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        load_bytes(m.build())


def test_only_the_batch_may_be_open() -> None:
    refused(flat(axes=(0, 1, 2)), r"input 'image' has shape \[\?, \?, \?, 2\]: only the batch .* batch_size=1\)")


def test_data_dependent_shapes() -> None:
    m = flat()
    m.operators[-2] = replace(m.operators[-2], inputs=(m.operators[0].outputs[0], m.inputs[0].index))
    refused(m, r"RESHAPE 'flat': input 1 'image' is computed from the data .* keras.Input\(\.\.\., batch_size=1\)")
    m = ModelBuilder()
    y = m.tensor("y", (1, 4), dtype=np.int64, open=(0,))
    m.operator("WHERE", [m.input("x", (1, 4), scale=0.1)], [y])
    m.output(y)
    refused(m, r"not supported: operator WHERE \('y'; instead: its result has as many elements as the data say")


def test_constants_that_do_not_fit() -> None:
    def of(code: str, *operands: Any, dtype: Any = np.int32, table: str | None = None, **options: Any) -> ModelBuilder:
        m = flat()
        y = m.tensor("y", (2,), dtype=dtype)
        m.operator(code, [m.constant(np.asarray(operand)) for operand in operands], [y], table, **options)
        return m

    one = np.ones(2, np.int32)
    refused(
        of("FILL", np.array([1 << 15, 1 << 15], np.int32), np.int32(1)), "FILL 'y': of constants .* needs over 64 MiB"
    )
    refused(of("TILE", one, np.array([1 << 30], np.int32)), "needs over 64 MiB")
    refused(of("RANGE", np.int32(0), np.int32(1 << 30), np.int32(1)), "needs over 64 MiB")
    refused(of("RANGE", np.int32(0), np.int32(3), np.int32(0)), "a range whose step is 0")
    refused(of("DIV", one, one * 0), "divides by zero")
    refused(of("ADD", one, np.ones(3, np.int32)), "cannot be computed: shape mismatch")
    refused(of("ADD", one, one.astype(np.int64)), "operands are int32 and int64")
    refused(of("ADD", one, one, table="AddOptions", FusedActivationFunction=1), "fuses an activation")
    refused(of("GATHER", one, np.array([5, 1], np.int32)), "out of bounds")
    refused(of("CAST", np.array([1e30, 1], np.float32)), "holds values that int32 does not")
    refused(of("MUL", one, one, dtype=np.int64), "gives int32, but the file says that 'y' is int64")
    refused(of("PACK", one, one), r"gives shape \[2, 2\], but the file says \[2\]")


def test_room_for_all_constants_of_a_model() -> None:
    constants = Constants()
    large = np.zeros(LARGEST, np.int8)
    for _ in range(4):
        constants.compute("NEG", large)
    with pytest.raises(ValueError, match="all constants together need over 256 MiB"):
        constants.compute("NEG", large)


def test_a_constant_output(tmp_path: Path) -> None:
    m = flat()
    m.output(m.tensors[next(t.index for t in m.tensors if t.name == "shape")])
    refused(m, "output 'shape' is never computed")


# --- ONNX ---


def onnx_nodes() -> dict[str, tuple[list[Any], dict[str, Any]]]:
    """Operands and attributes of nodes that exporters write around shapes."""
    table, shape = np.arange(24, dtype=np.int64).reshape(2, 3, 4), np.array([1, 64, 8, 8], np.int64)
    one, truth = np.array([2], np.int64), np.array([True, False, True, True])
    real = np.array([1.5, -1.5], np.float32)
    made: dict[str, tuple[list[Any], dict[str, Any]]] = {
        "Add": ([shape, one], {}), "Sub": ([shape, one], {}), "Mul": ([shape, one], {}), "Div": ([-shape, one], {}),
        "Equal": ([shape, one], {}), "Less": ([shape, one], {}), "Greater": ([shape, one], {}), "Not": ([truth], {}),
        "And": ([truth, ~truth], {}), "Or": ([truth, ~truth], {}), "Where": ([truth, shape, one], {}),
        "Neg": ([shape], {}), "Abs": ([-shape], {}), "Sqrt": ([shape.astype(np.float32)], {}),
        "Floor": ([real], {}), "Ceil": ([real], {}), "Sign": ([-shape], {}),
        "Range": ([np.array(1), np.array(9), np.array(2)], {}), "Identity": ([shape], {}), "Shape": ([table], {}),
        "ReduceProd": ([table, np.array([-1])], {"keepdims": 0}), "ReduceMax": ([table, np.array([0, 2])], {}),
        "ReduceSum": ([table], {}), "ReduceMin": ([table, np.array([1])], {}), "Cast": ([shape], {"to": 1}),
        "Concat": ([shape, one], {"axis": 0}), "ConstantOfShape": ([np.array([2, 3])], {}),
        "Expand": ([one, np.array([3, 1])], {}), "Gather": ([table, np.array([0, -1])], {"axis": -1}),
        "Reshape": ([table, np.array([0, -1])], {}), "Squeeze": ([one[None], np.array([0])], {}),
        "Slice": ([table, np.array([3, 0]), np.array([-9, 1 << 40]), np.array([2, 0]), np.array([-2, 1])], {}),
        "Tile": ([one, np.array([3])], {}), "Transpose": ([table], {"perm": [2, 0, 1]}),
        "Unsqueeze": ([shape, np.array([0, -1])], {}),
    }  # fmt: skip
    return made


@needs("onnx", "onnx")
@pytest.mark.parametrize("kind", onnx_nodes())
def test_equals_the_reference_of_onnx(kind: str) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    from driftc.codegen.frontends.onnx.constant import folded

    operands, attributes = onnx_nodes()[kind]
    names = [f"x{number}" for number in range(len(operands))]
    node = onnx.helper.make_node(kind, names, ["y"], **attributes)
    results = folded(node, operands, Constants())
    assert results is not None
    found: list[np.ndarray[Any, Any]] = [*results]
    ports = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in zip(names, operands, strict=True)
    ]
    graph = onnx.helper.make_graph([node], "constant", ports, [onnx.helper.make_empty_tensor_value_info("y")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    evaluated: Any = ReferenceEvaluator(model).run(None, dict(zip(names, operands, strict=True)))
    want = np.asarray(evaluated[0])
    assert found[0].dtype == want.dtype
    assert found[0].tolist() == want.tolist()


@needs("onnx", "onnx")
def test_the_shape_of_a_value_in_onnx() -> None:
    import onnx

    from driftc.codegen.frontends.onnx.constant import shape_of

    node = onnx.helper.make_node("Shape", ["x"], ["y"], start=-3, end=-1)
    assert shape_of(node, (1, 8, 4, 5), Constants())[0].tolist() == [8, 4]
    assert shape_of(onnx.helper.make_node("Size", ["x"], ["y"]), (1, 8, 4), Constants())[0].tolist() == 32


# --- SavedModel ---


@needs("tensorflow", "keras")
def test_shapes_that_a_saved_model_computes(tmp_path: Path) -> None:
    """Reshape and a dense layer over the last axis, which TensorFlow writes as arithmetic on the shape of its input."""
    tensorflow = import_module("tensorflow")
    layers = tensorflow.keras.layers
    inputs = tensorflow.keras.Input((6, 5, 1))
    x = layers.Dense(3)(layers.Reshape((-1, 4))(layers.Conv2D(4, 3)(inputs)))
    model = tensorflow.keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    model.export(str(tmp_path / "net"), verbose=False)
    graph = load_model(tmp_path / "net")
    assert [tensor.shape for tensor in graph.tensors()][1:] == [
        (1, 4, 3, 4), (1, 12, 4), (1, 12, 3), (1, 36), (1, 2),
    ]  # fmt: skip
    assert graph.notes[-1].startswith("imported: equals TensorFlow")
