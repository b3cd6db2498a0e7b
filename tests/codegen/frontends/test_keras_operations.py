"""Layers and operations of Keras 3 beyond the usual: each equals Keras, and TFLite Micro or LiteRT runs it in int8."""

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
Function = Callable[[Any, Any, Any], Any]  # (keras.layers, keras.ops, an image of [6, 5, 4]) -> results

# Name -> what is computed, operators that must be there.
PARTS: dict[str, tuple[Function, set[str]]] = {
    "relu with a threshold": (
        lambda L, K, x: L.ReLU(max_value=0.9, negative_slope=0.25, threshold=0.25)(x) + L.ReLU(threshold=0.5)(x),
        {"GREATER_EQUAL", "SELECT_V2"},
    ),
    "softmax": (lambda L, K, x: L.Softmax(axis=1)(x * 4) + K.softmax(x * 3, axis=2), {"SOFTMAX", "TRANSPOSE"}),
    "einsum dense": (
        lambda L, K, x: [
            L.EinsumDense("abcd,de->abce", output_shape=(6, 5, 7), bias_axes="e", activation="relu")(x),
            L.EinsumDense("...x,xy->...y", output_shape=7, bias_axes="y")(x),
        ],
        {"FULLY_CONNECTED"},
    ),
    "each step": (
        lambda L, K, x: L.TimeDistributed(L.Dense(3))(L.TimeDistributed(L.Flatten())(x)),
        {"FULLY_CONNECTED"},
    ),
    "spectral": (lambda L, K, x: L.SpectralNormalization(L.Conv2D(3, 2))(x), {"CONV_2D"}),
    "adaptive": (
        lambda L, K, x: L.AdaptiveAveragePooling2D((4, 3))(x) + L.AdaptiveMaxPooling2D((4, 3))(x),
        {"AVERAGE_POOL_2D", "MAX_POOL_2D"},
    ),
    "shrunk": (
        lambda L, K, x: L.Activation("hard_shrink")(x) + K.hard_shrink(x, 0.25) + K.threshold(x, 0.1, 0.2),
        {"GREATER", "SELECT_V2"},
    ),
    "chosen": (
        lambda L, K, x: K.where(K.logical_and(x > 0.1, K.flip(x, 1) < 0.4), x, x * 0.5),
        {"LOGICAL_AND", "SELECT_V2"},
    ),
    "cast": (lambda L, K, x: K.cast(x > 0, "float32") * x, {"GREATER", "SELECT_V2"}),
    "either": (
        lambda L, K, x: K.where(K.logical_not(K.logical_xor(x > 0, K.flip(x, 2) > 0)), x, 0.0),
        {"LOGICAL_OR", "LOGICAL_NOT"},
    ),
    "truth": (lambda L, K, x: x > 0.25, {"GREATER"}),
    "rounded": (lambda L, K, x: K.round(x, 1) + K.floor(x * 4) / 4 + K.sign(x) * 0.5, {"ROUND", "FLOOR", "SELECT_V2"}),
    "logarithm of two": (lambda L, K, x: K.logaddexp(x * 3, K.flip(x, 1)), {"MAXIMUM", "LOG"}),
    "multiplied": (lambda L, K, x: K.prod(x, axis=3), {"MUL"}),
    "norms": (lambda L, K, x: K.norm(x, axis=3) + K.norm(x, ord=1, axis=3), {"RSQRT", "ABS"}),
    "unit": (lambda L, K, x: K.normalize(x + 2, axis=3), {"L2_NORMALIZATION"}),
    "moments": (lambda L, K, x: K.moments(x, axes=[1, 2])[1], {"SQUARED_DIFFERENCE"}),
    "rolled": (lambda L, K, x: K.roll(x, 2, axis=1) + K.roll(x, (1, -1), axis=(2, 3)), {"CONCATENATION"}),
    "differences": (lambda L, K, x: K.diff(x, axis=1), {"SUB"}),
    "cut": (lambda L, K, x: K.slice(x, (0, 1, 2, 0), (1, 3, 2, 4)), {"STRIDED_SLICE"}),
    "pooled": (lambda L, K, x: K.max_pool(x, 2, 1, "same") + K.average_pool(x, 3, 1, "same"), {"MAX_POOL_2D"}),
    "products": (lambda L, K, x: K.einsum("bijc,bkjc->bik", x, K.flip(x, 1)), {"BATCH_MATMUL"}),
    "triangles": (lambda L, K, x: K.tril(x) + K.triu(x, 1), {"MUL"}),
    "quotient": (lambda L, K, x: K.floor_divide(x * 5, 2.0), {"FLOOR"}),
}


def save(function: Function, path: Path) -> Path:
    keras = import_module("tensorflow").keras
    keras.utils.set_random_seed(1)
    x = keras.Input((6, 5, 4), name="image")
    keras.Model(x, function(keras.layers, keras.ops, x)).save(path)
    return path


@pytest.mark.parametrize("name", PARTS)
def test_part(name: str, tmp_path: Path) -> None:
    function, wanted = PARTS[name]
    graph = imported(save(function, tmp_path / "net.keras"))
    assert wanted <= set(kinds(graph)), kinds(graph)
    check_int8(graph, 18)


@pytest.mark.parametrize("name", ["chosen", "cast", "rounded", "products", "multiplied", "relu with a threshold"])
def test_part_of_a_saved_model(name: str, tmp_path: Path) -> None:
    keras = import_module("tensorflow").keras
    function, _ = PARTS[name]
    keras.models.load_model(save(function, tmp_path / "net.keras")).export(str(tmp_path / "net"), verbose=False)
    check_int8(imported(tmp_path / "net"), 18)


def test_a_saved_model_with_state_is_refused_by_name(tmp_path: Path) -> None:
    """Freezing made a constant of the variable, and TensorFlow spoke of resources."""
    tensorflow = import_module("tensorflow")

    class Summing(tensorflow.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.total = tensorflow.Variable(tensorflow.zeros((1, 3)))

        @tensorflow.function(input_signature=[tensorflow.TensorSpec((1, 3), tensorflow.float32)])  # type: ignore[untyped-decorator]
        def step(self, x: Any) -> Any:
            return self.total.assign_add(x)

    module = Summing()
    tensorflow.saved_model.save(module, str(tmp_path / "net"), signatures=module.step)
    with pytest.raises(ModelError, match=r"^net: not supported: Assign\w+ \('.*'\) keeps state between inferences"):
        load_model(tmp_path / "net")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda L, K, x: L.TimeDistributed(L.Conv1D(3, 2))(x),
            r"'time_distributed\w*' \(TimeDistributed\): of Conv1D; driftc reads it of Flatten",
        ),
        (lambda L, K, x: K.argsort(x), "operations of keras.ops .*Argsort .*leave it to the program around the model"),
        (lambda L, K, x: K.norm(x, ord=3, axis=3), r"\(Norm\): of order 3 along \[3\]; driftc reads 1 and 2"),
        (lambda L, K, x: K.prod(x, axis=(1, 2, 3)), r"\(Prod\): multiplies over 32 elements"),
    ],
)
def test_refused(function: Function, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said):
        load_model(save(function, tmp_path / "net.keras"))
