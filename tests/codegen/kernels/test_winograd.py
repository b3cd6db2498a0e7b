"""Winograd's F(2, 3) in integers: the direct form's bytes for every input, and the layers that may have it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc as driftc_command
from forced_kernels import Layers, forced
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Activation, ModelBuilder
from operator_cases import examples

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import UsageError
from driftc.codegen.kernels import kernels
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.plan.check import check
from driftc.codegen.plan.grant import Grant, best
from driftc.simulator.engines import engine

WINOGRAD = [kernel for kernel in kernels("cortex-m4", None) if kernel.granted]


@pytest.fixture(scope="module")
def engines() -> list[str]:
    found = ["numpy"]
    for name in ("host", "unicorn"):
        if (absent := engine(name).missing_for("cortex-m4")) is not None:
            pytest.skip(f"{name}: {absent}")
        found.append(name)
    return found


def prove(data: bytes, core: str, folder: Path, engines: list[str], least: int) -> None:
    """The specification's bytes by Winograd's kernels, at odd addresses, without a byte to spare."""
    for turn in range(len(WINOGRAD)):
        (folder / "net.tflite").write_bytes(data)
        options = Options(core=core, planner="greedy")
        lowered = lower(folder / "net.tflite", options)
        plan, used = forced(lowered, turn, [kernel for kernel in kernels(core, None) if kernel.granted])
        check(plan)
        computed = [call for call in plan.program if call.kernel.granted]  # type: ignore[union-attr]
        assert len(computed) >= least, used
        compiled = Compiled(data, options, replace(lowered, plan=plan))
        found = compiled.verify(engines=engines, random=2, sanitize=True)
        assert found.first_difference is None, str(found.first_difference)


def shapes(seed: int) -> bytes:
    made = Layers(np.random.default_rng(seed), ModelBuilder())

    def some(*choices: int) -> int:
        return int(made.random.choice(choices))

    for padding in ("SAME", "VALID"):
        for depth in (some(1, 2, 3), some(4, 8), some(5, 6, 7, 13)):
            shape = some(3, 5, 6), some(3, 4, 5, 6, 7, 8, 9, 12), depth
            made.convolution(shape, some(1, 3, 4, 5, 8), (some(1, 2, 3), 3), padding=padding)
        made.convolution((6, 8, some(4, 8)), some(4, 9), (3, 3), padding=padding, dilation=(2, 1))
    return made.builder.build()


@pytest.mark.parametrize("core", ["cortex-m4", pytest.param("cortex-m7", marks=pytest.mark.slow)])
def test_shapes(core: str, tmp_path: Path, engines: list[str]) -> None:
    prove(shapes(1), core, tmp_path, engines, 6)


@pytest.mark.slow
@examples(6, shrink=False)
@given(seed=st.integers(2, 10**6))
def test_any_shapes(seed: int, tmp_path_factory: pytest.TempPathFactory, engines: list[str]) -> None:
    prove(shapes(seed), "cortex-m4", tmp_path_factory.mktemp("layers"), engines, 0)


@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU])
def test_extremes(activation: Activation, tmp_path: Path, engines: list[str]) -> None:
    """Sums near the limit of 2^30 and multipliers of every size; weights of -128, 127 and their opposites."""
    random, builder = np.random.default_rng(3), ModelBuilder()
    for zero, sign in ((-128, 1), (127, -1), (0, 1), (5, -1)):
        x = builder.input(f"x{zero}", (1, 4, 5, 9), scale=1.0, zero_point=zero)
        weights = random.choice(np.array([-127, 127], np.int8), (8, 3, 3, 9))
        weights[1::2][random.random((4, 3, 3, 9)) < 0.2] = -128  # above one that is not negative it fits a lane
        weights[0::2] = np.where(weights[1::2] == -128, 127, weights[0::2])
        weights[4, :, 0], weights[4, :, 2] = 127, -127
        weights[5], weights[6] = 127, -127
        reach = np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3)) * 255
        bias = (sign * (2**30 - 1 - reach)).astype(np.int32)
        bias[::3] //= 1 << random.integers(0, 20, len(bias[::3]))
        y = builder.conv_2d(
            x,
            weights,
            bias,
            weight_scale=np.exp2(random.uniform(0.1, 5, 8)).astype(np.float32),
            out_scale=2.0**23,
            out_zero_point=-128 if activation else int(random.integers(-128, 128)),
            activation=activation,
        )
        builder.output(y)
    prove(builder.build(), "cortex-m4", tmp_path, engines, 4)


@settings(deadline=None)  # times on a busy machine say nothing
@given(
    st.lists(st.tuples(st.integers(-128, 127), st.integers(-128, 127), st.integers(-128, 127)), min_size=1, max_size=9),
    st.randoms(),
)
def test_the_identity(taps: list[tuple[int, int, int]], random: object) -> None:
    pixels = np.random.default_rng(random.randrange(2**31)).integers(-128, 128, (len(taps), 4))  # type: ignore[attr-defined]
    (a, b, c), (p, q, r, s) = np.array(taps, np.int64).T, pixels.T
    m0, m1, m2, m3 = a @ (p - r), (a + b + c) @ (q + r), (a - b + c) @ (r - q), c @ (s - q)
    assert m1 + m2 + 2 * m0 == 2 * (a @ p + b @ q + c @ r)
    assert m1 - m2 + 2 * m3 == 2 * (a @ q + b @ r + c @ s)


# --- which layers have it ---


def small_network() -> bytes:
    """Two convolutions that gain, the second more for more bytes, and one that is too small to."""
    random, builder = np.random.default_rng(5), ModelBuilder()
    x = builder.input("x", (1, 12, 12, 8), scale=0.05, zero_point=-128)
    for out in (8, 16):
        weights = random.integers(-127, 128, (out, 3, 3, x.shape[3]), np.int8)
        bias = random.integers(-500, 500, out, np.int32)
        x = builder.conv_2d(
            x, weights, bias, weight_scale=0.01, out_scale=0.3, out_zero_point=-128, activation=Activation.RELU
        )
    x = builder.average_pool_2d(x, (4, 4), stride=4)
    x = builder.conv_2d(x, random.integers(-127, 128, (3, 3, 3, 16), np.int8), None, weight_scale=0.01, out_scale=0.3)
    builder.output(x)
    return builder.build()


def test_more_bytes_save_more(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(small_network())
    found = [
        driftc.compile(path, planner="greedy", measure=False, flash_for_speed=limit, core="cortex-m4").report
        for limit in (0, 575, 576, 1471, 1472, 1728, 2624, 4416, 10**6)
    ]
    plain = found[0]["flash"]["constants"]
    for report in found:
        speed = report["flash_for_speed"]
        fast = {layer["name"] for layer in report["layers"] if layer["kernel"].startswith("dsp/winograd")}
        assert speed["bytes"] == report["flash"]["constants"] - plain <= speed["limit"]
        assert {layer["name"] for layer in speed["layers"]} == fast
        assert (speed["cycles"] > 0) == bool(fast)
    saved = [report["flash_for_speed"]["cycles"] for report in found]
    assert saved == sorted(saved)
    assert [len(report["flash_for_speed"]["layers"]) for report in found[:3]] == [0, 0, 1]
    assert {layer["kernel"] for layer in found[-1]["layers"][:2]} == {"dsp/winograd_square"}


def test_it_is_faster_and_exact(tmp_path: Path, engines: list[str]) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(small_network())
    slow, fast = (
        driftc.compile(path, planner="greedy", measure=True, flash_for_speed=limit, core="cortex-m4")
        for limit in (0, 10**6)
    )
    saved = slow.report["cycles"]["total"] - fast.report["cycles"]["total"]
    estimated = fast.report["flash_for_speed"]["cycles"]
    assert (
        0.7 * estimated < saved < 1.25 * estimated
    )  # of a difference: the direct form is estimated 3 to 6 % high here
    assert fast.verify(engines=engines, random=2, sanitize=True).first_difference is None
    fast.write(tmp_path / "net")
    record = json.loads((tmp_path / "net" / "driftc.json").read_text())
    assert record["options"]["flash_for_speed"] == 10**6
    again = Compiled.load(tmp_path / "net")
    assert again.report == fast.report and not again.edited()


@pytest.mark.parametrize(("ram", "layers"), [(2500, 3), (2000, 2), (1500, 1)])
def test_little_ram(ram: int, layers: int, tmp_path: Path, engines: list[str]) -> None:
    """In parts too; a layer gets nothing where the arena has no room for its kernel's scratch, and holds no bytes."""
    path = tmp_path / "net.tflite"
    path.write_bytes(small_network())
    compiled = driftc.compile(path, planner="greedy", measure=False, ram=ram, flash_for_speed=10**6, core="cortex-m4")
    fast = [layer["name"] for layer in compiled.report["layers"] if layer["kernel"].startswith("dsp/winograd")]
    assert [part["name"] for part in compiled.report["flash_for_speed"]["layers"]] == fast and len(fast) == layers
    assert compiled.verify(engines=engines, random=1, sanitize=True).first_difference is None


