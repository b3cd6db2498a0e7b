"""The device's side in C: what it says to packets is what Python says, and it takes them whole or not at all."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from commands import c_compiler, driftc, run_c
from elastic_device import DEVICE, PROGRAM, SANITIZED, STRICT, Device, Said
from elastic_models import KEY, random_codes
from simulated_flash import FLASH

from driftc.codegen.elastic.coding import FINEST, Codes, Folded
from driftc.codegen.elastic.packet import HEADER_BYTES, Header, Reason, check, encode, signed
from driftc.codegen.elastic.parameters import Parameters


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return () if c_compiler().kind == "zig" else SANITIZED


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, flags: tuple[str, ...]) -> Device:
    return Device(tmp_path_factory.mktemp("device"), flags=flags)


def packet(known: Parameters, sequence: int, seed: int = 1, based_on: int = 0, to: bytes = DEVICE) -> bytes:
    return encode(known, random_codes(known, seed), key=KEY, sequence=sequence, based_on=based_on, device=to)


def plain(known: Parameters, codes: tuple[Codes, ...]) -> bytes:
    """The parameters as portable kernels read them."""
    found = b""
    for layer, coded in zip(known.layers, codes, strict=True):
        assert isinstance(layer, Folded)
        multiplier, shift, raw = layer.updated(coded)
        for values, kind in ((raw + layer.rest, "<i4"), (multiplier, "<i4"), (shift, "<i1")):
            part = values.astype(kind).tobytes()
            found += part + bytes(-len(part) % 4)
    return found


def test_the_parameters_are_those_of_the_packet(device: Device) -> None:
    known = device.known
    before, after = device.run(("P", packet(known, 5)))
    assert (before.reason, before.active, before.taken) == (Reason.OK, 0, 0)
    assert before.parameters == plain(known, known.unchanged())
    assert (after.reason, after.active, after.taken) == (Reason.OK, 5, 5)
    assert after.parameters == plain(known, random_codes(known, 1))


def test_an_update_outlives_power_and_a_revert_does_too(device: Device) -> None:
    known = device.known
    said = device.run(
        ("P", packet(known, 5)), ("Z", 0), ("P", packet(known, 6, 2, 5)), ("Z", 0), ("R", 0), ("Z", 0),
        ("P", packet(known, 6, 2)), ("P", packet(known, 7, 3, 6)), ("P", packet(known, 7, 3)), ("Z", 0),
    )  # fmt: skip
    reasons = [each.reason for each in said]
    assert reasons == [0, 0, 0, 0, 0, 0, 0, Reason.SEQUENCE, Reason.BASED_ON, 0, 0]
    assert [each.active for each in said] == [0, 5, 5, 6, 6, 0, 0, 0, 0, 7, 7]
    assert [each.taken for each in said] == [0, 5, 5, 6, 6, 6, 6, 6, 6, 7, 7]
    assert said[2].parameters == said[1].parameters != said[3].parameters == said[4].parameters
    assert said[5].parameters == said[0].parameters == said[6].parameters
    assert said[10].parameters == plain(known, random_codes(known, 3))


def test_without_slots_an_update_goes_with_power(device: Device) -> None:
    said = device.run(("W", 0), ("Z", 0), ("P", packet(device.known, 5)), ("Z", 0))
    assert [each.active for each in said] == [0, 0, 0, 5, 0]
    assert said[4].parameters == said[0].parameters != said[3].parameters


def test_only_between_two_inferences(device: Device) -> None:
    known, steps = device.known, len(device.compiled.program().steps)
    said = device.run(
        ("S", 1), ("P", packet(known, 5)), ("R", 0), ("S", steps - 2), ("C", 0), ("S", 1), ("C", 0), ("C", 0)
    )
    busy = Reason.BUSY
    assert [each.reason for each in said] == [0, 0, busy, busy, 0, busy, 0, 0, Reason.NOT_BEGUN]
    assert said[6].parameters == said[0].parameters != said[7].parameters


def test_a_packet_must_begin(device: Device) -> None:
    said = device.run(("C", 0), ("F", 3), ("P", packet(device.known, 1)), ("F", 1))
    assert [each.reason for each in said] == [0, Reason.NOT_BEGUN, Reason.NOT_BEGUN, 0, Reason.NOT_BEGUN]


def test_the_key_may_be_the_platform_s(device: Device) -> None:
    known = device.known
    said = device.run(
        ("H", 0),
        ("P", packet(known, 1)),
        ("H", 3),
        ("P", packet(known, 1)),
        ("H", 2),
        ("P", packet(known, 1)),
        ("Z", 0),
    )
    assert [each.reason for each in said[1::2]] == [0, 0, 0, 0]
    assert [each.reason for each in said[2::2]] == [Reason.TAG, Reason.TAG, 0]
    assert said[7].active == 1


def expected(device: Device, sent: bytes, before: Said) -> Reason:
    return check(sent, device.known, key=KEY, device=DEVICE, sequence=before.taken, active=before.active)


@cache
def bodies(known: Parameters) -> list[bytes]:
    """Of updates within bounds, some of them near."""
    codes = [random_codes(known, seed, wide) for seed in range(8) for wide in (0.3, 5.0)]
    return [encode(known, each, key=KEY, sequence=1)[HEADER_BYTES:-32] for each in codes]


def mutated(known: Parameters, random: np.random.Generator, taken: int) -> bytes:
    """A packet in which something may be wrong; most are signed all the same."""
    header = Header(known.model_id, taken + int(random.integers(0, 4)) or 1, int(random.choice([0, taken])))
    if random.random() < 0.5:
        header = replace(header, device=DEVICE if random.random() < 0.9 else b"device 2")
    body = bytearray(bodies(known)[random.integers(16)])
    for _ in range(int(random.choice([0, 0, 1, 3]))):
        body[random.integers(len(body))] = random.integers(256)
    if random.random() < 0.05:
        body[:] = random.integers(0, 256, len(body), dtype=np.uint8).tobytes()
    content = bytearray(header.packed() + bytes(body))
    if random.random() < 0.2:
        content[random.integers(32)] ^= 1 << random.integers(8)
    found = bytearray(signed(bytes(content), KEY))
    if random.random() < 0.1:
        found[random.integers(len(found))] ^= 1 << random.integers(8)
    if random.random() < 0.05:
        return bytes(found[: random.integers(len(found))])
    return bytes(found) + (b"more" if random.random() < 0.02 else b"")


@pytest.mark.parametrize("kind", ["residual", "live"])
def test_whatever_is_sent_the_device_says_what_python_says(kind: str, tmp_path: Path, flags: tuple[str, ...]) -> None:
    fuzzed(Device(tmp_path, kind, flags=flags), 1500)


def fuzzed(device: Device, count: int, seed: int = 0) -> dict[Reason, int]:
    """How often each reason was given. `count` may be 100,000."""
    random, seen = np.random.default_rng(seed), dict.fromkeys(Reason, 0)
    for _ in range(0, count, 500):
        taken, active = 0, 0
        packets: list[bytes] = []
        for _ in range(500):
            packets.append(mutated(device.known, random, taken))
            reason = check(packets[-1], device.known, key=KEY, device=DEVICE, sequence=taken, active=active)
            if reason is Reason.OK:
                taken = active = int.from_bytes(packets[-1][16:20], "little")
        said = device.run(*(("P", each) for each in packets))
        for before, after, sent in zip(said, said[1:], packets, strict=False):
            assert after.reason is expected(device, sent, before)
            seen[after.reason] += 1
            if after.reason is Reason.OK:
                assert after.active == after.taken == int.from_bytes(sent[16:20], "little")
            else:
                assert (after.active, after.taken, after.parameters) == (before.active, before.taken, before.parameters)
    assert all(seen[reason] > 0 for reason in Reason if reason <= Reason.BOUND)
    return seen


def test_the_last_codes_that_fit_and_the_first_that_do_not(device: Device) -> None:
    """At each edge of each bound, of some channels."""
    known = device.known
    packets: list[bytes] = []
    for number, layer in enumerate(known.layers[:3]):
        assert isinstance(layer, Folded)
        for octave in (0, FINEST):
            for gain in range(-128, 128, 1 if octave == 0 else 16):
                row = np.zeros(layer.channels, np.int8)
                row[gain % layer.channels] = gain
                for exponent, offset in ((0, 0), (7, 127), (-8, -128)):
                    codes = list(known.unchanged())
                    codes[number] = Codes(octave, (exponent,), row, (np.full(layer.channels, offset, np.int8),))
                    packets.append(unchecked(known, codes, len(packets) + 1))
    said = device.run(*(("P", each) for each in packets))
    for before, after, sent in zip(said, said[1:], packets, strict=False):
        assert after.reason is expected(device, sent, before)
    assert {each.reason for each in said} == {Reason.OK, Reason.BOUND}


def unchecked(known: Parameters, codes: list[Codes], sequence: int) -> bytes:
    """Signed, whatever the codes are."""
    body = b"".join(
        bytes([coded.exponents[0] & 255, coded.octave]) + coded.gain.tobytes() + coded.offsets[0].tobytes()
        for coded in codes
    )
    return signed(Header(known.model_id, sequence).packed() + body, KEY)


TORN = (
    FLASH
    + """
