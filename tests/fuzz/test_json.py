"""1,000 mutants of each JSON file that driftc reads: refused in one line, or taken; nothing else changes."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from models import ModelBuilder

from driftc.codegen.adaptation.constants import Adaptation
from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DriftcError
from driftc.codegen.export import export
from driftc.codegen.export.package import Settings
from driftc.codegen.report import stored
from driftc.codegen.report.page import page
from fuzz.judge import limited
from fuzz.seeds import small_weights
from fuzz.values import JsonMutator

COUNT = 1000

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs process limits")


def loaded(folder: Path) -> None:
    compiled = Compiled.load(folder)
    assert compiled.report["layers"]


@cache
def kept(folder: Path) -> Compiled:
    """The folder as it was before any mutant."""
    return Compiled.load(folder)


def drawn(folder: Path) -> None:
    """As driftc report makes it."""
    compiled = kept(folder)
    compiled._recall(stored.read_json(folder / stored.REPORT))
    facts = {**compiled.report, "measured_with": compiled.measured_with, "quantization": compiled.quantization}
    assert page(compiled.lowered.plan, facts, [], stored.verification(folder))


def exported(folder: Path) -> None:
    export(folder, "cmake", folder.parent / "package", Settings(), archive=False)
    shutil.rmtree(folder.parent / "package")


def read_adaptation(folder: Path) -> None:
    """The constants alone, then all that is made of them."""
    Adaptation.read(folder / "adaptation.json")
    assert Compiled.load(folder).sources


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled folder of one live layer, which was verified."""
    import numpy as np

    base = tmp_path_factory.mktemp("json")
    m = ModelBuilder()
    x = m.input("image", (1, 4, 4, 2), scale=0.1)
    x = m.conv_2d(x, small_weights(4, 1, 1, 2), weight_scale=0.02, out_scale=0.1, name="conv")
    m.output(m.fully_connected(m.reshape(x, (1, 64)), small_weights(3, 64), weight_scale=0.02, out_scale=0.3))
    (base / "m.tflite").write_bytes(m.build())
    samples = np.random.default_rng(0).normal(size=(16, 4, 4, 2)).astype(np.float32)
    np.savez(base / "samples.npz", x=samples)
    compiled = compile(
        base / "m.tflite", measure=False, planner="greedy", adapt="fixed", calibrate=base / "samples.npz"
    )
    compiled.write(base / "m")
    stored.keep_verification(base / "m", {"bit_exact": True, "engines": ["numpy"], "samples": 3})
    return base / "m"


@pytest.mark.parametrize(
    ("file", "use"),
    [
        ("driftc.json", loaded),
        ("driftc.json", exported),
        ("adaptation.json", read_adaptation),
        ("report.json", drawn),
        ("report.json", exported),
        ("verified.json", drawn),
    ],
)
def test_mutants(file: str, use: Callable[[Path], None], adapted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(adapted, folder)
    mutator = JsonMutator((folder / file).read_text(encoding="utf-8"))
    use(folder)
    faults: list[str] = []
    taken = 0
    for mutant in mutator.mutants(1, COUNT):
        (folder / file).write_bytes(mutant.data)
        try:
            with limited(), warnings.catch_warnings():
                warnings.simplefilter("error")
                use(folder)
            taken += 1
        except DriftcError as error:
            if len(str(error).splitlines()) != 1 or not str(error).isprintable() or len(str(error)) > 1500:
                faults.append(f"{mutant.seed} ({mutant.description}): not one line: {error!s:.200}")
        except Exception as problem:
            faults.append(f"{mutant.seed} ({mutant.description}): {type(problem).__name__}: {problem!s:.200}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:8])
    assert taken > 0
    assert taken < COUNT or use is drawn  # which takes what is damaged as not there
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
