"""Operators of ONNX that exporters of PyTorch seldom write: each equals ONNX's reference, and int8 follows it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_models import needs
from imports import check_int8, imported, kinds

from driftc.codegen.errors import ModelError
from driftc.codegen.evaluate import evaluate
from driftc.codegen.frontends import load_model

pytestmark = [needs("onnx", "onnx"), pytest.mark.filterwarnings("ignore")]
Nodes = list[tuple[str, list[str], dict[str, Any]]]  # kind, inputs, attributes; node n gives "n"
SHAPE = (1, 4, 6, 5)


def save(path: Path, nodes: Nodes, constants: dict[str, Any] | None = None, opset: int = 20) -> Path:
    """A model of an image "x" of SHAPE, and what the last node gives."""
    onnx = import_module("onnx")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    made = [
        helper.make_node(kind, inputs, [str(number)], name=f"part{number}", **attributes)
        for number, (kind, inputs, attributes) in enumerate(nodes)
    ]
    stored = [onnx.numpy_helper.from_array(np.asarray(data), name) for name, data in (constants or {}).items()]
    ports = [helper.make_tensor_value_info("x", real, SHAPE)]
    results = [helper.make_tensor_value_info(str(len(nodes) - 1), real, None)]
    graph = helper.make_graph(made, "net", ports, results, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    if not model.graph.output[0].type.tensor_type.HasField("shape"):  # of functions, which keep it
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info(str(len(nodes) - 1), real, SHAPE))
    onnx.save(model, path)
    return path


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


# Name -> nodes, constants, operators that must be there.
PARTS: dict[str, tuple[Nodes, dict[str, Any], set[str]]] = {
    "hard shrink": ([("Shrink", ["x"], {"lambd": 0.3})], {}, {"ABS", "GREATER", "SELECT_V2"}),
    "soft shrink": ([("Shrink", ["x"], {"lambd": 0.3, "bias": 0.3})], {}, {"SUB"}),
    "thresholded": ([("ThresholdedRelu", ["x"], {"alpha": 0.25})], {}, {"GREATER", "SELECT_V2"}),
    "hard sigmoid": (
        [("HardSigmoid", ["x"], {"alpha": 0.5, "beta": 0.25}), ("HardSigmoid", ["0"], {})],
        {},
        {"MINIMUM"},
    ),
    "swish": ([("Mul", ["x", "s"], {}), ("Sigmoid", ["0"], {}), ("Mul", ["x", "1"], {})], {"s": np.float32(2)}, set()),
    "chosen": (
        [
            ("Greater", ["x", "a"], {}),
            ("LessOrEqual", ["x", "b"], {}),
            ("And", ["0", "1"], {}),
            ("Not", ["2"], {}),
            ("Where", ["3", "x", "c"], {}),
        ],
        {"a": np.float32(-0.5), "b": np.linspace(0, 0.75, 4, dtype=np.float32).reshape(4, 1, 1), "c": np.float32(0.1)},
        {"GREATER", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_NOT", "SELECT_V2"},
    ),
    "either": (
        [
            ("Less", ["a", "x"], {}),
            ("ReduceMean", ["x", "axes"], {}),
            ("GreaterOrEqual", ["x", "1"], {}),
            ("Xor", ["0", "2"], {}),
            ("Or", ["3", "0"], {}),
            ("Cast", ["4"], {"to": 1}),
            ("Mul", ["5", "x"], {}),
        ],
        {"a": np.float32(0.25), "axes": ints(2, 3)},
        {"LESS", "GREATER_EQUAL", "LOGICAL_OR", "LOGICAL_AND", "MUL"},
    ),
    "several": (
        [("Neg", ["x"], {}), ("Max", ["x", "0", "a"], {}), ("Mean", ["x", "1"], {}), ("Min", ["2"], {})],
        {"a": np.float32(0.25)},
        {"MAXIMUM", "ADD"},
    ),
    "triangle": ([("Trilu", ["x", "k"], {"upper": 0})], {"k": ints(1).reshape(())}, {"MUL"}),
    "ceil average": ([("AveragePool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})], {}, set()),
    "power pool": ([("LpPool", ["x"], {"kernel_shape": [2, 2], "p": 2})], {}, {"AVERAGE_POOL_2D", "RSQRT"}),
    "magnitude pool": ([("LpPool", ["x"], {"kernel_shape": [2, 3], "p": 1, "pads": [1, 0, 0, 1]})], {}, {"ABS"}),
    "standard": ([("MeanVarianceNormalization", ["x"], {})], {}, {"SQUARED_DIFFERENCE", "RSQRT"}),
    "unit": ([("Abs", ["x"], {}), ("LpNormalization", ["0"], {"axis": 1, "p": 1})], {}, {"DIV"}),
    "magnitudes": ([("ReduceL1", ["x", "axes"], {"keepdims": 0})], {"axes": ints(1)}, {"ABS", "SUM"}),
    "product": ([("ReduceProd", ["x", "axes"], {})], {"axes": ints(1)}, {"MUL"}),
    "cropped": ([("CenterCropPad", ["x", "size"], {"axes": [2, 3]})], {"size": ints(3, 8)}, {"STRIDED_SLICE", "PAD"}),
    "edge": ([("Pad", ["x", "pads"], {"mode": "edge"})], {"pads": ints(0, 0, 1, 2, 0, 0, 0, 1)}, {"CONCATENATION"}),
    "rounded": ([("Mul", ["x", "a"], {}), ("Round", ["0"], {}), ("Floor", ["x"], {}), ("Add", ["1", "2"], {})],
                {"a": np.float32(4)}, {"ROUND", "FLOOR"}),
    "sign": ([("Sign", ["x"], {}), ("Mul", ["x", "0"], {})], {}, {"SELECT_V2"}),
    "sum of products": (
        [("Einsum", ["x", "m"], {"equation": "bchw,cd->bdhw"})],
        {"m": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)},
        {"FULLY_CONNECTED"},
    ),
    "product of matrices": (
        [
            ("Reshape", ["x", "shape"], {}),
            ("Transpose", ["0"], {"perm": [0, 2, 1]}),
            ("Einsum", ["0", "1"], {"equation": "bik,bkj->bij"}),
        ],
        {"shape": ints(1, 10, 12)},
        {"BATCH_MATMUL"},
    ),
    "old softmax": ([("Softmax", ["x"], {"axis": 2})], {}, {"SOFTMAX"}),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_part(name: str, tmp_path: Path) -> None:
    nodes, constants, wanted = PARTS[name]
    graph = imported(save(tmp_path / "net.onnx", nodes, constants, 11 if name == "old softmax" else 20))
    assert wanted <= set(kinds(graph)), kinds(graph)
    check_int8(graph)


def test_log_of_sums(tmp_path: Path) -> None:
    """Its int8 form has EXP, which TFLite Micro lacks, and SUM, which LiteRT spoils: the float one is compared."""
    nodes: Nodes = [("ReduceLogSumExp", ["x", "axes"], {"keepdims": 0})]
    assert {"REDUCE_MAX", "EXP", "LOG"} <= set(kinds(imported(save(tmp_path / "net.onnx", nodes, {"axes": ints(1)}))))


def test_global_power(tmp_path: Path) -> None:
    """ONNX's reference lacks it: NumPy is beside it."""
    graph = load_model(save(tmp_path / "net.onnx", [("GlobalLpPool", ["x"], {"p": 2})]))
    x = np.random.default_rng(0).normal(size=(1, 6, 5, 4)).astype(np.float32)
    (found,) = evaluate(graph, [x])
    assert np.allclose(found.reshape(4), np.sqrt((x**2).sum(axis=(0, 1, 2))), rtol=1e-5)
    assert "not compared with onnx" in graph.notes[-1]


