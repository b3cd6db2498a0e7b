"""The networks of the benchmark, and its rows, each kept once it is known."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import choose
import images
import numpy as np
from numpy.typing import NDArray
from released import Released

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.coding import Codes
from driftc.codegen.elastic.round import Clean, Rounds
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.teacher import Teacher
from driftc.codegen.samples import quantize

KINDS = ("gaussian_noise", "impulse_noise", "contrast", "fog", "pixelate", "motion_blur")
SEVERITY, STREAM, TESTED, SEEN = 5, 2000, 300, 640
ROWS = ("none", "calibrated", "random", "criteria", "released")


class Bench:
    """The networks, made when they are needed, and kept in `folder`."""

    def __init__(self, folder: Path, uploads: int) -> None:
        self.folder, self.uploads = folder, uploads
        folder.mkdir(parents=True, exist_ok=True)
        self.train = folder / "train.npz"
        if not self.train.is_file():
            task = images.load(images.resnet8(folder), "dev", 1)
            with np.load(images.DATA / "cifar10/train4000_lossless.npz") as file:
                order = np.random.default_rng(1).permutation(len(file["x"]))[images.HELD_OUT :]
                labels = file["y"][order]
            np.savez(self.train, x=task.calibration, y=labels)

    @cache  # noqa: B019
    def student(self, adapted: bool) -> Student:
        folder = self.folder / ("calibrated" if adapted else "folded")
        if not folder.is_dir():
            method = "calibrated" if adapted else None
            model = images.resnet8(self.folder)
            driftc.compile(model, calibrate=self.train, adapt=method, updatable="all", measure=False).write(folder)
        return Student.of(Compiled.load(folder).lowered)

    @cache  # noqa: B019
    def teacher(self) -> Teacher:
        return Teacher.load(images.resnet20(self.folder), self.student(True).shape, 10)

    @cache  # noqa: B019
    def clean(self) -> Clean:
        with np.load(self.train) as file:
            return Clean(self.raw(file["x"], True), file["y"].astype(np.int64))

    @cache  # noqa: B019
    def rounds(self) -> Rounds:
        return Rounds(self.student(True), self.teacher(), self.clean())

    def raw(self, samples: NDArray[np.uint8], adapted: bool) -> Raw:
        return np.asarray(quantize(samples.astype(np.float32), self.student(adapted).graph.inputs[0]), np.int8)

    @cache  # noqa: B019
    def images(self, kind: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
        """The stream, and samples to test with and their labels."""
        model = images.resnet8(self.folder)
        tested = images.load(model, "table", TESTED)
        _, x, y = tested.base
        if kind == "clean":
            return x[:0], x, y
        stream = images.load(model, "dev", STREAM).shifted(kind, SEVERITY)
        return stream, tested.shifted(kind, SEVERITY), y

    def row(self, row: str, kind: str) -> dict[str, Any]:
        """Accuracy in percent on what is shifted and on what is clean, and what the round said."""
        kept = self.folder / f"{row}_{kind}_{self.uploads}.json"
        if not kept.is_file():
            codes, said = self.learnt(row, kind) if row not in ("none", "calibrated") else (None, {})
            adapted = row not in ("none", "released")
            said |= {name: self.right(name, adapted, codes) for name in {kind, "clean"}}
            part = kept.with_suffix(".part")
            part.write_text(json.dumps(said, indent=1))
            part.replace(kept)
        found: dict[str, Any] = json.loads(kept.read_text())
        return found

    def learnt(self, row: str, kind: str) -> tuple[tuple[Codes, ...] | None, dict[str, Any]]:
        stream = self.images(kind)[0]
        if row == "released":
            method = Released(self.student(False), self.teacher(), self.clean().samples[:512])
            given = method.run(self.raw(stream[:SEEN], False), SEEN)
            return method.codes, {"uploads": given, "seen": SEEN}
        samples, student = self.raw(stream, True), self.student(True)
        by_chance = row == "random"
        chosen = (
            choose.by_chance(samples, self.uploads) if by_chance else choose.by_entropy(student, samples, self.uploads)
        )
        outcome = self.rounds().run(samples[chosen])
        seen = len(chosen) if by_chance else int(chosen[-1]) + 1
        return outcome.codes, {"uploads": len(chosen), "seen": seen, "round": outcome.as_json()}

    def right(self, kind: str, adapted: bool, codes: tuple[Codes, ...] | None) -> float:
        _, x, y = self.images(kind)
        return float(100 * np.mean(self.student(adapted).decisions(self.raw(x, adapted), codes) == y))
