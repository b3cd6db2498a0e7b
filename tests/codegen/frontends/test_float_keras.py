"""Keras and TensorFlow: layers, both file formats, SavedModels; each import compares itself with the framework."""

from __future__ import annotations

import json
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from float_models import needs
from imports import check_kept as check
from imports import kinds

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends import load_model

KERAS = needs("tensorflow", "keras")
pytestmark = pytest.mark.filterwarnings("ignore")


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
