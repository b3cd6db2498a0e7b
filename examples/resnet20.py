"""ResNet-20 for CIFAR-10 as ONNX, batch normalisation intact, from the arrays of its PyTorch state dict.

    python examples/resnet20.py resnet20-12fca82f.npz resnet20.onnx
    driftc compile resnet20.onnx --calibrate train.npz --adapt

The arrays are those of akamaster/pytorch_resnet_cifar10 under their names there; shortcuts are its option A (every
second pixel, new channels zero). The model takes RGB 0..255 and normalises it itself. Needs `onnx`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
BLOCKS, CHANNELS = 3, (16, 32, 64)
EPSILON = 1e-5


class Builder:
    """Nodes and constants of one ONNX graph; each method returns the name of its result."""

    def __init__(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        self.arrays = arrays
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[np.generic]] = {}

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants[name] = values
        return name

    def node(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def convolution(self, stem: str, norm: str, x: str, stride: int = 1) -> str:
        """3x3 without bias, and the normalisation behind it."""
        weights = self.constant(f"{stem}.weight", self.arrays[f"{stem}.weight"])
        x = self.node("Conv", stem, x, weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[stride, stride])
        parts = [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        given = [self.constant(part, self.arrays[part]) for part in parts]
        return self.node("BatchNormalization", norm, x, *given, epsilon=EPSILON)

    def block(self, stem: str, x: str, stride: int, added: int) -> str:
        """Two convolutions beside a shortcut to which `added` channels of zeros come on either side."""
        y = self.node("Relu", f"{stem}.relu1", self.convolution(f"{stem}.conv1", f"{stem}.bn1", x, stride))
        y = self.convolution(f"{stem}.conv2", f"{stem}.bn2", y)
        if stride > 1:
            names = [f"{stem}.{part}" for part in ("starts", "ends", "axes", "steps")]
            values = ([0, 0], [1 << 20, 1 << 20], [2, 3], [stride, stride])
            given = [self.constant(name, np.array(v, np.int64)) for name, v in zip(names, values, strict=True)]
            x = self.node("Slice", f"{stem}.pixels", x, *given)
            pads = self.constant(f"{stem}.pads", np.array([0, added, 0, 0, 0, added, 0, 0], np.int64))
            x = self.node("Pad", f"{stem}.channels", x, pads)
        return self.node("Relu", f"{stem}.relu2", self.node("Add", f"{stem}.add", y, x))

    def model(self, x: str, y: str, classes: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "resnet20",
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 3, 32, 32])],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, classes])],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def resnet20(arrays: dict[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """Input "image" [1, 3, 32, 32], RGB 0..255; output "scores" [1, 10], before softmax."""
    to = Builder(arrays)
    scale = to.constant("scale", (1 / (255 * STD)).astype(np.float32).reshape(1, 3, 1, 1))
    offset = to.constant("offset", (-MEAN / STD).astype(np.float32).reshape(1, 3, 1, 1))
    x = to.node("Add", "normalised", to.node("Mul", "scaled", "image", scale), offset)
    x = to.node("Relu", "relu1", to.convolution("conv1", "bn1", x))
    before = CHANNELS[0]
    for stage, channels in enumerate(CHANNELS, 1):
        for number in range(BLOCKS):
            stride = 2 if channels != before else 1
            x = to.block(f"layer{stage}.{number}", x, stride, (channels - before) // 2)
            before = channels
    x = to.node("Flatten", "flat", to.node("GlobalAveragePool", "pool", x))
    weights, bias = (to.constant(f"linear.{part}", arrays[f"linear.{part}"]) for part in ("weight", "bias"))
    return to.model("image", to.node("Gemm", "scores", x, weights, bias, transB=1), len(arrays["linear.bias"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arrays", type=Path, help=".npz of the state dict")
    parser.add_argument("output", type=Path, help=".onnx to write")
    given = parser.parse_args()
    with np.load(given.arrays) as file:
        arrays = {name.removeprefix("module."): file[name] for name in file.files}
    onnx.save(resnet20(arrays), given.output)
    print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
