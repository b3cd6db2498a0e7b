"""Generated C without a warning: every kernel, live layers and what learns, by each compiler, here and on cores.

gcc gets the warnings that the project promises to be clean of, clang and zig all that they have but a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forced_kernels import forced, layers
from learning_models import adapts, learning, pooled
from models import residual_model

import driftc
from driftc.boards.cores import load_core
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ToolError
from driftc.codegen.kernels import kernels
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.plan.call import static_calls
from driftc.simulator.program import BARE
from driftc.simulator.toolchain import Compiler, firmware_compiler, host_compiler

STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
EVERYTHING = (
    "-Weverything",
    "-Wno-unknown-warning-option",  # of the older clang
    "-Wno-padded",
    "-Wno-declaration-after-statement",  # C90
    "-Wno-implicit-void-ptr-cast",  # C++
    "-Wno-unsafe-buffer-usage",  # any pointer that is counted up
    "-Wno-used-but-marked-unused",  # functions that only some models call
    "-Wno-unreachable-code",  # sizes are literal, so that conditions are
)
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55")


@pytest.fixture(scope="module", params=CORES)
def core(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folders(core: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models of every kernel that the core has, of live layers by their kernels, and of what learns."""
    base = tmp_path_factory.mktemp("strict")
    able = [kernel for kernel in kernels(core) if kernel.needs] or list(kernels())[:1]
    options = Options(core=core, planner="greedy")
    made: list[Path] = []
    for wide in (False, True):
        path = base / f"layers{wide:d}.tflite"
        path.write_bytes(layers(20, wide))
        lowered = lower(path, options)
        for turn in (0, 1):
            plan, _ = forced(lowered, turn, able)
            made.append(base / f"layers{wide:d}_{turn}")
            Compiled(path.read_bytes(), options, replace(lowered, plan=plan)).write(made[-1])
    (base / "residual.tflite").write_bytes(residual_model())
    inputs = driftc.compile(base / "residual.tflite", measure=False, planner="greedy").lowered.graph.inputs
    samples = np.random.default_rng(0).integers(-128, 128, (16, *inputs[0].shape[1:]), dtype=np.int8)
    np.savez(base / "samples.npz", x=samples)
    for method in ("fixed", "lean", "iabn"):
        live = driftc.compile(
            base / "residual.tflite",
            calibrate=base / "samples.npz",
            adapt=method,
            core=core,
            planner="greedy",
            measure=False,
        )
        used = {call.kernel.name for call in static_calls(live.lowered.plan.program)}
        assert any(name.endswith("_sums") for name in used) == (core != "cortex-m0plus"), used
        made.append(base / f"live_{method}")
        live.write(made[-1])
    learnt = {
        "classifier": learning(base, core=core),
        "ecotta": adapts(base, core=core),
        "running": adapts(base, pooled(size=(16, 17), mean=False), core=core, adapt_running=6),
        "running_alone": adapts(base, core=core, adapt_running=6, learn_rate=0),
    }
    for name, compiled in learnt.items():
        made.append(base / name)
        compiled.write(made[-1])
    return made


def clean(compiler: Compiler, folders: Sequence[Path], flags: Sequence[str]) -> None:
    strict = STRICT if compiler.kind == "gcc" else (*STRICT, *EVERYTHING)
    for folder in folders:
        for source in sorted(folder.glob("*.c")):
            compiler.run([*strict, *flags, "-c", source.name, "-o", "strict.o"], folder)


@pytest.mark.parametrize("cc", ["gcc", "clang", pytest.param("zig", marks=pytest.mark.slow)])
def test_for_this_machine(folders: list[Path], cc: str) -> None:
    try:
        compiler = host_compiler(cc)
    except ToolError as error:
        pytest.skip(str(error))
    clean(compiler, folders, ())


@pytest.mark.parametrize("cc", ["gcc", "clang", pytest.param("zig", marks=pytest.mark.slow)])
def test_for_the_core(folders: list[Path], core: str, cc: str) -> None:
    facts = load_core(core)
    try:
        compiler = firmware_compiler(facts, cc)
    except ToolError as error:
        pytest.skip(str(error))
    clean(compiler, folders, [*facts.flags[compiler.kind], *BARE[compiler.kind], "-isystem", "simulator/freestanding"])
