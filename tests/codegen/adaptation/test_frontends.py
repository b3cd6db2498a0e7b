"""--adapt from the file of each framework: its normalisation is found, stays live, and the folder is read again."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from float_models import needs, samples

from driftc.codegen.adaptation import calibrated
from driftc.codegen.adaptation.constants import Adaptation
from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import UsageError
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.operators.adapt.live import Live


def keras(path: Path, *, h5: bool = False) -> Path:
    tf = load_extra("tensorflow", "keras", "test")
    keras, layers = tf.keras, tf.keras.layers
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((12, 10, 3))
    for number in range(2):
        x = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"bn_{number}")(x))
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    found = path / ("net.h5" if h5 else "net.keras")
    model.save(found)
    return found


def saved_model(path: Path) -> Path:
    tf = load_extra("tensorflow", "keras", "test")
    tf.saved_model.save(tf.keras.models.load_model(keras(path)), str(path / "net"))
    return path / "net"


def onnx(path: Path) -> Path:
    onnx = import_module("onnx")
    helper, random = onnx.helper, np.random.default_rng(1)
    shapes = {"w": (6, 3, 3, 3), "g": (6,), "b": (6,), "m": (6,), "v": (6,), "d": (4, 6)}
    arrays = {name: np.abs(random.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    arrays["w"] -= arrays["w"].mean(axis=(1, 2, 3), keepdims=True)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], name="bn_0"),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "d"], ["y"], transB=1),
    ]
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 3, 12, 10]), ("y", [1, 4]))
    ]
    constants = [onnx.numpy_helper.from_array(values, name) for name, values in arrays.items()]
    graph = helper.make_graph(nodes, "net", ports[:1], ports[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path / "net.onnx")
    return path / "net.onnx"


def torch(path: Path) -> Path:
    torch = import_module("torch")
    nn = torch.nn
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).eval()
    torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 12, 10),)), path / "net.pt2")
    return path / "net.pt2"


MAKERS = [
    pytest.param(keras, 2, marks=needs("tensorflow", "keras"), id="keras"),
    pytest.param(lambda path: keras(path, h5=True), 2, marks=needs("tensorflow", "keras"), id="h5"),
    pytest.param(saved_model, 2, marks=needs("tensorflow", "keras"), id="saved_model"),
    pytest.param(onnx, 1, marks=needs("onnx", "onnx"), id="onnx"),
    pytest.param(torch, 1, marks=needs("torch", "torch"), id="torch"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "norms"), MAKERS)
def test_from_a_file_to_a_folder_and_back(make: Callable[[Path], Path], norms: int, tmp_path: Path) -> None:
    model, data = make(tmp_path), tmp_path / "x.npy"
    np.save(data, samples())
    made = compile(model, calibrate=data, adapt="fixed", adapt_precision="int16", measure=False)
    assert sum(isinstance(operator, Live) for operator in made.lowered.graph.operators) == norms
    assert made.verify(random=2, engines=["numpy"]).first_difference is None
    made.write(tmp_path / "out")
    assert Compiled.load(tmp_path / "out").sources == made.sources
    kept = tmp_path / "out" / "adaptation.json"
    assert Adaptation.read(kept).precision == "int16"
    given = compile(model, calibrate=data, adapt_constants=kept, measure=False)
    assert given.sources == made.sources
    finer = compile(model, calibrate=data, adapt_constants=kept, adapt_precision="int32", measure=False)
    assert finer.lowered.adaptation is not None
    assert finer.lowered.adaptation.precision == "int32"


@pytest.mark.filterwarnings("ignore")
@needs("tensorflow", "keras")
def test_fitted_against_the_float_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrated, "STEPS", 4)
    monkeypatch.setattr(calibrated, "EPOCHS", 0)
    model, data = keras(tmp_path), tmp_path / "x.npy"
    np.save(data, samples())
    first, second = (
        compile(model, calibrate=data, adapt="calibrated", adapt_layers="bn_1", measure=False) for _ in range(2)
    )
    assert first.lowered.adaptation is not None
    assert len(first.lowered.adaptation.layers) == 1
    assert first.sources == second.sources  # seeded


@pytest.mark.filterwarnings("ignore")
@needs("tensorflow", "keras")
def test_bad_layers_and_precision_are_named(tmp_path: Path) -> None:
    model, data = keras(tmp_path), tmp_path / "x.npy"
    np.save(data, samples())
    with pytest.raises(UsageError, match="no layer 'nosuch'; it could be bn_0, bn_1"):
        compile(model, calibrate=data, adapt="fixed", adapt_layers="nosuch", measure=False)
    with pytest.raises(UsageError, match="'int4' is none of int8, int16, int32"):
        compile(model, calibrate=data, adapt="fixed", adapt_precision="int4", measure=False)
