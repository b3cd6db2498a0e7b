"""Accuracy under shift: the common corruptions on the shared CIFAR-10 data, each image by itself, by the compiled C.

    python benchmarks/robustness.py [--model resnet8|resnet8-folded] [--images 300] [--severity 5] [--split dev|table]
                                    [--methods none,fixed,...] [--set RATE=... --set CLEAN=...] [--out build/robustness]

Every number is that of the generated C on the host, which `driftc verify` holds to the specification and to the cores.
Results are kept in --out, one file for each method, kind and severity: a run that is cut goes on where it was; after a
change of driftc or of the corruptions, take another folder. A CSV and a plot of accuracy against severity lie beside
them. `full` believes each sample's own statistics alone; `rank4` is `calibrated` with --adapt-rank 4.

Split: images 0..4999 of a fixed permutation of the JPEG test set are `dev`, for tuning; `table` is the rest.
Calibration: 3,000 of the shared lossless training images; the other 1,000 are a clean set, as are ic01's 200 and the
JPEG images. Needs the extras keras, sim and benchmarks, and DRIFTC_DATA.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from corruptions import AUGMENTED, KINDS, corrupted
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import driftc
from driftc.codegen.adaptation import calibrated

DATA = Path(os.environ.get("DRIFTC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MODELS = {
    "resnet8": "mlperf_tiny/models/ic/pretrainedResnet.h5",
    "resnet8-folded": "mlperf_tiny/models/ic/pretrainedResnet_quant.tflite",
}
METHODS = ("none", "fixed", "full", "iabn", "lean", "calibrated")
HELD_OUT = 1000
CLEAN = ("jpeg", "lossless", "ic01")

Images = NDArray[np.uint8]
Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Sets:
    """uint8 images and labels by name; `calibration` has no labels."""

    test: dict[str, tuple[Images, NDArray[np.int64]]]
    calibration: Images


def load(split: str, images: int) -> Sets:
    """The first `images` of the split, and the clean sets."""
    order = np.random.default_rng(0).permutation(10_000)
    chosen = (order[:5000] if split == "dev" else order[5000:])[:images]
    with np.load(DATA / "cifar10/train4000_lossless.npz") as file:
        x, y = file["x"], file["y"].astype(np.int64)
    kept = np.random.default_rng(1).permutation(len(x))
    with np.load(DATA / "mlperf_tiny/ic01/ic01.npz") as file:
        small = file["x"], file["y"].astype(np.int64)
    held = kept[:HELD_OUT]
    return Sets({"jpeg": _jpeg(chosen), "lossless": (x[held], y[held]), "ic01": small}, x[kept[HELD_OUT:]])


def _jpeg(chosen: NDArray[np.int64]) -> tuple[Images, NDArray[np.int64]]:
    import io

    from PIL import Image

    with np.load(DATA / "cifar10/test_jpeg.npz") as file:
        jpeg, offset, labels = file["jpeg"], file["offset"], file["y"].astype(np.int64)
    stored = (jpeg[offset[i] : offset[i + 1]].tobytes() for i in chosen)
    return np.stack([np.asarray(Image.open(io.BytesIO(one))) for one in stored]), labels[chosen]


def compiled(model: str, method: str, sets: Sets, folder: Path) -> driftc.Compiled:
    """The model with `method`, made once and kept in `folder`."""
    place = folder / method
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "calibration.npz"
        np.savez(data, x=sets.calibration)
        made = _compile(model, method, data, folder)
        made.write(place)
    return driftc.Compiled.load(place)


def _compile(model: str, method: str, data: Path, folder: Path) -> driftc.Compiled:
    path = DATA / MODELS[model]
    common = {"name": "model", "planner": "greedy", "measure": False}
    if method == "none":
        return driftc.compile(path, calibrate=None if path.suffix == ".tflite" else data, **common)
    if method.startswith("rank"):
        rank = int(method.removeprefix("rank"))
        return driftc.compile(path, calibrate=data, adapt="calibrated", adapt_rank=rank, **common)
    if method != "full":
        return driftc.compile(path, calibrate=data, adapt=method, **common)
    if not (folder / "fixed").is_dir():
        _compile(model, "fixed", data, folder).write(folder / "fixed")
    known = json.loads((folder / "fixed" / "adaptation.json").read_text())
    for layer in known["layers"].values():
        for gain, constant in (("dm", "cm"), ("dv", "cv")):
            layer[gain], layer[constant] = [1.0] * len(layer[gain]), [0.0] * len(layer[gain])
    constants = folder / "full.json"
    constants.write_text(json.dumps(known))
    return driftc.compile(
        path, calibrate=None if path.suffix == ".tflite" else data, adapt_constants=constants, **common
    )


def right(model: driftc.Compiled, images: Images, labels: NDArray[np.int64], kept: Path) -> Right:
    """Which images the C classifies rightly; from `kept`, where it was asked before."""
    if kept.is_file():
        return np.asarray(np.load(kept))
    kept.parent.mkdir(parents=True, exist_ok=True)
    data = kept.with_suffix(".npz")
    np.savez(data, x=images)
    found = model.simulate(data, engine="host")
    data.unlink()
    chosen = np.array([int(np.argmax(output[0].reshape(-1))) for output in found.outputs])
    part = kept.with_suffix(".part.npy")
    np.save(part, chosen == labels)
    part.replace(kept)  # whole or not at all
    return np.asarray(chosen == labels)


def reduction(source: Right, adapted: Right) -> tuple[float, float]:
    """Relative error reduction over [kinds, images] and its standard error, images being what is drawn."""
    before, after = 1.0 - source.mean(axis=0), 1.0 - adapted.mean(axis=0)
    ratio = after.mean() / before.mean()
    spread = np.std(after - ratio * before, ddof=1) / np.sqrt(len(before)) / before.mean()
    return float(1 - ratio), float(spread)


def percent(value: float, error: float | None = None) -> str:
    return f"{value:.1%}" if error is None else f"{value:.1%} ± {error:.1%}"


def tuned(settings: tuple[str, ...]) -> Iterator[str]:
    """Change constants of `calibrated` for a trial; their text, for the folder's name."""
    for setting in settings:
        name, _, value = setting.partition("=")
        if not hasattr(calibrated, name):
            raise click.UsageError(f"--set {setting}: calibrated has no {name}")
        setattr(calibrated, name, type(getattr(calibrated, name))(float(value)))
        yield setting


