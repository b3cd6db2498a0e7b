"""What kinds of instructions a program runs: capstone's mnemonics, sorted into a few classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from driftc.simulator.elf import Elf
from driftc.simulator.packages import package

# Beginnings of mnemonics; the first that fits decides, so the longer ones come first within a class's neighbours.
CLASSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("float", ("v",)),
    ("multiply-accumulate", ("mla", "mls", "smla", "smls", "smmla", "smmls", "smlal", "umlal", "umaal")),
    ("multiply", ("mul", "smul", "smmul", "smuad", "smusd", "smull", "umull")),
    ("divide", ("sdiv", "udiv")),
    ("load", ("ldr", "ldm", "pop", "ldrd")),
    ("store", ("str", "stm", "push")),
    ("simd", ("sxtb16", "uxtb16", "sxtab16", "uxtab16", "pkh", "sadd8", "sadd16", "ssub8", "ssub16", "qadd8", "qadd16",
              "qsub8", "qsub16", "uadd8", "uadd16", "usub8", "usub16", "sel", "ssat16", "usat16", "usad")),
    ("saturate", ("ssat", "usat", "qadd", "qsub", "qdadd", "qdsub")),
    ("compare", ("cmp", "cmn", "tst", "teq", "it")),
    ("branch", ("bl", "bx", "b.", "beq", "bne", "bhs", "blo", "bmi", "bpl", "bvs", "bvc", "bhi", "bls", "bge", "blt",
                "bgt", "ble", "bcs", "bcc", "cb", "tb")),
    ("move", ("mov", "mvn", "sxt", "uxt", "ubfx", "sbfx", "bfi", "bfc", "adr")),
)  # fmt: skip
OTHER = "arithmetic"


@dataclass(frozen=True)
class Profile:
    """Executed instructions by class (or by mnemonic), one mapping per step."""

    classes: tuple[dict[str, int], ...]
    mnemonics: tuple[dict[str, int], ...]


def classify(mnemonic: str) -> str:
    if mnemonic == "b":
        return "branch"
    return next((name for name, starts in CLASSES if mnemonic.startswith(starts)), OTHER)


def profile(elf: Elf, blocks: list[tuple[int, int]], executions: list[tuple[int, ...]]) -> Profile:
    """From how often each block (address, size) ran in each step."""
    capstone = package("capstone", "capstone")
    mode = capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS + capstone.CS_MODE_V8
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    disassembler.skipdata = True
    content = []
    for address, size in blocks:
        lines = disassembler.disasm_lite(elf.read(address, size), address)
        content.append(Counter(mnemonic.removesuffix(".w") for _, _, mnemonic, _ in lines))
    classes, mnemonics = [], []
    for counts in executions:
        by_mnemonic: Counter[str] = Counter()
        for block, times in zip(content, counts, strict=True):
            for mnemonic, number in block.items():
                by_mnemonic[mnemonic] += number * times
        by_mnemonic = +by_mnemonic
        by_class: Counter[str] = Counter()
        for mnemonic, number in by_mnemonic.items():
            by_class[classify(mnemonic)] += number
        classes.append(dict(by_class.most_common()))
        mnemonics.append(dict(by_mnemonic.most_common()))
    return Profile(tuple(classes), tuple(mnemonics))
