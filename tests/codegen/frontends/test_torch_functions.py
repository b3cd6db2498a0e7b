"""Functions of PyTorch beyond layers: choices by truth values, windows, reductions, what only moves. Each through
torch.export and, where torch exports it, ONNX: equal to PyTorch, and run by TFLite Micro or LiteRT in int8.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from float_models import needs
from imports import Function, check_int8, export_torch, imported, kinds, module_of

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends import load_model

TORCH, ONNX = needs("torch", "torch"), needs("onnx", "onnx")
FORMATS = [pytest.param("net.pt2", marks=TORCH), pytest.param("net.onnx", marks=[TORCH, ONNX])]
pytestmark = pytest.mark.filterwarnings("ignore")

# Name -> what is computed, operators that must be there in a .pt2.
PARTS: dict[str, tuple[Function, set[str]]] = {
    "shrunk": (lambda t, F, x: F.hardshrink(x, 0.3) + F.softshrink(x, 0.2), {"GREATER", "SELECT_V2"}),
    "chosen": (lambda t, F, x: t.where((x > 0.1) & (x.flip(1) < 0.5), x, x * 0.25), {"LOGICAL_AND", "SELECT_V2"}),
    "masked": (
        lambda t, F, x: (x > 0).float() * x + (x <= x.mean((2, 3), keepdim=True)) * 0.5,
        {"GREATER", "LESS_EQUAL", "SELECT_V2"},
    ),
    "filled": (lambda t, F, x: x.masked_fill(~(x >= 0.25), -0.5), {"LOGICAL_NOT", "SELECT_V2"}),
    "either": (lambda t, F, x: t.where(t.logical_xor(x > 0, x.flip(3) > 0), x, 0.25), {"LOGICAL_OR"}),
    "counted": (lambda t, F, x: (x > 0.25).float().sum(1), {"SELECT_V2", "SUM"}),
    "truth": (lambda t, F, x: x > 0.1, {"GREATER"}),
    "ceil": (
        lambda t, F, x: (
            F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)
            + F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)
            + F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        ),
        {"AVERAGE_POOL_2D", "MUL"},
    ),
    "nearest": (
        lambda t, F, x: F.interpolate(x, size=(11, 9))[:, :, :9, :7] + F.interpolate(x, scale_factor=1.5),
        {"RESIZE_NEAREST_NEIGHBOR"},
    ),
    "multiplied": (lambda t, F, x: x[:, :, :2, :3].prod(2), {"MUL"}),
    "spread": (lambda t, F, x: x.var((2, 3)) * 3 + x.std(1, keepdim=True).mean((2, 3)), {"SQUARED_DIFFERENCE"}),
    "magnitudes": (lambda t, F, x: t.linalg.vector_norm(x, 1, 1), {"ABS", "SUM"}),
    "sums of products": (
        lambda t, F, x: [
            t.einsum("bchw,bcij->bhwij", x, x.flip(2)[:, :, :2, :2]),
            t.einsum("bchw,cd->bdhw", x, t.linspace(-1, 1, 12).view(4, 3)),
            t.einsum("bchw->bhc", x),
        ],
        {"BATCH_MATMUL", "FULLY_CONNECTED", "SUM"},
    ),
    "rounded": (lambda t, F, x: t.round(x * 8) / 8 + t.floor(x * 4) / 8 - t.ceil(x * 2) / 4, {"ROUND", "FLOOR"}),
    "signs": (lambda t, F, x: t.sign(x) * x + F.softsign(x) + F.tanhshrink(x * 3) + F.rrelu(x), {"SELECT_V2"}),
    "padded": (
        lambda t, F, x: t.cat([F.pad(x, (1, 1, 2, 1), mode=mode) for mode in ("replicate", "circular")], 1),
        {"CONCATENATION"},
    ),
    "rolled": (lambda t, F, x: x.roll((1, -2), (2, 3)) + x.roll(1, 1), {"CONCATENATION"}),
    "repeated": (lambda t, F, x: x.repeat_interleave(2, 1)[:, :, :, [0, 2, 4]], {"STRIDED_SLICE"}),
    "combined": (
        lambda t, F, x: t.addcmul(x, x, x.flip(1), value=0.5) + t.lerp(x, -x, 0.25) + t.sub(x, x.flip(3), alpha=2),
        {"MUL", "SUB"},
    ),
    "turned": (lambda t, F, x: t.rsub(x, 1.0, alpha=0.5) + t.div(x, 0.3, rounding_mode="floor") * 0.25, {"FLOOR"}),
    "bounded": (lambda t, F, x: x.clamp(min=x.mean((2, 3), keepdim=True)), {"MAXIMUM"}),
    "moved": (lambda t, F, x: x.movedim(1, 3).swapaxes(1, 2).narrow(1, 1, 3), {"STRIDED_SLICE"}),
    "shaped": (lambda t, F, x: t.where(x > 0.2, x, t.zeros_like(x)) + t.ones_like(x) * 0.25, {"SELECT_V2"}),
    "triangles": (lambda t, F, x: t.tril(x) + t.triu(x, 1) * 0.5, {"MUL"}),
}

# torch exports these to .pt2 alone.
EXPORTED: dict[str, tuple[Function, set[str]]] = {
    "threshold": (lambda t, F, x: F.threshold(x, 0.1, -0.5), {"GREATER", "SELECT_V2"}),
    "adaptive": (
        lambda t, F, x: t.cat([F.adaptive_avg_pool2d(x, (4, 3)), F.adaptive_max_pool2d(x, (4, 3))], 1),
        {"AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION"},
    ),
    "adaptive steps": (lambda t, F, x: F.adaptive_avg_pool1d(x.flatten(2), 7), {"AVERAGE_POOL_2D"}),
    "divided": (lambda t, F, x: F.avg_pool2d(x, 2, 2, divisor_override=3), {"AVERAGE_POOL_2D", "MUL"}),
    "exact": (lambda t, F, x: F.interpolate(x, size=(9, 11), mode="nearest-exact"), {"RESIZE_NEAREST_NEIGHBOR"}),
    "hyperbolic": (lambda t, F, x: t.sinh(x) + t.expm1(x), {"EXP", "SUB"}),
    "logarithms": (lambda t, F, x: t.log1p(x.abs()) + t.log2(x.abs() + 1) + t.exp2(x), {"LOG", "EXP"}),
    "truncated": (lambda t, F, x: t.trunc(x * 3), {"FLOOR", "CEIL", "SELECT_V2"}),
    "least": (lambda t, F, x: t.fmin(x, x.flip(1)) + t.fmax(x, x * 2), {"MINIMUM", "MAXIMUM"}),
}


def check(function: Function, wanted: set[str], path: Path) -> None:
    torch = import_module("torch")
    graph = imported(export_torch(module_of(torch, function), (torch.zeros(1, 4, 6, 5),), path))
    assert path.suffix != ".pt2" or wanted <= set(kinds(graph)), kinds(graph)
    check_int8(graph)


@pytest.mark.parametrize("file", FORMATS)
@pytest.mark.parametrize("name", PARTS)
def test_part(name: str, file: str, tmp_path: Path) -> None:
    check(*PARTS[name], tmp_path / file)


@TORCH
@pytest.mark.parametrize("name", EXPORTED)
def test_part_of_a_program(name: str, tmp_path: Path) -> None:
    check(*EXPORTED[name], tmp_path / "net.pt2")


@TORCH
def test_weights_as_training_holds_them(tmp_path: Path) -> None:
    """Parametrised weights are computed when compiling."""
    torch = import_module("torch")
    norms, nn = torch.nn.utils.parametrizations, torch.nn
    module = nn.Sequential(norms.weight_norm(nn.Conv2d(4, 6, 3)), nn.ReLU(), nn.Conv2d(6, 4, 1))
    graph = imported(export_torch(module, (torch.zeros(1, 4, 6, 5),), tmp_path / "net.pt2"))
    assert kinds(graph) == ["CONV_2D", "RELU", "CONV_2D"]
    check_int8(graph)


@pytest.mark.parametrize("file", FORMATS)
def test_log_of_sums(file: str, tmp_path: Path) -> None:
    """Its int8 form has EXP, which TFLite Micro lacks, and SUM, which LiteRT spoils: the float one is compared."""
    torch = import_module("torch")
    module = module_of(torch, lambda t, F, x: t.logsumexp(x * 3, (1, 2)))
    graph = imported(export_torch(module, (torch.zeros(1, 4, 6, 5),), tmp_path / file))
    assert {"REDUCE_MAX", "EXP", "SUM", "LOG"} <= set(kinds(graph))


@TORCH
@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda t, F, x: F.adaptive_avg_pool2d(F.interpolate(x, size=(31, 29)), (17, 13)),
            r"\(adaptive_avg_pool2d\): 31 x 29 to 17 x 13 has windows of \d+ kinds, which take a pooling each",
        ),
        (lambda t, F, x: F.max_pool2d(x, 2, dilation=2), r"\(max_pool2d\): pools with dilations \[2, 2\]"),
        (lambda t, F, x: x.flatten(1).prod(1), r"\(prod\): multiplies over 32 elements"),
        (lambda t, F, x: t.linalg.vector_norm(x, 3, 1), r"\(linalg_vector_norm\): is of order 3"),
        (lambda t, F, x: t.erf(x), "operator erf .*instead: tanh, sigmoid, exp, log or sin"),
        (lambda t, F, x: x.topk(2, 1).values, "operator topk .*leave it to the program around the model"),
        (lambda t, F, x: x.roll(1), r"\(roll\): rolls all elements as one row; name the axes"),
    ],
)
def test_refused(function: Function, said: str, tmp_path: Path) -> None:
    torch = import_module("torch")
    path = export_torch(module_of(torch, function), (torch.zeros(1, 4, 6, 5),), tmp_path / "net.pt2")
    with pytest.raises(ModelError, match=said):
        load_model(path)
