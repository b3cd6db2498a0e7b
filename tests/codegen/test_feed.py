"""--feed rows as a user's program sees it: NAME_feed, NAME_restart, the self-test, several inputs, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import c_compiler, driftc, run_c
from models import ModelBuilder
from random_graphs import OUT

from driftc.codegen.api import compile
from driftc.codegen.errors import UsageError
from driftc.simulator.engines import engine
from driftc.simulator.reference import run_graph

MAIN = """
#include "net.h"
#include <stdio.h>
NET_STATIC_MEMORY(memory);
static const int8_t image[NET_INPUT_ROWS * NET_INPUT_ROW_LEN] = { @IMAGE@ };
int main(void)
{
    net_t net;
    int ready = 0;

    if (net_init(&net, &memory) != 0 || NET_INPUT_LEN != sizeof image || NET_RAM0_BYTES >= NET_INPUT_BYTES)
        return 1;
#ifdef NET_SELFTEST
    if (net_selftest(&net) != 0)
        return 2;
#endif
    for (int row = 0; row < 5; row++) /* forgotten */
        ready += net_feed(&net, image + 7 + row * NET_INPUT_ROW_LEN);
    net_restart(&net);
    for (int turn = 0; turn < 2; turn++) {
        for (int row = 0; row < NET_INPUT_ROWS; row++)
            ready += net_feed(&net, image + row * NET_INPUT_ROW_LEN);
        if (ready != turn + 1)
            return 3;
        for (int i = 0; i < NET_OUTPUT_LEN; i++)
            printf("%d ", net_output(&net)[i]);
    }
    return 0;
}
"""


def build() -> ModelBuilder:
    random = np.random.default_rng(2)
    builder = ModelBuilder()
    x = builder.input("x", (1, 19, 8, 3), scale=0.05)
    x = builder.conv_2d(x, random.integers(-127, 128, (6, 3, 3, 3)), weight_scale=0.01, stride=2, **OUT)
    x = builder.depthwise_conv_2d(x, random.integers(-127, 128, (1, 3, 3, 6)), weight_scale=0.02, **OUT)
    builder.output(builder.mean(x, [1, 2], **OUT))
    return builder


@pytest.mark.parametrize("selftest", [False, True])
def test_rows_give_what_the_whole_gives(tmp_path: Path, selftest: bool) -> None:
    (tmp_path / "net.tflite").write_bytes(build().build())
    found = compile(tmp_path / "net.tflite", planner="greedy", feed="rows", measure=False)
    found.write(tmp_path / "net")
    image = np.random.default_rng(4).integers(-128, 128, (1, 19, 8, 3)).astype(np.int8)
    (tmp_path / "main.c").write_text(MAIN.replace("@IMAGE@", ", ".join(map(str, image.reshape(-1).tolist()))))
    flags = ["-Inet", "-O1", *(["-DNET_SELFTEST", "-DNET_HOOK"] if selftest else [])]
    if c_compiler().kind != "zig":
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = ["main.c", "net/net.c", "net/net_selftest.c"]
    printed = [int(word) for word in run_c(tmp_path, sources, *flags).split()]
    graph = found.lowered.graph
    expected = run_graph(graph, [image])[graph.outputs[0].name].reshape(-1).tolist()
    assert printed == expected * 2


def test_the_table_says_what_is_kept_and_collected(tmp_path: Path) -> None:
    builder = build()
    (tmp_path / "net.tflite").write_bytes(builder.build())
    arguments = ("--feed", "rows", "--no-measure")
    text = driftc("compile", "net.tflite", *arguments, cwd=tmp_path).stdout
    assert "feed   19 rows of 'x', 3 in RAM at once" in text
    assert "collected" not in text


def test_where_rows_are_collected_is_named(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 9, 4, 2), scale=0.05)
    y = builder.relu(x, **OUT)
    flat = builder.reshape(y, (1, 72))
    weights = np.random.default_rng(2).integers(-127, 128, (3, 72))
    builder.output(builder.fully_connected(flat, weights, weight_scale=0.01, **OUT))
    (tmp_path / "net.tflite").write_bytes(builder.build())
    found = compile(tmp_path / "net.tflite", planner="greedy", feed="rows", measure=False)
    assert [part["bytes"] for part in found.report["feed"]["collected"]] == [72]
    assert found.verify(engines=["numpy"], random=1).bit_exact


def test_other_inputs_are_given_whole(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("picture", (1, 12, 4, 2), scale=0.05)
    side = builder.input("side", (1, 1, 1, 2), scale=0.05)
    builder.output(builder.add(builder.relu(x, **OUT), side, **OUT))
    (tmp_path / "net.tflite").write_bytes(builder.build())
    found = compile(tmp_path / "net.tflite", planner="greedy", feed="rows", measure=False)
    header = found.sources["net.h"]
    assert isinstance(header, str)
    assert "int8_t *net_input_side(" in header
    assert "int8_t *net_input_picture(" not in header
    assert "NET_INPUT_PICTURE_ROWS 12" in header
    assert "NET_STEPS" not in header
    engines = ["numpy", *(["host"] if engine("host").missing() is None else [])]
    assert found.verify(engines=engines, random=2).bit_exact


def test_input_that_is_only_made_an_image(tmp_path: Path) -> None:
    """A keyword spotter's [1, 1960], which its first operator reshapes to rows, was refused."""
    builder = ModelBuilder()
    random = np.random.default_rng(2)
    image = builder.reshape(builder.input("x", (1, 240), scale=0.1), (1, 20, 12, 1))
    x = builder.conv_2d(image, random.integers(-127, 128, (4, 3, 3, 1)), weight_scale=0.02, **OUT)
    builder.output(builder.mean(x, [1, 2], **OUT))
    (tmp_path / "net.tflite").write_bytes(builder.build())
    found = compile(tmp_path / "net.tflite", planner="greedy", feed="rows", measure=False)
    assert found.report["feed"]["rows"] == 20
    assert found.report["feed"]["kept_rows"] == 3
    engines = ["numpy", *(["host"] if engine("host").missing() is None else [])]
    assert found.verify(engines=engines, random=2).bit_exact
    builder.output(builder.relu(builder.inputs[0], **OUT))  # now another reads its bytes, and whole
    (tmp_path / "net.tflite").write_bytes(builder.build())
    with pytest.raises(UsageError, match=r"needs an input of several rows; the model has 'x' \[1, 240\]"):
        compile(tmp_path / "net.tflite", planner="greedy", feed="rows", measure=False)


