"""Small models that learn, their labelled samples, and how they are compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from models import Activation, ModelBuilder, Tensor

import driftc
from driftc.codegen.compiled import Compiled

CLUSTERS = 6  # of the samples; a model knows the first `known`


def classifier(
    known: int = 4, length: int = 12, seed: int = 3, *, per_row: bool = False, softmax: bool = True, zero: int = -128,
    weight_scale: float = 0.01, feature_scale: float = 0.03, out_scale: float = 0.08, lowest: bool = False,
    border: str = "int8", idle: int | None = None,
) -> bytes:  # fmt: skip
    """A dense layer with ReLU on 8 values, and one on its `length` features that decides; `border`: what it takes.

    `idle`: a class whose row is 0, on a scale that says nothing.
    """
    random = np.random.default_rng(seed)
    m = ModelBuilder()
    if border == "int8":
        x = m.input("x", (1, 8), scale=0.05, zero_point=3)
    elif border == "uint8":
        taken = m.input("x", (1, 8), dtype=np.uint8, scale=0.05, zero_point=131)
        x = m.quantize(taken, out_scale=0.05, out_zero_point=3, name="taken")
    else:
        x = m.quantize(m.input("x", (1, 8), dtype=np.float32), out_scale=0.05, out_zero_point=3, name="taken")
    first = random.integers(-127, 128, (length, 8), dtype=np.int8)
    bias = random.integers(-500, 500, length)
    features = m.fully_connected(
        x, first, bias, weight_scale=0.01, out_scale=feature_scale, out_zero_point=zero, name="features"
    )
    second = random.integers(-127, 128, (known, length), dtype=np.int8)
    if lowest:
        second[0] = -128
    scale: Any = np.linspace(0.004, 0.02, known) if per_row or idle is not None else weight_scale
    if idle is not None:
        second[idle], scale[idle] = 0, 1e-9
    y = m.fully_connected(
        features, second, random.integers(-300, 300, known), weight_scale=scale, out_scale=out_scale, name="decides"
    )
    y = m.softmax(y, name="probabilities") if softmax else y
    if border == "float32":
        y = m.dequantize(y, name="given")
    elif border == "uint8":
        scale, zero = (1 / 256, 0) if softmax else (out_scale, 128)
        y = m.quantize(y, out_scale=scale, out_zero_point=zero, dtype=np.uint8, name="given")
    m.output(y)
    return m.build()


def samples(count: int, classes: int, seed: int = 5, first: int = 0) -> dict[str, Any]:
    """x int8 [count, 8] in clusters, and y: classes first, first + 1, ... in turn."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(CLUSTERS, 8)) * 40
    y = first + np.arange(count) % classes
    x = np.clip(np.rint(centres[y] + random.normal(size=(count, 8)) * 12), -128, 127)
    return {"x": x.astype(np.int8), "y": y.astype(np.int64)}


def learning(folder: Path, model: bytes | None = None, known: int = 4, **options: Any) -> Compiled:
    """Compiled with --learn, on samples of each class that it knows."""
    (folder / "net.tflite").write_bytes(classifier(known) if model is None else model)
    np.savez(folder / "known.npz", **samples(60, known))
    chosen = {"learn": "classifier", "learn_classes": known + 2, "measure": False, **options}
    return driftc.compile(folder / "net.tflite", calibrate=folder / "known.npz", **chosen)


def pooled(
    classes: int = 5, channels: int = 6, seed: int = 3, *, mean: bool = True, softmax: bool = True,
    per_row: bool = False, size: tuple[int, int] = (4, 5), zero: int = -128,
) -> bytes:  # fmt: skip
    """One convolution, a pool over all of its map, and a dense layer."""
    random = np.random.default_rng(seed)
    m = ModelBuilder()
    x = m.input("x", (1, *size, 3), scale=0.05, zero_point=3)
    filters = random.integers(-127, 128, (channels, 1, 1, 3), dtype=np.int8)
    x = m.conv_2d(x, filters, weight_scale=0.01, out_scale=0.03, out_zero_point=zero, name="conv")
    if mean:
        x = m.mean(x, (1, 2), out_scale=0.02, out_zero_point=zero, name="pool")
    else:
        x = m.reshape(m.average_pool_2d(x, size, padding="VALID", name="pool"), (1, channels), name="flat")
    weights = random.integers(-127, 128, (classes, channels), dtype=np.int8)
    scale: Any = np.linspace(0.004, 0.02, classes) if per_row else 0.01
    y = m.fully_connected(
        x, weights, random.integers(-300, 300, classes), weight_scale=scale, out_scale=0.1, name="dense"
    )
    m.output(m.softmax(y, name="probabilities") if softmax else y)
    return m.build()


