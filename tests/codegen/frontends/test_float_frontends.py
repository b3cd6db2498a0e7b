"""Float models through each framework: batch normalisation kept, channels last, no stray transposes.

Each import compares itself with the framework's own inference; what it says is asserted here.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_models import needs
from models import ModelBuilder

from driftc.codegen.errors import ModelError, ToolError, UsageError
from driftc.codegen.evaluate import evaluate
from driftc.codegen.frontends import load_model
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.graph import Graph
from driftc.codegen.passes.fold import fold

KERAS, TORCH, ONNX = needs("tensorflow", "keras"), needs("torch", "torch"), needs("onnx", "onnx")


@pytest.fixture(autouse=True)
def frameworks_may_warn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]


def check(graph: Graph, framework: str, norms: int) -> list[str]:
    found = re.fullmatch(rf"imported: equals {framework} \S+ within (\S+) on 3 random inputs", graph.notes[-1])
    assert found and 0 <= float(found[1]) <= 1e-4, graph.notes
    assert kinds(graph).count("BATCH_NORMALIZATION") == norms
    assert "TRANSPOSE" not in kinds(graph)
    fold(graph).check()
    return kinds(graph)


# --- Keras and TensorFlow ---


def keras_model(tensorflow: Any) -> Any:
    """Every kind of layer; normalisation first, before and after an activation and after an addition."""
    keras, layers = tensorflow.keras, tensorflow.keras.layers
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((16, 12, 3), name="image")
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = y = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D((3, 2), padding="same", depth_multiplier=2, activation="relu")(x)
    x = layers.BatchNormalization(center=False)(x)
    x = layers.SeparableConv2D(8, 3, padding="same", activation="hard_silu")(x)
    x = layers.BatchNormalization()(layers.Add()([x, y, y]))
    x = layers.Concatenate()([layers.LeakyReLU(0.1)(x), layers.Dropout(0.5)(y)])
    x = layers.Conv2D(8, (2, 3), dilation_rate=2, activation="tanh")(layers.ZeroPadding2D(((2, 1), (0, 3)))(x))
    x = layers.AveragePooling2D((2, 2), padding="same")(layers.Cropping2D(((1, 0), (0, 1)))(x))
    x = layers.MaxPooling2D((3, 2), strides=1, padding="same")(x)
    a = layers.Dense(5, activation="sigmoid")(layers.Flatten()(x))
    b = layers.Dense(5, activation="silu")(layers.GlobalAveragePooling2D()(x))
    c = layers.Dense(5)(layers.GlobalMaxPooling2D(keepdims=True)(x))
    x = layers.Multiply()([layers.Subtract()([a, b]), layers.Reshape((5,))(c)])
    model = keras.Model(inputs, layers.Softmax()(x))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(keras.random.normal(layer.moving_mean.shape))
            layer.moving_variance.assign(keras.random.uniform(layer.moving_variance.shape, 0.5, 2))
    return model


@KERAS
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras(suffix: str, tmp_path: Path) -> None:
    model = keras_model(import_module("tensorflow"))
    model.save(tmp_path / f"net{suffix}")
    graph = load_model(tmp_path / f"net{suffix}")
    found = check(graph, "Keras", 4)
    assert found[:2] == ["BATCH_NORMALIZATION", "CONV_2D"]
    assert {"DEPTHWISE_CONV_2D", "HARD_SWISH", "LEAKY_RELU", "STRIDED_SLICE", "PAD", "CONCATENATION"} <= set(found)
    assert graph.inputs[0].label == "image"


@KERAS
def test_keras_normalization_and_the_largest(tmp_path: Path) -> None:
    keras = import_module("tensorflow").keras
    layers = keras.layers
    scaled = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])
    pool = layers.GlobalMaxPooling2D()
    model = keras.Sequential([layers.Input((8, 7, 3)), scaled, layers.Conv2D(4, 3), pool, layers.Dense(2)])
    model.save(tmp_path / "net.keras")
    assert "MAX_POOL_2D" in check(load_model(tmp_path / "net.keras"), "Keras", 0)
    model.export(str(tmp_path / "net"), verbose=False)
    assert "MAX_POOL_2D" in check(load_model(tmp_path / "net"), "TensorFlow", 0)


@KERAS
def test_keras_sequential_with_one_dimension_and_groups(tmp_path: Path) -> None:
    keras = import_module("tensorflow").keras
    layers = keras.layers
    inner = keras.Sequential([layers.Input((20, 6)), layers.Conv1D(8, 3, padding="causal", dilation_rate=2)])
    model = keras.Sequential(
        [
            layers.Input((20, 6)),
            layers.Conv1D(6, 4, strides=2, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling1D(2, padding="same"),
            layers.ZeroPadding1D(7),
            layers.SeparableConv1D(6, 3),
            layers.ZeroPadding1D((1, 2)),
            inner,
            layers.Reshape((4, 5, 8)),
            layers.Conv2D(4, 3, groups=2),
            layers.GlobalAveragePooling2D(),
        ]
    )
    model.save(tmp_path / "net.keras")
    check(load_model(tmp_path / "net.keras"), "Keras", 1)


@KERAS
def test_keras_refuses_what_it_lacks(tmp_path: Path) -> None:
    keras = import_module("tensorflow").keras
    model = keras.Sequential([keras.layers.Input((5, 4)), keras.layers.LSTM(3, name="memory")])
    model.save(tmp_path / "net.keras")
    with pytest.raises(ModelError, match=r"net.keras: not supported: operator LSTM \('memory'; instead: "):
        load_model(tmp_path / "net.keras")
    (tmp_path / "damaged.h5").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"damaged.h5: is no HDF5 file, or is damaged"):
        load_model(tmp_path / "damaged.h5")


@KERAS
def test_keras_2_says_nothing_of_how_layers_were_made(tmp_path: Path) -> None:
    """Its Sequential models have the input's shape in their first layer, which Keras 3 warns of."""
    h5py, keras = import_module("h5py"), import_module("tensorflow").keras
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), keras.layers.ReLU()])
    model.save(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["batch_input_shape"] = [None, 8, 8, 1]
        file.attrs["model_config"] = json.dumps(config)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        graph = load_model(tmp_path / "net.h5")
    assert kinds(graph)[0] == "CONV_2D"
    assert [str(warning.message) for warning in said if "input_shape" in str(warning.message)] == []


@KERAS
def test_saved_model(tmp_path: Path) -> None:
    tensorflow = import_module("tensorflow")
    layers = tensorflow.keras.layers
    model = tensorflow.keras.Sequential(
        [
            layers.Input((12, 10, 3)),
            layers.SeparableConv2D(8, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.Conv2D(4, 3, strides=2),
            layers.LeakyReLU(0.2),
            layers.BatchNormalization(),
            layers.ZeroPadding2D(1),
            layers.MaxPooling2D(2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.export(tmp_path / "net", verbose=False)
    found = check(load_model(tmp_path / "net"), "TensorFlow", 2)
    assert "MUL" not in found


# --- PyTorch and ONNX ---


def torch_model(torch: Any) -> Any:
    nn = torch.nn

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8))
            self.block = nn.Sequential(
                nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.Hardswish(), nn.Conv2d(8, 8, 1, groups=2)
            )
            self.leaky, self.pool = nn.LeakyReLU(0.1), nn.MaxPool2d(3, 2, 1)
            self.after = nn.BatchNorm2d(16)
            self.hidden, self.last = nn.Linear(16 * 4 * 3, 10), nn.Linear(10 + 8, 4, bias=False)
            self.flat = nn.BatchNorm1d(10)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.stem(x))
            x = x + self.leaky(self.block(x))
            y = torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1)
            x = nn.functional.pad(self.pool(x), (0, 0, 0, 0, 4, 4))
            x = nn.functional.relu6(self.after(x))
            x = self.flat(self.hidden(x.view(x.size(0), -1)))
            return torch.softmax(self.last(torch.cat([torch.sigmoid(x), y], 1)), -1)

    torch.manual_seed(0)
    net = Net().eval()
    for module in net.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net


@TORCH
def test_torch(tmp_path: Path) -> None:
    torch = import_module("torch")
    program = torch.export.export(torch_model(torch), (torch.zeros(1, 3, 16, 12),))
    torch.export.save(program, tmp_path / "net.pt2")
    graph = load_model(tmp_path / "net.pt2")
    found = check(graph, "PyTorch", 5)
    assert graph.inputs[0].shape == (1, 16, 12, 3)
    assert found.count("DEPTHWISE_CONV_2D") == 1


@TORCH
def test_torch_refuses_training_mode_and_what_it_lacks(tmp_path: Path) -> None:
    torch = import_module("torch")
    program = torch.export.export(torch_model(torch).train(), (torch.zeros(2, 3, 16, 12),))
    torch.export.save(program, tmp_path / "train.pt2")
    with pytest.raises(ModelError, match=r"train.pt2: "):
        load_model(tmp_path / "train.pt2")
    torch.export.save(torch.export.export(torch.nn.GRU(3, 4), (torch.zeros(1, 5, 3),)), tmp_path / "gru.pt2")
    with pytest.raises(ModelError, match=r"gru.pt2: not supported: operator gru \('"):
        load_model(tmp_path / "gru.pt2")


def torch_parts(torch: Any) -> dict[str, tuple[Any, int, list[str]]]:
    """Name -> module over an image of [3, 11, 9], its batch normalisations, operators that must be there."""
    nn = torch.nn

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
            self.second, self.other = nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8)

        def forward(self, x: Any) -> Any:
            y = self.other(self.second(torch.relu(self.norm(self.first(x)))))
            return torch.relu(y + nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3)))

    class Scaled(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return (x - 0.5) / 0.25

    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.BatchNorm1d(252), nn.ReLU(), nn.Linear(252, 5))
    return {
        "residual": (Residual(), 2, ["PAD", "STRIDED_SLICE"]),
        "scaled": (nn.Sequential(Scaled(), nn.Conv2d(3, 4, 1)), 0, ["MUL", "SUB"]),
        "norm_after_flatten": (flat, 1, ["RESHAPE", "BATCH_NORMALIZATION"]),
        "norm_first": (
            nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.ReLU(), nn.Conv2d(3, 4, (3, 2), (2, 1))),
            1,
            [],
        ),
        "hard_swish": (nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Hardswish()), 0, ["HARD_SWISH"]),
        "hard_sigmoid": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Hardsigmoid()), 0, ["RELU6"]),
        "same": (
            nn.Sequential(nn.Conv2d(3, 4, 4, padding="same"), nn.Conv2d(4, 4, 3, padding="valid")),
            0,
            ["CONV_2D"],
        ),
        "uncounted": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), 0, ["AVERAGE_POOL_2D"]),
        "uncounted_unlike_same": (nn.AvgPool2d(3, 1, (1, 0), count_include_pad=False), 0, ["PAD", "MUL"]),
        "counted": (nn.AvgPool2d(3, 2, 1), 0, ["PAD", "AVERAGE_POOL_2D"]),
        "ceil": (nn.MaxPool2d((3, 2), (3, 2), (1, 0), ceil_mode=True), 0, ["MAX_POOL_2D"]),
        "adaptive": (nn.AdaptiveAvgPool2d((11, 3)), 0, ["AVERAGE_POOL_2D"]),
        "adaptive_max": (nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(3, 2)), 0, ["MAX_POOL_2D"]),
        "asymmetric": (nn.Sequential(nn.ConstantPad2d((0, 1, 2, 0), 1.5), nn.Conv2d(3, 4, 3, 2)), 0, ["PAD"]),
    }