@click.command()
@click.option("--model", type=click.Choice(sorted(MODELS)), default="resnet8", show_default=True)
@click.option("--images", default=300, show_default=True, help="Of the split, for each kind.")
@click.option("--severity", "severities", type=click.IntRange(1, 5), multiple=True, default=(5,), show_default=True)
@click.option("--split", type=click.Choice(["dev", "table"]), default="dev", show_default=True)
@click.option("--methods", default=",".join(METHODS), show_default=True)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A constant of codegen/adaptation/calibrated.py."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/robustness"), show_default=True)
def main(
    model: str,
    images: int,
    severities: tuple[int, ...],
    split: str,
    methods: str,
    settings: tuple[str, ...],
    out: Path,
) -> None:
    console = Console(width=150)
    folder = out / "_".join([model, *tuned(settings)])
    sets = load(split, images)
    wanted = methods.split(",")
    found: dict[tuple[str, str, int], Right] = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(wanted) * (len(CLEAN) + len(KINDS) * len(severities)))
        for method in wanted:
            bar.update(task, description=method)
            made = compiled(model, method, sets, folder)
            where = folder / "results" / method
            for name in CLEAN:
                x, y = sets.test[name]
                part = f"{split}_{images}_" if name == "jpeg" else ""
                found[method, name, 0] = right(made, x, y, where / f"{part}{name}.npy")
                bar.advance(task)
            for severity in severities:
                for kind in KINDS:
                    x, y = sets.test["jpeg"]
                    kept = where / f"{split}_{images}_{kind}_{severity}.npy"
                    found[method, kind, severity] = (
                        right(made, x, y, kept)
                        if kept.is_file()
                        else right(made, corrupted(x, kind, severity), y, kept)
                    )
                    bar.advance(task)
    _csv(found, folder / f"{split}_{images}.csv")
    _plot(found, wanted, severities, folder / f"{split}_{images}.png")
    for severity in severities:
        console.print(_table(found, wanted, severity, f"{model}, {split}, {images} images a kind, severity {severity}"))
    console.print(f"{folder}: CSV and plot. frost needs photographs and is replaced by saturate.")


def _table(found: dict[tuple[str, str, int], Right], methods: list[str], severity: int, title: str) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    unseen = [kind for kind in KINDS if kind not in AUGMENTED]
    for column in ("method", "accuracy", "error reduction", f"the {len(unseen)} kinds not augmented", *CLEAN):
        table.add_column(column, justify="left" if column == "method" else "right")

    def stacked(method: str, kinds: list[str]) -> Right:
        return np.stack([found[method, kind, severity] for kind in kinds])

    for method in methods:
        every = stacked(method, list(KINDS))
        cells = [method, percent(float(every.mean()))]
        for kinds in (list(KINDS), unseen):
            known = "none" in methods and method != "none"
            cells.append(percent(*reduction(stacked("none", kinds), stacked(method, kinds))) if known else "-")
        for name in CLEAN:
            values = found[method, name, 0]
            if method == "none" or "none" not in methods:
                cells.append(percent(float(values.mean())))
                continue
            change = values.astype(float) - found["none", name, 0]
            error = float(np.std(change, ddof=1) / np.sqrt(len(change)))
            cells.append(f"{100 * change.mean():+.1f} ± {100 * error:.1f} points")
        table.add_row(*cells)
    return table


def _csv(found: dict[tuple[str, str, int], Right], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("method", "set", "severity", "images", "accuracy"))
        writer.writerows((*key, len(values), f"{values.mean():.4f}") for key, values in found.items())


def _plot(
    found: dict[tuple[str, str, int], Right], methods: list[str], severities: tuple[int, ...], path: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for method in methods:
        means = [np.mean([found[method, kind, severity].mean() for kind in KINDS]) for severity in severities]
        axes.plot((0, *severities), (found[method, "jpeg", 0].mean(), *means), marker="o", label=method)
    axes.set(xlabel="severity (0: clean)", ylabel="accuracy, mean over the kinds")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