def adapts(folder: Path, model: bytes | None = None, **options: Any) -> Compiled:
    """Compiled with --learn ecotta; of `adapt_running` the statistics are those of samples at random."""
    path = folder / "net.tflite"
    path.write_bytes(pooled() if model is None else model)
    if "adapt_running" in options and "calibrate" not in options:
        shape = driftc.compile(path, measure=False).lowered.graph.inputs[0].shape
        x = np.random.default_rng(1).normal(size=(30, *shape[1:])) * 40
        np.savez(folder / "known.npz", x=np.clip(np.rint(x), -128, 127).astype(np.int8))
        options["calibrate"] = folder / "known.npz"
    return driftc.compile(path, learn="ecotta", measure=False, **options)


def images(count: int, classes: int, seed: int = 5, first: int = 0, size: tuple[int, int] = (6, 5)) -> dict[str, Any]:
    """x int8 [count, *size, 2] in clusters, each a pattern of its own, and y: classes first, first + 1, ... in turn."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(2).normal(size=(CLUSTERS, *size, 2)) * 45
    y = first + np.arange(count) % classes
    x = np.clip(np.rint(centres[y] + random.normal(size=(count, *size, 2)) * 20), -128, 127)
    return {"x": x.astype(np.int8), "y": y.astype(np.int64)}


def convolving(
    tail: str = "pointwise", known: int = 4, channels: int = 8, seed: int = 3, *, size: tuple[int, int] = (6, 5),
    border: str = "int8", zero: int = -128, per_row: bool = True, step: float = 0.03,
) -> bytes:  # fmt: skip
    """A convolution of the input, a last one by `tail`, and a dense layer.

    "pointwise", "strided" (3x3, stride 2, padded), "depthwise", "residual" (3x3, added to its own input), "projected"
    and "shortcut" (the same behind a pointwise, and a depthwise convolution) before a global pool, "hidden" (with
    another dense layer behind that), "flat" before none; "max", "average" (windows of 3x3 that overlap and reach over
    the border) and "halved" (averages of 2x2) pool before and after it.
    `step`: the scale of what the last one gives.
    """
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> Any:
        return random.integers(-127, 128, shape, dtype=np.int8)

    def scales(count: int, step: float) -> Any:
        return np.linspace(0.6 * step, 1.4 * step, count) if per_row else step

    m = ModelBuilder()
    if border == "float32":
        x = m.quantize(m.input("x", (1, *size, 2), dtype=np.float32), out_scale=0.05, out_zero_point=3, name="taken")
    else:
        x = m.input("x", (1, *size, 2), scale=0.05, zero_point=3)
    x = m.conv_2d(
        x, weights(channels, 3, 3, 2), random.integers(-500, 500, channels), weight_scale=scales(channels, 0.004),
        out_scale=0.03, out_zero_point=zero, activation=Activation.RELU, name="frozen",
    )  # fmt: skip
    x = _between(m, x, tail, "first")
    shown = {"weight_scale": scales(channels, 0.004), "out_scale": step, "out_zero_point": zero, "name": "last"}
    bias = random.integers(-300, 300, channels)
    if tail == "strided":
        y = m.conv_2d(x, weights(channels, 3, 3, channels), bias, stride=(2, 2), activation=Activation.RELU, **shown)
    elif tail == "depthwise":
        y = m.depthwise_conv_2d(x, weights(1, 3, 3, channels), bias, activation=Activation.RELU, **shown)
    elif tail in ("residual", "projected", "shortcut"):
        beside = shown | {"name": "skip"}
        skip = x
        if tail == "projected":
            skip = m.conv_2d(x, weights(channels, 1, 1, channels), **beside)
        elif tail == "shortcut":
            skip = m.depthwise_conv_2d(x, weights(1, 3, 3, channels), bias, activation=Activation.RELU6, **beside)
        y = m.conv_2d(x, weights(channels, 3, 3, channels), bias, **(shown | {"out_zero_point": 4}))
        y = m.add(skip, y, out_scale=0.04, out_zero_point=zero, activation=Activation.RELU, name="joined")
    else:
        y = m.conv_2d(x, weights(channels, 1, 1, channels), bias, activation=Activation.RELU, **shown)
        y = _between(m, y, tail, "second")
    if tail == "flat":
        y = m.reshape(y, (1, size[0] * size[1] * channels), name="flat")
        length = size[0] * size[1] * channels
    else:
        y = m.mean(y, (1, 2), out_scale=0.025, out_zero_point=zero, name="pool")
        length = channels
    if tail == "hidden":
        length = channels + 3
        y = m.fully_connected(
            y, weights(length, channels), random.integers(-300, 300, length), weight_scale=scales(length, 0.01),
            out_scale=0.04, out_zero_point=-20, name="hidden",
        )  # fmt: skip
    y = m.fully_connected(
        y, weights(known, length), random.integers(-300, 300, known), weight_scale=scales(known, 0.01),
        out_scale=0.1, name="decides",
    )  # fmt: skip
    m.output(m.softmax(y, name="probabilities"))
    return m.build()


def _between(m: ModelBuilder, x: Tensor, tail: str, name: str) -> Tensor:
    """Pooled, where the tail is of such; with a clamp, beyond which nothing is learnt."""
    if tail == "halved":
        return m.average_pool_2d(x, (2, 2), stride=(2, 2), padding="SAME" if name == "second" else "VALID", name=name)
    window: Any = {"stride": (2, 2), "padding": "SAME", "activation": Activation.RELU6, "name": name}
    if tail == "max":
        return m.max_pool_2d(x, (3, 3), **window)
    return m.average_pool_2d(x, (3, 3), **window) if tail == "average" else x


def learning_last(folder: Path, model: bytes | None = None, known: int = 4, **options: Any) -> Compiled:
    """Compiled with --learn last, on samples of each class that it knows."""
    (folder / "net.tflite").write_bytes(convolving() if model is None else model)
    np.savez(folder / "known.npz", **images(24, known))
    chosen = {
        "learn": "last", "learn_classes": known + 2, "measure": False, "learn_keep": 2, "learn_store": 12 * 61,
        **options,
    }  # fmt: skip
    return driftc.compile(folder / "net.tflite", calibrate=folder / "known.npz", **chosen)


def chained(classes: int = 5, channels: int = 6, seed: int = 3, size: tuple[int, int] = (7, 6)) -> bytes:
    """Maps of one size, as a keyword spotter's: a stem, three pairs of a depthwise and a pointwise convolution."""
    random = np.random.default_rng(seed)
    m = ModelBuilder()
    x = m.input("x", (1, *size, 3), scale=0.05, zero_point=3)
    shown: dict[str, Any] = {"out_zero_point": -128, "activation": Activation.RELU}
    for layer in range(7):
        first, deep = layer == 0, layer % 2
        shape = (channels, 3, 3, 3) if first else (1, 3, 3, channels) if deep else (channels, 1, 1, channels)
        made = m.depthwise_conv_2d if deep else m.conv_2d
        x = made(
            x, random.integers(-127, 128, shape, dtype=np.int8), random.integers(-300, 300, channels),
            weight_scale=np.linspace(0.003, 0.006, channels), out_scale=0.04, name=f"layer_{layer}", **shown,
        )  # fmt: skip
    x = m.mean(x, (1, 2), out_scale=0.025, out_zero_point=-128, name="pool")
    weights = random.integers(-127, 128, (classes, channels), dtype=np.int8)
    y = m.fully_connected(x, weights, np.zeros(classes, np.int64), weight_scale=0.12, out_scale=0.2, name="dense")
    m.output(m.softmax(y, name="probabilities"))
    return m.build()


