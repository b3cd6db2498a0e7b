"""uint8 inputs and outputs of whole models: the user's type in C and in files, int8 inside, nothing copied for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import driftc, run_c
from models import ModelBuilder
from oracle import load_bytes

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DataError, ModelError
from driftc.simulator.engines import engine

MAIN = """
#include "net.h"
#include "net_float_io.h"
#include <stdio.h>
NET_STATIC_MEMORY(memory);
int main(void)
{
    net_t net;
    float real[NET_INPUT_LEN], result[NET_OUTPUT_LEN];

    if (net_init(&net, &memory) != 0 || NET_INPUT_ZERO != 131)
        return 1;
    for (int i = 0; i < NET_INPUT_LEN; i++) {
        uint8_t *input = net_input(&net);
        real[i] = NET_INPUT_SCALE * (float)(i % 256 - NET_INPUT_ZERO);
        input[i] = (uint8_t)(i % 256);
    }
    const uint8_t *output = net_invoke(&net);
    for (int i = 0; i < NET_OUTPUT_LEN; i++)
        printf("%d ", output[i]);
    net_invoke_float(&net, real, result);
    for (int i = 0; i < NET_OUTPUT_LEN; i++)
        printf("%d ", (int)(result[i] / NET_OUTPUT_SCALE + (float)NET_OUTPUT_ZERO + 0.5f));
    return 0;
}
"""


def build(in_zero: int = 131, scale: float = 0.1, rows: int = 12) -> ModelBuilder:
    """uint8 -> int8, a convolution, a dense layer, and back; inside the input's zero point is 3."""
    m, random = ModelBuilder(), np.random.default_rng(0)
    image = m.input("image", (1, rows, 6, 2), dtype=np.uint8, scale=0.1, zero_point=in_zero)
    x = m.quantize(image, out_scale=scale, out_zero_point=3, name="signed")
    x = m.conv_2d(
        x,
        random.integers(-127, 128, (4, 3, 3, 2)),
        np.arange(4),
        weight_scale=0.01,
        stride=2,
        out_scale=0.2,
        name="conv",
    )
    x = m.mean(x, [1, 2], out_scale=0.1, name="mean")
    x = m.fully_connected(x, random.integers(-127, 128, (5, 4)), weight_scale=0.02, out_scale=0.1, name="dense")
    m.output(m.quantize(x, out_scale=0.1, out_zero_point=128, dtype=np.uint8, name="scores"))
    return m


def compiled(folder: Path, m: ModelBuilder, **options: object) -> Compiled:
    path = folder / "net.tflite"
    path.write_bytes(m.build())
    return compile(path, measure=False, **options)  # type: ignore[arg-type]


def expected(model: Compiled, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[int]:
    from driftc.simulator.reference import run_graph

    return run_graph(model.lowered.graph, [image])["scores"].reshape(-1).tolist()


def test_nothing_is_copied_for_it(tmp_path: Path) -> None:
    """The input's bytes become int8 where they lie, or where the first layer wants them."""
    model = compiled(tmp_path, build())
    plain = ModelBuilder()
    image = plain.input("image", (1, 12, 6, 2), scale=0.1, zero_point=3)
    random = np.random.default_rng(0)
    y = plain.conv_2d(
        image, random.integers(-127, 128, (4, 3, 3, 2)), np.arange(4), weight_scale=0.01, stride=2, out_scale=0.2
    )
    plain.output(plain.mean(y, [1, 2], out_scale=0.1))
    assert model.lowered.plan.arena_bytes == compiled(tmp_path, plain).lowered.plan.arena_bytes
    assert "table" not in str(model.sources["net_weights.h"])


@pytest.mark.parametrize("change", [{}, {"in_zero": 100}, {"scale": 0.13}])
@pytest.mark.parametrize("options", [{}, {"feed": "rows"}, {"minimize": "ram"}, {"float_io": True}])
def test_every_engine(change: dict[str, float], options: dict[str, object], tmp_path: Path) -> None:
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)
    names = ["host", "tflm", "litert"] + (["unicorn"] if not options and not change else [])
    absent = [name for name in names[1:] if engine_missing(name)]
    model = compiled(tmp_path, build(**change), **options)  # type: ignore[arg-type]
    present = [name for name in names if name not in absent]
    found = model.verify(engines=present, random=3, sanitize=not options)
    assert found.bit_exact, found.first_difference
    assert set(present) <= set(found.engines), found.notes


