"""The front end in fixed point: C and specification give the same integers, near what reals give, at a known price."""

from __future__ import annotations

import numpy as np
import pytest
from commands import c_compiler
from ds_cnn_fsdd import load
from logmel import BANDS, FLOOR, FRAME, FRAMES, HOP, SAMPLES, UNIT, features, filters, logmel, tables
from logmel_program import logmel_program
from numpy.typing import NDArray
from shared_data import shared_file

import driftc
from driftc.codegen.errors import ToolError
from driftc.simulator.engine import Engine, Program
from driftc.simulator.host import HostEngine
from driftc.simulator.qemu import QemuEngine
from driftc.simulator.toolchain import Compiler, host_compiler
from driftc.simulator.unicorn_engine import UnicornEngine

Samples = NDArray[np.int16]
STRICT = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]


def extremes() -> Samples:
    """Silence, one bit, full scale of either sign and of both by turns, noise of every loudness."""
    random = np.random.default_rng(1)
    turns = np.where(np.arange(SAMPLES) % 2, 32767, -32768)
    tone = 32767 * np.sin(2 * np.pi * np.arange(SAMPLES) * 13.5 / FRAME)
    flat = [np.full(SAMPLES, level) for level in (0, 1, -1, 32767, -32768)]
    noise = [random.integers(-(2**bits), 2**bits, SAMPLES) for bits in range(1, 16)]
    return np.stack([*flat, turns, np.rint(tone), *noise]).astype(np.int16)


def check(engine: Engine, program: Program, sounds: Samples, bands: int) -> None:
    given = [(sound[None],) for sound in sounds]
    expected = features(sounds.astype(np.int64), bands)
    for found, right in zip(engine.run(program, given, trace=False), expected, strict=True):
        np.testing.assert_array_equal(found.outputs[0][0], right)


def recordings(count: int) -> Samples:
    every = load(shared_file("fsdd/fsdd_8k_int16.npz")).sound
    return np.rint(every[:: len(every) // count][:count] * 32768).astype(np.int16)


@pytest.mark.shared_data
@pytest.mark.parametrize("bands", [BANDS, 10])
def test_a_hundred_recordings_to_the_bit(tmp_path_factory: pytest.TempPathFactory, bands: int) -> None:
    c_compiler()
    program = logmel_program(tmp_path_factory.mktemp("logmel") / "c", bands)
    check(HostEngine(), program, np.concatenate([recordings(100), extremes()]), bands)


def test_no_undefined_behaviour(tmp_path_factory: pytest.TempPathFactory) -> None:
    if c_compiler().kind == "zig":
        pytest.skip("zig has no AddressSanitizer")
    program = logmel_program(tmp_path_factory.mktemp("logmel") / "c", BANDS)
    check(HostEngine(sanitize=True), program, extremes(), BANDS)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m33", "rv32imc"])
def test_on_emulated_cores(tmp_path_factory: pytest.TempPathFactory, core: str) -> None:
    """With the DSP extension and without."""
    engine: Engine = UnicornEngine() if core.startswith("cortex") else QemuEngine()
    if reason := engine.missing_for(core):
        pytest.skip(reason)
    program = logmel_program(tmp_path_factory.mktemp("logmel") / "c", BANDS, core)
    try:
        check(engine, program, extremes()[::3], BANDS)
    except ToolError as error:
        pytest.skip(str(error))


@pytest.mark.shared_data
def test_a_window_costs_less_than_15_percent_of_the_reference_keyword_spotter(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    engine = UnicornEngine()
    if reason := engine.missing_for("cortex-m4"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("logmel")
    program = logmel_program(folder / "c", BANDS)
    (heard,) = engine.run(program, [(recordings(1),)], trace=False)
    model = shared_file("mlperf_tiny/models/kws/kws_ref_model_int8.tflite")
    network = driftc.compile(model, name="kws", measure=False).simulate(random=0, engine="unicorn")
    assert heard.instructions is not None and network.instructions is not None
    assert sum(heard.instructions) < 0.15 * sum(network.instructions)


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_no_warnings(tmp_path_factory: pytest.TempPathFactory, cc: str) -> None:
    try:
        compiler: Compiler = host_compiler(cc)
    except ToolError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("logmel") / "c"
    logmel_program(folder, BANDS)
    compiler.run([*STRICT, "-c", "logmel.c", "-o", "logmel.o"], folder)


@pytest.mark.shared_data
def test_near_what_reals_give() -> None:
    sounds = recordings(60)
    window = np.hanning(FRAME + 1)[:-1]
    frames = sounds[:, np.arange(FRAMES)[:, None] * HOP + np.arange(FRAME)] / 32768 * window
    power = np.abs(np.fft.rfft(frames)) ** 2 / (window**2).sum()
    apart = np.abs(logmel(sounds / 32768)[..., 0] - np.log(power @ filters().T + FLOOR))
    assert np.median(apart) < 0.001
    assert np.percentile(apart, 99) < 0.2  # bands that are 50 dB below the loudest
    assert apart.mean() < 0.02


def test_features_are_integers() -> None:
    sound = np.random.default_rng(2).normal(scale=0.1, size=(2, SAMPLES)).astype(np.float32)
    found = logmel(sound, 12)
    assert found.shape == (2, FRAMES, 12, 1)
    np.testing.assert_array_equal(found * UNIT, np.rint(found * UNIT))
    assert logmel(sound[:0]).shape == (0, FRAMES, BANDS, 1)


def test_more_bands_than_frequencies_are_refused() -> None:
    with pytest.raises(ValueError, match="a single frequency; take fewer"):
        tables(60)