def parted(
    classes: int = 5, channels: int = 6, seed: int = 3, *, size: tuple[int, int] = (7, 6), multiple: int = 1,
    inside: str = "", level: Any = None,
) -> bytes:  # fmt: skip
    """Parts of all that errors flow back through: a stem, a residual block whose skip is projected and strided, one
    whose skip is not, a depthwise convolution and a pointwise one without an activation; a pool and a dense layer.

    `inside`: an operator before the depthwise convolution through which errors do not flow, "max_pool". `level`: the
    dense layer's bias.
    """
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> Any:
        return random.integers(-127, 128, shape, dtype=np.int8)

    def shown(name: str, count: int = channels, zero: int = -128) -> dict[str, Any]:
        scale = np.linspace(0.003, 0.006, count)
        return {"weight_scale": scale, "out_scale": 0.04, "out_zero_point": zero, "name": name}

    def bias(count: int = channels) -> Any:
        return random.integers(-300, 300, count)

    relu: dict[str, Any] = {"activation": Activation.RELU}
    m = ModelBuilder()
    x = m.input("x", (1, *size, 3), scale=0.05, zero_point=3)
    x = m.conv_2d(x, weights(channels, 3, 3, 3), bias(), **relu, **shown("stem"))
    y = m.conv_2d(x, weights(channels, 3, 3, channels), bias(), stride=(2, 2), **relu, **shown("first"))
    y = m.conv_2d(y, weights(channels, 3, 3, channels), bias(), **shown("second", zero=4))
    skip = m.conv_2d(x, weights(channels, 1, 1, channels), bias(), stride=(2, 2), **shown("skip", zero=-7))
    x = m.add(skip, y, out_scale=0.05, out_zero_point=-128, **relu, name="joined")
    y = m.conv_2d(x, weights(channels, 3, 3, channels), bias(), **shown("third", zero=4))
    x = m.add(x, y, out_scale=0.06, out_zero_point=-20, name="summed")
    if inside == "max_pool":
        x = m.max_pool_2d(x, (2, 2), name="largest")
    many = multiple * channels
    x = m.depthwise_conv_2d(x, weights(1, 3, 3, many), bias(many), **relu, **shown("depthwise", many))
    x = m.conv_2d(x, weights(channels, 1, 1, many), bias(), **shown("pointwise", zero=-3))
    x = m.mean(x, (1, 2), out_scale=0.025, out_zero_point=-3, name="pool")
    level = np.zeros(classes, np.int64) if level is None else level
    y = m.fully_connected(x, weights(classes, channels), level, weight_scale=0.12, out_scale=0.2, name="dense")
    m.output(m.softmax(y, name="probabilities"))
    return m.build()
