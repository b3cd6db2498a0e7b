"""Two slots of flash: whatever byte power is lost at, what was kept before or what is being kept is whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from commands import ROOT, driftc, run_c
from learning_models import learning
from learnt import STRICT
from simulated_flash import FLASH

from driftc.simulator.toolchain import host_compiler

SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
INCLUDED = f"-I{ROOT / 'firmware'}"

TORN = (
    FLASH
    + """
enum { LENGTH = 77 }; /* no whole unit */

static int kept(uint8_t *what)
{
    uint8_t buffer[LENGTH];
    uint32_t bytes = 0;

    if (driftc_slots_load(&slots, buffer, sizeof buffer, &bytes) != DRIFTC_SLOTS_OK || bytes != LENGTH)
        return 0;
    for (int i = 1; i < LENGTH; i++)
        if (buffer[i] != (uint8_t)(buffer[0] + i))
            return 0;
    *what = buffer[0];
    return 1;
}

static int keep(uint8_t what)
{
    uint8_t buffer[LENGTH];

    for (int i = 0; i < LENGTH; i++)
        buffer[i] = (uint8_t)(what + i);
    return driftc_slots_save(&slots, buffer, LENGTH);
}

/* Power goes at each byte of the third time that something is kept, from flash of any content. */
int main(void)
{
    static const uint8_t tears[] = { 0, 0x01, 0x80, 0x5A, 0xFF };
    const uint32_t sequences[] = { 0, 0x7FFFFFFEu, 0xFFFFFFFEu };
    long points = 0, old = 0;
    uint8_t found = 0;

    slots.bytes = 256;
    for (unsigned s = 0; s < sizeof sequences / sizeof *sequences; s++)
        for (unsigned t = 0; t < sizeof tears; t++)
            for (long cut = 1;; cut++) {
                uint32_t crc;
                int done;

                memset(flash, 0xA5, sizeof flash);
                torn = 0;
                power = forever;
                if (keep(10) != DRIFTC_SLOTS_OK)
                    return 1;
                /* As if it had been kept so many times before. */
                driftc_state_put(flash[0] + 4, sequences[s] + 1);
                crc = driftc_state_crc(0xFFFFFFFFu, flash[0], 12);
                driftc_state_put(flash[0] + 12, ~driftc_state_crc(crc, flash[0] + 32, LENGTH));
                if (!kept(&found) || found != 10 || keep(20) != DRIFTC_SLOTS_OK || !kept(&found) || found != 20)
                    return 2;
                torn = tears[t];
                power = cut;
                done = keep(30);
                torn = 0;
                power = forever;
                if (!kept(&found) || (found != 20 && found != 30) || (done == DRIFTC_SLOTS_OK && found != 30))
                    return 3;
                old += found == 20;
                points++;
                /* Life goes on, and goes on twice: no slot is lost. */
                if (keep(40) != DRIFTC_SLOTS_OK || !kept(&found) || found != 40)
                    return 4;
                if (keep(50) != DRIFTC_SLOTS_OK || !kept(&found) || found != 50)
                    return 5;
                if (done == DRIFTC_SLOTS_OK)
                    break;
            }
    printf("%ld points, %ld old\\n", points, old);
    return 0;
}
"""
)

CODES = (
    FLASH
    + """
static void load(const char *what, uint32_t size)
{
    uint8_t buffer[300];
    uint32_t bytes = 0;
    const int status = driftc_slots_load(&slots, buffer, size, &bytes);

    printf("%s %d %d\\n", what, status, (int)bytes);
}

int main(void)
{
    uint8_t data[300] = { 1, 2, 3 };

    power = forever;
    slots.bytes = 256;
    memset(flash, 0xFF, sizeof flash);
    load("empty", 300);
    printf("large %d\\n", driftc_slots_save(&slots, data, 225));
    printf("full %d\\n", driftc_slots_save(&slots, data, 224));
    load("buffer", 223);
    load("load", 224);
    printf("nothing %d\\n", driftc_slots_save(&slots, data, 0));
    load("load", 0);
    flash[1][4] ^= 1; /* of the newer */
    load("flipped", 300);
    flash[0][40] ^= 1;
    load("both", 300);
    flash[0][40] ^= 1;
    flash[1][4] ^= 1;
    rotten = 1;
    load("unreadable", 300);
    printf("save %d\\n", driftc_slots_save(&slots, data, 5));
    rotten = -1;
    load("later", 300);
    memset(flash[0] + 8, 0xFF, 4); /* a length beyond the slot */
    load("length", 300);
    slots.bytes = 250;
    printf("no units %d\\n", driftc_slots_save(&slots, data, 5));
    return 0;
}
"""
)
PRINTED = """empty 1 0
large 2
full 0
buffer 2 224
load 0 224
nothing 0
load 0 0
flipped 0 224
both 1 0
unreadable 0 224
save 3
later 0 5
length 0 5
no units 2
"""

LEARNT = (
    FLASH.replace("4096", "8192")
    + """
