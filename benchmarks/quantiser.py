"""What int8 costs: each float model of the shared data, and what `driftc quantize` makes of it, on the same samples.

python benchmarks/quantiser.py [NAME...]

Beside it the .tflite that its authors published with it. Half of the samples calibrate (of CIFAR-10: 3,000 training
images), the rest are measured: accuracy where there are labels, and how well the outputs follow the float model's (dB,
the higher the nearer; `same`: the share with the same largest output). int8 models run as C on the host. Where a
model's own data is not among the shared data, spectra of spoken digits, photographs or motion stand in for it, brought
to the range of the published model's input. Needs the extras sim and keras.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, TaskID, track

import driftc
from driftc.codegen.evaluate import batches, evaluate
from driftc.codegen.frontends import load_model
from driftc.codegen.graph import Graph
from driftc.codegen.tensor import Tensor

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("DRIFTC_DATA", HERE.parent.parent / "shared" / "data"))
CALIBRATION = 3000  # CIFAR-10 images
STAND_IN = 1000  # samples, where the model's own are not there
BATCH = 64

Array = NDArray[Any]


@dataclass(frozen=True)
class Samples:
    """`calibrate` and `test` hold one sample a row, real values; `labels` the classes of `test`."""

    calibrate: Array
    test: Array
    labels: Array | None = None


@dataclass(frozen=True)
class Case:
    """A float model, the int8 one published with it (or none), and where samples come from."""

    name: str
    model: str
    peer: str | None
    samples: Callable[[Tensor], Samples]


def cifar10(_: Tensor) -> Samples:
    """JPEG images, 0..255: `CALIBRATION` of the training set, all of the test set."""
    chosen = np.sort(np.random.default_rng(0).permutation(50000)[:CALIBRATION])
    calibrate, _labels = _decoded("train", chosen)
    test, labels = _decoded("test", np.arange(10000))
    return Samples(calibrate, test, labels)


def _decoded(split: str, chosen: Array) -> tuple[Array, Array]:
    import tensorflow as tf

    with np.load(DATA / f"cifar10/{split}_jpeg.npz") as file:
        jpeg, offset, labels = file["jpeg"], file["offset"], file["y"]
    images = [
        tf.io.decode_jpeg(jpeg[offset[i] : offset[i + 1]].tobytes(), channels=3, dct_method="INTEGER_ACCURATE").numpy()
        for i in track(chosen, f"CIFAR-10 {split}", console=Console(stderr=True), transient=True)
    ]
    return np.stack(images).astype(np.float32), labels[chosen]


def vww(tensor: Tensor) -> Samples:
    """Photographs with and without a person, 0..1."""
    with np.load(DATA / "mlperf_tiny/vww01/vww01.npz") as file:
        images, labels = file["x"].astype(np.float32) / 255, file["y"]
    return _halves(images, labels)


def vww_swapped(tensor: Tensor) -> Samples:
    """The halves change places."""
    with np.load(DATA / "mlperf_tiny/vww01/vww01.npz") as file:
        images, labels = file["x"].astype(np.float32) / 255, file["y"]
    return Samples(images[1::2], images[::2], labels[::2])


def grey(tensor: Tensor) -> Samples:
    """The same photographs without colour, in the range of the input."""
    with np.load(DATA / "mlperf_tiny/vww01/vww01.npz") as file:
        images = file["x"].mean(axis=-1, keepdims=True)
    return _halves(_within(images, tensor))


def wakeword(_: Tensor) -> Samples:
    with np.load(DATA / "mlperf_tiny/models/sww/calibration_samples.npz") as file:
        (samples,) = (file[key] for key in file.files if file[key].ndim > 1)
    return _halves(samples.astype(np.float32))


def motion(tensor: Tensor) -> Samples:
    """Total acceleration while walking, sitting and the like."""
    with np.load(DATA / "uci_har/uci_har_test.npz") as file:
        windows = file["x"][:STAND_IN, :, 6:9]
    return _halves(_within(windows.reshape(-1, *tensor.shape[1:]), tensor))


def speech(tensor: Tensor) -> Samples:
    """Logarithmic spectra of spoken digits, as many frames and bins as the input has."""
    bins = tensor.shape[-2] if len(tensor.shape) == 4 else 128 if tensor.shape[-1] % 128 == 0 else 70
    frames = int(np.prod(tensor.shape[1:])) // bins
    with np.load(DATA / "fsdd/fsdd_8k_int16.npz") as file:
        audio, offset = file["audio"].astype(np.float32) / 32768, file["offset"]
    chosen = np.random.default_rng(0).permutation(len(offset) - 1)[:STAND_IN]
    spectra = [_spectrum(audio[offset[i] : offset[i + 1]], frames, bins) for i in chosen]
    return _halves(_within(np.stack(spectra).reshape(-1, *tensor.shape[1:]), tensor))


def _spectrum(wave: Array, frames: int, bins: int, window: int = 256) -> Array:
    starts = np.linspace(0, len(wave) - window, frames).astype(int)
    pieces = np.stack([wave[start : start + window] for start in starts]) * np.hanning(window)
    power = np.abs(np.fft.rfft(pieces, axis=-1))
    places = np.linspace(1, power.shape[-1] - 1, bins).astype(int)
    return np.log(power[:, places] + 1e-3).astype(np.float32)


def _within(samples: Array, tensor: Tensor) -> Array:
    """Brought to what the published model's input can hold."""
    ends = np.asarray([-128, 127]) - tensor.zero_point if tensor.quantization else np.asarray([0.0, 1.0])
    low, high = ends * (tensor.scale if tensor.quantization else 1.0)
    bottom, top = np.percentile(samples, [0.1, 99.9])
    placed = low + (samples - bottom) * (high - low) / (top - bottom)
    return np.clip(placed, low, high).astype(np.float32)


