"""A model with an update is the server's int8 specification, on every engine and by every kernel; and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc, driftc_json
from counting import counting
from elastic_models import KEY, random_codes
from live_models import adaptation
from models import ModelBuilder, keyword_model, residual_model
from streams import counter

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.packet import encode
from driftc.codegen.elastic.parameters import parameters
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.simulator.engines import engine

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m33", "cortex-m55", "rv32imc")


def odd_model() -> bytes:
    """Channels that fill no four and no sixteen; depthwise kernels of one output and of two; a hidden dense layer."""
    random = np.random.default_rng(2)
    m = ModelBuilder()

    def layer(*shape: int) -> tuple[Any, Any]:
        """Weights, and biases for the first or the last axis."""
        channels = shape[-1] if shape[0] == 1 else shape[0]
        return random.integers(-60, 61, shape, dtype=np.int8), random.integers(-400, 400, channels)

    def scales(channels: int) -> Any:
        return np.linspace(0.004, 0.012, channels)

    x = m.input("x", (1, 9, 7, 3), scale=0.05, zero_point=3)
    x = m.conv_2d(x, *layer(22, 3, 3, 3), weight_scale=scales(22), out_scale=0.1, name="first")
    x = m.depthwise_conv_2d(x, *layer(1, 3, 3, 22), weight_scale=scales(22), out_scale=0.1, name="taps")
    x = m.depthwise_conv_2d(x, *layer(1, 5, 5, 22), weight_scale=0.01, out_scale=0.2, name="wide")
    x = m.conv_2d(x, *layer(7, 1, 1, 22), weight_scale=scales(7), out_scale=0.1, name="point")
    x = m.depthwise_conv_2d(x, *layer(1, 3, 3, 14), weight_scale=scales(14), out_scale=0.1, stride=2, name="twice")
    x = m.fully_connected(x, *layer(10, 5 * 4 * 14), weight_scale=scales(10), out_scale=0.3, name="hidden")
    x = m.fully_connected(x, *layer(4, 10), weight_scale=0.01, out_scale=0.1, name="decides")
    m.output(m.softmax(x, name="probabilities"))
    return m.build()


MODELS: dict[str, Callable[[], bytes]] = {
    "odd": odd_model,
    "residual": residual_model,
    "keyword": lambda: keyword_model(channels=16),
}


def compiled(folder: Path, model: str, core: str, **options: Any) -> Compiled:
    path = folder / "net.tflite"
    path.write_bytes(MODELS["residual" if model in ("live", "int16") else model]())
    live = adaptation(path, 0.3) if model == "live" else None
    chosen = Options(core=core, updatable="all", planner="greedy", **options)
    return Compiled(path.read_bytes(), chosen, lower(path, chosen, adaptation=live))


def updated(folder: Path, found: Compiled, seed: int = 1) -> Path:
    known = found.lowered.parameters
    assert known is not None
    path = folder / "update.bin"
    path.write_bytes(encode(known, random_codes(known, seed), key=KEY, sequence=9))
    return path


def compared(folder: Path, found: Compiled, name: str, **options: Any) -> None:
    chosen = engine(name)
    if absent := chosen.missing_for(found.core):
        pytest.skip(f"engine {name}: {absent}")
    result = found.verify(random=1, engines=["numpy", name], update=updated(folder, found), **options)
    assert result.bit_exact, str(result.first_difference)
    assert len(result.compared) == result.total > 0
    assert result.engines == ["numpy", name]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("model", [*MODELS, "live"])
def test_on_this_machine(model: str, core: str, tmp_path: Path) -> None:
    """As the C is made for each core: every kernel's way to hold the parameters."""
    compared(tmp_path, compiled(tmp_path, model, core), "host", sanitize=core == "cortex-m4")


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("model", ["odd", "live"])
def test_on_emulated_cores(model: str, core: str, tmp_path: Path) -> None:
    found = compiled(tmp_path, model, core)
    compared(tmp_path, found, "qemu" if core in ("cortex-m55", "rv32imc") else "unicorn")


@pytest.mark.parametrize("options", [{"ram": 3000}, {"feed": "rows"}, {"flash_for_speed": 100_000}])
def test_in_parts_by_rows_and_by_winograd(options: dict[str, Any], tmp_path: Path) -> None:
    name = "residual" if "ram" in options or "flash_for_speed" in options else "keyword"
    compared(tmp_path, compiled(tmp_path, name, "cortex-m4", **options), "host")


