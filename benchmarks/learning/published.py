"""Rows in float, by PyTorch: TENT, running statistics, and EcoTTA as it was published, on ResNet-8.

EcoTTA (arXiv 2303.01904): beside each of three frozen parts, behind the stem, a 3x3 convolution of the part's input
with normalisation and ReLU, added to a normalisation of the part's output; warmed up on the source's images, then
learnt by SGD with momentum from the entropy of samples below 0.4 ln C and 0.5 of the L1 between parts with and without.
The authors' code is not public: this is the paper's and its notes' description. TENT (arXiv 2006.10726): the entropy of
all samples, by the scales and offsets of the network's own normalisations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from kept import kept
from network import images
from numpy.typing import NDArray
from streams import CLEAN_IN_A_ROW, SEVERITY, STREAMED, in_blocks, orders, paired, percent
from task import DATA
from torch import Tensor, nn
from torch.nn import functional as F

THRESHOLD, HOLD, MOMENTUM = 0.4, 0.5, 0.9
WARM_UP, WARM_RATE, BATCH = 6, 5e-2, 64
STRIDES, CHANNELS = (1, 2, 2), (16, 32, 64)
Bools = NDArray[np.bool_]
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


class ResNet8(nn.Module):
    """MLPerf Tiny's, from its .h5; `parts` are its three blocks, `stem` what comes before them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        file = h5py.File(path)["model_weights"]

        def arrays(layer: str) -> dict[str, Tensor]:
            found: dict[str, Tensor] = {}
            file[layer].visititems(
                lambda name, value: (
                    found.update({name.split("/")[-1][:-2]: torch.tensor(value[()])})
                    if isinstance(value, h5py.Dataset)
                    else None
                )
            )
            return found

        def conv(number: int, stride: int = 1) -> nn.Module:
            given = arrays("conv2d" + (f"_{number}" if number else ""))
            kernel = given["kernel"].permute(3, 2, 0, 1).contiguous()
            made = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], stride)
            made.weight, made.bias = nn.Parameter(kernel), nn.Parameter(given["bias"])
            size = kernel.shape[2]
            around = (0, 0) if size == 1 else (1, 1) if stride == 1 else (0, 1)  # as TensorFlow pads
            return nn.Sequential(nn.ZeroPad2d((*around, *around)), made)

        def norm(number: int) -> nn.BatchNorm2d:
            given = arrays("batch_normalization" + (f"_{number}" if number else ""))
            made = nn.BatchNorm2d(len(given["gamma"]), eps=1e-3)
            made.weight, made.bias = nn.Parameter(given["gamma"]), nn.Parameter(given["beta"])
            made.running_mean, made.running_var = given["moving_mean"], given["moving_variance"]
            return made

        def block(first: int, norms: int, stride: int) -> nn.ModuleDict:
            inner = nn.Sequential(conv(first, stride), norm(norms), nn.ReLU(), conv(first + 1), norm(norms + 1))
            return nn.ModuleDict({"inner": inner, "beside": conv(first + 2, stride) if stride > 1 else nn.Identity()})

        self.stem = nn.Sequential(conv(0), norm(0), nn.ReLU())
        self.parts = nn.ModuleList([block(1, 1, 1), block(3, 3, 2), block(6, 5, 2)])
        dense = arrays("dense")
        self.dense = nn.Linear(*dense["kernel"].shape)
        self.dense.weight, self.dense.bias = nn.Parameter(dense["kernel"].T.contiguous()), nn.Parameter(dense["bias"])
        self.eval()

    def part(self, number: int, x: Tensor) -> Tensor:
        found = self.parts[number]
        assert isinstance(found, nn.ModuleDict)
        return F.relu(found["inner"](x) + found["beside"](x))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for number in range(3):
            x = self.part(number, x)
        return self.dense(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def norms(self) -> list[nn.BatchNorm2d]:
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]


class WithMeta(nn.Module):
    """The frozen network and a meta network beside each of its parts."""

    def __init__(self, network: ResNet8, calibration: Tensor) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.outer, self.convs, self.inner = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        with torch.no_grad():
            x = self.network.stem(calibration)
            for number, (stride, channels) in enumerate(zip(STRIDES, CHANNELS, strict=True)):
                self.convs.append(nn.Conv2d(x.shape[1], channels, 3, stride, 1, bias=False))
                x = self.network.part(number, x)
                outer, inner = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
                mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3))
                outer.running_mean, outer.running_var = mean, variance
                outer.weight.copy_(torch.sqrt(variance + outer.eps))  # so that it begins as the identity
                outer.bias.copy_(mean)
                inner.weight.zero_()
                self.outer.append(outer)
                self.inner.append(inner)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the L1 of the parts; a part's input is no path for the gradient of that."""
        apart = x.new_zeros(())
        x = self.network.stem(x)
        for number in range(3):
            given = x.detach()
            frozen = self.network.part(number, given)
            apart = apart + (self._meta(number, frozen, given) - frozen).abs().mean()
            x = self._meta(number, self.network.part(number, x), x)
        return self.network.dense(x.mean(dim=(2, 3))), apart

    def _meta(self, number: int, frozen: Tensor, given: Tensor) -> Tensor:
        found: Tensor = self.outer[number](frozen) + F.relu(self.inner[number](self.convs[number](given)))
        return found

    def meta(self) -> list[nn.Parameter]:
        return [p for modules in (self.outer, self.convs, self.inner) for p in modules.parameters()]

    def norms(self, batch: bool) -> None:
        """Their statistics are a batch's, or those of the warm-up."""
        for modules in (self.outer, self.inner):
            for module in modules:
                module.train(batch)


