"""The streaming wake word: features to the bit, the device's answers, and words that are heard in sound."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc, driftc_json
from mlperf_devices import device, reference, write_samples
from numpy.typing import NDArray
from serial_boards import emulated
from shared_data import shared_file

from driftc.boards.cores import load_core
from driftc.codegen.errors import DataError, ToolError, UsageError
from driftc.simulator.engine import Target
from driftc.simulator.host import HostEngine
from driftc.simulator.mlperf.benchmarks import benchmark
from driftc.simulator.mlperf.client import Client
from driftc.simulator.mlperf.device import board_device
from driftc.simulator.mlperf.device import flags as device_flags
from driftc.simulator.mlperf.runner import run
from driftc.simulator.mlperf.sound import BANDS, FRAME, HOP, RATE, Quantised, features, weights
from driftc.simulator.mlperf.stream import THRESHOLD, judged, listen, recordings
from driftc.simulator.program import BARE
from driftc.simulator.toolchain import firmware_compiler, host_compiler

STRICT = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
Floats = NDArray[np.float64]


def quantised() -> Quantised:
    tensor = reference("sww01").lowered.plan.input_tensors[0]
    return Quantised.of(float(tensor.scale), tensor.zero_point)


def sounds() -> dict[str, NDArray[np.int16]]:
    """Silence, noise from faint to too loud, a tone, and the largest sum that there can be."""
    random = np.random.default_rng(6)
    n = np.arange(4 * HOP)
    found: dict[str, Any] = {f"noise {level}": random.normal(0, level, len(n)) for level in (1, 30, 1000, 40_000)}
    found |= {"silence": 0 * n, "tone": 32767 * np.sin(2 * np.pi * 440 * n / RATE), "edges": (n % 2) * 65535.0 - 32768}
    return {name: np.clip(np.rint(sound), -32768, 32767).astype("<i2") for name, sound in found.items()}


def bands() -> Floats:
    """[BANDS, FRAME / 2 + 1]: the mel filters as mlcommons/tiny's TensorFlow makes them."""
    mel = 1127 * np.log(1 + np.arange(FRAME // 2 + 1) * RATE / FRAME / 700)
    edges = np.linspace(0, 1127 * np.log(1 + RATE / 2 / 700), BANDS + 2)
    up = (mel - edges[:-2, None]) / (edges[1:-1, None] - edges[:-2, None])
    down = (edges[2:, None] - mel) / (edges[2:, None] - edges[1:-1, None])
    found = np.maximum(0, np.minimum(up, down))
    found[:, 0] = 0
    return np.asarray(found)


@pytest.mark.parametrize("name", sounds())
def test_features_are_the_definitions(name: str) -> None:
    """In floating point, as the benchmark's own code: at most a step apart where a value lies on a border of two."""
    sound, to = sounds()[name], quantised()
    scale = float(reference("sww01").lowered.plan.input_tensors[0].scale)
    padded = np.concatenate([np.zeros(FRAME - HOP + 1), sound / 32768])
    rows = []
    for at in range(0, len(sound), HOP):
        frame = padded[at : at + FRAME + 1]
        power = np.abs(np.fft.rfft((frame[1:] - 0.96875 * frame[:-1]) * np.hamming(FRAME))) ** 2 / FRAME
        rows.append(np.clip((10 * np.log10(np.maximum(bands() @ power, 1e-30)) + 52) / 64, 0, 1))
    expected = np.minimum(np.trunc(np.array(rows) / scale - 128), 127)
    apart = np.abs(features(sound, to) - expected)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01


def test_bands_are_as_many_as_the_references() -> None:
    values, starts, lengths = weights()
    assert len(values) == lengths.sum() == 987 and starts[0] == 1  # lin2mel_packed_513x40[987]


def patches(rows: NDArray[np.int8]) -> list[tuple[NDArray[np.int8]]]:
    """What the model sees after each row; before the first there are zeros."""
    padded = np.concatenate([np.zeros((29, BANDS), np.int8), rows])
    return [(padded[at : at + 30].reshape(1, 30, 1, BANDS),) for at in range(len(rows))]


def check_stream(port: str, sound: NDArray[np.int16], baud: int = 115200) -> None:
    """Features and activations of each piece are the specification's, and `stop` lists the latter."""
    rows = features(sound, quantised())
    program = reference("sww01").program()
    outputs = [found.outputs[0].reshape(-1) for found in HostEngine().run(program, patches(rows), trace=False)]
    with Client(port, baud) as client:
        assert client.start() == ("driftc", "sww01")
        said = client.command("start")
        assert said[0] == "Listening for sound with extract_uart_stream" and said[1].startswith("m-lap-us-")
        for at, (row, output) in enumerate(zip(rows, outputs, strict=True)):
            client.load(sound[HOP * at : HOP * (at + 1)].tobytes())
            lines = client.command("extract_uart_stream", 60)
            assert lines == [
                "m-features-[" + ", ".join(f"{value:+3d}" for value in row) + "]",
                "m-activations-[" + ", ".join(f"{value:+3d}" for value in output) + "]",
            ]
        said = client.command("stop")
        assert said[0].startswith("m-lap-us-") and said[1:3] == ["Streaming stopped.", "target activations: "]
        listed = "".join(said[3:])
        assert listed.startswith("[") and listed.endswith("]")  # as the runner takes it apart
        assert [int(value) for value in listed[1:-1].split(",")] == [int(output[0]) for output in outputs]


def test_the_device_is_the_specification() -> None:
    with device("sww01") as port:
        for sound in (np.concatenate(list(sounds().values())), sounds()["tone"]):  # it starts anew
            check_stream(port, sound)


def test_on_the_uart_of_an_emulated_board() -> None:
    pytest.importorskip("serial")
    try:
        made = board_device(reference("sww01").program(Target("cortex-m4")), benchmark("sww01"))
    except ToolError as error:
        pytest.skip(str(error))
    with emulated(made.elf, load_core("cortex-m4")) as port:
        check_stream(port, sounds()["noise 1000"])


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_no_warnings(cc: str, tmp_path: Path) -> None:
    """For the host, and bare for a core."""
    core, program = load_core("cortex-m4"), reference("sww01").program()
    bare = [*core.flags[cc], *BARE[cc], "-isystem", "simulator/freestanding", "-DPORT_SERIAL", "-DPORT_TEXT"]
    try:
        for compiler, flags in ((host_compiler(cc), []), (firmware_compiler(core, cc), bare)):
            strict = [*STRICT, *flags, *device_flags(program, benchmark("sww01")), "-c", "simulator/mlperf.c"]
            compiler.run([*strict, "-o", str(tmp_path / "out.o")], program.folder)
    except ToolError as error:
        if "failed" in str(error):
            raise
        pytest.skip(str(error))


def test_answers_out_of_turn() -> None:
    with device("sww01") as port, Client(port, 115200) as client:
        client.start()
        assert client.command("stop") == ["Detection is already idle. Ignoring stop request"]
        client.command("start")
        assert client.command("start") == ["Detection is in progress. Ignoring request"]
        said = client.command("stop")
        assert "".join(said[3:]) == "[]"
        client.load(bytes(1200))
        with pytest.raises(ToolError, match=r"e-\[extract_uart_stream needs 'db load 1024', and as many bytes\]"):
            client.command("extract_uart_stream")
    with device("kws01") as port, Client(port, 115200) as client:
        client.start()
        with pytest.raises(ToolError, match="Unknown command: start"):
            client.command("start")


def spoken(patch: Floats, seed: int) -> Floats:
    """Sound with these log-mel features [30, BANDS]: noise that is shaped until its bands are right."""
    filters = bands()
    share = filters / np.maximum(filters.sum(0), 1e-9)
    wanted = 10 ** ((patch * 64 - 52) / 10)
    size, window = (len(patch) + 1) * HOP, np.hamming(FRAME)
    spectra = np.sqrt((wanted / filters.sum(1)) @ share * FRAME) + 0j
    spectra *= np.exp(2j * np.pi * np.random.default_rng(seed).random(spectra.shape))
    sound = np.zeros(size)
    for _ in range(20):
        sound, weight = np.zeros(size), np.zeros(size)
        for at, spectrum in enumerate(spectra):
            part = slice(at * HOP, at * HOP + FRAME)
            sound[part] += np.fft.irfft(spectrum) * window
            weight[part] += window**2
        sound /= np.maximum(weight, 1e-3)
        for at in range(len(spectra)):
            found = np.fft.rfft(sound[at * HOP : at * HOP + FRAME] * window)
            energy = filters @ (np.abs(found) ** 2 / FRAME)
            spectra[at] = found * (np.sqrt(wanted[at] / np.maximum(energy, 1e-12)).clip(0.1, 10) @ share)
    for n in range(1, size):  # without the emphasis
        sound[n] += 0.96875 * sound[n - 1]
    return sound


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A streaming test: the wake word three times, other words between, made of the benchmark's calibration samples."""
    with np.load(shared_file("mlperf_tiny/models/sww/calibration_samples.npz")) as file:
        specs, labels = file["specs"][:, :, 0], file["labels"]
    wake, other = np.flatnonzero(labels == 0), np.flatnonzero(labels == 2)
    folder = tmp_path_factory.mktemp("street")
    quiet = np.zeros(RATE)
    parts, words, length = [quiet], [], RATE
    for number in (other[0], wake[0], other[1], wake[1], wake[3]):
        sound = spoken(specs[number], int(number))
        if number in wake:
            words.append([length / RATE, (length + len(sound)) / RATE])
        parts += [sound, quiet]
        length += len(sound) + len(quiet)
    words.append([length / RATE - 0.4, length / RATE - 0.2])  # nothing is said there
    with wave.open(str(folder / "street.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.clip(np.rint(np.concatenate(parts) * 32768), -32768, 32767).astype("<i2").tobytes())
    entry = {"wav_file": "street.wav", "sample_rate": RATE, "length_sec": length / RATE, "detection_windows": words}
    (folder / "test.json").write_text(json.dumps([entry]))
    return folder / "test.json"


def test_words_are_heard(street: Path, tmp_path: Path) -> None:
    """Through the protocol and the command: those that the network hears in the specification's features, no others."""
    (test,) = recordings(street)
    rows = features(np.frombuffer(test.sound, "<i2").astype(np.int64), quantised())
    outputs = HostEngine().run(reference("sww01").program(), patches(rows), trace=False)
    detections = [at * HOP / RATE for at, found in enumerate(outputs) if found.outputs[0][0, 0] > THRESHOLD and at]
    hit, missed, alarms = judged(detections, test.words)
    assert (hit, missed, alarms) == (tuple(start for start, _ in test.words[:3]), (test.words[3][0],), ())
    with device("sww01") as port:
        found = driftc_json("mlperf", "--run", port, "--data", street, cwd=tmp_path)
        assert found["streams"] == [
            {
                "file": "street.wav", "seconds": test.pieces * HOP / RATE, "true_positives": list(hit),
                "false_negatives": list(missed), "false_positives": [],
            }
        ]  # fmt: skip
        done = driftc("mlperf", "--run", port, "--data", street, cwd=tmp_path)
        assert "street.wav, 10.9 s: 3 of 4 words heard, 0 false alarms (the rules allow 8 misses" in done.stdout
        driftc("mlperf", "--run", port, "--data", street, "--mode", "accuracy", cwd=tmp_path, code=2)


def test_judged_by_the_rules() -> None:
    """The example of the runner's README: from the word's beginning until a second after its end."""
    words = [(1.0, 1.647625), (7.0, 7.358625)]
    assert judged([2.60], words) == ((1.0,), (7.0,), ())
    assert judged([2.8], words) == ((), (1.0, 7.0), (2.8,))
    assert judged([0.99, 1.5, 1.6, 7.1], words) == ((1.0, 7.0), (), (0.99,))
    assert judged([3.0, 3.5, 4.0, 4.1, 5.2], []) == ((), (), (3.0, 4.1, 5.2))  # a second after the first, not the last


def test_a_streaming_test_for_another_benchmark(street: Path, tmp_path: Path) -> None:
    with device("kws01") as port, pytest.raises(UsageError, match=r"is a streaming test; the device on .* is kws01"):
        run(port, street, baud=115200)
    folder = write_samples(tmp_path, [(bytes(1200), "3,0")] * 2)
    with device("sww01") as port:
        assert run(port, folder, baud=115200, mode="accuracy").streams == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "cannot be read as JSON"),
        ("{}", "is no list of recordings"),
        ("[]", "is no list of recordings"),
        ('[{"wav_file": "a.wav"}]', "recording 0: needs wav_file, and detection_windows"),
        ('[{"wav_file": "a.wav", "detection_windows": [[1]]}]', "needs wav_file, and detection_windows"),
        ('[{"wav_file": "a.wav", "detection_windows": [[2, 1]]}]', "must be in order"),
        ('[{"wav_file": "a.wav", "detection_windows": [[2, 3], [0, 1]]}]', "must be in order"),
        ('[{"wav_file": "../a.wav", "detection_windows": []}]', "is no file of its folder"),
        ('[{"wav_file": "none.wav", "detection_windows": []}]', "cannot be read as a WAV file: .*No such file"),
        ('[{"wav_file": "test.json", "detection_windows": []}]', "cannot be read as a WAV file"),
        (
            '[{"wav_file": "a.wav", "detection_windows": []}]',
            "a.wav has 1 x 16 bits at 8000 Hz; 1 x 16 at 16000 are heard",
        ),
        ('[{"wav_file": "short.wav", "detection_windows": []}]', "short.wav is shorter than 512 samples"),
    ],
)
def test_streaming_tests_that_make_no_sense(tmp_path: Path, content: str, message: str) -> None:
    for name, rate in (("a.wav", 8000), ("short.wav", RATE)):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(bytes(500))
    (tmp_path / "test.json").write_text(content)
    with pytest.raises(DataError, match=message):
        recordings(tmp_path / "test.json")


def test_a_device_that_does_not_stream(street: Path) -> None:
    """One that says it is sww01, and answers otherwise."""

    class Other(Client):
        def __init__(self) -> None:
            self._device = "there"

        def load(self, data: bytes) -> None:
            pass

        def command(self, text: str, seconds: float = 0) -> list[str]:
            return ["m-activations-[]"]

    with pytest.raises(ToolError, match="there: 'extract_uart_stream' was answered with m-activations"):
        listen(Other(), recordings(street))
