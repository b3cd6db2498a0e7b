"""A device in C that takes updates, driven from Python: what it says to packets, and what its parameters are."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from commands import c_compiler
from elastic_models import KEY
from live_models import adaptation
from models import keyword_model, residual_model

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.packet import Reason
from driftc.codegen.elastic.parameters import Parameters
from driftc.codegen.lower import lower
from driftc.codegen.options import Options

STRICT = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
DEVICE = b"device 1"

PROGRAM = (
    """
#include "net_update.h"

#include "driftc_update.h"

#include <stdio.h>
#include <stdlib.h>

NET_STATIC_MEMORY(memory);
static net_t net;
static net_update_t update;
static uint8_t flash[2][NET_UPDATE_SLOT_BYTES];

static int erase(void *user, int slot)
{
    (void)user;
    memset(flash[slot], 0xFF, sizeof flash[slot]);
    return 0;
}

static int put(void *user, int slot, uint32_t offset, const void *data, uint32_t bytes)
{
    (void)user;
    memcpy(flash[slot] + offset, data, bytes);
    return 0;
}

static int get(void *user, int slot, uint32_t offset, void *data, uint32_t bytes)
{
    (void)user;
    memcpy(data, flash[slot] + offset, bytes);
    return 0;
}

static const driftc_slots_t slots = { erase, put, get, NULL, NET_UPDATE_SLOT_BYTES };
static const uint8_t key[] = {"""
    + ", ".join(map(str, KEY))
    + """};
static driftc_update_config_t config = { key, sizeof key, NULL, NULL, "device 1", &slots };

/* The platform's: it has the key. */
static int platform(void *user, const uint8_t *data, size_t bytes, uint8_t tag[DRIFTC_UPDATE_TAG_BYTES])
{
    if (user == NULL)
        return 1;
    driftc_hmac_sha256(user, sizeof key, data, bytes, tag);
    return 0;
}

static void told(int reason)
{
    printf("%d %lu %lu ", reason, (unsigned long)net_update_active(&update), (unsigned long)update.taken);
    for (size_t i = 0; i < NET_PARAMETERS_BYTES; i++)
        printf("%02x", (unsigned)(uint8_t)net.parameters[i]);
    printf("\\n");
}

static int begun(void)
{
    return net_init(&net, &memory) != 0 ? 99 : net_update_init(&update, &net, &config);
}

/* Commands: a byte and a number. P: bytes of a packet, begun, fed in sevens and committed. C: commit again. F: fed
 * without a beginning. R: revert. Z: power goes and comes. S: so many steps of an inference. H: 0 no key, 1 the key,
 * 2 the platform has it, 3 the platform fails. W: 0 without slots, 1 with. */
int main(void)
{
    unsigned char head[5];
    static uint8_t key_there[sizeof key];
    static uint8_t data[1 << 16];

    memset(flash, 0, sizeof flash);
    memcpy(key_there, key, sizeof key);
    told(begun());
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const uint32_t number = driftc_state_get(head + 1);
        int reason = 0;

        switch (head[0]) {
        case 'P':
            if (number > sizeof data || fread(data, 1, number, stdin) != number)
                return 1;
            net_update_begin(&update);
            for (uint32_t at = 0; at < number && reason == 0; at += 7)
                reason = net_update_feed(&update, data + at, number - at < 7 ? number - at : 7);
            if (reason == 0)
                reason = net_update_commit(&update);
            break;
        case 'C':
            reason = net_update_commit(&update);
            break;
        case 'F':
            reason = net_update_feed(&update, data, number);
            break;
        case 'R':
            reason = net_update_revert(&update);
            break;
        case 'Z':
            reason = begun();
            break;
        case 'S':
            for (uint32_t i = 0; i < number; i++)
                (void)net_step(&net);
            break;
        case 'H':
            config.key = number == 1 ? key : NULL;
            config.hmac = number > 1 ? platform : NULL;
            config.user = number == 2 ? key_there : NULL;
            break;
        case 'W':
            config.slots = number ? &slots : NULL;
            break;
        default:
            return 2;
        }
        told(reason);
    }
    return 0;
}
"""
)


@dataclass(frozen=True)
class Said:
    """After a command."""

    reason: Reason
    active: int
    taken: int
    parameters: bytes


@dataclass
class Device:
    """`kind` as in elastic_models; the C is made for `core`, and runs here."""

    folder: Path
    kind: str = "residual"
    core: str = "cortex-m0plus"
    flags: tuple[str, ...] = SANITIZED

    def __post_init__(self) -> None:
        path = self.folder / "net.tflite"
        path.write_bytes(keyword_model(channels=8) if self.kind == "keyword" else residual_model())
        options = Options(core=self.core, updatable="all", name="net", planner="greedy")
        live = adaptation(path, 0.3) if self.kind == "live" else None
        self.compiled = Compiled(path.read_bytes(), options, lower(path, options, adaptation=live))
        self.compiled.write(self.folder / "net")
        (self.folder / "main.c").write_text(PROGRAM)
        flags = ["-std=c11", *STRICT, *self.flags, "-Inet", "main.c", "net/net.c", "net/net_update.c"]
        c_compiler().run([*flags, "-o", "device"], self.folder)

    @property
    def known(self) -> Parameters:
        found = self.compiled.lowered.parameters
        assert found is not None
        return found

    def run(self, *commands: tuple[str, int | bytes]) -> list[Said]:
        """What it says when power comes, and after each command."""
        sent = b""
        for name, argument in commands:
            number, more = (len(argument), argument) if isinstance(argument, bytes) else (argument, b"")
            sent += name.encode() + struct.pack("<I", number) + more
        done = subprocess.run([self.folder / "device"], input=sent, capture_output=True, check=False, timeout=500)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        assert len(lines) == len(commands) + 1
        return [Said(Reason(int(a)), int(b), int(c), bytes.fromhex(d)) for a, b, c, d in lines]
