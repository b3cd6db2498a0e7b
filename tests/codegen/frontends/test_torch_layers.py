"""Layers of PyTorch, through torch.export and through ONNX: each equals PyTorch, and TFLite Micro runs it in int8."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from float_models import needs
from imports import Function, check_int8, export_torch, imported, kinds, module_of

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends import load_model

TORCH, ONNX = needs("torch", "torch"), needs("onnx", "onnx")
FORMATS = [pytest.param("net.pt2", marks=TORCH), pytest.param("net.onnx", marks=[TORCH, ONNX])]
pytestmark = pytest.mark.filterwarnings("ignore")

# Name -> what is computed, operators that must be there.
PARTS: dict[str, tuple[Function, set[str]]] = {
    "split": (
        lambda t, F, x: t.cat([y * (n + 1) for n, y in enumerate([*x.chunk(2, 1), *x.split([1, 3], 1)])], 1),
        {"SPLIT", "SPLIT_V", "CONCATENATION"},
    ),
    "resized": (
        lambda t, F, x: F.interpolate(x[:, :, :3], scale_factor=2) + F.interpolate(x, size=(6, 5))[:, :, :, :1],
        {"RESIZE_NEAREST_NEIGHBOR"},
    ),
    "clipped": (
        lambda t, F, x: t.cat([x.clamp(-0.25, 0.5), x.clamp(max=0.125), F.hardtanh(x * 2), x.clamp(0, 0.75)], 1),
        {"MAXIMUM", "MINIMUM", "RELU"},
    ),
    "largest": (lambda t, F, x: t.maximum(x, x.flip(2)) - t.minimum(x, -x), {"MAXIMUM", "MINIMUM"}),
    "arithmetic": (lambda t, F, x: (1 - x) ** 2 / (x + 2.5) + x / 4, {"SUB", "MUL", "DIV"}),
    "activations": (
        lambda t, F, x: t.cat([F.elu(x * 3), F.selu(x), F.silu(x), F.celu(x, 0.5), F.glu(x, 1)], 1),
        {"ELU", "LOGISTIC", "SPLIT"},
    ),
    "softplus": (
        lambda t, F, x: F.mish(x * 3) + F.softplus(x * 4) + F.softplus(x, 2) + x.abs().sqrt() + t.exp(x),
        {"LOG", "ABS", "EXP"},
    ),
    "norms": (
        lambda t, F, x: [
            F.layer_norm(x, (5,), t.linspace(0.5, 2, 5), t.linspace(-1, 1, 5)),
            F.layer_norm(x, (4, 6, 5)),
            F.instance_norm(x, weight=t.linspace(0.5, 2, 4), bias=t.ones(4)),
            F.group_norm(x, 2, t.linspace(0.5, 2, 4)),
        ],
        {"RSQRT", "MEAN"},
    ),
    "reduced": (
        lambda t, F, x: [
            x.sum((2, 3)),
            x.amax(1),
            x.amin((1, 3), keepdim=True),
            x.max(2).values,
            x.cumsum(1),
            (x + 1).relu().cumsum(2),
            F.normalize(x + 2, dim=1) * 2,
        ],
        {"SUM", "REDUCE_MAX", "REDUCE_MIN"},
    ),
    "indices": (lambda t, F, x: [F.max_pool2d(x, 2).argmax(1), x[:, :, 2, 1].argmin(1)], {"ARG_MAX", "ARG_MIN"}),
    "sizes": (
        lambda t, F, x: [
            F.pixel_unshuffle(F.pixel_shuffle(x, 2) * 2, 2),
            F.interpolate(x, scale_factor=2, mode="bilinear"),
            F.interpolate(x, size=(11, 9), mode="bilinear", align_corners=True),
            F.pad(x, (1, 2, 2, 1), mode="reflect"),
        ],
        {"DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "RESIZE_BILINEAR", "MIRROR_PAD"},
    ),
    "logarithm": (lambda t, F, x: t.log_softmax(x * 3, 1), {"LOG_SOFTMAX"}),
    "products": (
        lambda t, F, x: x.flatten(2) @ x.flatten(2).transpose(1, 2) + F.normalize(x, dim=3)[:, :, 0, :4],
        {"BATCH_MATMUL"},
    ),
    "picked": (
        lambda t, F, x: t.stack([x[:, 3], x.select(1, 0), x[:, 1] * 2], 1).index_select(3, t.tensor([4, 0, 1])),
        {"STRIDED_SLICE", "CONCATENATION"},
    ),
    "repeated": (lambda t, F, x: x[:, :1].expand(1, 4, 6, 5) + x.mean(1, keepdim=True).repeat(1, 4, 1, 1), {"MEAN"}),
}


@pytest.mark.parametrize("file", FORMATS)
@pytest.mark.parametrize("name", PARTS)
def test_part(name: str, file: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    function, wanted = PARTS[name]
    graph = imported(export_torch(module_of(torch, function), (torch.zeros(1, 4, 6, 5),), tmp_path / file))
    if file == "net.pt2":
        assert wanted <= set(kinds(graph)), kinds(graph)
    check_int8(graph)


@pytest.mark.parametrize("file", FORMATS)
def test_modules_with_weights(file: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    nn = torch.nn
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.PReLU(4), nn.GroupNorm(2, 4), nn.GELU(), nn.Flatten(2), nn.LayerNorm(30), nn.PReLU(),
        nn.Linear(30, 3),
    )  # fmt: skip
    module[1].weight.data.uniform_(-0.5, 0.5)
    graph = imported(export_torch(module, (torch.zeros(1, 4, 6, 5),), tmp_path / file))
    assert "GELU" in kinds(graph)
    check_int8(graph, 15)


@pytest.mark.parametrize("file", FORMATS)
def test_embedding(file: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    nn = torch.nn
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(9, 6), nn.Flatten(), nn.Linear(30, 4), nn.ReLU(), nn.Linear(4, 3))
    graph = imported(export_torch(module, (torch.zeros(1, 5, dtype=torch.int64),), tmp_path / file))
    assert kinds(graph)[0] == "GATHER"
    assert graph.inputs[0].dtype == "int32"
    check_int8(graph)


def detector(torch: Any) -> Any:
    """What YOLOv8 and YOLO11 are made of: C2f, SPPF, a path back up, attention over pixels, boxes as distributions."""
    nn = torch.nn

    def conv(a: int, b: int, k: int = 1, s: int = 1) -> Any:
        return nn.Sequential(nn.Conv2d(a, b, k, s, k // 2), nn.BatchNorm2d(b), nn.SiLU())

    class Attention(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.pe, self.last = conv(8, 16), nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.Conv2d(8, 8, 1)

        def forward(self, x: Any) -> Any:
            q, k, v = self.qkv(x).view(1, 2, 8, 16).split([2, 2, 4], dim=2)
            likeness = ((q.transpose(-2, -1) @ k) * 0.7).softmax(-1)
            y = (v @ likeness.transpose(-2, -1)).view(1, 8, 4, 4)
            return x + self.last(y + self.pe(v.reshape(1, 8, 4, 4)))

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.down = conv(3, 8, 3, 2), conv(8, 8, 3, 2)
            self.first, self.inner, self.second = conv(8, 8), conv(4, 4, 3), conv(12, 8)
            self.before, self.pool, self.after = conv(8, 4), nn.MaxPool2d(5, 1, 2), conv(12, 8)
            self.attention, self.join = Attention(), conv(16, 8)
            self.box, self.kind, self.mean = nn.Conv2d(8, 16, 1), nn.Conv2d(8, 3, 1), nn.Conv2d(4, 1, 1, bias=False)
            self.mean.weight.data[:] = torch.arange(4.0).view(1, 4, 1, 1)

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            y = list(self.first(x).chunk(2, 1))  # C2f
            x = self.second(torch.cat([*y, y[1] + self.inner(y[1])], 1))
            y = [self.before(self.down(x))]  # SPPF
            y += [self.pool(y[0]), self.pool(self.pool(y[0]))]
            low = self.attention(self.after(torch.cat(y, 1)))
            high = self.join(torch.cat([nn.functional.interpolate(low, scale_factor=2), x], 1))
            found = torch.cat([torch.cat([self.box(p), self.kind(p)], 1).view(1, 19, -1) for p in (high, low)], 2)
            box, kind = found.split((16, 3), 1)
            box = self.mean(box.view(1, 4, 4, -1).transpose(2, 1).softmax(1)).view(1, 4, -1)
            near, far = box.chunk(2, 1)
            grid = torch.stack([torch.arange(80) % 8, torch.arange(80) // 8]).view(1, 2, 80).float()
            return torch.cat([(2 * grid + far - near) / 2 * 4, kind.sigmoid()], 1)

    torch.manual_seed(0)
    return Net()


@pytest.mark.parametrize("file", FORMATS)
def test_detector(file: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    graph = imported(export_torch(detector(torch), (torch.zeros(1, 3, 16, 16),), tmp_path / file))
    assert {"BATCH_MATMUL", "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX", "CONCATENATION"} <= set(kinds(graph))
    assert graph.outputs[0].shape == (1, 80, 5)
    check_int8(graph)


def transposed(torch: Any, name: str) -> tuple[Any, tuple[int, ...]]:
    nn = torch.nn
    return {
        "twice": (nn.ConvTranspose2d(4, 3, 2, 2), (1, 4, 3, 5)),
        "as same": (nn.Sequential(nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.ReLU()), (1, 4, 3, 5)),
        "cropped": (nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1), (1, 4, 3, 5)),
        "grouped": (nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (1, 4, 3, 5)),
        "dilated": (nn.ConvTranspose2d(4, 2, (2, 3), (1, 2), dilation=2, bias=False), (1, 4, 3, 4)),
        "steps": (nn.Sequential(nn.ConvTranspose1d(4, 3, 3, 2), nn.BatchNorm1d(3)), (1, 4, 6)),
    }[name]


@pytest.mark.parametrize("file", FORMATS)
@pytest.mark.parametrize("name", ["twice", "as same", "cropped", "grouped", "dilated", "steps"])
def test_transposed_convolution(name: str, file: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    torch.manual_seed(0)
    module, shape = transposed(torch, name)
    path = export_torch(module, (torch.zeros(shape),), tmp_path / file)
    if (name, file) == ("grouped", "net.onnx"):  # which the reference of onnx itself does not run
        assert "not compared with onnx" in load_model(path).notes[-1]
        return
    graph = imported(path)
    assert kinds(graph).count("TRANSPOSE_CONV") == 1
    assert ("STRIDED_SLICE" in kinds(graph)) == (name == "cropped")
    check_int8(graph)


@pytest.mark.parametrize("file", FORMATS)
def test_what_is_missing_is_told_at_once(file: str, tmp_path: Path) -> None:
    torch = import_module("torch")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.memory = torch.nn.LSTM(4, 3, batch_first=True)

        def forward(self, x: Any) -> Any:
            y = self.memory(x)[0]
            return torch.topk(torch.relu(y), 2).values + torch.topk(x, 2).values[:, :, :1]

    path = export_torch(Net(), (torch.zeros(1, 5, 4),), tmp_path / file)
    with pytest.raises(ModelError, match=r"not supported: 2 kinds of operator (lstm|LSTM) .*; or .*, (TopK|topk) \("):
        load_model(path)


@TORCH
def test_a_program_that_is_quantised_already_is_told_as_such(tmp_path: Path) -> None:
    torch = import_module("torch")
    import_module("torch.ao.quantization.fx._decomposed")
    made = torch.ops.quantized_decomposed

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            y = made.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8)
            return torch.relu(made.dequantize_per_tensor(y, 0.1, 0, -128, 127, torch.int8))

    path = export_torch(Net(), (torch.zeros(1, 3, 4, 4),), tmp_path / "net.pt2")
    with pytest.raises(
        ModelError, match=r"was quantised already, by PyTorch \(quantized_decomposed.dequantize_per_ten"
    ):
        load_model(path)
