"""State as its user meets it: reset, save and load in C, streams on every engine, what is reported."""

from __future__ import annotations

import binascii
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from commands import c_compiler, driftc, driftc_json, run_c
from streams import compiled, streaming

from driftc.codegen.errors import DataError, FitError, UsageError
from driftc.codegen.report.report import check_fit, report
from driftc.simulator import host
from driftc.simulator.engines import engine
from driftc.simulator.reference import GraphRun

STRICT = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")

PROGRAM = """
#include "stream.h"

#include <stdio.h>
#include <string.h>

STREAM_STATIC_MEMORY(memory);
static stream_t stream;
static uint8_t saved[STREAM_SAVED_STATE_BYTES + 1];
static uint8_t other[STREAM_SAVED_STATE_BYTES + 1];

static void steps(int first, int8_t *out)
{
    for (int step = first; step < first + 5; step++, out += 3) {
        for (int i = 0; i < STREAM_INPUT_LEN; i++)
            stream_input(&stream)[i] = (int8_t)(step * 31 + i * 7);
        memcpy(out, stream_invoke(&stream), 3);
    }
}

/* What is returned, where neither the state nor anything else may change. */
static int refused(const void *buffer, size_t size)
{
    uint8_t before[STREAM_STATE_BYTES];
    int found;

    memcpy(before, stream.state, sizeof before);
    found = stream_load_state(&stream, buffer, size);
    return memcmp(before, stream.state, sizeof before) == 0 ? found : -1;
}

int main(void)
{
    int8_t first[15], second[15], again[15];

    if (stream_init(&stream, &memory) != 0)
        return 1;
    steps(0, first);
    printf("save %d\\n", stream_save_state(&stream, saved, STREAM_SAVED_STATE_BYTES));
    for (size_t i = 0; i < STREAM_SAVED_STATE_BYTES; i++)
        printf("%02x", saved[i]);
    printf("\\n");
    steps(5, second);
    printf("small %d\\n", stream_save_state(&stream, other, STREAM_SAVED_STATE_BYTES - 1));
    printf("written %d\\n", memcmp(other, "\\0\\0\\0\\0", 4) != 0);
    printf("load %d\\n", stream_load_state(&stream, saved, sizeof saved));
    steps(5, again);
    printf("same %d\\n", memcmp(second, again, sizeof again) == 0);
    stream_reset(&stream);
    steps(0, again);
    printf("reset %d\\n", memcmp(first, again, sizeof again) == 0);
    (void)stream_resume(&stream, &memory);
    steps(5, again);
    printf("resume %d\\n", memcmp(second, again, sizeof again) == 0);
    (void)stream_step(&stream);
    printf("busy %d\\n", stream_save_state(&stream, other, sizeof other));
    printf("refused");
    for (int place = 0; place < 26; place++) {
        memcpy(other, saved, sizeof saved);
        other[place] ^= 1;
        printf(" %d", refused(other, STREAM_SAVED_STATE_BYTES));
    }
    printf(" %d %d\\n", refused(saved, STREAM_SAVED_STATE_BYTES - 1), refused(saved, 3));
    for (int i = 0; i < 15; i++)
        printf("%d ", first[i]);
    for (int i = 0; i < 15; i++)
        printf("%d ", second[i]);
    printf("\\n");
    return 0;
}
"""


def printed(folder: Path, text: str, *flags: str) -> list[str]:
    (folder / "main.c").write_text(text)
    return run_c(folder, ["main.c", "stream/stream.c"], "-Istream", *flags).splitlines()


def sanitizing() -> tuple[str, ...]:
    if c_compiler().kind == "zig":
        pytest.skip("zig has no AddressSanitizer; install gcc or clang")
    return ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.parametrize("sanitize", [False, True])
