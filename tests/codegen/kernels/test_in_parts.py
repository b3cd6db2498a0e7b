"""The kernels for some cores on rows, channels and strips: what the search may choose, host and core alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import c_compiler
from fuzz.seeds import seeds
from models import Activation, ModelBuilder

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.options import Options
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.candidates import candidates
from driftc.codegen.plan.check import check
from driftc.codegen.plan.plan import Plan
from driftc.codegen.plan.propose import arrange, untiled, views_of
from driftc.codegen.plan.unit import faster
from driftc.simulator.engines import engine

MOST = 10  # plans that are run
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")


def bottleneck(shape: tuple[int, int, int], wide: int, *layers: tuple[str, int, int]) -> bytes:
    """3x3, 1x1, depthwise 3x3 and 1x1 back, or `layers`: rows, strips and channels of each can be computed alone."""
    random = np.random.default_rng(11)
    builder = ModelBuilder()
    x = builder.input("x", (1, *shape), scale=0.05, zero_point=-3)
    usual = ("conv", 8, 3), ("conv", wide, 1), ("depth", wide, 3), ("conv", 8, 1)
    for kind, out, kernel in layers or usual:
        depth = x.shape[3]
        taps = (out, kernel, kernel, depth) if kind == "conv" else (1, kernel, kernel, out)
        add = builder.conv_2d if kind == "conv" else builder.depthwise_conv_2d
        x = add(
            x,
            random.integers(-127, 128, taps, np.int8),
            random.integers(-500, 500, out, np.int32),
            weight_scale=random.uniform(0.002, 0.01, out),
            out_scale=0.05,
            out_zero_point=-128 if out == wide else 5,
            activation=Activation.RELU if out == wide else Activation.NONE,
        )
    builder.output(x)
    return builder.build()


def plans(lowered: Lowered, core: str, kernel: str | None, epilogue: str | None = None) -> list[Plan]:
    """Each candidate by its fastest kernels, `kernel` granted; those whose calls differ most in kind first.

    With an `epilogue`, those alone in which one of the calls has it.
    """
    graph = lowered.graph
    order, views = untiled(graph), views_of(graph)
    granted = tuple((operator.name, kernel) for operator in graph.operators if kernel is not None)
    found: dict[tuple[object, ...], Plan] = {}
    for candidate in candidates(graph, order):
        unit = candidate.make()
        for quick in faster(unit, core, views, granted)[-1:] if unit else []:
            whole = [each for n, each in enumerate(order) if not candidate.first <= n < candidate.stop]
            plan = arrange(graph, [*whole[: candidate.first], quick, *whole[candidate.first :]], "greedy")
            calls = [call for call in static_calls(plan.program) if call.kernel.needs]
            if epilogue is not None and all(call.epilogue != epilogue for call in static_calls(plan.program)):
                continue
            kinds = {(call.kernel.name, call.rows.count, call.channels.count, call.pixels) for call in calls}
            found.setdefault(tuple(sorted(kinds, key=str)), plan)
    return sorted(found.values(), key=lambda plan: -len({c.kernel.name for c in static_calls(plan.program)}))[:MOST]


SQUARE = bottleneck((11, 12, 16), 24, ("conv", 24, 3), ("conv", 8, 1))


@pytest.mark.parametrize(
    ("core", "data", "granted", "expected"),
    [("cortex-m4", bottleneck((11, 9, 3), 24), None, ("dsp/convolution", "dsp/pointwise", "dsp/depthwise")),
     ("cortex-m4", SQUARE, "dsp/winograd", ("dsp/winograd", "dsp/pointwise")),
     ("cortex-m4", SQUARE, "dsp/winograd_square", ("dsp/winograd_square", "dsp/convolution")),
     ("cortex-m55", bottleneck((11, 9, 3), 32), None, ("mve/convolution", "mve/pointwise", "mve/depthwise"))],
    ids=["m4", "winograd", "square", "m55"],
)  # fmt: skip
def test_in_parts(core: str, data: bytes, granted: str | None, expected: tuple[str, ...], tmp_path: Path) -> None:
    engines = ["numpy"]
    for name in ("host", "unicorn" if core == "cortex-m4" else "qemu"):
        if (absent := engine(name).missing_for(core)) is not None:
            pytest.skip(f"{name}: {absent}")
        engines.append(name)
    (tmp_path / "net.tflite").write_bytes(data)
    options = Options(core=core, planner="greedy")
    lowered = lower(tmp_path / "net.tflite", options)
    made = plans(lowered, core, granted)
    used = {call.kernel.name for plan in made for call in static_calls(plan.program)}
    assert set(expected) <= used
    for plan in made:
        check(plan)
        found = Compiled(data, options, replace(lowered, plan=plan)).verify(engines=engines, random=1, sanitize=True)
        assert found.first_difference is None, str(found.first_difference)


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m85"])
def test_parts_in_strict_c(core: str, tmp_path: Path) -> None:
    """Of rows that the buffers around hold one at a time no place depends on the row; names in a kernel are its own."""
    unused = 0
    for name in ("convolutions", "pools_and_dense", "elementwise", "batch", "decoder"):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(seeds()[name]())
        made = driftc.compile(path, measure=False, planner="greedy", minimize="ram", overhead=100.0, core=core)
        made.write(tmp_path / name)
        unused += (tmp_path / name / f"{name}.c").read_text().count("    (void)row0;\n")
        c_compiler().run(["-std=c11", *STRICT, "-c", f"{name}.c", "-o", "m.o"], tmp_path / name)
    assert unused > 0 or core == "cortex-m4"


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_sums_in_parts_are_left_to_portable_kernels(core: str, tmp_path: Path) -> None:
    """No matrix kernel adds up sums over some channels of its input in int32; what else is in the tiles has its own."""
    data = bottleneck((9, 8, 16), 32, ("conv", 32, 1), ("depth", 32, 3), ("conv", 8, 1))
    (tmp_path / "net.tflite").write_bytes(data)
    options = Options(core=core, planner="greedy")
    lowered = lower(tmp_path / "net.tflite", options)
    made = plans(lowered, core, None, "accumulate")
    calls = [call for plan in made for call in static_calls(plan.program)]
    summed = [call for call in calls if call.reduce is not None]
    assert {call.epilogue for call in summed} == {"accumulate", "finish"}
    assert not any(call.kernel.needs or call.kernel.prefers for call in summed)
    assert any(call.kernel.needs for call in calls)
    for plan in made:
        found = Compiled(data, options, replace(lowered, plan=plan)).verify(engines=["numpy", "host"], random=1)
        assert found.first_difference is None, str(found.first_difference)
