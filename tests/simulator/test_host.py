"""The host engine on the hand-written toy model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_model import SOURCE, toy_reference, toy_samples, write_toy

from driftc.codegen.errors import ToolError
from driftc.simulator.engine import Target
from driftc.simulator.host import HostEngine
from driftc.simulator.toolchain import zig_compiler


def need(cc: str) -> None:
    if cc == "zig" and zig_compiler() is None:
        pytest.skip("ziglang is not installed")
    if cc != "zig" and shutil.which(cc) is None:
        pytest.skip(f"{cc} is not installed")


@pytest.mark.parametrize("cc", ["gcc", "clang", "zig"])
def test_every_tensor_of_every_sample_in_order(tmp_path: Path, cc: str) -> None:
    need(cc)
    program = write_toy(tmp_path, target=Target(cc=cc))
    samples = toy_samples(75)
    results = list(HostEngine().run(program, samples, trace=True))
    assert len(results) == 75
    for (x,), result in zip(samples, results, strict=True):
        expected = toy_reference(x)
        assert sorted(result.tensors) == [0, 1, 2]
        for index, tensor in enumerate(expected):
            np.testing.assert_array_equal(result.tensors[index], tensor)
        np.testing.assert_array_equal(result.outputs[0], expected[2].reshape(1, 4))
        assert result.instructions is None
        assert result.stack_peak is None


def test_without_trace_only_outputs(tmp_path: Path) -> None:
    need("cc")
    (sample,) = HostEngine().run(write_toy(tmp_path), toy_samples(1), trace=False)
    assert sample.tensors == {}
    np.testing.assert_array_equal(sample.outputs[0], toy_reference(toy_samples(1)[0][0])[2].reshape(1, 4))


def test_no_samples(tmp_path: Path) -> None:
    need("cc")
    assert list(HostEngine().run(write_toy(tmp_path), [], trace=True)) == []


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_clean_under_sanitizers(tmp_path: Path, cc: str) -> None:
    need(cc)
    program = write_toy(tmp_path, target=Target(cc=cc))
    assert len(list(HostEngine(sanitize=True).run(program, toy_samples(3), trace=True))) == 3


@pytest.mark.parametrize(
    ("right", "wrong", "report"),
    [
        ("out[o] = clamp(sums[o] >> 5);", "out[o] = clamp(sums[o + 4] >> 5);", "out of bounds|stack-buffer-overflow"),
        ("toy->ram0 + 120);", "toy->ram0 + 189);", "global-buffer-overflow"),
        ("data[i] / divisor", "data[i] / (divisor - divisor)", "division by zero"),
        ("sums[o] +=", "sums[o] += INT32_MAX + ", "signed integer overflow"),
    ],
)
def test_sanitizers_stop_the_run(tmp_path: Path, right: str, wrong: str, report: str) -> None:
    need("gcc")
    assert right in SOURCE
    program = write_toy(tmp_path, source=SOURCE.replace(right, wrong), target=Target(cc="gcc"))
    with pytest.raises(ToolError, match=report):
        list(HostEngine(sanitize=True).run(program, toy_samples(1), trace=False))


def test_zig_has_no_address_sanitizer(tmp_path: Path) -> None:
    need("zig")
    with pytest.raises(ToolError, match="zig has no AddressSanitizer"):
        list(HostEngine(sanitize=True).run(write_toy(tmp_path, target=Target(cc="zig")), toy_samples(1), trace=False))


def test_a_layer_that_the_hook_misses_is_an_error(tmp_path: Path) -> None:
    need("cc")
    source = SOURCE.replace("    SHOW(0, out + 4 * 4 * 3, 4, 2, 0, 4, 0, 1, 3);\n", "")
    with pytest.raises(ToolError, match="layer mix: row 4, pixel 0, channel 0 was never shown"):
        list(HostEngine().run(write_toy(tmp_path, source=source), toy_samples(1), trace=True))


def test_c_that_does_not_compile_is_quoted(tmp_path: Path) -> None:
    need("cc")
    program = write_toy(tmp_path, source=SOURCE + "int f(void) { return nonsense; }\n")
    with pytest.raises(ToolError, match="nonsense"):
        list(HostEngine().run(program, toy_samples(1), trace=False))


def test_changed_header_is_compiled_anew(tmp_path: Path) -> None:
    need("cc")
    program = write_toy(tmp_path)
    list(HostEngine().run(program, toy_samples(1), trace=False))
    header = tmp_path / "toy.h"
    header.write_text("#error changed\n" + header.read_text())
    with pytest.raises(ToolError, match="changed"):
        list(HostEngine().run(program, toy_samples(1), trace=False))


def test_optimisation_level_is_used(tmp_path: Path) -> None:
    need("cc")
    program = write_toy(tmp_path)
    for level in "23s":
        other = replace(program, target=Target(optimize=level))
        assert len(list(HostEngine().run(other, toy_samples(2), trace=False))) == 2
