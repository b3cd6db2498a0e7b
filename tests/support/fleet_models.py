"""A model, the float one that it was made of as its teacher, and a shift under which the teacher decides better."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from float_models import Net
from live_models import adaptation
from numpy.typing import NDArray

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.evaluate import evaluate, trace
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.options import Options
from driftc.codegen.quantize import calibration
from driftc.codegen.quantize.post_training import Settings, quantize_graph
from driftc.codegen.samples import quantize

SHAPE, CLASSES = (8, 8, 3), 4
Reals = NDArray[np.float32]


def images(count: int, seed: int = 0) -> Reals:
    """Blocks of colour, smooth enough that their means differ, float32 [count, 8, 8, 3]."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(count, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return np.asarray(coarse + 0.3 * random.normal(size=(count, *SHAPE)), np.float32)


def shifted(samples: Reals) -> Reals:
    """A worse camera: less contrast, and a cast."""
    return np.asarray(0.6 * samples + np.array([0.4, -0.3, 0.2]), np.float32)


@cache
def teacher_graph() -> Graph:
    """Float, with the statistics that it has on `images`, and classes that are about even."""
    net = Net(seed=5)
    x = net.input("image", (1, *SHAPE))
    for channels in (12, 16):
        x = net.activation(f"relu_{channels}", net.normalize(net.convolve(x, channels)), "relu")
    x = net.dense("scores", net.mean("pool", x, (1, 2), False), net.weights(CLASSES, 16) * 4, np.zeros(CLASSES))
    graph = net.graph([x])
    samples = images(400, seed=1)
    for number, operator in enumerate(graph.operators):
        if isinstance(operator, BatchNormalization):
            _, (values,), _ = list(trace(graph, [samples]))[number]
            axes = (0, 1, 2)
            known: dict[str, Any] = {"mean": values.mean(axes), "variance": values.var(axes)}
            operators = list(graph.operators)
            operators[number] = replace(operator, **{k: v.astype(np.float32) for k, v in known.items()})
            graph = graph.with_operators(operators)
    return graph


def labels(samples: Reals) -> NDArray[np.int64]:
    """The truth: what the float model says of samples that are not shifted."""
    return np.asarray(evaluate(teacher_graph(), [samples])[0].reshape(len(samples), -1).argmax(-1), np.int64)


def compiled(folder: Path, *, live: bool = True, options: Options | None = None) -> Compiled:
    """Of the int8 model; `live`: its layers are normalised by each sample's statistics, a little."""
    given = calibration.check(teacher_graph(), [images(200, seed=2)], "images")
    content = quantize_graph(teacher_graph(), given, Settings()).model
    path = folder / "blocks.tflite"
    path.write_bytes(content)
    options = options or Options(planner="greedy", updatable="all")
    return Compiled(content, options, lower(path, options, adaptation=adaptation(path, 0.3) if live else None))


def raw(student: Student, samples: Reals) -> Raw:
    return np.asarray(quantize(samples, student.graph.inputs[0]), np.int8)


def write_teacher(path: Path) -> None:
    """`teacher_graph` as Keras has it."""
    keras = load_extra("keras", "keras", "tests")

    layers: list[Any] = [keras.Input((8, 8, 3))]
    arrays: list[list[Any]] = []
    operator: Operator
    for operator in teacher_graph().operators:
        if isinstance(operator, BatchNormalization):
            layers.append(keras.layers.BatchNormalization(epsilon=operator.epsilon))
            arrays.append([operator.gamma, operator.beta, operator.mean, operator.variance])
        elif isinstance(operator, Weighted):
            assert operator.weights.data is not None
            bias = np.zeros(operator.channels) if operator.bias is None else operator.bias.data
            if isinstance(operator, FullyConnected):
                layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(operator.channels)]
                arrays += [[], [operator.weights.data.T, bias]]
            else:
                layers.append(keras.layers.Conv2D(operator.channels, 3))
                arrays.append([operator.weights.data.transpose(1, 2, 3, 0), bias])
        elif operator.kind == "RELU":
            layers.append(keras.layers.ReLU())
            arrays.append([])
    model = keras.Sequential(layers)
    for layer, values in zip(model.layers, arrays, strict=True):
        layer.set_weights(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own, of NumPy 2
        model.save(path)


def given(folder: Path) -> Path:
    """What the commands are given: blocks/, teacher.keras, clean.npz and key."""
    compiled(folder).write(folder / "blocks")
    write_teacher(folder / "teacher.keras")
    clean = images(300, seed=3)
    np.savez(folder / "clean.npz", x=clean, y=labels(clean))
    (folder / "key").write_bytes(bytes(range(32)))
    return folder
