"""The self-test of a generated model: it passes, finds what is corrupted, and costs nothing where it is not built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from generated import ONE, SELFTEST, STRICT, expected, program

SELFTEST_FLAGS = ("-DKWS_SELFTEST", "-DKWS_HOOK", *STRICT)
SELFTEST_SOURCES = ("kws/kws.c", "kws/kws_selftest.c")


def test_selftest_passes(own: Path) -> None:
    assert program(own, SELFTEST, *SELFTEST_FLAGS, sources=SELFTEST_SOURCES) == "0"


@pytest.mark.parametrize(("layer", "code"), [("conv", 1), ("pointwise_2", 5), ("dense", 9)])
def test_selftest_finds_a_corrupted_weight(own: Path, layer: str, code: int) -> None:
    """One bit of one weight; the code is 1 + the first layer that it reaches."""
    weights = own / "kws" / "kws_weights.h"
    text = weights.read_text()
    array = re.search(rf"{layer}_(twins|weights)\[[^=]*= \{{.*\n", text)  # by a dsp or by a portable kernel
    assert array is not None
    number = re.compile(r"-?\d+").search(text, array.end())
    assert number is not None
    weights.write_text(text[: number.start()] + str(int(number[0]) ^ 0x40) + text[number.end() :])
    assert program(own, SELFTEST, *SELFTEST_FLAGS, sources=SELFTEST_SOURCES) == str(code)


def test_selftest_compiles_to_nothing_without_its_macro(own: Path) -> None:
    printed = program(own, ONE.replace("@RUN@", "out = kws_invoke(&kws);"), *STRICT, sources=SELFTEST_SOURCES)
    assert [int(word) for word in printed.split()] == expected()