PARTS = [
    "residual",
    "scaled",
    "norm_after_flatten",
    "norm_first",
    "hard_swish",
    "hard_sigmoid",
    "same",
    "uncounted",
    "uncounted_unlike_same",
    "counted",
    "ceil",
    "adaptive",
    "adaptive_max",
    "asymmetric",
]


def part(torch: Any, name: str) -> tuple[Any, int, list[str]]:
    torch.manual_seed(0)
    module, norms, wanted = torch_parts(torch)[name]
    for inner in module.modules():
        if hasattr(inner, "running_mean"):
            inner.running_mean.normal_()
            inner.running_var.uniform_(0.5, 2)
    return module.eval(), norms, wanted


@TORCH
@pytest.mark.parametrize("name", PARTS)
def test_torch_part(name: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    module, norms, wanted = part(torch, name)
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 11, 9),)), tmp_path / "net.pt2")
    assert set(wanted) <= set(check(load_model(tmp_path / "net.pt2"), "PyTorch", norms))


@TORCH
@ONNX
@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("name", PARTS)
def test_onnx_part(name: str, opset: int, tmp_path: Path) -> None:
    torch = import_module("torch")
    module, norms, wanted = part(torch, name)
    torch.onnx.export(
        module,
        (torch.zeros(1, 3, 11, 9),),
        str(tmp_path / "net.onnx"),
        dynamo=False,
        opset_version=opset,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )
    found = check(load_model(tmp_path / "net.onnx"), "onnx", norms)
    assert set(wanted) <= set(found)
    if name == "hard_swish":
        assert "MUL" not in found