def _halves(samples: Array, labels: Array | None = None) -> Samples:
    return Samples(samples[::2], samples[1::2], None if labels is None else labels[1::2])


TINY, EXTRA, MLTK = "mlperf_tiny/models", "extra_models", "extra_models/mltk"
CASES = (
    Case("resnet8", f"{TINY}/ic/pretrainedResnet.h5", f"{TINY}/ic/pretrainedResnet_quant.tflite", cifar10),
    Case("vww", f"{TINY}/vww/vww_96.h5", f"{TINY}/vww/vww_96_int8.tflite", vww),
    Case("vww, swapped", f"{TINY}/vww/vww_96.h5", f"{TINY}/vww/vww_96_int8.tflite", vww_swapped),
    Case("vww float .tflite", f"{TINY}/vww/vww_96_float.tflite", f"{TINY}/vww/vww_96_int8.tflite", vww),
    Case("kws", f"{TINY}/kws/kws_ref_model_savedmodel", f"{TINY}/kws/kws_ref_model_int8.tflite", speech),
    Case("ad", f"{TINY}/ad/ad01.h5", f"{TINY}/ad/ad01_int8.tflite", speech),
    Case("wakeword", f"{TINY}/sww/str_ww_ref_model.h5", f"{TINY}/sww/str_ww_ref_model_int8.tflite", wakeword),
    Case("mltk image", f"{MLTK}/image_example1.h5", f"{MLTK}/image_example1.tflite", grey),
    Case("mltk keywords", f"{MLTK}/keyword_spotting.h5", f"{MLTK}/keyword_spotting.tflite", speech),
    Case(
        "mltk mobilenetv2",
        f"{MLTK}/keyword_spotting_mobilenetv2.h5",
        f"{MLTK}/keyword_spotting_mobilenetv2.tflite",
        speech,
    ),
    Case("mltk on/off", f"{MLTK}/keyword_spotting_on_off.h5", f"{MLTK}/keyword_spotting_on_off.tflite", speech),
    Case("mltk magic wand", f"{MLTK}/tflite_micro_magic_wand.h5", f"{MLTK}/tflite_micro_magic_wand.tflite", motion),
    Case("mltk autoencoder", f"{MLTK}/autoencoder_example.h5", f"{MLTK}/autoencoder_example.tflite", speech),
)


@dataclass(frozen=True)
class Row:
    """`accuracy` and so on in the order float, int8, published."""

    name: str
    seconds: float
    accuracy: list[float]
    decibels: list[float]
    same: list[float]
    verified: str