# --- images of another size ---

COORDINATES = ("align_corners", "asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")


@pytest.mark.parametrize("nearest", ["ceil", "floor", "round_prefer_ceil", "round_prefer_floor"])
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_nearest(coordinates: str, nearest: str, tmp_path: Path) -> None:
    """Whatever pixels ONNX picks, larger and smaller: by a resize where one does the same."""
    options = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    nodes: Nodes = [("Resize", ["x", "", "", "size"], options)]
    for size in ((12, 10), (9, 7), (3, 2), (1, 5)):
        graph = imported(save(tmp_path / "net.onnx", nodes, {"size": ints(1, 4, *size)}))
        assert set(kinds(graph)) <= {"RESIZE_NEAREST_NEIGHBOR", "STRIDED_SLICE", "CONCATENATION"}


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_linear(coordinates: str, tmp_path: Path) -> None:
    options = {"coordinate_transformation_mode": coordinates, "mode": "linear"}
    for size in ((12, 10), (9, 7), (3, 4)):
        nodes: Nodes = [("Resize", ["x", "", "", "size"], options)]
        graph = imported(save(tmp_path / "net.onnx", nodes, {"size": ints(1, 4, *size)}))
        assert kinds(graph) == ["RESIZE_BILINEAR"]


# Nodes, constants, what is said.
REFUSED: dict[str, tuple[Nodes, dict[str, Any], str]] = {
    "cubic": (
        [("Resize", ["x", "", "", "s"], {"mode": "cubic"})],
        {"s": ints(1, 4, 12, 10)},
        r"\(Resize\): mode 'cubic'",
    ),
    "crop": (
        [("Resize", ["x", "roi", "", "s"], {"coordinate_transformation_mode": "tf_crop_and_resize"})],
        {"s": ints(1, 4, 12, 10), "roi": np.zeros(8, np.float32)},
        r"'part0' \(Resize\): coordinates 'tf_crop_and_resize'",
    ),
    "scales": (
        [("Resize", ["x", "", "s"], {"mode": "linear"})],
        {"s": np.array([1, 1, 1.3, 1.5], np.float32)},
        r"\(Resize\): scales .* do not make \[7, 7\] of \[6, 5\] exactly; give sizes, or whole scales",
    ),
    "dilated": (
        [("MaxPool", ["x"], {"kernel_shape": [2, 2], "dilations": [2, 2]})],
        {},
        r"'part0' \(MaxPool\): pools with dilations \[2, 2\]",
    ),
    "norm": ([("GlobalLpPool", ["x"], {"p": 3})], {}, r"\(GlobalLpPool\): a norm of order 3; driftc reads 1 and 2"),
    "shrink": ([("Shrink", ["x"], {"lambd": 0.5, "bias": 0.1})], {}, r"\(Shrink\): has lambd 0.5 and bias 0.1"),
    "vast": (
        [("Resize", ["x", "", "", "s"], {})],
        {"s": ints(1, 4, 1 << 40, 5)},
        r"\(Resize\): resizes to \[1099511627776, 5\]",
    ),
    "vast edge": (
        [("Pad", ["x", "pads"], {"mode": "edge"})],
        {"pads": ints(0, 0, 0, 0, 0, 0, 1 << 40, 0)},
        r"'part0' \(Pad\): pads 6 by 0 and 1099511627776; driftc makes 1 to 16384 of it",
    ),
    "einsum": ([("Einsum", ["x"], {"equation": "bchh->bc"})], {}, r"the equation 'bchh->bc'; driftc reads"),
    "product": ([("ReduceProd", ["x"], {})], {}, r"'part0' \(ReduceProd\): multiplies over 32 elements"),
    "tangent": ([("Tan", ["x"], {})], {}, r"operator Tan \('part0'; instead: Tanh, Sigmoid, Exp, Log or Sin"),
    "hardmax": ([("Hardmax", ["x"], {})], {}, "operator Hardmax .*instead: ArgMax at the end of the model"),
    "shape": (
        [("Relu", ["x"], {}), ("Conv", ["0", "w"], {})],
        {"w": np.ones((3, 5, 1, 1), np.float32)},
        r"'part1' \(Conv\): weights \[3, 1, 1, 5\] in 1 groups do not fit \[1, 6, 5, 4\]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    nodes, constants, said = REFUSED[name]
    with pytest.raises(ModelError, match=said):
        load_model(save(tmp_path / "net.onnx", nodes, constants))
