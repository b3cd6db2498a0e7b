"""Keras layers and operations on tensors: each equals Keras, and TFLite Micro runs it in int8."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from float_models import needs
from imports import check_int8, imported, kinds

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends import load_model

pytestmark = [needs("tensorflow", "keras"), pytest.mark.filterwarnings("ignore")]
Function = Callable[[Any, Any, Any], Any]  # (layers, keras.ops, an input) -> an output, or several
IMAGE, STEPS = (6, 5, 4), (8, 6)

# Name -> shape of the input, what is computed, operators that must be there.
PARTS: dict[str, tuple[tuple[int, ...], Function, set[str]]] = {
    "transposed": (
        IMAGE,
        lambda L, k, x: L.Concatenate()(
            [
                L.Conv2DTranspose(3, 3, 2, padding="same", activation="relu")(x),
                L.Conv2DTranspose(2, (2, 1), 2, padding="same", use_bias=False)(x),
                L.Cropping2D(((1, 0), (0, 1)))(L.Conv2DTranspose(2, 3, 2)(x)),
                L.Conv2DTranspose(2, 3, 2, padding="same", output_padding=1)(x),
            ]
        ),
        {"TRANSPOSE_CONV", "CONCATENATION"},
    ),
    "steps": (
        STEPS,
        lambda L, k, x: L.RepeatVector(3)(
            L.GlobalMaxPooling1D()(L.Conv1DTranspose(4, 3, 2)(L.UpSampling1D(2)(L.Cropping1D((1, 2))(x))))
        ),
        {"TRANSPOSE_CONV", "RESIZE_NEAREST_NEIGHBOR"},
    ),
    "resized": (
        IMAGE,
        lambda L, k, x: [
            L.Resizing(7, 4, interpolation="nearest")(L.UpSampling2D((2, 3))(x)),
            L.Resizing(9, 7)(x),
            L.UpSampling2D(2, interpolation="bilinear")(x),
            k.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], mode="symmetric"),
        ],
        {"RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", "MIRROR_PAD"},
    ),
    "reduced": (
        IMAGE,
        lambda L, k, x: [
            k.sum(x, axis=(1, 2)),
            k.max(x, -1),
            k.min(x, 1, keepdims=True),
            k.var(x, axis=2),
            k.broadcast_to(k.mean(x, -1, keepdims=True), (1, *IMAGE)),
            L.UnitNormalization()(L.Dense(6)(L.Flatten()(x))),
            k.argmax(L.MaxPooling2D(2)(x), -1),
        ],
        {"SUM", "REDUCE_MAX", "REDUCE_MIN", "BROADCAST_TO", "ARG_MAX"},
    ),
    "merged": (
        IMAGE,
        lambda L, k, x: L.Maximum()(
            [L.Minimum()([x, x * 0.5]), L.Average()([x, k.square(x), x / 4]), L.Subtract()([x, 1 - x])]
        ),
        {"MAXIMUM", "MINIMUM", "SUB"},
    ),
    "operators": (
        IMAGE,
        lambda L, k, x: k.clip(x**2 + 1, 0.5, 1.5) / (2 + k.sigmoid(x)) - k.maximum(x, 0.25),
        {"DIV", "MAXIMUM", "MINIMUM", "LOGISTIC"},
    ),
    "slices": (
        IMAGE,
        lambda L, k, x: k.concatenate([x[:, ::-1, 1:4], k.flip(x[..., 1:5, :], 2)[:, :, :3]], -1)[:, 2, None],
        {"STRIDED_SLICE", "CONCATENATION"},
    ),
    "moved": (
        STEPS,
        lambda L, k, x: [
            k.stack(k.unstack(k.swapaxes(k.expand_dims(x, 1), 1, 2), axis=1)[::2], 1) * 2,
            k.concatenate(k.split(k.take(x, [0, 2, 4, 1], axis=2), 2, axis=2), 1),
            k.repeat(k.squeeze(k.mean(x, axis=1, keepdims=True), 1), 2, axis=1),
        ],
        {"UNPACK", "SPLIT", "MEAN", "PACK"},
    ),
    "activations": (
        STEPS,
        lambda L, k, x: [
            L.Activation(name)(x * 3)
            for name in (
                "elu",
                "selu",
                "silu",
                "mish",
                "softsign",
                "hard_tanh",
                "tanh_shrink",
                "soft_shrink",
                "sparse_plus",
            )
        ],
        {"ELU", "LOGISTIC", "DIV", "MAXIMUM"},
    ),
    "activations of LiteRT": (
        STEPS,
        lambda L, k, x: [
            L.Activation(name)(x * 3)
            for name in (
                "gelu",
                "softplus",
                "exponential",
                "log_sigmoid",
                "sparse_plus",
                "squareplus",
                "sparse_sigmoid",
            )
        ],
        {"GELU", "EXP", "LOG", "SQRT"},
    ),
    "activation layers": (
        STEPS,
        lambda L, k, x: [
            L.PReLU(alpha_initializer="uniform")(x),
            L.PReLU(shared_axes=[1, 2], alpha_initializer=import_module("keras").initializers.Constant(0.2))(x),
            L.ELU(0.5)(x),
            L.ReLU(max_value=0.5)(x),
            L.ReLU(0.5, negative_slope=0.25)(x),
            L.Activation("glu")(x),
        ],
        {"LEAKY_RELU", "ELU", "MINIMUM", "PRELU"},
    ),
    "norms": (
        IMAGE,
        lambda L, k, x: [
            L.LayerNormalization(gamma_initializer="uniform", beta_initializer="uniform")(x),
            L.LayerNormalization(axis=(1, 2), center=False)(x),
            L.RMSNormalization()(x),
            L.GroupNormalization(2, gamma_initializer="uniform")(x),
            L.GroupNormalization(-1)(x),
        ],
        {"MEAN", "RSQRT", "SQUARED_DIFFERENCE"},
    ),
    "products": (
        STEPS,
        lambda L, k, x: [
            L.Dot(axes=(2, 2))([x, L.Dense(6)(x)]),
            L.Dot(axes=1)([L.Flatten()(x), L.Flatten()(x[:, ::-1])]),
            L.Dot(axes=-1, normalize=True)([x[:, 0], x[:, 1]]),
            k.matmul(x, k.swapaxes(x, 1, 2)),
            k.log_softmax(x * 2),
        ],
        {"BATCH_MATMUL", "SUM", "L2_NORMALIZATION", "LOG_SOFTMAX"},
    ),
    "embedding": (
        (5,),
        lambda L, k, x: L.Dense(3)(L.GlobalAveragePooling1D()(L.Conv1D(4, 2)(L.Embedding(9, 6)(x)))),
        {"GATHER"},
    ),
    "nested": (
        STEPS,
        lambda L, k, x: inner(L)(inner(L)(x)) + x,
        {"ADD", "CONV_2D"},
    ),
}


def inner(layers: Any) -> Any:
    keras = import_module("tensorflow").keras
    x = layers.Input(STEPS)
    return keras.Sequential([layers.Input(STEPS), keras.Model(x, layers.Conv1D(6, 3, padding="same")(x) * 0.5)])


@pytest.mark.parametrize("name", PARTS)
def test_part(name: str, tmp_path: Path) -> None:
    keras = import_module("tensorflow").keras
    keras.utils.set_random_seed(1)
    shape, function, wanted = PARTS[name]
    x = keras.Input(shape)
    keras.Model(x, function(keras.layers, keras.ops, x)).save(tmp_path / "net.keras")
    graph = imported(tmp_path / "net.keras")
    assert wanted <= set(kinds(graph)), kinds(graph)
    check_int8(graph)


def test_saved_model(tmp_path: Path) -> None:
    """The same through TensorFlow's operations."""
    keras = import_module("tensorflow").keras
    L, k = keras.layers, keras.ops
    keras.utils.set_random_seed(1)
    x = keras.Input(IMAGE)
    y = L.Conv2DTranspose(4, 3, 2, padding="same", activation="elu")(x)
    a, b = k.split(L.UpSampling2D(2)(x[:, :, ::-1]), 2, axis=3)
    y = k.maximum(y, 0.1) + k.concatenate([k.square(a), k.softmax(b)], -1) / (2 + k.sigmoid(y))
    y = L.LayerNormalization()(y) - k.clip(L.Resizing(12, 10)(x), -0.5, 0.5)
    outputs = [k.sum(y, axis=(1, 2)), k.max(y, axis=3), L.Conv2DTranspose(2, 2, 2)(y)]
    keras.Model(x, outputs).export(tmp_path / "net", verbose=False)
    graph = imported(tmp_path / "net")
    assert {"TRANSPOSE_CONV", "SUM", "REDUCE_MAX", "RESIZE_BILINEAR", "STRIDED_SLICE", "ELU"} <= set(kinds(graph))
    check_int8(graph)


def test_what_is_missing_is_told_at_once(tmp_path: Path) -> None:
    keras = import_module("tensorflow").keras
    x = keras.Input((5, 4))
    y = keras.layers.GRU(3, name="memory")(keras.layers.Dense(4)(x))
    keras.Model(x, [y, keras.layers.LSTM(3)(x)]).save(tmp_path / "net.keras")
    with pytest.raises(ModelError, match=r"2 kinds of operator .*; instead: an int8 .tflite .*instead: the same"):
        load_model(tmp_path / "net.keras")
    keras.Model(x, keras.ops.argsort(x)).save(tmp_path / "net.keras")
    with pytest.raises(ModelError, match=r"operations of keras.ops not supported: operator Argsort \('argsort"):
        load_model(tmp_path / "net.keras")