def _entropy(logits: Tensor) -> Tensor:
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1)


def warmed_up(network: ResNet8, x: Images, y: Labels) -> WithMeta:
    """Trained on the source's images, and a copy of each with other brightness and contrast."""
    torch.manual_seed(0)
    images, labels = torch.tensor(x).permute(0, 3, 1, 2).float(), torch.tensor(y)
    made = WithMeta(network, images[:500])
    made.norms(True)
    optimizer = torch.optim.SGD(made.meta(), WARM_RATE, MOMENTUM)
    steps = WARM_UP * 2 * (-(-len(y) // BATCH))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = WARM_RATE * (1 - step / steps)
        some = torch.randint(len(y), (BATCH,))
        given = images[some]
        if step % 2:
            contrast, light = 0.4 + torch.rand(BATCH, 1, 1, 1), 80 * torch.rand(BATCH, 1, 1, 1) - 40
            given = ((given - 128) * contrast + 128 + light).clamp(0, 255)
        loss = F.cross_entropy(made(given)[0], labels[some])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(made.meta(), 1.0)
        optimizer.step()
    made.norms(False)
    return made


@dataclass(frozen=True)
class Row:
    """`method`: source, running, tent or published. `own`: a batch's statistics, else those that were there before."""

    method: str
    batch: int = 1
    rate: float = 0.0
    own: bool = False

    @property
    def name(self) -> str:
        statistics = (
            "" if self.method in ("source", "running") else ", its statistics" if self.own else ", the source's"
        )
        learns = f" {self.rate:g}" if self.rate else ""
        return f"{self.method}{learns}, batch {self.batch}{statistics}"


ROWS = (
    Row("source"),
    Row("running", rate=0.03),
    Row("tent", 1, 1e-4),
    *(Row("tent", batch, rate, True) for batch, rate in ((1, 1e-4), (16, 0), (16, 5e-3), (64, 0), (64, 5e-3))),
    *(Row("published", 1, rate) for rate in (0, 1e-4, 5e-3)),
    *(Row("published", batch, rate, True) for batch in (16, 64) for rate in (0, 5e-3)),
)


class Published:
    """Streams through these rows; `x` and `y` are those of the source that the meta networks are warmed up on."""

    def __init__(self, path: Path, x: Images, y: Labels, out: Path) -> None:
        torch.set_num_threads(1)
        self.network = ResNet8(path)
        self.out = out
        parts = (warmed_up, WithMeta, WARM_UP, WARM_RATE, BATCH, MOMENTUM, path, x, y)
        warm = kept(out / "warmed_up.pt", parts, lambda to: torch.save(warmed_up(self.network, x, y).state_dict(), to))
        self.warm = WithMeta(self.network, torch.tensor(x[:500]).permute(0, 3, 1, 2).float())
        self.warm.load_state_dict(torch.load(warm))
        self.depends = path, warm, Path(__file__)

    def stream(self, row: Row, x: Images, y: Labels, clean: tuple[Images, Labels]) -> tuple[Bools, Bools]:
        """Right sample by sample, before it is learnt from; and on clean images afterwards, with what was learnt."""

        def make(path: Path) -> None:
            right, after = self._streamed(row, x, y, clean)
            np.savez(path, right=right, after=after)

        with np.load(kept(self.out / "stream.npz", (*self.depends, row, x, y, *clean), make)) as file:
            return file["right"], file["after"]

    def _streamed(self, row: Row, x: Images, y: Labels, clean: tuple[Images, Labels]) -> tuple[Bools, Bools]:
        learner = self._published(row) if row.method == "published" else self._tent(row)
        model, step = learner
        given = torch.tensor(x).permute(0, 3, 1, 2).float()
        decided = [step(given[first : first + row.batch]) for first in range(0, len(y), row.batch)]
        after = torch.tensor(clean[0]).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            found = [_logits(model, part).argmax(1) for part in torch.split(after, row.batch if row.own else 100)]
        return np.concatenate(decided) == y, torch.cat(found).numpy() == clean[1]

    def _tent(self, row: Row) -> tuple[nn.Module, Callable[[Tensor], Labels]]:
        model = copy.deepcopy(self.network).requires_grad_(False)
        norms = model.norms()
        if row.method == "running":
            for norm in norms:
                norm.momentum = row.rate
            return model, lambda x: _running(model, norms, x)
        affine = [p.requires_grad_(True) for norm in norms for p in (norm.weight, norm.bias)]
        for norm in norms:
            norm.train(row.own and row.method == "tent")
        return model, _learner(model, affine, row, lambda x: (model(x), None))

    def _published(self, row: Row) -> tuple[nn.Module, Callable[[Tensor], Labels]]:
        model = copy.deepcopy(self.warm)
        model.norms(row.own)
        return model, _learner(model, model.meta(), row, lambda x: model(x))


def _running(model: ResNet8, norms: list[nn.BatchNorm2d], x: Tensor) -> Labels:
    """Each normalisation's statistics move by the sample, and then normalise it."""
    with torch.no_grad():
        hooks = [norm.register_forward_pre_hook(_move) for norm in norms]
        decided = model(x).argmax(1).numpy()
        for hook in hooks:
            hook.remove()
    return decided  # type: ignore[no-any-return]


def _move(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    rate = norm.momentum or 0.0
    mean, variance = inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3), unbiased=False)
    away = mean - norm.running_mean
    norm.running_mean += rate * away
    norm.running_var += rate * (variance + (1 - rate) * away**2 - norm.running_var)


def _learner(
    model: nn.Module, learnt: Sequence[Tensor], row: Row, run: Callable[[Tensor], tuple[Tensor, Tensor | None]]
) -> Callable[[Tensor], Labels]:
    """Decides a batch, and then learns from it."""
    optimizer = torch.optim.SGD(learnt, row.rate, MOMENTUM) if row.rate else None

    def step(x: Tensor) -> Labels:
        with torch.set_grad_enabled(optimizer is not None):
            logits, apart = run(x)
        if optimizer is not None:
            entropy = _entropy(logits)
            if apart is None:
                loss = entropy.mean()
            else:
                certain = entropy < THRESHOLD * np.log(logits.shape[1])
                loss = HOLD * apart + (entropy[certain].mean() if certain.any() else 0.0)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return logits.detach().argmax(1).numpy()

    return step


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    found = model(x)
    return found[0] if isinstance(found, tuple) else found  # type: ignore[no-any-return]


COLUMNS = ("order", "row", "right", "error reduction", "gain", "clean", "clean gain")


def run_published(out: Path, count: int, draws: int) -> list[tuple[str, ...]]:
    """A line for each order and row; gains on the float network as it is are paired, by sample."""
    path = images.resnet8(out)
    whole, task = images.load(path, "table", 2 * count), images.load(path, "table", count)
    clean = x, y = whole.clean["jpeg"]
    with np.load(DATA / "cifar10/train4000_lossless.npz") as file:
        some = np.random.default_rng(1).permutation(len(file["x"]))[images.HELD_OUT :]
        rows = Published(path, file["x"][some], file["y"].astype(np.int64)[some], out / "published")
    shifted = np.concatenate([task.shifted(kind, SEVERITY) for kind in STREAMED])
    labels = np.tile(y[:count], len(STREAMED))
    streams = [
        (name, shifted[order], labels[order])
        for name, order in orders(labels, len(STREAMED), draws)
        if name in ("random", "blocks")
    ]
    for draw in range(draws):
        random = np.random.default_rng(draw)
        for name, order in (
            ("clean jpeg", random.permutation(len(y))),
            ("clean jpeg blocks", in_blocks(np.arange(len(y)), y, random, CLEAN_IN_A_ROW)),
        ):
            streams.append((name, x[order], y[order]))
    scores: dict[tuple[str, str], list[tuple[Bools, Bools]]] = {}
    for name, given, wanted in streams:
        for row in ROWS:
            scores.setdefault((name, row.name), []).append(rows.stream(row, given, wanted, clean))
    lines: list[tuple[str, ...]] = []
    for (name, title), found in scores.items():
        before = scores[name, ROWS[0].name]
        source, right = (float(np.mean([pair[0].mean() for pair in of])) for of in (before, found))
        pairs = list(zip(found, before, strict=True))
        gains = (paired([after[part].astype(int) - plain[part] for after, plain in pairs]) for part in (0, 1))
        gain, cleaner = gains
        reduction = f"{100 * (1 - (1 - right) / (1 - source)):.1f}"
        cleaned = percent([float(pair[1].mean()) for pair in found])
        lines.append((name, title, percent([right]), reduction, gain, cleaned, cleaner))
    return lines
