"""A small keyword spotter and data for it, made from nothing: no download, no TensorFlow.

A "word" is a ridge of energy that moves through 10 bands over 49 frames; four words differ in how it moves. The network
is a DS-CNN with random filters whose last layer is fitted by least squares, quantised to int8 like any converter would.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
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


def keyword_spotter(seed: int = 1, channels: int = 32) -> bytes:
    """The .tflite file: one convolution, two depthwise separable blocks, one dense layer, softmax."""
    spectra, labels = utterances(400, seed)
    net = CalibratedBuilder(seed)
    low, high = float(spectra.min()), float(spectra.max())
    scale = (high - low) / 255
    shape = (1, FRAMES, BANDS, 1)
    x = Node(net.model.input("mfcc", shape, scale=scale, zero_point=round(-128 - low / scale)), spectra.astype(float))
    x = net.conv_2d(x, channels, (10, 4), stride=2, name="conv_1")
    for block in (1, 2):
        x = net.depthwise_conv_2d(x, 3, name=f"ds_{block}/dw_{block}")
        x = net.conv_2d(x, channels, 1, name=f"ds_{block}/pw_{block}")
    x = net.average_pool_2d(x, (5, 1), name="pool")
    features = x.values.reshape(len(labels), -1)
    x = net.reshape(x, (1, features.shape[1]), name="flatten")
    weights, bias = fitted(features, labels)
    scores = features @ weights.T + bias
    steps = float(abs(weights).max() / 127)
    span = float(scores.max() - scores.min())
    dense = net.model.fully_connected(
        x.tensor,
        np.rint(weights / steps).astype(np.int8),
        np.rint(bias / (x.tensor.scale[0] * steps)).astype(np.int32),
        weight_scale=steps,
        out_scale=span / 255,
        out_zero_point=round(-128 - float(scores.min()) / (span / 255)),
        name="dense",
    )
    return net.build(net.softmax(Node(dense, scores), name="probabilities"))


def fitted(features: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [words, features] and bias of the linear layer that best gives +4 for the word and -4 for the others."""
    wanted = np.where(labels[:, None] == np.arange(len(WORDS)), 4.0, -4.0)
    mean = features.mean(axis=0)
    centred = features - mean
    ridge = centred.T @ centred + 0.1 * len(labels) * features.var() * np.eye(features.shape[1])
    weights = np.linalg.solve(ridge, centred.T @ wanted).T
    return weights, wanted.mean(axis=0) - weights @ mean