def measure(case: Case, folder: Path, progress: Callable[[str, int, int], None], verify: int) -> Row:
    peer = driftc.compile(DATA / case.peer, measure=False) if case.peer else None
    loaded = load_model(DATA / case.model)
    found = case.samples(peer.lowered.graph.inputs[0] if peer else loaded.inputs[0])
    shape = loaded.inputs[0].shape[1:]
    calibration, test = folder / "calibration.npz", folder / "test.npz"
    np.savez(calibration, x=found.calibrate.reshape(-1, *shape))
    np.savez(test, x=found.test.reshape(-1, *shape))
    started = time.perf_counter()
    made = driftc.quantize(
        DATA / case.model, calibration, progress=lambda done, total: progress("calibrate", done, total)
    )
    seconds = time.perf_counter() - started
    made.write(folder / "model.tflite")
    outputs = [np.concatenate(list(_reals(made.real, found.test.reshape(-1, *shape), progress)))]
    compiled = driftc.compile(folder / "model.tflite", measure=False)
    for title, model in (("int8", compiled), ("published", peer)):
        if model is not None:
            outputs.append(_run(model, test, lambda done, total, title=title: progress(title, done, total)))
    flat = [output.reshape(len(output), -1) for output in outputs]
    return Row(
        case.name,
        seconds,
        [] if found.labels is None else [float(np.mean(output.argmax(-1) == found.labels)) for output in flat],
        [_decibels(flat[0], output) for output in flat[1:]],
        [float(np.mean(output.argmax(-1) == flat[0].argmax(-1))) for output in flat[1:]],
        _verified(folder, verify),
    )


def _reals(graph: Graph, samples: Array, progress: Callable[[str, int, int], None]) -> Iterator[Array]:
    for done, (batch,) in enumerate(batches([samples], BATCH)):
        yield evaluate(graph, [batch])[0]
        progress("float", min((done + 1) * BATCH, len(samples)), len(samples))


def _run(model: driftc.Compiled, samples: Path, progress: Callable[[int, int], None]) -> Array:
    """The outputs of the C on the host, as real values."""
    (output,) = model.lowered.graph.outputs
    steps = np.stack([outputs[0] for outputs in model.simulate(samples, engine="host", progress=progress).outputs])
    if output.quantization is None:
        return steps
    return np.asarray((steps.astype(np.float32) - output.zero_point) * np.float32(output.scale))


def _decibels(want: Array, found: Array) -> float:
    noise = float(np.mean((want - found) ** 2, dtype=np.float64))
    return 10 * float(np.log10(np.mean(want**2, dtype=np.float64) / noise)) if noise else float("inf")


def _verified(folder: Path, samples: int) -> str:
    """The references that computed the same bytes in every tensor, for `samples` of the test samples."""
    if not samples:
        return ""
    with np.load(folder / "test.npz") as file:
        np.savez(folder / "some.npz", x=file["x"][:samples])
    equal = []
    for match, reference in (("tflm", "tflm"), ("litert", "litert")):
        compiled = driftc.compile(folder / "model.tflite", match=match, measure=False)
        result = compiled.verify(folder / "some.npz", engines=["numpy", "host", reference])
        equal.append(f"{reference} {'equal' if result.bit_exact else 'DIFFERS'}")
    return ", ".join(equal)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([case.name for case in CASES]), metavar="[NAME]...")
@click.option("--verify", default=5, show_default=True, help="Samples to compare on TFLite Micro and LiteRT.")
def main(names: tuple[str, ...], verify: int) -> None:
    click.echo(f"{'model':18}{'quantise':>9}{'float':>8}{'int8':>8}{'publ.':>8}", nl=False)
    click.echo(f"{'dB int8':>9}{'publ.':>7}{'same int8':>11}{'publ.':>8}   every tensor")
    for case in CASES:
        if names and case.name not in names:
            continue
        with TemporaryDirectory() as folder, Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(case.name)

            def show(what: str, done: int, total: int, bar: Progress = bar, task: TaskID = task) -> None:
                bar.update(task, description=what, completed=done, total=total)

            try:
                row = measure(case, Path(folder), show, verify)
            except driftc.DriftcError as problem:
                click.echo(f"{case.name:18} {problem}")
                continue
        accuracies = "".join(f"{100 * value:7.2f}%" for value in row.accuracy) or " " * 24
        click.echo(f"{row.name:18}{row.seconds:7.1f} s{accuracies:24}", nl=False)
        click.echo("".join(f"{value:{width}.1f}" for value, width in zip(row.decibels, (9, 7), strict=False)), nl=False)
        click.echo("".join(f"{100 * v:{w}.2f}%" for v, w in zip(row.same, (10, 7), strict=False)), nl=False)
        click.echo(f"   {row.verified}")


if __name__ == "__main__":
    main()