@TORCH
def test_torch_pooling_that_is_refused(tmp_path: Path) -> None:
    torch = import_module("torch")
    for module, said in (
        (torch.nn.AvgPool2d(2, ceil_mode=True), "averaging in ceil_mode"),
        (torch.nn.AdaptiveAvgPool2d(4), "do not divide into 4 x 4"),
    ):
        torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 11, 9),)), tmp_path / "net.pt2")
        with pytest.raises(ModelError, match=said):
            load_model(tmp_path / "net.pt2")


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


@TORCH
@ONNX
def test_onnx_of_torch(tmp_path: Path) -> None:
    torch = import_module("torch")
    torch.onnx.export(
        torch_model(torch),
        (torch.zeros(1, 3, 16, 12),),
        str(tmp_path / "net.onnx"),
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )
    check(load_model(tmp_path / "net.onnx"), "onnx", 5)


@ONNX
def test_onnx_refuses_what_it_lacks(tmp_path: Path) -> None:
    onnx = import_module("onnx")
    model = onnx_model(onnx)
    model.graph.node[4].op_type = "Sin"
    onnx.save(model, str(tmp_path / "net.onnx"))
    with pytest.raises(ModelError, match=r"net.onnx: not supported: operator Sin \('"):
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
    with pytest.raises(ModelError, match=r"net\.onnx: not supported: operator onnx\.brevitas\.Quant \('q'\)"):
        load_model(tmp_path / "net.onnx")


