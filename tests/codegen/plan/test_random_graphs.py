"""Whatever the graph: the Plan reads what is live, and NumPy on its bytes and the C compute what the Graph says."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from commands import c_compiler, run_c
from hypothesis import given
from models import ModelBuilder
from operator_cases import examples
from random_graphs import networks

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ModelError
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.options import Options
from driftc.codegen.plan.live import live
from driftc.codegen.plan.plan import Plan
from driftc.simulator.engine import Array
from driftc.simulator.reference import PlanRun, run_graph

pytest.importorskip("ortools", reason="ortools is not installed")


IN_PARTS = Options(minimize="ram", overhead=1000.0)


def planned(builder: ModelBuilder, folder: Path, options: Options = Options()) -> tuple[Lowered, bytes]:  # noqa: B008
    """The lowered model, checked by `check`; a bare view of inputs is not compiled and is drawn again."""
    data = builder.build()
    (folder / "net.tflite").write_bytes(data)
    return lower(folder / "net.tflite", options), data


def images(builder: ModelBuilder) -> list[Array]:
    random = np.random.default_rng(3)
    return [random.integers(-128, 128, tensor.shape).astype(np.int8) for tensor in builder.inputs]


@given(networks())
@examples(60)
def test_numpy_on_the_plans_bytes(builder: ModelBuilder) -> None:
    with tempfile.TemporaryDirectory() as name:
        try:
            found, _ = planned(builder, Path(name))
            quick, _ = planned(builder, Path(name), Options(planner="greedy"))
        except ModelError:
            return  # nothing but views
    assert found.plan.bound <= found.plan.arena_bytes <= quick.plan.arena_bytes
    inputs = images(builder)
    values = run_graph(found.graph, inputs)
    for plan in (found.plan, quick.plan):
        outputs, layers = PlanRun(plan, poison=0xA5).run(inputs)
        for tensor, output in zip(plan.output_tensors, outputs, strict=True):
            np.testing.assert_array_equal(output, values[tensor.name].reshape(output.shape))
        for tensor, layer in zip(plan.layers, layers, strict=True):
            np.testing.assert_array_equal(layer, values[tensor.name].reshape(layer.shape))


MAIN = """
#include "net.h"
#include <stdio.h>
#include <string.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, bytes) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(start, bytes) ((void)0)
#endif
NET_STATIC_MEMORY(memory);
static const struct { int step, start, bytes; } dead[] = { @DEAD@ { -1, 0, 0 } };
static const signed char inputs[] = { @INPUTS@ };
int main(void)
{
    net_t net;
    const signed char *from = inputs;

    memset(memory.ram0, 0x5A, NET_RAM0_BYTES);
    if (net_init(&net, &memory) != 0)
        return 1;
    @FILL@
    for (int step = 0; step < NET_STEPS; step++) {
        ASAN_UNPOISON_MEMORY_REGION(memory.ram0, NET_RAM0_BYTES);
        for (int n = 0; dead[n].step >= 0; n++) {
            if (dead[n].step == step) { /* wrong where it is used, and reported where it is read */
                memset((char *)memory.ram0 + dead[n].start, 0x5A + step, (size_t)dead[n].bytes);
                ASAN_POISON_MEMORY_REGION((char *)memory.ram0 + dead[n].start, (size_t)dead[n].bytes);
            }
        }
        net_step(&net);
    }
    ASAN_UNPOISON_MEMORY_REGION(memory.ram0, NET_RAM0_BYTES);
    @PRINT@
    return 0;
}
"""


def dead_bytes(plan: Plan) -> list[tuple[int, int, int]]:
    """(step, start, bytes) of every run of bytes that no buffer uses during that step."""
    found = []
    for step, buffers in enumerate(live(plan)):
        used = np.zeros(plan.regions[0].bytes, bool)
        for buffer in buffers:
            used[buffer.offset : buffer.offset + buffer.bytes] = True
        edges = np.flatnonzero(np.diff(np.concatenate([[True], used, [True]]).astype(int)))
        found += [(step, int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return found


@pytest.mark.parametrize("options", [Options(), IN_PARTS], ids=["whole", "in parts"])
@given(builder=networks(most=8))
@examples(8)
def test_c_reads_no_dead_byte(options: Options, builder: ModelBuilder) -> None:
    """Before each layer all bytes outside its buffers are overwritten, and poisoned for AddressSanitizer."""
    sanitize = () if c_compiler().kind == "zig" else ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            found, data = planned(builder, folder, options)
        except ModelError:
            return
        compiled = Compiled(data, Options(), found)
        compiled.write(folder / "net")
        inputs = images(builder)
        text = MAIN.replace("@DEAD@", "".join(f"{{ {s}, {a}, {b} }}, " for s, a, b in dead_bytes(found.plan)))
        text = text.replace("@INPUTS@", ", ".join(str(v) for x in inputs for v in x.reshape(-1).tolist()))
        ports = compiled_ports(compiled)
        fill = [
            f"memcpy({port}(&net), from, {x.size}); from += {x.size};" for port, x in zip(ports[0], inputs, strict=True)
        ]
        show = [
            f'for (int i = 0; i < {tensor.size}; i++) printf("%d ", {port}(&net)[i]);'
            for port, tensor in zip(ports[1], found.plan.output_tensors, strict=True)
        ]
        (folder / "main.c").write_text(text.replace("@FILL@", "\n".join(fill)).replace("@PRINT@", "\n".join(show)))
        printed = [int(word) for word in run_c(folder, ["main.c", "net/net.c"], "-Inet", "-O1", *sanitize).split()]
    values = run_graph(found.graph, inputs)
    expected = [int(v) for tensor in found.plan.output_tensors for v in values[tensor.name].reshape(-1)]
    assert printed == expected


def compiled_ports(compiled: Compiled) -> tuple[list[str], list[str]]:
    """The C accessors of inputs and outputs."""
    from driftc.codegen.emit.ports import port_names

    inputs, outputs = port_names(compiled.lowered.plan)
    return [f"net_{name}" for name in inputs], [f"net_{name}" for name in outputs]