def test_saved_reset_and_loaded_in_c(tmp_path: Path, sanitize: bool) -> None:
    found = compiled(streaming(), tmp_path)
    found.write(tmp_path / "stream")
    lines = printed(tmp_path, PROGRAM, *(sanitizing() if sanitize else STRICT))
    results = dict(line.split(" ", 1) for line in lines if " " in line and not line[0].isdigit())
    assert results["save"] == results["load"] == "0"
    assert results["small"] == "1"
    assert results["written"] == "0"
    assert results["same"] == results["reset"] == results["resume"] == "1"
    assert results["busy"] == "7"
    assert results["refused"] == " ".join(["2"] * 4 + ["3"] * 4 + ["4"] * 8 + ["5"] * 4 + ["6"] * 6 + ["1", "1"])
    saved = bytes.fromhex(lines[1])
    size = found.lowered.plan.state_bytes
    magic, version, _, length, crc = struct.unpack("<4sI8sII", saved[:24])
    assert (magic, version, length, len(saved)) == (b"DRFS", 1, size, 24 + size)
    assert crc == binascii.crc32(saved[:20] + saved[24:])
    graph = GraphRun(found.lowered.model)
    inputs = [np.array([step * 31 + i * 7 for i in range(6)], np.int64).astype(np.int8) for step in range(10)]
    outputs = [graph.run([x])["dense"].reshape(-1).tolist() for x in inputs]
    assert [int(word) for word in lines[-1].split()] == [value for output in outputs for value in output]


FUZZ = """
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

STREAM_STATIC_MEMORY(memory);
static stream_t stream;
static uint32_t seed = 1;

static uint32_t chance(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % below;
}

int main(void)
{
    uint8_t saved[STREAM_SAVED_STATE_BYTES];
    int taken = 0;

    if (stream_init(&stream, &memory) != 0 || stream_save_state(&stream, saved, sizeof saved) != 0)
        return 1;
    for (int round = 0; round < 50000; round++) {
        size_t size = chance(8) != 0 ? sizeof saved : chance((uint32_t)sizeof saved + 40);
        uint8_t *buffer = malloc(size + 1);
        size_t held = size < sizeof saved ? size : sizeof saved;

        memset(buffer, (int)chance(256), size + 1);
        memcpy(buffer, saved, held);
        for (uint32_t change = chance(4); change > 0 && size > 0; change--)
            buffer[chance((uint32_t)size)] = (uint8_t)chance(256);
        buffer = realloc(buffer, size + (size == 0));
        memset(stream.state, 0x5A, STREAM_STATE_BYTES);
        if (stream_load_state(&stream, buffer, size) == 0) {
            if (size < sizeof saved || memcmp(buffer, saved, sizeof saved) != 0)
                return 2;
            taken++;
        } else {
            for (int i = 0; i < STREAM_STATE_BYTES; i++) {
                if (stream.state[i] != 0x5A)
                    return 3;
            }
        }
        free(buffer);
    }
    printf("taken %d\\n", taken > 0);
    return 0;
}
"""


def test_damaged_states_change_nothing(tmp_path: Path) -> None:
    compiled(streaming(), tmp_path).write(tmp_path / "stream")
    assert printed(tmp_path, FUZZ, *sanitizing()) == ["taken 1"]


SELFTEST = """
#include "stream.h"

#include <stdio.h>

STREAM_STATIC_MEMORY(memory);

int main(void)
{
    stream_t stream;
    int found;

    (void)stream_init(&stream, &memory);
    (void)stream_invoke(&stream);
    found = stream_selftest(&stream);
    printf("%d %d\\n", found, stream_selftest(&stream));
    return 0;
}
"""


def test_the_selftest_begins_with_a_reset(tmp_path: Path) -> None:
    compiled(streaming(), tmp_path).write(tmp_path / "stream")
    (tmp_path / "main.c").write_text(SELFTEST)
    flags = ("-Istream", "-DSTREAM_SELFTEST", "-DSTREAM_HOOK", *STRICT)
    assert run_c(tmp_path, ["main.c", "stream/stream.c", "stream/stream_selftest.c"], *flags).split() == ["0", "0"]


