"""PyTorch, through torch.export and through ONNX; each import compares itself with the framework."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from float_models import needs
from imports import check_kept as check
from imports import export_torch, kinds

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends import load_model
from driftc.codegen.frontends.isolated import Reader

TORCH, ONNX = needs("torch", "torch"), needs("onnx", "onnx")
pytestmark = pytest.mark.filterwarnings("ignore")


def torch_model(torch: Any) -> Any:
    nn = torch.nn

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8))
            self.block = nn.Sequential(
                nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.Hardswish(), nn.Conv2d(8, 8, 1, groups=2)
            )
            self.leaky, self.pool = nn.LeakyReLU(0.1), nn.MaxPool2d(3, 2, 1)
            self.after = nn.BatchNorm2d(16)
            self.hidden, self.last = nn.Linear(16 * 4 * 3, 10), nn.Linear(10 + 8, 4, bias=False)
            self.flat = nn.BatchNorm1d(10)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.stem(x))
            x = x + self.leaky(self.block(x))
            y = torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1)
            x = nn.functional.pad(self.pool(x), (0, 0, 0, 0, 4, 4))
            x = nn.functional.relu6(self.after(x))
            x = self.flat(self.hidden(x.view(x.size(0), -1)))
            return torch.softmax(self.last(torch.cat([torch.sigmoid(x), y], 1)), -1)

    torch.manual_seed(0)
    net = Net().eval()
    for module in net.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net


@TORCH
def test_torch(tmp_path: Path) -> None:
    torch = import_module("torch")
    program = torch.export.export(torch_model(torch), (torch.zeros(1, 3, 16, 12),))
    torch.export.save(program, tmp_path / "net.pt2")
    graph = load_model(tmp_path / "net.pt2")
    found = check(graph, "PyTorch", 5)
    assert graph.inputs[0].shape == (1, 16, 12, 3)
    assert found.count("DEPTHWISE_CONV_2D") == 1


@TORCH
def test_torch_is_read_from_a_plain_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that exported leaves a variable behind; without it PyTorch looks for a folder to write in."""
    torch = import_module("torch")
    path = export_torch(torch.nn.Linear(3, 2), (torch.zeros(1, 3),), tmp_path / "net.pt2")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    reader = Reader("torch")
    try:
        graph = reader.read("driftc.codegen.frontends.torch.load", path, None, "net.pt2")
    finally:
        reader.close()
    assert kinds(graph) == ["FULLY_CONNECTED"]


@TORCH
def test_torch_refuses_training_mode_and_what_it_lacks(tmp_path: Path) -> None:
    torch = import_module("torch")
    program = torch.export.export(torch_model(torch).train(), (torch.zeros(2, 3, 16, 12),))
    torch.export.save(program, tmp_path / "train.pt2")
    with pytest.raises(ModelError, match=r"train.pt2: "):
        load_model(tmp_path / "train.pt2")
    torch.export.save(torch.export.export(torch.nn.GRU(3, 4), (torch.zeros(1, 5, 3),)), tmp_path / "gru.pt2")
    with pytest.raises(ModelError, match=r"gru.pt2: not supported: operator gru \('"):
        load_model(tmp_path / "gru.pt2")


def torch_parts(torch: Any) -> dict[str, tuple[Any, int, list[str]]]:
    """Name -> module over an image of [3, 11, 9], its batch normalisations, operators that must be there."""
    nn = torch.nn

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
            self.second, self.other = nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8)

        def forward(self, x: Any) -> Any:
            y = self.other(self.second(torch.relu(self.norm(self.first(x)))))
            return torch.relu(y + nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3)))

    class Scaled(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return (x - 0.5) / 0.25

    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.BatchNorm1d(252), nn.ReLU(), nn.Linear(252, 5))
    return {
        "residual": (Residual(), 2, ["PAD", "STRIDED_SLICE"]),
        "scaled": (nn.Sequential(Scaled(), nn.Conv2d(3, 4, 1)), 0, ["MUL", "SUB"]),
        "norm_after_flatten": (flat, 1, ["RESHAPE", "BATCH_NORMALIZATION"]),
        "norm_first": (
            nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.ReLU(), nn.Conv2d(3, 4, (3, 2), (2, 1))),
            1,
            [],
        ),
        "hard_swish": (nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Hardswish()), 0, ["HARD_SWISH"]),
        "hard_sigmoid": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Hardsigmoid()), 0, ["RELU6"]),
        "same": (
            nn.Sequential(nn.Conv2d(3, 4, 4, padding="same"), nn.Conv2d(4, 4, 3, padding="valid")),
            0,
            ["CONV_2D"],
        ),
        "uncounted": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), 0, ["AVERAGE_POOL_2D"]),
        "uncounted_unlike_same": (nn.AvgPool2d(3, 1, (1, 0), count_include_pad=False), 0, ["PAD", "MUL"]),
        "counted": (nn.AvgPool2d(3, 2, 1), 0, ["PAD", "AVERAGE_POOL_2D"]),
        "ceil": (nn.MaxPool2d((3, 2), (3, 2), (1, 0), ceil_mode=True), 0, ["MAX_POOL_2D"]),
        "adaptive": (nn.AdaptiveAvgPool2d((11, 3)), 0, ["AVERAGE_POOL_2D"]),
        "adaptive_max": (nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(3, 2)), 0, ["MAX_POOL_2D"]),
        "asymmetric": (nn.Sequential(nn.ConstantPad2d((0, 1, 2, 0), 1.5), nn.Conv2d(3, 4, 3, 2)), 0, ["PAD"]),
    }


PARTS = [
    "residual",
    "scaled",
    "norm_after_flatten",
    "norm_first",
    "hard_swish",
    "hard_sigmoid",
    "same",
    "uncounted",
    "uncounted_unlike_same",
    "counted",
    "ceil",
    "adaptive",
    "adaptive_max",
    "asymmetric",
]


def part(torch: Any, name: str) -> tuple[Any, int, list[str]]:
    torch.manual_seed(0)
    module, norms, wanted = torch_parts(torch)[name]
    for inner in module.modules():
        if hasattr(inner, "running_mean"):
            inner.running_mean.normal_()
            inner.running_var.uniform_(0.5, 2)
    return module.eval(), norms, wanted


@TORCH
@pytest.mark.parametrize("name", PARTS)
def test_torch_part(name: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    module, norms, wanted = part(torch, name)
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 11, 9),)), tmp_path / "net.pt2")
    assert set(wanted) <= set(check(load_model(tmp_path / "net.pt2"), "PyTorch", norms))


@TORCH
@ONNX
@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("name", PARTS)
def test_onnx_part(name: str, opset: int, tmp_path: Path) -> None:
    torch = import_module("torch")
    module, norms, wanted = part(torch, name)
    torch.onnx.export(
        module,
        (torch.zeros(1, 3, 11, 9),),
        str(tmp_path / "net.onnx"),
        dynamo=False,
        opset_version=opset,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )
    found = check(load_model(tmp_path / "net.onnx"), "onnx", norms)
    assert set(wanted) <= set(found)
    if name == "hard_swish":
        assert "MUL" not in found


@TORCH
@ONNX
def test_onnx_of_torch(tmp_path: Path) -> None:
    torch = import_module("torch")
    torch.onnx.export(
        torch_model(torch),
        (torch.zeros(1, 3, 16, 12),),
        str(tmp_path / "net.onnx"),
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )
    check(load_model(tmp_path / "net.onnx"), "onnx", 5)
