"""unicorn and QEMU run the same ELF: same bytes, and counts that agree to the timer's resolution."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from toy_model import SOURCE, toy_reference, toy_samples, write_toy

from driftc.boards.cores import load_core
from driftc.codegen.errors import ToolError
from driftc.simulator.engine import Engine, Sample, Target
from driftc.simulator.measure import measure
from driftc.simulator.qemu import QemuEngine
from driftc.simulator.toolchain import CROSS_GCC, zig_compiler
from driftc.simulator.unicorn_engine import UnicornEngine

ON_BOTH = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]
ON_QEMU = [*ON_BOTH, "cortex-m55", "rv32imc"]
COMPILERS = ["gcc", pytest.param("zig", marks=pytest.mark.slow)]  # zig builds its library once for each core
SAMPLES = toy_samples(4)


def target(core: str, cc: str, optimize: str = "2") -> Target:
    gcc = CROSS_GCC[load_core(core).port]
    if cc == "gcc" and shutil.which(gcc) is None:
        pytest.skip(f"{gcc} is not installed")
    if cc == "zig" and zig_compiler() is None:
        pytest.skip("ziglang is not installed")
    return Target(core, cc, optimize)


def need(engine: Engine, core: str) -> None:
    if reason := engine.missing_for(core):
        pytest.skip(reason)


def check(results: list[Sample], *, traced: bool) -> None:
    for (x,), result in zip(SAMPLES, results, strict=True):
        expected = toy_reference(x)
        np.testing.assert_array_equal(result.outputs[0], expected[2].reshape(1, 4))
        assert sorted(result.tensors) == ([0, 1, 2] if traced else [])
        for index, tensor in result.tensors.items():
            np.testing.assert_array_equal(tensor, expected[index])


@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("core", ON_QEMU)
def test_qemu(tmp_path: Path, core: str, cc: str) -> None:
    program = write_toy(tmp_path, target=target(core, cc))
    engine = QemuEngine(timeout=60)
    need(engine, core)
    check(list(engine.run(program, SAMPLES, trace=True)), traced=True)
    results = list(engine.run(program, SAMPLES, trace=False))
    check(results, traced=False)
    bound = measure(program).stack_bytes
    for result in results:
        assert result.instructions is not None and min(result.instructions) > 100
        assert result.stack_peak is not None and 0 < result.stack_peak <= bound


@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("core", ON_BOTH)
def test_unicorn(tmp_path: Path, core: str, cc: str) -> None:
    program = write_toy(tmp_path, target=target(core, cc))
    engine = UnicornEngine()
    need(engine, core)
    check(list(engine.run(program, SAMPLES, trace=True)), traced=True)
    results = list(engine.run(program, SAMPLES, trace=False))
    check(results, traced=False)
    bound = measure(program).stack_bytes
    for result in results:
        assert result.stack_peak is not None and 0 < result.stack_peak <= bound
    again = list(engine.run(program, SAMPLES, trace=False))
    assert [result.instructions for result in again] == [result.instructions for result in results]


@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("core", ON_BOTH)
@pytest.mark.parametrize("optimize", ["2", "s"])
def test_counts_agree(tmp_path: Path, core: str, cc: str, optimize: str) -> None:
    program = write_toy(tmp_path, target=target(core, cc, optimize))
    unicorn, qemu = UnicornEngine(), QemuEngine(timeout=60)
    need(unicorn, core)
    need(qemu, core)
    exact = list(unicorn.run(program, SAMPLES, trace=False))
    timed = list(qemu.run(program, SAMPLES, trace=False))
    for a, b in zip(exact, timed, strict=True):
        assert a.instructions is not None and b.instructions is not None
        difference = np.abs(np.subtract(a.instructions, b.instructions))
        assert difference.max() <= qemu.resolution(core), (a.instructions, b.instructions)
        assert a.stack_peak == b.stack_peak


LOOP = """
    __asm__ volatile("movw r0, #@TIMES@\\n"
                     "1: cmp r0, #0\\n"
                     "it mi\\n"
                     "movmi r1, #0\\n"
                     "subs r0, #1\\n"
                     "bne 1b" ::: "r0", "r1", "cc");
    int32_t sums[4];"""


def test_known_count(tmp_path: Path) -> None:
    """A loop of five instructions, one of them always skipped by its IT block: all count."""
    counts = []
    for times in ("1000", "3000"):
        source = SOURCE.replace("    int32_t sums[4];", LOOP.replace("@TIMES@", times))
        program = write_toy(tmp_path / times, source=source, target=target("cortex-m4", "gcc"))
        need(UnicornEngine(), "cortex-m4")
        (sample,) = UnicornEngine().run(program, SAMPLES[:1], trace=False)
        assert sample.instructions is not None
        counts.append(sample.instructions)
    assert np.subtract(counts[1], counts[0]).tolist() == [0, 0, 5 * 2000]


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33"])
def test_systick_wraps_are_counted(tmp_path: Path, core: str) -> None:
    program = write_toy(tmp_path, target=target(core, "gcc"))
    plain, wrapping = QemuEngine(timeout=60), QemuEngine(timeout=60, systick_period=128)
    need(plain, core)
    (a,) = plain.run(program, SAMPLES[:1], trace=False)
    (b,) = wrapping.run(program, SAMPLES[:1], trace=False)
    assert a.instructions is not None and b.instructions is not None
    assert a.instructions[0] > 3 * 128 * 2.5  # several wraps
    assert np.abs(np.subtract(a.instructions, b.instructions)).max() <= plain.resolution(core)


def test_profile_adds_up(tmp_path: Path) -> None:
    need(UnicornEngine(), "cortex-m4")
    program = write_toy(tmp_path, target=target("cortex-m4", "gcc"))
    (sample,) = UnicornEngine().run(program, SAMPLES[:1], trace=False)
    profile = UnicornEngine().profile(program, SAMPLES[0])
    assert tuple(sum(step.values()) for step in profile.classes) == sample.instructions
    assert tuple(sum(step.values()) for step in profile.mnemonics) == sample.instructions
    assert profile.classes[2]["multiply-accumulate"] == 4 * 72  # dense


def test_the_generator_gives_each_sample_when_it_is_done(tmp_path: Path) -> None:
    need(UnicornEngine(), "cortex-m4")
    program = write_toy(tmp_path, target=target("cortex-m4", "gcc"))
    results = UnicornEngine().run(program, toy_samples(1000), trace=False)
    first = next(results)
    np.testing.assert_array_equal(first.outputs[0], toy_reference(toy_samples(1000)[0][0])[2].reshape(1, 4))


FAULT = SOURCE.replace("int32_t divisor =", "*(volatile int32_t *)0xD0000000u = 1;\n    int32_t divisor =")
HANG = SOURCE.replace("int32_t divisor =", "for (volatile int i = 0; i < 1; ) {}\n    int32_t divisor =")
DEEP = SOURCE.replace(
    "int32_t divisor =",
    "volatile int8_t big[20000];\n    for (int i = 0; i < 20000; i++) big[i] = 1;\n    int32_t divisor =",
)


@pytest.mark.parametrize("source", [FAULT, DEEP], ids=["wild pointer", "stack too deep"])
@pytest.mark.parametrize("engine", [UnicornEngine(), QemuEngine(timeout=60)], ids=lambda engine: str(engine.name))
def test_faults_are_reported(tmp_path: Path, engine: Engine, source: str) -> None:
    need(engine, "cortex-m4")
    program = write_toy(tmp_path, source=source, target=target("cortex-m4", "gcc"))
    with pytest.raises(ToolError, match=r"a fault of the processor|failed at (scale|toy_step)|stack is too small"):
        list(engine.run(program, SAMPLES[:1], trace=False))


def test_qemu_does_not_wait_for_ever(tmp_path: Path) -> None:
    engine = QemuEngine(timeout=1)
    need(engine, "cortex-m4")
    program = write_toy(tmp_path, source=HANG, target=target("cortex-m4", "gcc"))
    with pytest.raises(ToolError, match="mps2-an386 ran 1 s without finishing 1 sample; --engine unicorn"):
        list(engine.run(program, SAMPLES, trace=False))


def test_absent_emulators_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install qemu-system-arm" in str(QemuEngine().missing())
    with pytest.raises(ToolError, match="qemu-system-misc"):
        next(iter(QemuEngine().run(write_toy(tmp_path, target=Target("rv32imc")), SAMPLES, trace=False)))


def test_cores_that_unicorn_lacks(tmp_path: Path) -> None:
    need(UnicornEngine(), "cortex-m4")
    with pytest.raises(ToolError, match="unicorn cannot emulate rv32imc; --engine qemu can"):
        next(iter(UnicornEngine().run(write_toy(tmp_path, target=Target("rv32imc")), SAMPLES, trace=False)))