def engine_missing(name: str) -> bool:
    from driftc.simulator.references import LitertReference, TflmReference

    if name == "unicorn":
        return engine("unicorn").missing() is not None
    return (TflmReference() if name == "tflm" else LitertReference()).missing() is not None


def test_as_a_program_sees_it(tmp_path: Path) -> None:
    model = compiled(tmp_path, build(), float_io=True)
    model.write(tmp_path / "net")
    image = (np.arange(144) % 256).astype(np.uint8).reshape(1, 12, 6, 2)
    (tmp_path / "net" / "main.c").write_text(MAIN)
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
    printed = run_c(tmp_path / "net", ["main.c", "net.c", "net_float_io.c"], *warnings)
    assert [int(n) for n in printed.split()] == expected(model, image) * 2


def test_samples(tmp_path: Path) -> None:
    """uint8 is raw; with a divisor it stands for real values, as float32 does."""
    model = compiled(tmp_path, build())
    raw = np.random.default_rng(0).integers(0, 256, (3, 12, 6, 2), np.uint8)
    np.savez(tmp_path / "raw.npz", image=raw)
    samples = model.samples(tmp_path / "raw.npz")
    assert samples.real[0] == (None,)
    assert np.array_equal(samples.quantized[2][0][0], raw[2])
    assert samples.quantized[0][0].dtype == np.uint8
    real = (raw.astype(np.float32) - 131) * np.float32(0.1)
    np.savez(tmp_path / "real.npz", image=real)
    assert np.array_equal(model.samples(tmp_path / "real.npz").quantized[1][0][0], raw[1])
    divided = model.samples(tmp_path / "raw.npz", input_divisor=255.0).quantized[0][0][0]
    assert np.array_equal(divided, np.clip(np.rint(raw[0] / 255 / 0.1) + 131, 0, 255).astype(np.uint8))
    np.savez(tmp_path / "other.npz", image=raw.astype(np.int8))
    with pytest.raises(DataError, match=r"'image' is int8; expected uint8 \(raw\) or float32 \(real values\)"):
        model.samples(tmp_path / "other.npz")
    extremes = model.samples(random=1).quantized
    assert [int(sample[0].flat[0]) for sample in extremes[1:]] == [0, 255, 131]


def test_command_line(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(build().build())
    driftc("compile", "net.tflite", "-o", "net", "--no-measure", cwd=tmp_path)
    np.savez(tmp_path / "raw.npz", x=np.zeros((2, 12, 6, 2), np.uint8), y=np.array([0, 1]))
    assert "2 samples" in driftc("simulate", "net", "--data", "raw.npz", "--engine", "numpy", cwd=tmp_path).stdout


def test_layers_can_be_live(tmp_path: Path) -> None:
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=np.random.default_rng(0).integers(0, 256, (16, 12, 6, 2), np.uint8))
    model = compiled(tmp_path, build(), adapt="lean", calibrate=samples)
    found = model.verify(engines=["host"], random=2)
    assert found.bit_exact, found.first_difference


# --- what is refused ---


def test_networks_that_compute_in_uint8() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), dtype=np.uint8, scale=0.1, zero_point=128)
    y = m.tensor("y", (1, 3), dtype=np.uint8, scale=0.1, zero_point=128)
    weights = m.constant(np.ones((3, 4), np.uint8), dtype=np.uint8, scale=0.1, zero_point=128)
    m.operator("FULLY_CONNECTED", [x, weights, None], [y], "FullyConnectedOptions")
    m.output(y)
    with pytest.raises(ModelError, match=r"'x' is uint8, .*not networks that compute in it: convert the model again"):
        load_bytes(m.build())


@pytest.mark.parametrize("zero", [-1, 256])
def test_zero_points(zero: int) -> None:
    with pytest.raises(ModelError, match=f"'image': zero point {zero} is outside uint8"):
        load_bytes(build(in_zero=zero).build())


def test_quantize_from_uint8_to_uint8() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), dtype=np.uint8, scale=0.1)
    m.output(m.quantize(x, out_scale=0.2, dtype=np.uint8))
    with pytest.raises(ModelError, match="'x' is uint8, of which driftc takes"):
        load_bytes(m.build())
