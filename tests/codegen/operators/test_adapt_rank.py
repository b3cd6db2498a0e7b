"""The term across channels at the ends of its ranges: the C is the specification, and nothing overflows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run_c
from numpy.typing import NDArray

from driftc.codegen.errors import ModelError
from driftc.codegen.operators.adapt.adapt_kernel import LIMIT
from driftc.codegen.operators.adapt.adapt_rank import COLUMNS, LARGEST_RANK, AdaptRank
from driftc.codegen.operators.adapt.adapt_statistics import LARGEST_HIDDEN, RANKED, AdaptStatistics
from driftc.codegen.operators.base import Box
from driftc.codegen.tensor import Tensor

STRICT = (
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wpedantic",
    "-Werror",
    "-fsanitize=undefined,address",
)
CHANNELS, PIXELS = 6, 49


def tensor(name: str, shape: int, dtype: type) -> Tensor:
    return Tensor(name, (shape,), np.dtype(dtype))


def int16(random: np.random.Generator, rows: int, extreme: bool) -> NDArray[np.int16]:
    if extreme:
        return random.choice(np.array([-(2**15), 2**15 - 1], np.int16), rows)
    return random.integers(-(2**15), 2**15, rows).astype(np.int16)


def int32(random: np.random.Generator, rows: int, extreme: bool, bits: int) -> NDArray[np.int32]:
    most = 2**bits - 1
    return (random.choice([-most, most], rows) if extreme else random.integers(-most, most, rows)).astype(np.int32)


def kernels(seed: int, rank: int, wide: bool, extreme: bool = False) -> tuple[AdaptRank, AdaptStatistics, int]:
    """Both operators of a layer with random constants, or the largest there are; and the largest accumulator."""
    random = np.random.default_rng(seed)
    largest = int((2**62 / PIXELS) ** 0.5) - 2 if wide else (2**31 - 1) // PIXELS - 1
    sums = np.int64 if wide else np.int32
    floors = random.integers(0, 62, CHANNELS).astype(np.int16)
    down = random.integers(-127, 128, (CHANNELS, rank, 2)).astype(np.int8)
    down = np.where(down < 0, -127, 127).astype(np.int8) if extreme else down
    left = LARGEST_HIDDEN - (1 << 11) * 127 * 2 * CHANNELS
    start = (random.choice([-1, 1], rank) * left if extreme else random.integers(-(2**20), 2**20, rank)).astype(
        np.int32
    )
    before = AdaptRank(
        name="r",
        inputs=(tensor("s", CHANNELS, sums), tensor("q", CHANNELS, np.int64)),
        outputs=(tensor("h", rank, np.int32),),
        pixels=PIXELS,
        table=np.stack([floors, *(int16(random, CHANNELS, extreme) for _ in COLUMNS[1:])], axis=1),
        down=down,
        start=start,
        shift=1 if extreme else (largest * PIXELS).bit_length(),
        largest_sum=largest * PIXELS,
    )
    level, decay, base, centre, gain = (
        int32(random, CHANNELS, extreme, bits) for bits in ((29, 31, 31, 31, 20) if extreme else (22, 28, 27, 22, 20))
    )
    decay = decay & ~63 | floors
    rates = (int16(random, CHANNELS, extreme) for _ in RANKED[-2:])
    table = np.stack([level, decay, base, centre, gain, *rates], axis=1).astype(np.int32)
    statistics = AdaptStatistics(
        name="k",
        inputs=(*before.inputs, *before.outputs),
        outputs=(tensor("m", CHANNELS, np.int32), tensor("o", CHANNELS, np.int32)),
        pixels=PIXELS,
        table=table,
        power=20 << 24,
        shift=(largest * PIXELS).bit_length(),
        largest_sum=largest * PIXELS,
        up=random.choice(np.array([-127, 0, 127], np.int8), (CHANNELS, 2, rank))
        if extreme
        else random.integers(-127, 128, (CHANNELS, 2, rank)).astype(np.int8),
        up_shifts=(1, 1) if extreme else (30, 24),
    )
    before.check()
    statistics.check()
    return before, statistics, largest


def cases(largest: int, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Sums and squares that accumulators up to `largest` can have: any, none at all, and the ends."""
    random = np.random.default_rng(seed)
    found = []
    for size in (*(2.0 ** random.uniform(0, np.log2(largest), 12)).astype(int), 0, largest):
        values = random.integers(-size, size + 1, (PIXELS, CHANNELS)) if size < largest else np.full((PIXELS, 1), size)
        values = values * random.choice([-1, 1], CHANNELS)
        found.append((values.sum(axis=0), np.einsum("pc,pc->c", values, values)))
    return found