@pytest.mark.parametrize("pool", ["max_pool_2d", "average_pool_2d"])
def test_pool_over_rows_as_they_come(pool: str, tmp_path: Path) -> None:
    """Its own `row0` shadowed the parameter that says which row it computes."""
    builder = ModelBuilder()
    random = np.random.default_rng(2)
    x = builder.input("x", (1, 24, 12, 2), scale=0.05)
    x = builder.conv_2d(x, random.integers(-127, 128, (4, 3, 3, 2)), weight_scale=0.02, **OUT)
    x = getattr(builder, pool)(x, 3, stride=1, padding="SAME")
    x = builder.conv_2d(x, random.integers(-127, 128, (4, 3, 3, 4)), weight_scale=0.02, stride=2, **OUT)
    builder.output(builder.fully_connected(x, random.integers(-127, 128, (3, 288)), weight_scale=0.02, **OUT))
    (tmp_path / "net.tflite").write_bytes(builder.build())
    found = compile(tmp_path / "net.tflite", planner="greedy", feed="rows", minimize="ram", measure=False)
    assert str(found.sources["net.c"]).count("int row0)") > 1
    found.write(tmp_path / "net")
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror", "-c"]
    c_compiler().run([*strict, "net.c", "-o", "net.o"], tmp_path / "net")


def test_refused(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 16), scale=0.05)
    builder.output(builder.relu(x, **OUT))
    (tmp_path / "flat.tflite").write_bytes(builder.build())
    with pytest.raises(UsageError, match=r"--feed rows needs an input of several rows; the model has 'x' \[1, 16\]"):
        compile(tmp_path / "flat.tflite", feed="rows", planner="greedy")
    with pytest.raises(UsageError, match="--float-io"):
        compile(tmp_path / "flat.tflite", feed="rows", float_io=True)
    with pytest.raises(UsageError, match="feed 'lines' is unknown"):
        compile(tmp_path / "flat.tflite", feed="lines")