# --- without any framework ---


@pytest.mark.parametrize(("file", "extra"), [("net.keras", "keras"), ("net.onnx", "onnx"), ("net.pt2", "torch")])
def test_absent_extra_is_named(file: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / file).write_bytes(b"x")
    monkeypatch.setattr("driftc.codegen.frontends.extras.import_module", absent)
    frontend = import_module(f"driftc.codegen.frontends.{extra}.load")
    with pytest.raises(ToolError, match=re.escape(f"{file}: needs ") + rf".*pip install \"driftc\[{extra}\]\""):
        frontend.load(tmp_path / file)


def absent(name: str) -> Any:
    raise ImportError(name)


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"net.pb: driftc reads .h5, .hdf5, .keras, .onnx, .pt2, .tflite files and"):
        load_model(tmp_path / "net.pb")


@pytest.mark.parametrize("file", ["net.keras", "net.onnx", "net.pt2"])
def test_missing_file(file: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / file)


# --- float .tflite ---


def dense(stored: str) -> bytes:
    """One dense layer whose weights are float32, int8 (dynamic range) or int8 behind a DEQUANTIZE."""
    m = ModelBuilder()
    x = m.input("x", (1, 6), dtype=np.float32)
    integers = np.random.default_rng(0).integers(-127, 128, (3, 6), dtype=np.int8)
    scaled = m.constant(integers, scale=[0.01, 0.02, 0.03], name="weights")
    if stored == "float32":
        scaled = m.constant((integers * np.array([[0.01], [0.02], [0.03]])).astype(np.float32), name="reals")
    elif stored == "dequantize":
        scaled = m.dequantize(scaled)
    y = m.tensor("y", (1, 3), dtype=np.float32)
    m.operator("FULLY_CONNECTED", [x, scaled], [y], "FullyConnectedOptions", version=3)
    m.output(y)
    return m.build()


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        ("float32", r"imported: equals LiteRT within \S+ on 3 random inputs"),
        ("dequantize", r"imported: equals LiteRT within \S+ on 3 random inputs"),
        ("int8", "imported: weights are int8 in the file, taken for the reals that they stand for .*"),
    ],
)
def test_float_tflite(stored: str, note: str, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(dense(stored))
    graph = load_model(path)
    assert re.fullmatch(note, graph.notes[0]), graph.notes
    (layer,) = graph.operators
    layer.check_float()
    path.write_bytes(dense("float32"))
    x = [np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)]
    assert np.allclose(evaluate(graph, x)[0], evaluate(load_model(path), x)[0], atol=1e-5)


def test_float_tflite_without_litert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.tflite").write_bytes(dense("float32"))
    monkeypatch.setattr("driftc.simulator.references.LitertReference.missing", lambda self: "absent")
    assert "not compared with LiteRT" in load_model(tmp_path / "net.tflite").notes[0]


def test_import_that_departs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(dense("float32"))
    graph = load_model(tmp_path / "net.tflite")
    with pytest.raises(ModelError, match=r"the imported model departs from elsewhere by 0\.001 of the largest output"):
        check_import(graph, "elsewhere", lambda sample: [values * 1.001 for values in evaluate(graph, sample)])