def initializer(values: NDArray[Any]) -> str:
    return ", ".join("INT32_MIN" if value == -(2**31) else str(value) for value in values.reshape(-1).tolist())


def program(before: AdaptRank, statistics: AdaptStatistics, given: Sequence[tuple[Any, Any]], wide: bool) -> str:
    """Prints h, the multipliers and the offsets of each case."""
    assert statistics.up is not None
    kind, suffix, split = ("driftc_wide_t", "_wide", "driftc_narrow") if wide else ("int32_t", "", "(int32_t)")
    mean_shift, log_shift = statistics.up_shifts
    flat = [np.concatenate([pair[part] for pair in given]) for part in (0, 1)]
    long = [", ".join(f"INT64_C({value})" for value in part.tolist()) for part in flat]
    return f"""
#include "driftc_adapt.h"
#include <inttypes.h>
#include <stdio.h>
static const int16_t ranks[] = {{ {initializer(before.table)} }};
static const int8_t down[] = {{ {initializer(before.down)} }};
static const int32_t start[] = {{ {initializer(before.start)} }};
static const int32_t table[] = {{ {initializer(statistics.table)} }};
static const int8_t up[] = {{ {initializer(statistics.up)} }};
static const int64_t all_sums[] = {{ {long[0]} }};
static const int64_t all_squares[] = {{ {long[1]} }};
int main(void)
{{
    const driftc_rank_t first = {{ ranks, down, start, {CHANNELS}, {PIXELS}, {before.rank}, {before.shift} }};
    const driftc_adapt_t layer = {{ table, {CHANNELS}, {PIXELS}, {statistics.power}, {statistics.shift} }};
    const driftc_up_t more = {{ up, {before.rank}, {mean_shift}, {log_shift} }};

    for (int n = 0; n < {len(given)}; n++) {{
        {kind} sums[{CHANNELS}];
        driftc_wide_t squares[{CHANNELS}];
        int32_t hidden[{before.rank}], multiplier[{CHANNELS}], offset[{CHANNELS}];

        for (int c = 0; c < {CHANNELS}; c++) {{
            sums[c] = {split}(all_sums[n * {CHANNELS} + c]);
            squares[c] = driftc_narrow(all_squares[n * {CHANNELS} + c]);
        }}
        driftc_rank{suffix}(&first, sums, squares, hidden);
        driftc_adapt_ranked{suffix}(&layer, &more, sums, squares, hidden, multiplier, offset);
        for (int r = 0; r < {before.rank}; r++)
            printf("%" PRId32 " ", hidden[r]);
        for (int c = 0; c < {CHANNELS}; c++)
            printf("%" PRId32 " %" PRId32 " ", multiplier[c], offset[c]);
    }}
    return 0;
}}
"""


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("rank", "extreme"), [(1, False), (4, False), (LARGEST_RANK, False), (LARGEST_RANK, True)])
def test_c_computes_the_same(rank: int, extreme: bool, wide: bool, tmp_path: Path) -> None:
    firmware = files("driftc").joinpath("firmware")
    for name in ("driftc.h", "driftc_adapt.h"):
        (tmp_path / name).write_text(firmware.joinpath(name).read_text(encoding="utf-8"))
    before, statistics, largest = kernels(rank, rank, wide, extreme)
    given = cases(largest, rank)
    (tmp_path / "main.c").write_text(program(before, statistics, given, wide))
    found = [int(number) for number in run_c(tmp_path, ["main.c"], *STRICT).split()]
    wanted: list[int] = []
    for sums, squares in given:
        (hidden,) = before.spec(sums, squares)
        multiplier, offset = statistics.spec(sums, squares, hidden)
        wanted += [*hidden.tolist(), *np.stack([multiplier, offset], axis=1).reshape(-1).tolist()]
    assert found == wanted
    assert len(set(wanted)) > (8 if extreme else 3 * len(given))