#include "net_learn.h"

NET_STATIC_MEMORY(memory);
static net_t net;
static net_learn_t learn;
static uint8_t buffer[NET_SAVED_STATE_BYTES];

static int decided(int class)
{
    const int8_t *out;
    int best = 0;

    for (int i = 0; i < NET_INPUT_LEN; i++)
        net_input(&net)[i] = (int8_t)(i == class ? 100 : -100);
    out = net_invoke(&net);
    for (int c = 1; c < NET_OUTPUT_LEN; c++)
        if (out[c] > out[best])
            best = c;
    return best;
}

static int kept(void)
{
    const int refused = net_learn_save(&learn, buffer, sizeof buffer);

    return refused != 0 ? refused : driftc_slots_save(&slots, buffer, sizeof buffer);
}

static int restored(void)
{
    uint32_t bytes;

    if (net_init(&net, &memory) != 0 || net_learn_init(&learn, &net, &memory) != 0)
        return -1;
    if (driftc_slots_load(&slots, buffer, sizeof buffer, &bytes) != DRIFTC_SLOTS_OK)
        return -2;
    return net_learn_load(&learn, buffer, bytes);
}

int main(void)
{
    uint8_t before[NET_STATE_BYTES], after[NET_STATE_BYTES];
    long all;

    memset(flash, 0xFF, sizeof flash);
    slots.bytes = DRIFTC_SLOTS_BYTES(sizeof buffer);
    power = forever;
    if (net_init(&net, &memory) != 0 || net_learn_init(&learn, &net, &memory) != 0)
        return 1;
    if (restored() != -2 || kept() != 0 || kept() != 0)
        return 2;
    memcpy(before, memory.state, sizeof before);
    for (int i = 0; i < 4; i++) {
        (void)decided(i);
        if (net_learn_add(&learn, i % 2 + 4) != 0)
            return 3;
    }
    while (net_learn_step(&learn) > 0)
        continue;
    memcpy(after, memory.state, sizeof after);
    if (memcmp(before, after, sizeof after) == 0)
        return 4;
    used = 0;
    if (kept() != 0)
        return 5;
    all = used;
    for (long cut = 1; cut <= all; cut++) {
        int old;

        memset(flash, 0xFF, sizeof flash);
        power = forever;
        memcpy(memory.state, before, sizeof before);
        if (kept() != 0 || kept() != 0)
            return 6;
        memcpy(memory.state, after, sizeof after);
        power = cut;
        (void)kept();
        power = forever;
        if (restored() != 0)
            return 7;
        old = memcmp(memory.state, before, sizeof before) == 0;
        if (old == (memcmp(memory.state, after, sizeof after) == 0))
            return 8;
        if (!old && cut < all - 16) /* the rest of the header is 0xFF as it was */
            return 9;
    }
    puts("whole");
    return 0;
}
"""
)


def sanitized() -> tuple[str, ...]:
    if host_compiler().kind == "zig":
        pytest.skip("zig has no AddressSanitizer")
    return SANITIZED


def test_power_is_lost_at_every_byte(tmp_path: Path) -> None:
    """While erasing and while writing, with that byte whole, torn or not there; sequences come round, too."""
    (tmp_path / "main.c").write_text(TORN)
    points, _, old, _ = run_c(tmp_path, ["main.c"], INCLUDED, *sanitized()).split()
    assert int(points) == 3 * 5 * (256 + 96 + 32 + 1) and int(old) > int(points) * 0.9


def test_why_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(CODES)
    assert run_c(tmp_path, ["main.c"], INCLUDED, *sanitized()) == PRINTED


def test_what_is_learnt_is_kept(tmp_path: Path) -> None:
    """A program of a compiled folder: of what it had learnt before and after, one is there, whatever byte is torn."""
    learning(tmp_path, learn_store=13 * 8, learn_passes=1).write(tmp_path / "net")
    (tmp_path / "main.c").write_text(LEARNT)
    sources = ["main.c", *(f"net/{name}.c" for name in ("net", "net_learn", "net_backward"))]
    assert run_c(tmp_path, sources, "-Inet", *sanitized(), "-O1") == "whole\n"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("program", [TORN, CODES], ids=["torn", "codes"])
def test_strict(tmp_path: Path, compiler: str, program: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    (tmp_path / "main.c").write_text(program)
    command = [compiler, "-std=c11", *STRICT, INCLUDED, "-c", "main.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_in_folders_and_packages_of_models_with_state(tmp_path: Path) -> None:
    learning(tmp_path, learn_passes=1).write(tmp_path / "net")
    assert (tmp_path / "net" / "driftc_slots.h").is_file()
    driftc("export", "net", "--to", "cmake", "-o", "package", cwd=tmp_path)
    (tmp_path / "main.c").write_text('#include "driftc_slots.h"\nint main(void) { return DRIFTC_SLOTS_OK; }\n')
    run_c(tmp_path, ["main.c"], "-Ipackage/include")