def test_a_state_of_another_model(tmp_path: Path) -> None:
    ids = []
    for rows in (3, 4):
        text = str(compiled(streaming(rows), tmp_path).sources["stream.c"])
        ids += re.findall(r"state_id\[.*?\] = \{(.*?)\}", text)
    assert len(ids) == len(set(ids)) == 2


# --- streams ---


@pytest.mark.parametrize("name", ["numpy", "host", "unicorn", "qemu"])
def test_sequences_on_every_engine(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one process go on where the one before ended, and begin anew where a sequence does."""
    if name != "numpy" and (reason := engine(name).missing_for("cortex-m4")):
        pytest.skip(reason)
    monkeypatch.setattr(host, "BATCH_SAMPLES", 4)
    found = compiled(streaming(), tmp_path)
    result = found.verify(random=27, restart="9", engines=[name])
    assert result.first_difference is None, str(result.first_difference)
    assert result.samples == 30
    counted = found.simulate(random=27, restart="9", engine=name)
    graph = GraphRun(found.lowered.model)
    for number, sample in enumerate(found.samples(random=27).quantized):
        if number % 9 == 0:
            graph.reset()
        (output,) = counted.outputs[number]
        assert np.array_equal(output, graph.run(sample)["dense"])


def test_sequences_marked_in_the_file(tmp_path: Path) -> None:
    found = compiled(streaming(), tmp_path)
    values = np.random.default_rng(2).integers(-128, 128, (7, 1, 1, 6), dtype=np.int8)
    np.savez(tmp_path / "x.npz", x=values, begins=np.array([0, 0, 1, 0, 0, 5, 0]), other=np.zeros(3))
    assert found.samples(tmp_path / "x.npz", restart="begins").starts == {0, 2, 5}
    assert found.samples(tmp_path / "x.npz", restart="3").starts == {0, 3, 6}
    assert found.samples(tmp_path / "x.npz", restart="3", sample=4).starts == {0}
    assert found.samples(tmp_path / "x.npz").starts == {0}
    with pytest.raises(DataError, match=r"x.npz: 'other' is float64\[3\]; expected \[7\] numbers"):
        found.samples(tmp_path / "x.npz", restart="other")
    with pytest.raises(DataError, match=r"holds begins, other, x; no 'starts' for --restart"):
        found.samples(tmp_path / "x.npz", restart="starts")
    with pytest.raises(UsageError, match="a sequence has 1 sample or more"):
        found.samples(tmp_path / "x.npz", restart="0")
    with pytest.raises(UsageError, match="a number of samples, or with --data an array"):
        found.samples(restart="begins")


def test_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "stream.tflite").write_bytes(streaming().build())
    found = driftc_json("compile", "stream.tflite", "--no-measure", "-o", "out", cwd=tmp_path)
    assert found["state_bytes"] == 20
    assert found["states"] == [{"name": "window", "shape": [1, 3, 1, 6], "dtype": "int8", "offset": 0, "bytes": 18}]
    said = driftc("compile", "stream.tflite", "--no-measure", "-o", "out", cwd=tmp_path).stdout
    assert ", state 20 B, stack - B" in said
    told = driftc_json("verify", "out", "--random", "5", "--restart", "4", "--engine", "numpy", cwd=tmp_path)
    assert told["bit_exact"]


def test_an_edited_reset_is_noticed(tmp_path: Path) -> None:
    """The states themselves are compared, not only what is computed from them."""
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)
    found = compiled(streaming(), tmp_path)
    found.write(tmp_path / "out")
    source = tmp_path / "out" / "stream.c"
    text = source.read_text()
    assert "memcpy(state + 0, initial_state_window, 18)" in text
    source.write_text(
        text.replace("memcpy(state + 0, initial_state_window, 18)", "memcpy(state + 0, initial_state_window, 17)")
    )
    result = type(found).load(tmp_path / "out").verify(engines=["host"], random=1)
    assert result.first_difference is not None


def test_the_board_must_hold_it(tmp_path: Path) -> None:
    from driftc.boards import load

    found = compiled(streaming(rows=2000), tmp_path, board="nucleo-f103rb")
    told = report(found.lowered, found.options, None)
    with pytest.raises(FitError, match=r"arena .* B and state 11,996 B exceed nucleo-f103rb's 20,480 B"):
        check_fit(told, found.lowered, load("nucleo-f103rb"))


def test_no_state_no_restart(tmp_path: Path) -> None:
    from models import keyword_model

    path = tmp_path / "kws.tflite"
    path.write_bytes(keyword_model(channels=8))
    from driftc.codegen.api import compile

    with pytest.raises(UsageError, match="the model keeps no state"):
        compile(path, measure=False).samples(restart="3")


def test_a_package_has_what_its_header_includes(tmp_path: Path) -> None:
    """The header of a model with state includes driftc_state.h, so both are public."""
    (tmp_path / "stream.tflite").write_bytes(streaming().build())
    driftc("compile", "stream.tflite", "--no-measure", "-o", "out", cwd=tmp_path)
    driftc("export", "out", "--to", "cmake", "-o", "package", cwd=tmp_path)
    (tmp_path / "main.c").write_text(SELFTEST.replace("stream_selftest(&stream)", "0"))
    sources: list[Path | str] = ["main.c", *sorted((tmp_path / "package" / "src").glob("*.c"))]
    assert run_c(tmp_path, sources, "-Ipackage/include", "-Ipackage/src", *STRICT).split() == ["0", "0"]
    (tmp_path / "main.c").write_text('#include "stream.h"\nint main(void) { return DRIFTC_STATE_OK; }\n')
    run_c(tmp_path, ["main.c"], "-Ipackage/include", *STRICT)


def test_adaptation_is_refused(tmp_path: Path) -> None:
    from driftc.codegen.api import compile

    (tmp_path / "stream.tflite").write_bytes(streaming().build())
    np.savez(tmp_path / "x.npz", x=np.zeros((8, 1, 1, 6), np.int8))
    with pytest.raises(UsageError, match=r"stream.tflite: --adapt takes each sample for itself, but the model keeps"):
        compile(tmp_path / "stream.tflite", adapt="fixed", calibrate=tmp_path / "x.npz", measure=False)


def test_rows_that_are_fed_and_a_state(tmp_path: Path) -> None:
    """The window of images that arrive row by row is kept; a row that is fed twice is told apart by `restart`."""
    from models import ModelBuilder

    m = ModelBuilder()
    x = m.input("x", (1, 6, 4, 2), scale=0.1, zero_point=3)
    handle = m.variable("last")
    before = m.read_variable(handle, (1, 6, 4, 2), x, name="before")
    kernel = np.random.default_rng(1).integers(-127, 128, (2, 3, 3, 2), dtype=np.int8)
    y = m.conv_2d(x, kernel, weight_scale=0.01, padding="SAME", out_scale=0.1, out_zero_point=3, name="conv")
    mixed = m.add(before, y, out_scale=0.1, out_zero_point=3, name="mixed")
    m.assign_variable(handle, mixed)
    m.output(m.mean(mixed, [1, 2], out_scale=0.1, name="mean"))
    found = compiled(m, tmp_path, feed="rows")
    result = found.verify(engines=["numpy", "tflm", "host"], random=6, restart="5", sanitize=True)
    assert result.first_difference is None, str(result.first_difference)


def test_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "stream.tflite").write_bytes(streaming().build())
    driftc("compile", "stream.tflite", "--no-measure", "-o", "out", cwd=tmp_path)
    driftc("report", "out", "-o", "page.html", cwd=tmp_path)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<strong>20 B</strong><span>kept between inferences, beside the arena: 1 variable</span>" in page
