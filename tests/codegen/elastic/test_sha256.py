"""driftc_sha256.h against hashlib and hmac, over every length of data and of keys that a block can tell apart."""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path

import numpy as np
from commands import ROOT, run_c

LENGTHS = 3000
PROGRAM = """
#include "driftc_sha256.h"

#include <stdio.h>

static uint8_t data[3001];

static void show(const uint8_t *digest)
{
    for (int i = 0; i < 32; i++)
        printf("%02x", digest[i]);
    printf("\\n");
}

int main(void)
{
    uint32_t seed = 1;
    uint8_t digest[32];
    driftc_sha256_t hash;

    for (size_t i = 0; i < sizeof data; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (uint8_t)(seed >> 24);
    }
    for (size_t length = 0; length < 3000; length++) {
        driftc_sha256_begin(&hash);
        for (size_t at = 0; at < length; at += length % 97 + 1)
            driftc_sha256_add(&hash, data + at, length - at < length % 97 + 1 ? length - at : length % 97 + 1);
        driftc_sha256_end(&hash, digest);
        show(digest);
        driftc_hmac_sha256(data + 1, length % 150, data, length, digest);
        show(digest);
    }
    digest[5] ^= 4;
    memcpy(data, digest, sizeof digest);
    if (!driftc_same(data, digest, 32))
        return 1;
    for (int bit = 0; bit < 256; bit++) {
        digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (driftc_same(data, digest, 32))
            return 2;
        digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    return 0;
}
"""


def test_digests_and_tags_are_those_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(PROGRAM)
    strict = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
    lines = run_c(tmp_path, ["main.c"], *strict, f"-I{ROOT / 'firmware'}").split()
    seed, content = 1, bytearray()
    for _ in range(LENGTHS + 1):
        seed = (seed * 1664525 + 1013904223) % 2**32
        content.append(seed >> 24)
    data = bytes(content)
    assert len(lines) == 2 * LENGTHS
    for length in range(LENGTHS):
        assert lines[2 * length] == sha256(data[:length]).hexdigest()
        assert lines[2 * length + 1] == hmac.new(data[1 : 1 + length % 150], data[:length], sha256).hexdigest()


def test_the_fractions_of_an_octave_are_those_of_python() -> None:
    import re

    from driftc.codegen.elastic.coding import FRACTIONS

    text = (ROOT / "firmware" / "driftc_update.h").read_text()
    table = re.search(r"driftc_sixteenths\[16\] = \{(.*?)\}", text, re.DOTALL)
    assert table is not None
    assert [int(word) for word in re.findall(r"(\d+)u", table[1])] == FRACTIONS.tolist()
    assert np.all(np.diff(FRACTIONS) > 0)
