"""100,000 mutants of a saved state under ASan and UBSan: NAME_load_state takes what is intact, else nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import c_compiler, run_c
from streams import compiled, streaming

COUNT = 100_000

PROGRAM = """
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAVED = STREAM_SAVED_STATE_BYTES, HEADER = SAVED - STREAM_STATE_BYTES };

STREAM_STATIC_MEMORY(memory);
static stream_t stream;
static uint8_t saved[SAVED];
static uint64_t seed = @SEED@;

static uint32_t chance(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Its size; `blob` has room for SAVED + 64 bytes, and begins as what was saved. */
static size_t mutate(uint8_t *blob)
{
    static const uint8_t special[] = {0, 1, 0x7f, 0x80, 0xff, 24};
    const uint32_t way = chance(8);
    size_t size = SAVED;

    if (way == 0)
        size = chance(SAVED + 64);
    else if (way == 1)
        size += chance(64);
    for (uint32_t times = chance(4); way > 0 && times > 0; times--) {
        const uint32_t place = chance(chance(2) ? HEADER : SAVED);

        if (way < 4)
            blob[place] ^= (uint8_t)(1u << chance(8));
        else if (way < 6)
            blob[place] = special[chance(sizeof special)];
        else
            memmove(blob + place, blob + chance(SAVED), chance(SAVED - place));
    }
    if (chance(3) == 0) { /* the checksum fits what is there */
        const uint32_t sum = driftc_state_sum(blob, blob + HEADER, STREAM_STATE_BYTES);

        driftc_state_put(blob + 20, sum);
    }
    return size;
}

static int intact(const uint8_t *blob, size_t size)
{
    return size >= SAVED && memcmp(blob, saved, 20) == 0 &&
           driftc_state_get(blob + 20) == driftc_state_sum(blob, blob + HEADER, STREAM_STATE_BYTES);
}

int main(void)
{
    uint8_t before[STREAM_STATE_BYTES], room[SAVED + 64];
    int counts[8] = {0};

    if (stream_init(&stream, &memory) != 0)
        return 1;
    for (int i = 0; i < STREAM_INPUT_LEN; i++)
        stream_input(&stream)[i] = (int8_t)(i * 37);
    (void)stream_invoke(&stream);
    if (stream_save_state(&stream, saved, sizeof saved) != 0)
        return 2;
    for (int turn = 0; turn < @COUNT@; turn++) {
        uint8_t *blob;
        size_t size;
        int found, good;

        memset(room, 0xa5, sizeof room);
        memcpy(room, saved, sizeof saved);
        size = mutate(room);
        blob = malloc(size > 0 ? size : 1); /* of this size exactly: a read beyond is seen */
        if (blob == NULL)
            return 3;
        memcpy(blob, room, size);
        good = intact(room, size);
        memcpy(before, stream.state, sizeof before);
        found = stream_load_state(&stream, blob, size);
        if ((found == 0) != good || found < 0 || found > 7) {
            printf("turn %d: %d, but intact is %d\\n", turn, found, good);
            return 4;
        }
        if (memcmp(blob, room, size) != 0 || memcmp(stream.state, good ? room + HEADER : before, sizeof before) != 0) {
            printf("turn %d: %d, and bytes changed\\n", turn, found);
            return 5;
        }
        counts[found]++;
        free(blob);
        (void)stream_invoke(&stream); /* any state is one that it can go on from */
    }
    for (int i = 0; i < 8; i++)
        printf("%d ", counts[i]);
    return 0;
}
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_mutants_of_a_saved_state(seed: int, tmp_path: Path) -> None:
    if c_compiler().kind == "zig":
        pytest.skip("zig has no AddressSanitizer; install gcc or clang")
    compiled(streaming(), tmp_path).write(tmp_path / "stream")
    (tmp_path / "main.c").write_text(PROGRAM.replace("@SEED@", str(seed)).replace("@COUNT@", str(COUNT // 2)))
    flags = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Istream")
    counts = [int(word) for word in run_c(tmp_path, ["main.c", "stream/stream.c"], *flags).split()]
    assert sum(counts) == COUNT // 2
    taken, *refused, busy = counts
    assert taken > 0
    assert busy == 0
    assert all(refused)  # every reason but an inference under way
