"""MobileNetV2 with random weights, quantised to int8: a network that is large for a microcontroller, made from nothing.

    python examples/mobilenet_v2.py [mobilenet_v2.tflite]

Width 0.35 at 144 x 144 x 3, channels rounded down as msf-CNN (arXiv 2505.11483) does for its figures: 11, 5, 8, 11, 22,
33, 56, 112, 448. The residual additions are there, and after the last convolution a global mean and 10 classes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.graph import Graph
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.quantize.calibration import Calibration
from driftc.codegen.quantize.post_training import Settings, quantize_graph
from driftc.codegen.tensor import Array, Tensor

# expansion, channels at width 1, blocks, stride of the first
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
CLASSES = 10


class MobileNetV2:
    """Collects the layers; `graph` is the float model."""

    def __init__(self, width: float, size: int, seed: int) -> None:
        self.net = FloatBuilder("mobilenet_v2", "mobilenet_v2", "")
        self.random = np.random.default_rng(seed)
        x = self._conv("stem", self.net.input("image", (1, size, size, 3)), int(32 * width), 3, stride=2)
        for stage, (expansion, channels, blocks, stride) in enumerate(STAGES):
            for block in range(blocks):
                name = f"block_{stage}_{block}"
                x = self._block(name, x, expansion, int(channels * width), stride if block == 0 else 1)
        x = self._conv("head", x, int(1280 * width), 1)
        x = self.net.mean("pool", x, (1, 2), keep_dims=False)
        scores = self.net.dense("classes", x, self._weights(CLASSES, x.shape[-1]), self._bias(CLASSES))
        self.graph: Graph = self.net.graph([scores])

    def _block(self, name: str, x: Tensor, expansion: int, channels: int, stride: int) -> Tensor:
        y = self._conv(f"{name}/expand", x, x.shape[3] * expansion, 1)
        filters = self._weights(y.shape[3], 3, 3, 1)
        y = self.net.conv(
            f"{name}/depthwise", y, filters, self._bias(y.shape[3]),
            stride=(stride, stride), padding="same", groups=y.shape[3],
        )  # fmt: skip
        y = self.net.activation(f"{name}/depthwise/relu6", y, "relu6")
        y = self._conv(f"{name}/project", y, channels, 1, activation="linear")
        return self.net.binary(f"{name}/add", Add, x, y) if x.shape == y.shape else y

    def _conv(
        self, name: str, x: Tensor, channels: int, kernel: int, *, stride: int = 1, activation: str = "relu6"
    ) -> Tensor:
        filters = self._weights(channels, kernel, kernel, x.shape[3])
        y = self.net.conv(name, x, filters, self._bias(channels), stride=(stride, stride), padding="same")
        return self.net.activation(f"{name}/{activation}", y, activation)

    def _weights(self, out: int, *rest: int) -> Array:
        """Random, so large that a layer neither dies out nor saturates."""
        return self.random.normal(scale=np.sqrt(2 / np.prod(rest)), size=(out, *rest))

    def _bias(self, channels: int) -> Array:
        return self.random.normal(scale=0.1, size=channels)


def mobilenet_v2(width: float = 0.35, size: int = 144, seed: int = 0) -> bytes:
    """The int8 .tflite file, calibrated on random images."""
    model = MobileNetV2(width, size, seed)
    images = np.random.default_rng(seed + 1).uniform(-1, 1, (16, size, size, 3)).astype(np.float32)
    return quantize_graph(model.graph, Calibration((images,), ()), Settings(ranges="minmax")).model


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "mobilenet_v2.tflite")
    target.write_bytes(mobilenet_v2())
    print(f"wrote {target}; next: driftc compile {target} --minimize ram")
