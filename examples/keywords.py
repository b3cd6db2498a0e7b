"""A small keyword spotter and data for it, made from nothing: no download, no TensorFlow.

A "word" is a ridge of energy that moves through 10 bands over 49 frames; four words differ in how it moves.
`utterances` are such spectra; `sounds` are a second of sound each, which logmel.py makes spectra of. The network is a
DS-CNN with random filters whose last layer is fitted by least squares, quantised to int8 like any converter would.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from logmel import FRAME, POINTS, RATE, SAMPLES, filters
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the .tflite builder lives there

from models import CalibratedBuilder, Node

WORDS = ("rise", "fall", "arch", "dip")
FRAMES, BANDS = 49, 10


TIME = np.linspace(0, 1, FRAMES)
TRACKS = np.stack([TIME, 1 - TIME, 1 - abs(2 * TIME - 1), abs(2 * TIME - 1)])  # of WORDS


def utterances(
    count: int, seed: int, tracks: NDArray[np.float64] = TRACKS
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`count` noisy words as [count, 49, 10, 1], and which word each is: a row of `tracks`, 0 (lowest band) to 1."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(tracks), count)
    centres = 1 + 7 * tracks[labels] + random.normal(scale=0.6, size=(count, 1))
    ridge = np.exp(-((np.arange(BANDS) - centres[:, :, None]) ** 2))
    loudness = random.uniform(1.5, 3.0, (count, 1, 1))
    spectrum = loudness * ridge + random.normal(scale=0.7, size=(count, FRAMES, BANDS))
    return spectrum[..., None].astype(np.float32), labels


def sounds(count: int, seed: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """`count` words as int16 [count, SAMPLES] at RATE, whistled over noise, and which word each is."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(WORDS), count)
    centres = 1 + 7 * TRACKS[labels] + random.normal(scale=0.6, size=(count, 1))
    return whistled(centres, random), labels


def whistled(centres: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int16]:
    """A tone in band `centres` [n, FRAMES], of any loudness; outside 0..BANDS - 1 it is silent."""
    hertz = filters(BANDS)[:, :POINTS] @ (np.arange(POINTS) * RATE / FRAME)  # the middle of each band
    place = np.arange(SAMPLES) / SAMPLES * (FRAMES - 1)
    tracks = np.array([np.interp(place, np.arange(FRAMES), track) for track in centres])
    pitch = np.interp(tracks, np.arange(BANDS), hertz)
    tone = np.sin(2 * np.pi * np.cumsum(pitch / RATE, axis=1)) * ((tracks >= 0) & (tracks <= BANDS - 1))
    loudness = random.uniform(0.03, 0.3, (len(centres), 1))
    noise = random.uniform(0.001, 0.01, (len(centres), 1))
    mixed = loudness * tone + noise * random.normal(size=tone.shape)
    return np.asarray(np.clip(np.rint(32768 * mixed), -32768, 32767), np.int16)


def keyword_spotter(
    seed: int = 1,
    channels: int = 32,
    examples: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
    classes: int = len(WORDS),
) -> bytes:
    """The .tflite file: one convolution, two depthwise separable blocks, one dense layer, softmax.

    Its last layer is fitted to `examples`, spectra and labels, or to `utterances`.
    """
    spectra, labels = examples or utterances(400, seed)
    net = CalibratedBuilder(seed)
    low, high = min(0.0, float(spectra.min())), max(0.0, float(spectra.max()))
    scale = (high - low) / 255
    shape = (1, FRAMES, BANDS, 1)
    x = Node(net.model.input("mfcc", shape, scale=scale, zero_point=round(-128 - low / scale)), spectra.astype(float))
    x = net.conv_2d(x, channels, (10, 4), stride=2, name="conv_1")
    for block in (1, 2):
        x = net.depthwise_conv_2d(x, 3, name=f"ds_{block}/dw_{block}")
        x = net.conv_2d(x, channels, 1, name=f"ds_{block}/pw_{block}")
    x = net.average_pool_2d(x, (5, 1), name="pool")
    return net.build(net.softmax(classifier(net, x, labels, classes, "dense"), name="probabilities"))


def classifier(net: CalibratedBuilder, x: Node, labels: NDArray[np.int64], classes: int, name: str) -> Node:
    """A dense layer over all of `x`, fitted to its values' `labels`."""
    features = x.values.reshape(len(labels), -1)
    x = net.reshape(x, (1, features.shape[1]), name="flatten")
    weights, bias = fitted(features, labels, classes)
    scores = features @ weights.T + bias
    steps = float(abs(weights).max() / 127)
    scale = float(scores.max() - scores.min()) / 255
    dense = net.model.fully_connected(
        x.tensor,
        np.rint(weights / steps).astype(np.int8),
        np.rint(bias / (x.tensor.scale[0] * steps)).astype(np.int32),
        weight_scale=steps,
        out_scale=scale,
        out_zero_point=round(-128 - float(scores.min()) / scale),
        name=name,
    )
    return Node(dense, scores)


def fitted(
    features: NDArray[np.float64], labels: NDArray[np.int64], classes: int = len(WORDS)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [classes, features] and bias of the linear layer that best gives +4 for the class, -4 for the others."""
    wanted = np.where(labels[:, None] == np.arange(classes), 4.0, -4.0)
    mean = features.mean(axis=0)
    centred = features - mean
    ridge = centred.T @ centred + 0.1 * len(labels) * features.var() * np.eye(features.shape[1])
    weights = np.linalg.solve(ridge, centred.T @ wanted).T
    return weights, wanted.mean(axis=0) - weights @ mean