def keeping_model() -> bytes:
    """A sum of all inputs so far in the state, and a hidden layer over it."""
    random, m = np.random.default_rng(4), ModelBuilder()
    m.call_once({"sum": np.zeros((1, 6), np.int8)})
    x = counter(m, m.input("x", (1, 6), scale=0.1, zero_point=3))
    hidden, decides = (random.integers(-60, 61, shape, dtype=np.int8) for shape in ((9, 6), (4, 9)))
    x = m.fully_connected(x, hidden, weight_scale=0.02, out_scale=0.1, name="hidden")
    m.output(m.fully_connected(x, decides, weight_scale=0.02, out_scale=0.3, name="decides"))
    return m.build()


def test_a_reset_of_the_state_leaves_the_parameters(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(keeping_model())
    chosen = Options(updatable="all", planner="greedy")
    found = Compiled(path.read_bytes(), chosen, lower(path, chosen))
    for name in ("host", "unicorn"):
        result = found.verify(random=9, restart="4", engines=["numpy", name], update=updated(tmp_path, found))
        assert result.bit_exact, str(result.first_difference)


def test_without_an_update_it_is_the_model(tmp_path: Path) -> None:
    for core in ("cortex-m4", "cortex-m55"):
        result = compiled(tmp_path, "odd", core).verify(random=2, engines=["numpy", "host"])
        assert result.bit_exact, str(result.first_difference)


def test_kernels_are_those_of_a_model_that_is_not_updated(tmp_path: Path) -> None:
    """Within a few instructions a layer: constants in RAM make nothing slow."""
    found = compiled(tmp_path, "keyword", "cortex-m4")
    counting("cortex-m4")
    plain = Options(core="cortex-m4", planner="greedy")
    path = tmp_path / "net.tflite"
    usual = Compiled(path.read_bytes(), plain, lower(path, plain))
    found.measure()
    usual.measure()
    assert found.report["instructions"] <= 1.02 * usual.report["instructions"]


def test_the_report_counts_what_it_takes(tmp_path: Path) -> None:
    found = compiled(tmp_path, "residual", "cortex-m0plus")
    channels = 8 * 3 + 16 * 3
    about = found.report["updates"]
    assert about == {
        "layers": 6,
        "channels": channels,
        "model_id": parameters(found.lowered.graph).model_id.hex(),
        "packet_bytes": 64 + 2 * channels + 2 * 6,
        "parameter_bytes": 9 * channels,
        "slot_bytes": 224 + 32,
        "constant_bytes": 17 * channels,
    }


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(residual_model())
    driftc("compile", "net.tflite", "--no-measure", "--updatable", "--planner", "greedy", "-o", "net", cwd=tmp_path)
    found = Compiled.load(tmp_path / "net")
    updated(tmp_path, found)
    said = driftc_json("verify", "net", "--update", "update.bin", "--random", "1", "--engine", "host", cwd=tmp_path)
    assert said["bit_exact"] and said["engines"] == ["numpy", "host"]
    quick = ("verify", "net", "--update", "update.bin", "--random", "1", "--engine", "numpy")
    assert "signature was not checked" in driftc(*quick, cwd=tmp_path).stdout
    (tmp_path / "key").write_bytes(KEY)
    assert "signature" not in driftc(*quick, "--key", "key", cwd=tmp_path).stdout
    (tmp_path / "other").write_bytes(KEY[::-1])
    assert "update.bin: is not signed with this key" in driftc(*quick, "--key", "other", cwd=tmp_path, code=2).stderr
    assert "--key belongs to --update" in driftc("verify", "net", "--key", "key", cwd=tmp_path, code=2).stderr
    (tmp_path / "damaged.bin").write_bytes((tmp_path / "update.bin").read_bytes()[:-1])
    done = driftc("verify", "net", "--update", "damaged.bin", cwd=tmp_path, code=2)
    assert "damaged.bin: has 219 bytes, not 220: it is another model's" in done.stderr
    done = driftc("verify", "net", "--update", "update.bin", "--engine", "tflm", cwd=tmp_path, code=2)
    assert "tflm and litert know the model as it was compiled" in done.stderr
    done = driftc("verify", "net", "--update", "missing.bin", cwd=tmp_path, code=2)
    assert "missing.bin: cannot be read: No such file" in done.stderr


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(residual_model())
    found = Compiled(residual_model(), Options(), lower(tmp_path / "net.tflite", Options(planner="greedy")))
    with pytest.raises(UsageError, match="compile it with --updatable"):
        found.verify(random=1, update=tmp_path / "net.tflite")
    found = compiled(tmp_path, "residual", "cortex-m4")
    with pytest.raises(DataError, match="does not begin with 'DRFU'"):
        found.verify(random=1, update=tmp_path / "net.tflite")
    with pytest.raises(UsageError, match="no such layer"):
        lower(tmp_path / "net.tflite", Options(updatable="elsewhere"))
