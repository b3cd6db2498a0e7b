"""Ready-made small networks with random weights and calibrated scales, so that no test needs a model file."""

from __future__ import annotations

from models.calibrated import CalibratedBuilder
from models.schema import Activation


def keyword_model(seed: int = 7, channels: int = 32) -> bytes:
    """A DS-CNN keyword spotter: 49 x 10 features, one convolution, three depthwise separable blocks, 12 classes."""
    net = CalibratedBuilder(seed)
    x = net.input("features", (1, 49, 10, 1))
    x = net.conv_2d(x, channels, (10, 4), stride=2, name="conv")
    for block in (1, 2, 3):
        x = net.depthwise_conv_2d(x, 3, name=f"depthwise_{block}")
        x = net.conv_2d(x, channels, 1, name=f"pointwise_{block}")
    x = net.average_pool_2d(x, (25, 5))
    x = net.reshape(x, (1, channels), name="flatten")
    x = net.fully_connected(x, 12, name="dense")
    return net.build(net.softmax(x, name="probabilities"))


def residual_model(seed: int = 11, channels: int = 8) -> bytes:
    """A small residual network: 16 x 16 x 3 images, an identity and a projected shortcut, 10 classes."""
    net = CalibratedBuilder(seed)
    x = net.input("image", (1, 16, 16, 3))
    x = net.conv_2d(x, channels, 3, name="stem")
    y = net.conv_2d(x, channels, 3, name="block_1/conv_1")
    y = net.conv_2d(y, channels, 3, activation=Activation.NONE, name="block_1/conv_2")
    x = net.add(x, y, activation=Activation.RELU, name="block_1/add")
    y = net.conv_2d(x, 2 * channels, 3, stride=2, name="block_2/conv_1")
    y = net.conv_2d(y, 2 * channels, 3, activation=Activation.NONE, name="block_2/conv_2")
    x = net.conv_2d(x, 2 * channels, 1, stride=2, activation=Activation.NONE, name="block_2/shortcut")
    x = net.add(x, y, activation=Activation.RELU, name="block_2/add")
    x = net.average_pool_2d(x, 8)
    x = net.reshape(x, (1, 2 * channels), name="flatten")
    x = net.fully_connected(x, 10, name="dense")
    return net.build(net.softmax(x, name="probabilities"))


def autoencoder_model(seed: int = 13, inputs: int = 64) -> bytes:
    """A dense autoencoder: 64 values through a bottleneck of 8 and back."""
    net = CalibratedBuilder(seed)
    x = net.input("spectrum", (1, inputs))
    for number, width in enumerate((32, 32, 8, 32, 32), start=1):
        x = net.fully_connected(x, width, activation=Activation.RELU, name=f"dense_{number}")
    return net.build(net.fully_connected(x, inputs, name="reconstruction"))