#include "net_update.h"
#include "packets.h"

NET_STATIC_MEMORY(memory);
static net_t net;
static net_update_t update;
static driftc_update_config_t config = { key, sizeof key, NULL, NULL, { 0 }, &slots };
static int8_t compiled[NET_PARAMETERS_BYTES], first[NET_PARAMETERS_BYTES], second[NET_PARAMETERS_BYTES];

static int booted(void)
{
    power = forever;
    return net_init(&net, &memory) != 0 ? 99 : net_update_init(&update, &net, &config);
}

static int taken(const uint8_t *packet)
{
    net_update_begin(&update);
    (void)net_update_feed(&update, packet, NET_UPDATE_BYTES);
    return net_update_commit(&update);
}

/* 0, 1, 2: the parameters are whole, as compiled or as an update has them; else -1. */
static int which(void)
{
    const int8_t *const all[3] = { compiled, first, second };

    for (int i = 0; i < 3; i++)
        if (memcmp(net.parameters, all[i], NET_PARAMETERS_BYTES) == 0)
            return i;
    return -1;
}

static void wanted(int so, const char *what, long at)
{
    if (!so) {
        printf("%s, power gone at byte %ld\\n", what, at);
        exit(1);
    }
}

int main(void)
{
    long last, cut = 0;

    memset(flash, 0x55, sizeof flash);
    wanted(booted() == 0, "never kept", 0);
    memcpy(compiled, net.parameters, sizeof compiled);
    wanted(taken(packets[0]) == 0, "first", 0);
    memcpy(first, net.parameters, sizeof first);
    used = 0;
    wanted(taken(packets[1]) == 0, "second", 0);
    last = used;
    memcpy(second, net.parameters, sizeof second);
    for (int what = 0; what < 3; what++) { /* first update, second update, revert */
        for (long at = 1; at <= last; at++) {
            for (int how = 0; how < 3; how++) {
                int before, reason;

                memset(flash, 0x55, sizeof flash);
                wanted(booted() == 0 && (what == 0 || taken(packets[0]) == 0), "setting up", at);
                before = what > 0;
                torn = (uint8_t)(how == 0 ? 0 : how == 1 ? 0xFF : 0x21);
                power = at;
                reason = what == 2 ? net_update_revert(&update) : taken(packets[what]);
                if (reason != 0) { /* the device goes on with what it had */
                    wanted(reason == DRIFTC_UPDATE_STORAGE && which() == before, "refused", at);
                    cut++;
                }
                wanted(booted() == 0, "power is back", at);
                wanted(which() == before || which() == (what == 2 ? 0 : what + 1), "half applied", at);
                wanted(net_update_active(&update) == (uint32_t)which(), "sequence", at);
                wanted(what != 2 || update.taken == 1, "sequences taken stay taken", at);
                if (reason == 0 && (how == 0 || at > last))
                    wanted(which() == (what == 2 ? 0 : what + 1), "said to be kept, and is not", at);
                wanted(taken(packets[2]) == 0 && net_update_active(&update) == 3, "the next", at);
            }
        }
    }
    printf("%ld %ld\\n", last, cut);
    return 0;
}
"""
)


def test_power_may_go_at_any_byte_of_an_update(device: Device, tmp_path: Path) -> None:
    """Also at any byte of a revert; what is left of the byte at which it goes is right, inverted or partly so."""
    known = device.known
    packets = [encode(known, random_codes(known, n), key=KEY, sequence=n) for n in (1, 2, 3)]
    rows = ",\n".join("{" + ", ".join(map(str, each)) + "}" for each in packets)
    text = f"static const uint8_t packets[3][{known.packet_bytes}] = {{\n{rows}\n}};\n"
    (tmp_path / "packets.h").write_text(f"static const uint8_t key[] = {{ {', '.join(map(str, KEY))} }};\n{text}")
    (tmp_path / "main.c").write_text(TORN)
    folder = device.folder / "net"
    printed = run_c(
        tmp_path, ["main.c", str(folder / "net.c"), str(folder / "net_update.c")], *STRICT, f"-I{folder}", "-I."
    )
    last, cut = (int(word) for word in printed.split())
    assert last > known.packet_bytes + 32 and cut > 2 * last


WRITTEN = "    memcpy(flash[slot] + offset, data, bytes);\n    return 0;"
SLOTS_FAIL = PROGRAM.replace(WRITTEN, "    return 1 + (data == NULL);")


def test_slots_that_fail_leave_the_parameters_as_they_were(device: Device, tmp_path: Path) -> None:
    assert SLOTS_FAIL != PROGRAM
    (tmp_path / "main.c").write_text(SLOTS_FAIL)
    folder, sent = device.folder / "net", packet(device.known, 1)
    sources = ["main.c", str(folder / "net.c"), str(folder / "net_update.c")]
    c_compiler().run(["-std=c11", f"-I{folder}", *sources, "-o", "failing"], tmp_path)
    commands = b"P" + struct.pack("<I", len(sent)) + sent + b"R" + bytes(4)
    done = subprocess.run([tmp_path / "failing"], input=commands, capture_output=True, check=True)
    first, *rest = [line.split() for line in done.stdout.decode().splitlines()]
    assert [line[0] for line in rest] == ["11", "11"]
    assert all(line[1:] == first[1:] for line in rest)


@pytest.mark.parametrize("command", ["gcc", "clang"])
def test_it_compiles_strictly_and_as_cpp(command: str, device: Device, tmp_path: Path) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    folder = device.folder / "net"
    for source in ("net.c", "net_update.c"):
        strict: list[str | Path] = [command, "-std=c11", *STRICT, "-c", folder / source, "-o", tmp_path / "o"]
        assert subprocess.run(strict, capture_output=True, text=True, check=False).stderr == ""
    (tmp_path / "m.cc").write_text('#include "net_update.h"\nint main() { return net_update_active(nullptr) != 0; }\n')
    flags = ("-x", "c++", "-Wall", "-Wextra", "-Werror", f"-I{folder}")
    cpp: list[str | Path] = [command, *flags, "-c", tmp_path / "m.cc", "-o", tmp_path / "o"]
    assert subprocess.run(cpp, capture_output=True, text=True, check=False).stderr == ""


def test_in_a_package(device: Device, tmp_path: Path) -> None:
    """`driftc export` carries the calls: a program compiles against include/ alone."""
    driftc("export", device.folder / "net", "--to", "cmake", "-o", "package", cwd=tmp_path)
    (tmp_path / "main.c").write_text(
        '#include "net_update.h"\nint main(void) { return (int)sizeof(net_update_t) == 0; }\n'
    )
    sources = [path for path in sorted((tmp_path / "package" / "src").glob("*.c")) if "selftest" not in path.name]
    assert {"net.c", "net_update.c"} <= {path.name for path in sources}
    run_c(tmp_path, ["main.c", *sources], *STRICT, "-Ipackage/include", "-Ipackage/src")
    run_c(tmp_path, ["main.c"], *STRICT, "-Ipackage/include")
