"""ONNX, as converters write it; each import compares itself with ONNX."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_models import needs
from imports import check_kept as check

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends import load_model

ONNX = needs("onnx", "onnx")
pytestmark = pytest.mark.filterwarnings("ignore")


def onnx_model(onnx: Any) -> Any:
    """As a converter from a channels-last framework writes it: transposes around, shapes computed in the graph."""
    helper, random = onnx.helper, np.random.default_rng(0)

    def constant(name: str, *shape: int) -> Any:
        values = np.abs(random.normal(size=shape)) if name.startswith("v") else random.normal(size=shape) * 0.3
        return onnx.numpy_helper.from_array(values.astype(np.float32), name)

    norm = [constant(name, 4) for name in ("gamma", "beta", "mean", "variance")]
    integers = [
        onnx.numpy_helper.from_array(np.array(values, np.int64), name)
        for name, values in {"zero": [0], "rest": [-1], "axes": [2, 3], "pads": [0, 0, 1, 0, 0, 0, 0, 2]}.items()
    ]
    nodes = [
        helper.make_node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Pad", ["first", "pads"], ["padded"]),
        helper.make_node("Conv", ["padded", "kernel", "bias"], ["conv"], name="/net/Conv", strides=[2, 1]),
        helper.make_node("BatchNormalization", ["conv", *(t.name for t in norm)], ["norm"]),
        helper.make_node("Relu", ["norm"], ["same"]),
        helper.make_node("AveragePool", ["same"], ["pool"], kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("Transpose", ["pool"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Shape", ["last"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["flat_shape"], axis=0),
        helper.make_node("Reshape", ["last", "flat_shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["product"]),
        helper.make_node("Add", ["product", "offset"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", ["n", 10, 8, 3]), ("y", ["n", 5]))
    ]
    weights = [
        constant("kernel", 4, 3, 3, 3),
        constant("bias", 4),
        constant("matrix", 3 * 4 * 4, 5),
        constant("offset", 5),
    ]
    graph = helper.make_graph(nodes, "net", ports[:1], ports[1:], [*weights, *norm, *integers])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@ONNX
def test_onnx(tmp_path: Path) -> None:
    onnx = import_module("onnx")
    onnx.save(onnx_model(onnx), str(tmp_path / "net.onnx"))
    graph = load_model(tmp_path / "net.onnx")
    found = check(graph, "onnx", 1)
    assert found == [
        "PAD", "CONV_2D", "BATCH_NORMALIZATION", "RELU", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    assert graph.inputs[0].shape == (1, 10, 8, 3)
    assert graph.operators[1].label == "net"
    assert re.fullmatch(r"the batch of '\w+' is (open|\d) in the model; compiled for 1", graph.notes[0])


@ONNX
def test_onnx_refuses_what_it_lacks(tmp_path: Path) -> None:
    onnx = import_module("onnx")
    model = onnx_model(onnx)
    model.graph.node[4].op_type = "Tan"
    onnx.save(model, str(tmp_path / "net.onnx"))
    with pytest.raises(ModelError, match=r"net.onnx: not supported: operator Tan \('"):
        load_model(tmp_path / "net.onnx")
    (tmp_path / "damaged.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"damaged.onnx: onnx cannot read it"):
        load_model(tmp_path / "damaged.onnx")


@ONNX
@pytest.mark.parametrize("listed", [False, True])
def test_operators_of_other_domains_are_named(listed: bool, tmp_path: Path) -> None:
    """Where the file imports no such domain, the library said so, and not which operator it was."""
    onnx = import_module("onnx")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Quant", ["x"], ["y"], name="q", domain="onnx.brevitas")],
        "g",
        [helper.make_tensor_value_info("x", real, [1, 4])],
        [helper.make_tensor_value_info("y", real, [1, 4])],
    )
    others = [helper.make_opsetid("onnx.brevitas", 1)] if listed else []
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), *others])
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(
        ModelError, match=r"net\.onnx: not supported: operator onnx\.brevitas\.Quant \('q'; instead: the float model"
    ):
        load_model(tmp_path / "net.onnx")


@ONNX
def test_operators_that_onnx_does_not_have_are_named(tmp_path: Path) -> None:
    """Under its own domain, where the library named one; and of constants, which it was asked to compute."""
    onnx = import_module("onnx")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    ports = [helper.make_tensor_value_info(name, real, [1, 4]) for name in "xy"]
    weights = onnx.numpy_helper.from_array(np.ones((1, 4), np.float32), "w")
    for domain, said in (
        (
            "",
            r"^net\.onnx: not supported: 2 kinds of operator RequantShift \('a'; instead: .*\), Bend \('c'\)",
        ),
        ("finn", r"^net\.onnx: not supported: 2 kinds of operator finn\.RequantShift \('a'\), finn\.Bend \('c'\)"),
    ):
        nodes = [
            helper.make_node("RequantShift", ["w"], ["v"], name="a", domain=domain),
            helper.make_node("Add", ["x", "v"], ["z"], name="b"),
            helper.make_node("Bend", ["x"], ["y"], name="c", domain=domain),
        ]
        graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weights])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match=said):
            load_model(tmp_path / "net.onnx")
