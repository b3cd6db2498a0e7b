"""What PyTorch and ONNX share: axes that change places cost nothing until they must, images, steps and flat values."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_models import needs
from imports import check_int8, export_torch, imported, kinds

from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.frontends import load_model

TORCH, ONNX = needs("torch", "torch"), needs("onnx", "onnx")
FORMATS = [pytest.param("net.pt2", marks=TORCH), pytest.param("net.onnx", marks=[TORCH, ONNX])]


def networks(torch: Any) -> dict[str, tuple[Any, tuple[int, ...], int]]:
    """Name -> module, the shape of its input, how many TRANSPOSE it must take."""
    nn = torch.nn

    class Shuffle(nn.Module):  # type: ignore[misc, name-defined]
        """Channels of groups change places, as ShuffleNet has it."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x: Any) -> Any:
            y = self.first(x).view(1, 2, 4, 5, 6).transpose(1, 2).reshape(1, 8, 5, 6)
            return self.last(y)

    class Head(nn.Module):  # type: ignore[misc, name-defined]
        """Pixels become a list, a distribution of each is made one number: the end of a detector."""

        def __init__(self) -> None:
            super().__init__()
            self.box, self.mean = nn.Conv2d(3, 16, 1), nn.Conv2d(4, 1, 1, bias=False)
            self.mean.weight.data[:] = torch.arange(4).view(1, 4, 1, 1) / 3

        def forward(self, x: Any) -> Any:
            y = torch.cat([self.box(part).view(1, 16, -1) for part in (x, nn.functional.max_pool2d(x, 2))], 2)
            y = self.mean(y.view(1, 4, 4, -1).transpose(2, 1).softmax(1)).view(1, 4, -1)
            return (y + torch.arange(14).view(1, 1, 14) / 14) * 2

    class Tokens(nn.Module):  # type: ignore[misc, name-defined]
        """Pixels as a sequence with its channels last, and back."""

        def __init__(self) -> None:
            super().__init__()
            self.embed, self.mix, self.last = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 8), nn.Conv2d(8, 2, 1)

        def forward(self, x: Any) -> Any:
            y = self.embed(x).flatten(2).transpose(1, 2)
            y = torch.relu(self.mix(y)) + y
            return self.last(y.transpose(1, 2).reshape(1, 8, 3, 2))

    class Swapped(nn.Module):  # type: ignore[misc, name-defined]
        """A convolution over rows and pixels that changed places; a sum of both; a norm of what was flattened."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(2, 2, 1)
            self.conv, self.down = nn.Conv2d(2, 2, (3, 1), (2, 1), (1, 0)), nn.MaxPool2d((1, 2))
            self.norm, self.last = nn.BatchNorm1d(12), nn.Linear(12, 3)
            self.norm.running_mean.normal_()

        def forward(self, x: Any) -> Any:
            y = self.down(self.conv(self.first(x).transpose(2, 3)))
            y = y + y.mean((2, 3), keepdim=True) * torch.tensor([[0.5], [2.0]]).view(2, 1, 1)
            return self.last(self.norm(y.flatten(1) + torch.linspace(-1, 1, 12)))

    steps = nn.Sequential(
        nn.BatchNorm1d(3), nn.Conv1d(3, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(8, 8, 3, dilation=2, groups=8), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(24, 3),
    )  # fmt: skip
    steps[0].running_var.uniform_(0.5, 2)
    return {
        "steps": (steps, (1, 3, 20), 0),
        "shuffle": (Shuffle(), (1, 4, 5, 6), 1),
        "head": (Head(), (1, 3, 4, 3), 0),
        "tokens": (Tokens(), (1, 3, 6, 4), 0),
        "swapped": (Swapped(), (1, 2, 4, 6), 0),
    }


@pytest.mark.parametrize("file", FORMATS)
@pytest.mark.parametrize("name", ["steps", "shuffle", "head", "tokens", "swapped"])
def test_axes(name: str, file: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    torch.manual_seed(0)
    module, shape, moved = networks(torch)[name]
    graph = imported(export_torch(module, (torch.zeros(shape),), tmp_path / file))
    assert graph.inputs[0].shape == (1, *shape[2:], shape[1])
    assert kinds(graph).count("TRANSPOSE") == moved, kinds(graph)
    check_int8(graph)


@TORCH
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_a_pickle_is_answered_with_what_makes_a_program(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"net{suffix}: is a pickle, .* torch.export.save\(program, \"model.pt2\"\)"):
        load_model(tmp_path / f"net{suffix}")


# --- weights beside the model ---


def beside(tmp_path: Path, **where: str) -> Path:
    """A dense layer whose weights are in net.onnx.data; `where` overrides what the model says of them."""
    onnx = import_module("onnx")
    helper, weights = onnx.helper, np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    stored = onnx.numpy_helper.from_array(weights, "weights")
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, n]) for name, n in (("x", 6), ("y", 3))]
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    graph = helper.make_graph([node], "net", ports[:1], ports[1:], [stored])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, size_threshold=0, location="net.onnx.data")
    model = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    entries = model.graph.initializer[0].external_data
    found = {**{entry.key: entry.value for entry in entries}, **where}
    del entries[:]
    entries.extend(onnx.StringStringEntryProto(key=key, value=value) for key, value in found.items())
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "net.onnx"


@ONNX
def test_weights_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = beside(tmp_path)
    first = imported(path)
    monkeypatch.chdir(tmp_path)
    assert imported(Path("net.onnx")).sha256 == first.sha256
    data = bytearray((tmp_path / "net.onnx.data").read_bytes())
    data[0] ^= 1
    (tmp_path / "net.onnx.data").write_bytes(data)
    assert imported(path).sha256 != first.sha256


@ONNX
@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"location": "../net.onnx.data"}, "said to be in '../net.onnx.data', which is not a file beside it"),
        ({"location": "/etc/passwd"}, "which is not a file beside it"),
        ({"location": "absent"}, "its weights are in 'absent' beside it: No such file"),
        ({"offset": "9999"}, "is too short for 'weights'"),
        ({"offset": "-1"}, "offset '-1' is no number of bytes"),
        ({"length": "71"}, r"takes 71 bytes of 'net.onnx.data' for shape \[6, 3\]"),
    ],
)
def test_weights_that_are_not_beside_it(where: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said):
        load_model(beside(tmp_path, **where))
