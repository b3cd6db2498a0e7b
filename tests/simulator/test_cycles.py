"""Estimated cycles: what blocks hold, by hand, and what a core's table makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_model import SOURCE, toy_samples, write_toy

from driftc.boards.cores import core_names, load_core
from driftc.boards.timing import Access, Mix, Timing, pace, timing_of
from driftc.simulator.block_counts import Step
from driftc.simulator.cycles import decode, events
from driftc.simulator.engine import Target
from driftc.simulator.unicorn_engine import UnicornEngine

HERE = "    int32_t sums[4];"  # in the toy's third step
LOOP = """
    __asm__ volatile("movw r0, #@TIMES@\\n"
                     "1: cmp r0, #0\\n"
                     "it mi\\n"
                     "movmi r1, #0\\n"
                     "subs r0, #1\\n"
                     "bne 1b" ::: "r0", "r1", "cc");
    int32_t sums[4];"""

FOUR_LOADS = bytes.fromhex("4368 50f8082b d1f804e0 51f808cb")  # ldr r3, [r0, #4]; ldr r2, [r0], #8; the same of r1
ONE_BASE = bytes.fromhex("50f8042b 50f8043b")  # ldr r2, [r0], #4; ldr r3, [r0], #4
DOUBLES = bytes.fromhex("f0e80223 f1e802ce")  # ldrd r2, r3, [r0], #8; ldrd r12, lr, [r1], #8
PRODUCTS = bytes.fromhex("22fb0c44 22fb0e55")  # smlad r4, r2, r12, r4; smlad r5, r2, lr, r5
USED = bytes.fromhex("0068 0130")  # ldr r0, [r0]; adds r0, #1
PAIR = bytes.fromhex("0130 0231")  # adds r0, #1; adds r1, #2
SAVE = bytes.fromhex("f0b5 f0bd")  # push {r4-r7, lr}; pop {r4-r7, pc}


def cycles(core: str, code: bytes) -> float:
    timing = load_core(core).timing
    assert timing is not None
    return timing.of(events(decode(code, 0)))


@pytest.mark.parametrize(
    ("core", "code", "expected"),
    [
        ("cortex-m4", FOUR_LOADS, 5),  # N loads in a row: N + 1
        ("cortex-m4", ONE_BASE, 4),  # the second waits for the address
        ("cortex-m4", DOUBLES, 6),
        ("cortex-m4", PRODUCTS, 2),
        ("cortex-m4", USED, 3),
        ("cortex-m4", SAVE, 12),  # 1 + N each
        ("cortex-m3", PRODUCTS, 4),
        ("cortex-m0plus", USED, 3),
        ("cortex-m33", USED, 3),  # one, one more till it can be used, one
        ("cortex-m33", DOUBLES, 4),
        ("cortex-m33", SAVE, 10),
        ("cortex-m7", PAIR, 1),
        ("cortex-m7", PRODUCTS, 2),  # one unit for products
        ("cortex-m7", DOUBLES, 2),
    ],
)
def test_by_hand(core: str, code: bytes, expected: float) -> None:
    assert cycles(core, code) == expected


def test_loads_follow_the_core() -> None:
    """Two at once where four words so take no more cycles than one by one: not on M3 and M4."""
    found = {name: timing.doubles for name in core_names() if (timing := load_core(name).timing) is not None}
    assert not found["cortex-m3"] and not found["cortex-m4"]
    assert all(found[name] for name in ("cortex-m7", "cortex-m33", "cortex-m55", "cortex-m85"))


def test_a_mix_is_weighed_like_its_events() -> None:
    timing = Timing({"plain": 1, "load": 2, "taken": 3}, "", ())
    assert pace(timing, Mix.of(load=0.5, taken=0.1)) == pytest.approx(0.5 + 0.5 * 2 + 0.1 * 3)
    assert pace(None, Mix.of(load=0.5)) == 1.0


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ValueError, match="has 'lode'; known are plain, load"):
        timing_of({"lode": 2, "source": "nowhere"})


@pytest.mark.parametrize("core", sorted(set(core_names()) - {"xtensa-lx6", "xtensa-lx7"}))
def test_every_core_that_compiles_has_a_table(core: str) -> None:
    timing = load_core(core).timing
    assert timing is not None and timing.source


def steps(folder: Path, source: str, access: Access | None = None) -> list[Step]:
    engine = UnicornEngine()
    if reason := engine.missing_for("cortex-m4"):
        pytest.skip(reason)
    program = write_toy(folder, source=source, target=Target("cortex-m4"))
    return engine.steps(program, toy_samples(1)[0], access)


def test_branches_that_are_taken_are_counted(tmp_path: Path) -> None:
    """A loop of five instructions, twice: all turns but the last are taken."""
    found = [steps(tmp_path / n, SOURCE.replace(HERE, LOOP.replace("@TIMES@", n))) for n in ("1000", "3000")]
    short, long = (steps[2] for steps in found)
    assert long.events["taken"] - short.events["taken"] == 2000
    assert long.events["plain"] - short.events["plain"] == 5 * 2000
    assert [step.lines for step in found[0]] == [0, 0, 0]


READS = """
    static const uint8_t table[4096] = {1};
    for (int turn = 0; turn < @TIMES@; turn++)
        for (int place = 0; place < 4096; place += @STEP@)
            (void)*(const volatile uint8_t *)&table[place];
    int32_t sums[4];"""


@pytest.mark.parametrize(("step", "lines"), [(1, 256), (4, 256), (16, 256), (64, 64)])
def test_lines_of_flash_are_counted(step: int, lines: int, tmp_path: Path) -> None:
    """A table of 4,096 bytes is read anew each turn, through eight lines of 16 bytes; the loop's code is kept."""
    access = Access(wait_states=5, line=16, code_lines=64, data_lines=8, prefetch=True, source="")
    found = []
    for times in (2, 12):
        text = READS.replace("@TIMES@", str(times)).replace("@STEP@", str(step))
        found.append(steps(tmp_path / str(times), SOURCE.replace(HERE, text), access)[2].lines)
    assert found[1] - found[0] == pytest.approx(10 * lines, abs=8)
