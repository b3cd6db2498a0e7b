"""No kernel reads or writes beyond its buffers on the emulated core: each begins or ends at a page that is not there.

The sanitizer sees the C twins on the host; this is for the assembly and the intrinsics, which only the core runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from forced_kernels import forced, layers
from guarded import guard_qemu, guard_unicorn, places, put
from hypothesis import given
from hypothesis import strategies as st
from operator_cases import examples

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ToolError
from driftc.codegen.kernels import kernels
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.check import check
from driftc.codegen.samples import random
from driftc.simulator.engines import engine
from driftc.simulator.verify import verify

CORES = {"cortex-m4": ("unicorn", "dsp"), "cortex-m55": ("qemu", "mve"), "cortex-m3": ("unicorn", "")}
EDGES: tuple[Literal["start", "end"], ...] = ("start", "end")


def of(core: str) -> list[Kernel]:
    """The kernels that only this core, or cores like it, run."""
    feature = CORES[core][1]
    return [kernel for kernel in kernels(core) if kernel.needs and (not feature or feature in kernel.needs)]


def run(
    core: str, edge: Literal["start", "end"], seed: int, turn: int, wide: bool, folder: Path, beyond: str = ""
) -> set[str]:
    """The kernels that stood it. `beyond` "input" or "output": one of those is 4 bytes off, across the edge."""
    name = CORES[core][0]
    if (absent := engine(name).missing_for(core)) is not None:
        pytest.skip(f"{name}: {absent}")
    data = layers(seed, wide)
    path = folder / "layers.tflite"
    path.write_bytes(data)
    options = Options(core=core, planner="greedy")
    lowered = lower(path, options)
    plan, used = forced(lowered, turn, of(core), edge)
    check(plan)
    made = Compiled(data, options, replace(lowered, plan=plan))
    program = made.program()
    addresses, pages = places(plan, edge)
    if beyond:
        addresses[_some(plan.inputs if beyond == "input" else plan.outputs).region] += 4 if edge == "end" else -4
    put(program, addresses)
    samples = random(1, lowered.graph.inputs)
    with pytest.MonkeyPatch.context() as patch:
        if name == "qemu":
            guard_qemu(program, pages)
        else:
            guard_unicorn(patch, pages)
        found = verify(made.lowered, program, path, samples, [], [engine(name)], "tflm", lambda: None)
    assert found.first_difference is None, str(found.first_difference)
    return used


def _some(buffers: Sequence[Buffer]) -> Buffer:
    return buffers[len(buffers) // 2]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("core", "wide"), [("cortex-m4", False), ("cortex-m55", True)])
def test_nothing_beyond_the_buffers(core: str, wide: bool, edge: Literal["start", "end"], tmp_path: Path) -> None:
    assert run(core, edge, 40, 0, wide, tmp_path)


@pytest.mark.parametrize("beyond", ["input", "output"])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_the_guard_is_there(core: str, edge: Literal["start", "end"], beyond: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"UNMAPPED|a fault of the processor"):
        run(core, edge, 40, 0, core == "cortex-m55", tmp_path, beyond)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@examples(6, shrink=False)
@given(seed=st.integers(41, 10**6), turn=st.integers(0, 2), wide=st.booleans(), edge=st.sampled_from(EDGES))
def test_any_layers(
    core: str,
    seed: int,
    turn: int,
    wide: bool,
    edge: Literal["start", "end"],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run(core, edge, seed, turn, wide, tmp_path_factory.mktemp("layers"))