def test_cores_without_it_spend_nothing(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(small_network())
    for core in ("cortex-m0plus", "rv32imc", "cortex-m55"):
        report = driftc.compile(path, planner="greedy", measure=False, core=core, flash_for_speed=10**6).report
        assert report["flash_for_speed"] == {"limit": 10**6, "bytes": 0, "cycles": 0, "layers": []}
        plain = driftc.compile(path, planner="greedy", measure=False, core=core).report
        assert report["layers"] == plain["layers"] and report["flash"] == plain["flash"]


def test_where_it_does_not_apply(tmp_path: Path, engines: list[str]) -> None:
    """Live layers, and one with a channel that the short requantisation does not fit, are computed as without it."""
    random, builder = np.random.default_rng(6), ModelBuilder()
    x = builder.input("x", (1, 10, 12, 8), scale=0.05, zero_point=-128)
    for number, odd in enumerate((False, True, False)):
        scale = np.full(8, 0.01, np.float32)
        scale[5] = 30.0 if odd else 0.01  # a multiplier of more than 1
        weights = random.integers(-127, 128, (8, 3, 3, 8), np.int8)
        x = builder.conv_2d(x, weights, None, weight_scale=scale, out_scale=0.3, name=f"layer{number}")
    builder.output(x)
    path, samples = tmp_path / "net.tflite", tmp_path / "samples.npz"
    path.write_bytes(builder.build())
    np.savez(samples, x=random.integers(-128, 128, (16, 10, 12, 8)).astype(np.int8))
    live: dict[str, Any] = {"adapt": "fixed", "calibrate": samples}
    for options, fast in (({}, {"layer0", "layer2"}), (live, set()), (live | {"adapt_layers": "layer0"}, {"layer2"})):
        about: dict[str, Any] = {
            "planner": "greedy",
            "measure": True,
            "core": "cortex-m4",
            "keep_constant": True,
            **options,
        }
        slow, granted = (driftc.compile(path, flash_for_speed=limit, **about) for limit in (0, 10**6))
        layers = granted.report["layers"]
        assert {layer["name"] for layer in layers if layer["kernel"].startswith("dsp/winograd")} == fast
        assert {layer["name"] for layer in granted.report["flash_for_speed"]["layers"]} == fast
        assert (granted.report["instructions"] < slow.report["instructions"]) == bool(fast)
        assert granted.report["instructions"] <= slow.report["instructions"]
        assert granted.verify(engines=engines, random=1, sanitize=True).first_difference is None


def test_best_is_that_of_every_choice() -> None:
    random = np.random.default_rng(7)
    for _ in range(20):
        offered = [
            Grant(f"layer{layer}", f"kernel{n}", int(random.integers(1, 9)), int(random.integers(1, 50)))
            for layer in range(5)
            for n in range(2)
        ]
        for limit in (0, 3, 10, 17, 80):
            found = best(offered, limit)
            assert len({grant.operator for grant in found}) == len(found)
            assert sum(grant.bytes for grant in found) <= limit
            assert best(offered, limit) == found
            most = 0
            for choice in range(3**5):
                picked = [offered[2 * n + choice // 3**n % 3 - 1] for n in range(5) if choice // 3**n % 3]
                if sum(grant.bytes for grant in picked) <= limit:
                    most = max(most, sum(grant.cycles for grant in picked))
            assert sum(grant.cycles for grant in found) == most


@pytest.mark.parametrize("value", [-1, 1 << 40, "many", 1.5, True, None])
def test_refused_options(value: object) -> None:
    with pytest.raises(UsageError, match="flash_for_speed"):
        Options(flash_for_speed=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["-1", "many", "1.5", "", "1099511627776"])
def test_refused_on_the_command_line(value: str, tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(small_network())
    found = driftc_command("compile", "net.tflite", "--flash-for-speed", value, cwd=tmp_path, code=2)
    assert "flash" in found.stderr and "Traceback" not in found.stderr