@pytest.mark.parametrize("wide", [False, True])
def test_int64_is_arithmetic_without_limits(wide: bool) -> None:
    """The largest constants on the largest statistics, beside Python's integers."""
    before, statistics, largest = kernels(3, LARGEST_RANK, wide, extreme=True)
    assert statistics.up is not None
    for sums, squares in cases(largest, 5):
        z = before.standardised(sums, squares)
        assert np.abs(z).max() <= 8 << 8
        exact = [
            max(0, a + sum(int(before.down[c, r, k]) * int(z[k, c]) for c in range(CHANNELS) for k in range(2)))
            for r, a in enumerate(before.start.tolist())
        ]
        (hidden,) = before.spec(sums, squares)
        assert hidden.tolist() == exact
        assert max(exact) <= LARGEST_HIDDEN
        for part, name in enumerate(RANKED[-2:]):
            rates = statistics.column(name).tolist()
            rows = statistics.up[:, part].tolist()
            wanted = [
                (sum(u * h for u, h in zip(row, exact, strict=True)) * rate + 1) >> 1
                for row, rate in zip(rows, rates, strict=True)
            ]
            assert statistics.raised(part, hidden.astype(np.int64)).tolist() == wanted
            assert max(map(abs, wanted)) < 2**57
        _, offset = statistics.spec(sums, squares, hidden)
        assert np.abs(offset).max() <= LIMIT


def test_parts_are_the_whole() -> None:
    """ADAPT_STATISTICS in channel tiles needs all of h."""
    before, statistics, largest = kernels(11, 4, wide=False)
    ((sums, squares), *_) = cases(largest, 2)
    (hidden,) = before.spec(sums, squares)
    whole = statistics.spec(sums, squares, hidden)
    for first, last in ((0, 2), (2, CHANNELS)):
        box = Box(0, 1, first, last)
        assert statistics.needs(box)[2] == Box(0, 1, 0, 4)
        part = statistics.part(box)
        part.check()
        found = part.spec(sums[first:last], squares[first:last], hidden)
        assert all(np.array_equal(a, b[first:last]) for a, b in zip(found, whole, strict=True))


def test_constants_out_of_range_are_refused() -> None:
    before, statistics, _ = kernels(1, 4, wide=False)
    assert statistics.up is not None
    wrong = [
        replace(before, shift=0),
        replace(before, largest_sum=1 << 60),
        replace(before, start=np.full(4, LARGEST_HIDDEN, np.int32)),
        replace(before, down=before.down[:-1]),
        replace(before, table=before.table[:, :-1]),
        replace(statistics, up_shifts=(0, 1)),
        replace(statistics, up_shifts=(1, 62)),
        replace(statistics, up=statistics.up[:, :, :-1]),
        replace(statistics, table=statistics.table[:, :-1]),
    ]
    for operator in wrong:
        with pytest.raises(ModelError, match="leave the ranges"):
            operator.check()
    wide = LARGEST_RANK + 1
    made = replace(
        before,
        down=np.zeros((CHANNELS, wide, 2), np.int8),
        start=np.zeros(wide, np.int32),
        outputs=(tensor("h", wide, np.int32),),
    )
    with pytest.raises(ModelError, match="leave the ranges"):
        made.check()
