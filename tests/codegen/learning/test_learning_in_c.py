"""Learning as a program meets it: NAME_learn.h alone, strict, kept through a reset, and in a package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import driftc, run_c
from learning_models import classifier, learning, samples
from learnt import STRICT

from driftc.simulator.toolchain import host_compiler

SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

PROGRAM = """
#include "net_learn.h"

#include <stdio.h>
#include <string.h>

#include "taught.h"

NET_STATIC_MEMORY(memory);
NET_RAM0_FITS(memory_ram0);
static net_t net;
static net_learn_t learn;
static uint8_t saved[NET_SAVED_STATE_BYTES];

static int decided(const int8_t *x)
{
    const int8_t *out;
    int best = 0;

    memcpy(net_input(&net), x, NET_INPUT_BYTES);
    out = net_invoke(&net);
    for (int c = 1; c < NET_OUTPUT_LEN; c++)
        if (out[c] > out[best])
            best = c;
    return best;
}

static int right(void)
{
    int found = 0;

    for (int i = 0; i < TAUGHT; i++)
        found += decided(taught + i * NET_INPUT_LEN) == labels[i];
    return found;
}

int main(void)
{
    driftc_learn_report_t report;
    int steps = 0, before;

    if (net_init(&net, &memory) != 0 || net_learn_init(&learn, &net, &memory) != 0)
        return 1;
    printf("add first %d\\n", net_learn_add(&learn, 0));
    printf("step first %d\\n", net_learn_step(&learn));
    printf("before %d\\n", before = right());
    for (int i = 0; i < TAUGHT; i++) {
        (void)decided(taught + i * NET_INPUT_LEN);
        if (net_learn_add(&learn, labels[i]) != DRIFTC_LEARN_OK)
            return 2;
    }
    (void)net_step(&net);
    printf("in the middle %d ", net_learn_add(&learn, 0));
    printf("%d ", net_learn_step(&learn));
    printf("%d\\n", net_learn_forget(&learn, 0));
    while (net_step(&net) > 0)
        continue;
    while (net_learn_step(&learn) > 0) {
        steps++;
        if (steps == 5) {
            printf("under way %d ", net_learn_result(&learn, &report));
            printf("%d ", net_learn_add(&learn, 0));
            printf("%d ", net_learn_save(&learn, saved, sizeof saved));
            printf("%d\\n", right() == before);
        }
    }
    printf("result %d ", net_learn_result(&learn, &report));
    printf("kept %d\\n", (int)report.kept);
    printf("after %d\\n", right());
    printf("save %d\\n", net_learn_save(&learn, saved, sizeof saved));
    printf("forget %d ", net_learn_forget(&learn, -1));
    printf("%d\\n", right() == before);
    saved[40] ^= 1;
    printf("flipped %d\\n", net_learn_load(&learn, saved, sizeof saved));
    saved[40] ^= 1;
    printf("cut %d ", net_learn_load(&learn, saved, sizeof saved - 1));
    printf("%d\\n", right() == before);
    printf("load %d\\n", net_learn_load(&learn, saved, sizeof saved));
    printf("again %d\\n", right());
    if (net_init(&net, &memory) != 0 || net_learn_init(&learn, &net, &memory) != 0)
        return 3;
    for (int i = 0; i < 4; i++) {
        (void)decided(taught + i * NET_INPUT_LEN);
        (void)net_learn_add(&learn, labels[i]);
    }
    printf("begun %d ", net_learn_step(&learn) > 0);
    printf("init %d ", net_init(&net, &memory));
    printf("result %d ", net_learn_result(&learn, &report));
    printf("step %d\\n", net_learn_step(&learn));
    return 0;
}
"""

PRINTED = """add first -4
step first -5
before {before}
in the middle -3 -3 -3
under way -3 -3 7 1
result 0 kept 1
after {after}
save 0
forget 0 1
flipped 6
cut 1 1
load 0
again {after}
begun 1 init 0 result 0 step -5
"""


def written(folder: Path) -> Path:
    """A compiled folder net/, a program beside it, and what it teaches."""
    learning(folder).write(folder / "net")
    taught = samples(36, 6)
    rows = ", ".join(str(value) for value in taught["x"].reshape(-1))
    (folder / "taught.h").write_text(
        f"#define TAUGHT 36\nstatic const int8_t taught[] = {{ {rows} }};\n"
        f"static const int8_t labels[] = {{ {', '.join(map(str, taught['y']))} }};\n"
    )
    (folder / "main.c").write_text(PROGRAM)
    return folder / "net"


@pytest.mark.parametrize("flags", [STRICT, SANITIZED], ids=["strict", "sanitized"])
def test_a_program(tmp_path: Path, flags: tuple[str, ...]) -> None:
    if flags is SANITIZED and host_compiler().kind == "zig":
        pytest.skip("zig has no AddressSanitizer")
    written(tmp_path)
    sources = ["main.c", *(f"net/{name}.c" for name in ("net", "net_learn", "net_backward"))]
    printed = run_c(tmp_path, sources, "-Inet", *flags)
    numbers = dict(line.split() for line in printed.splitlines() if line.count(" ") == 1)
    assert int(numbers["before"]) <= 12 and int(numbers["after"]) >= 33
    assert printed == PRINTED.format(**numbers)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_strict_on_both_compilers(tmp_path: Path, compiler: str) -> None:
    """With rows of weights that do not come in fours, and with none in flash of what could be a table."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    for number, model in enumerate((classifier(length=13, per_row=True), classifier(length=4))):
        folder = tmp_path / str(number)
        folder.mkdir()
        learning(folder, model).write(folder / "net")
        for name in ("net", "net_learn", "net_backward"):
            command = [compiler, "-std=c11", *STRICT, "-c", f"{name}.c", "-o", f"{name}.o"]
            done = subprocess.run(command, cwd=folder / "net", capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_another_models_state_is_refused(tmp_path: Path) -> None:
    """Of a model with as many bytes of state, but other weights."""
    for name, seed in (("one", 3), ("two", 4)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.tflite").write_bytes(classifier(seed=seed))
        np.savez(tmp_path / "known.npz", **samples(60, 4))
        driftc(
            "compile", f"{name}/{name}.tflite", "--learn", "--calibrate", "known.npz", "--no-measure",
            "-o", f"{name}/c", cwd=tmp_path,
        )  # fmt: skip
    (tmp_path / "main.c").write_text(
        """
        #include "one_learn.h"
        #include "two_learn.h"

        #include <stdio.h>

        ONE_STATIC_MEMORY(first);
        TWO_STATIC_MEMORY(second);

        int main(void)
        {
            static one_t one;
            static two_t two;
            static one_learn_t a;
            static two_learn_t b;
            static uint8_t saved[ONE_SAVED_STATE_BYTES];

            if (one_init(&one, &first) || two_init(&two, &second))
                return 1;
            if (one_learn_init(&a, &one, &first) || two_learn_init(&b, &two, &second))
                return 2;
            printf("%d ", one_learn_save(&a, saved, sizeof saved));
            printf("%d\\n", two_learn_load(&b, saved, sizeof saved));
            return 0;
        }
        """
    )
    parts = [f"{name}/c/{name}{part}.c" for name in ("one", "two") for part in ("", "_learn", "_backward")]
    assert run_c(tmp_path, ["main.c", *parts], "-Ione/c", "-Itwo/c", *STRICT) == "0 4\n"


def test_in_a_package(tmp_path: Path) -> None:
    """`driftc export` carries the calls: the program compiles against include/ alone."""
    written(tmp_path)
    driftc("export", "net", "--to", "cmake", "-o", "package", cwd=tmp_path)
    sources: list[Path | str] = ["main.c", *sorted((tmp_path / "package" / "src").glob("*.c"))]
    flags = ("-Ipackage/include", "-Ipackage/src", "-I.", *STRICT)
    assert "kept 1" in run_c(tmp_path, [path for path in sources if "selftest" not in str(path)], *flags)
    (tmp_path / "other.c").write_text('#include "net_learn.h"\nint main(void) { return DRIFTC_LEARN_OK; }\n')
    run_c(tmp_path, ["other.c"], "-Ipackage/include", *STRICT)
