"""Our runner against our device: accuracy is the host engine's, latency by the rules, what goes wrong."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import DRIFTC, driftc, driftc_json
from mlperf_devices import device, reference, write_samples
from shared_data import shared_file

from driftc.codegen.errors import DataError, ToolError, UsageError
from driftc.simulator.engine import Array
from driftc.simulator.host import HostEngine
from driftc.simulator.mlperf.benchmarks import benchmark
from driftc.simulator.mlperf.client import Client, Inference
from driftc.simulator.mlperf.data import labelled
from driftc.simulator.mlperf.device import flags, host_device
from driftc.simulator.mlperf.runner import area_under_curve, latency, run
from driftc.simulator.simulate import accuracy


def on_host(name: str, samples: Sequence[Array]) -> list[tuple[Array, ...]]:
    """The outputs of the host engine."""
    program = reference(name).program()
    shape = program.inputs[0].shape
    given = [(sample.reshape(shape).astype(np.int8),) for sample in samples]
    return [found.outputs for found in HostEngine().run(program, given, trace=False)]


@pytest.mark.parametrize(("name", "count"), [("ic01", 60), ("vww01", 12)])
def test_accuracy_is_that_of_the_host_engine(tmp_path: Path, name: str, count: int) -> None:
    with np.load(shared_file(f"mlperf_tiny/{name}/{name}.npz")) as file:
        chosen = np.linspace(0, len(file["x"]) - 1, count).astype(int)
        x, y = file["x"][chosen], file["y"][chosen].astype(np.int64)
    classes = benchmark(name).classes
    folder = write_samples(
        tmp_path, [(sample.tobytes(), f"{classes},{label}") for sample, label in zip(x, y, strict=True)]
    )
    with device(name) as port:
        found = run(port, folder, baud=115200, mode="accuracy")
    assert (found.benchmark, found.samples, found.metric) == (name, count, "top-1")
    assert found.score == accuracy(on_host(name, list(x.astype(np.int16) - 128)), y)
    assert found.score is not None and found.score > 0.6


@pytest.mark.parametrize("name", ["kws01", "sww01"])
def test_results_are_those_of_the_host_engine(name: str) -> None:
    chosen = benchmark(name)
    samples = np.random.default_rng(3).integers(-128, 128, (20, chosen.values)).astype(np.int8)
    output = reference(name).lowered.plan.output_tensors[0]
    with device(name) as port, Client(port, 115200) as client:
        assert client.start() == ("driftc", name)
        for sample, (expected,) in zip(samples, on_host(name, list(samples)), strict=True):
            client.load(sample.tobytes())
            real = float(output.scale) * (expected.reshape(-1).astype(float) - output.zero_point)
            assert np.abs(np.array(client.infer(1, 0).results) - real).max() < 0.00051


def test_anomalies_by_windows(tmp_path: Path) -> None:
    """A file's score is the mean over its windows; each the mean squared error of the model's own quantisation."""
    chosen, random = benchmark("ad01"), np.random.default_rng(4)
    tensors = reference("ad01").lowered.plan
    given, out = tensors.input_tensors[0], tensors.output_tensors[0]
    sounds = [random.normal(0, 0.5 + number % 2, 640 + 3 * 128).astype("<f4") for number in range(6)]
    rows = [(sound.tobytes(), f"2,{number % 2},2560,512") for number, sound in enumerate(sounds)]
    folder = write_samples(tmp_path, rows)
    windows = [sound[at : at + 640] for sound in sounds for at in range(0, 385, 128)]
    steps = [np.clip(np.rint(w / np.float32(given.scale) + given.zero_point), -128, 127) for w in windows]
    errors = []
    for window, (output,) in zip(windows, on_host("ad01", steps), strict=True):
        real = np.float32(out.scale) * (output.reshape(-1).astype(np.float32) - out.zero_point)
        errors.append(float(np.mean((window - real) ** 2)))
    with device("ad01") as port, Client(port, 921600) as client:
        client.start()
        for window, expected in zip(windows, errors, strict=True):
            client.load(window.tobytes())
            (found,) = client.infer(1, 0).results
            assert abs(found - expected) < 0.0006 + 1e-5 * expected
    files = labelled(folder, chosen)
    assert [file.starts for file in files] == [(0, 512, 1024, 1536)] * 6
    scores = np.array(errors).reshape(6, 4).mean(axis=1)
    with device("ad01") as port:
        found_run = run(port, folder, baud=921600, mode="accuracy")
    assert found_run.metric == "AUC"
    assert found_run.score == area_under_curve(scores, np.array([0, 1] * 3))


def test_area_under_curve() -> None:
    labels = np.array([0, 0, 1, 1])
    assert area_under_curve(np.array([1.0, 2, 3, 4]), labels) == 1
    assert area_under_curve(np.array([1.0, 3, 2, 4]), labels) == 0.75
    assert area_under_curve(np.array([1.0, 1, 1, 1]), labels) == 0.5


class Clocked(Client):
    """A device whose first inference takes five times as long as the others."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def load(self, data: bytes) -> None:
        self.asked.append((0, 0))

    def infer(self, iterations: int, warmups: int, seconds: float = 0) -> Inference:
        self.asked.append((iterations, warmups))
        return Inference((1.0,), 0.5 if iterations == 1 else 0.1 * iterations)


def test_windows_by_the_rules(tmp_path: Path) -> None:
    chosen = benchmark("sww01")
    files = labelled(write_samples(tmp_path, [(bytes(1200), "3,0")] * 7), chosen)
    client = Clocked()
    windows = latency(client, chosen, files)
    assert len(windows) == 5 and len({window.file for window in windows}) == 5
    for window in windows:
        assert window.seconds >= 10 and window.iterations >= 10
        assert window.throughput == window.iterations / window.seconds
    assert [warmups for iterations, warmups in client.asked if iterations > 1] == [
        10
    ] * 10  # each window needs a second try
    slow = latency(client, chosen, files, seconds=0.2)
    assert {window.iterations for window in slow} == {10}


def test_too_few_files_are_said_before_anything_is_measured(tmp_path: Path) -> None:
    with device("ad01") as port:
        for count, mode, message in (
            (5, None, r"needs files of both classes \(--mode performance"),
            (5, "accuracy", "needs files of both classes"),
            (4, "performance", r"measured on 5 samples; there are 4 \(--mode accuracy"),
        ):
            folder = write_samples(tmp_path / f"{count}", [(bytes(2560), "2,1,2560,512")] * count)
            with pytest.raises(DataError, match=message):
                run(port, folder, baud=921600, mode=mode)


def test_a_device_in_energy_mode_has_no_times(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    folder = write_samples(tmp_path, [(bytes([n] * 490), f"12,{n}") for n in range(5)])
    with (
        (tmp_path / "edges").open("wb") as pin,
        host_device(reference("kws01").program(), benchmark("kws01"), energy=True, pin=pin.fileno()) as (port, _),
    ):
        assert run(port, folder, baud=9600, mode="accuracy").score is not None
        with pytest.raises(ToolError, match="the device gives no times: in energy mode they are edges of a pin"):
            run(port, folder, baud=9600, mode="performance")


def test_what_is_no_number_becomes_the_least_one() -> None:
    with device("ad01") as port, Client(port, 921600) as client:
        client.start()
        errors = []
        for one in (np.nan, -1e30):
            sound = np.zeros(640, "<f4")
            sound[7] = one
            client.load(sound.tobytes())
            client.infer(1, 0)
            client.load(bytes(2560))  # the error is that to another sound: of the output alone
            errors.append(client.command("results"))
        assert errors[0] == errors[1]


@pytest.mark.parametrize(
    ("name", "kind", "fits"),
    [("kws01", "uint8", False), ("kws01", "int16", False), ("ic01", "uint8", True), ("ic01", "int16", False),
     ("ad01", "uint8", False)],
)  # fmt: skip
def test_inputs_that_the_bytes_do_not_fit(name: str, kind: str, fits: bool) -> None:
    program = reference(name).program()
    other = replace(program, inputs=(replace(program.inputs[0], dtype=np.dtype(kind)),))
    with nullcontext() if fits else pytest.raises(UsageError, match=f"the model's is {kind}"):
        flags(other, benchmark(name))


def test_a_thousand_keywords_in_a_minute(tmp_path: Path) -> None:
    samples = np.random.default_rng(5).integers(-128, 128, (1000, 490)).astype(np.int8)
    folder = write_samples(tmp_path, [(sample.tobytes(), f"12,{n % 12}") for n, sample in enumerate(samples)])
    with device("kws01") as port:
        started = time.monotonic()
        found = run(port, folder, baud=115200, mode="accuracy")
        assert time.monotonic() - started < 60
    best = np.array([int(np.argmax(output)) for (output,) in on_host("kws01", list(samples))])
    assert found.score == float(np.mean(best == np.arange(1000) % 12))


def test_the_command(tmp_path: Path) -> None:
    """--host waits for runners; --run writes its results."""
    pytest.importorskip("serial")
    folder = reference("kws01").program().folder
    samples = write_samples(tmp_path / "data", [(bytes([n] * 490), f"12,{n}") for n in range(5)])
    with subprocess.Popen(
        [DRIFTC, "mlperf", folder, "--as", "kws01", "--host"], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            said = running.stdout.readline()
            assert said.startswith("kws01 on /dev/")
            port = said.split()[2].rstrip(";")
            for _ in range(2):  # one runner after another
                done = driftc("mlperf", "--run", port, "--data", samples, "--mode", "accuracy", cwd=tmp_path)
            assert "kws01 on driftc, 5 samples" in done.stdout and "top-1 0." in done.stdout
            kept = json.loads((tmp_path / "mlperf-kws01.json").read_text())
            assert kept["benchmark"] == "kws01" and kept["samples"] == 5 and kept["windows"] == []
            options = ("--mode", "accuracy", "-o", "again.json")
            assert driftc_json("mlperf", "--run", port, "--data", samples, *options, cwd=tmp_path) == kept
        finally:
            running.send_signal(signal.SIGINT)
        assert running.wait(timeout=10) == 0


def test_firmware_is_written(tmp_path: Path) -> None:
    folder = reference("kws01").program().folder
    done = driftc("mlperf", folder, "--as", "kws01", "--firmware", "kws.elf", cwd=tmp_path)
    assert done.stdout == "wrote kws.elf, for mps2-an386 in QEMU\n"
    assert (tmp_path / "kws.elf").read_bytes()[:4] == b"\x7fELF"
    done = driftc("mlperf", folder, "--as", "kws01", "--firmware", "energy.elf", "--energy", cwd=tmp_path, code=2)
    assert "--energy marks time with a pin, and driftc knows none of its board" in done.stderr
    assert not (tmp_path / "energy.elf").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "does one of --host, --firmware FILE.elf and --run PORT"),
        ("--host --run /dev/ttyX", "does one of"),
        ("--run /dev/ttyX", "--run needs --data"),
        ("--run /dev/ttyX --data . -o none/found.json", "none/found.json: there is no folder none"),
        ("--run /dev/ttyNOWHERE --data .", "/dev/ttyNOWHERE: there is no such port"),
        ("FOLDER --run /dev/ttyX", "no FOLDER, --as or --energy"),
        ("FOLDER --host", "needs FOLDER, and --as"),
        ("FOLDER --as kws02 --host", "MLPerf Tiny has no 'kws02'; there is kws01, vww01, ic01, ad01, sww01"),
        ("FOLDER --as kws01 --host --baud 9600", "belong to --run"),
        ("--run /dev/ttyX --data . --energy", "from the device: no FOLDER, --as or --energy"),
        ("FOLDER --as kws01 --firmware kws.elf --json", "belong to --run"),
        ("FOLDER --as ic01 --host", "gives 32 x 32 x 3 values; the model takes 49 x 10 x 1"),
    ],
)
def test_bad_use(kws: Path, arguments: str, message: str) -> None:
    pytest.importorskip("serial")
    done = driftc("mlperf", *arguments.replace("FOLDER", "kws").split(), cwd=kws, code=2)
    assert message in done.stderr


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "is empty"),
        ("0000.bin,12", "line 1: is not file,classes,class"),
        ("0000.bin,12,x", "line 1: is not file,classes,class"),
        ("0000.bin,12,12", "class 12 of 12; kws01 has 12"),
        ("0000.bin,10,1", "class 1 of 10; kws01 has 12"),
        ("../0000.bin,12,1", "is no file of this folder"),
        ("none.bin,12,1", "there is no none.bin"),
        ("0000.bin,12,1\nshort.bin,12,1", "line 2: short.bin has 10 bytes, windows of 490"),
    ],
)
def test_samples_that_make_no_sense(tmp_path: Path, rows: str, message: str) -> None:
    write_samples(tmp_path, [(bytes(490), "12,0")])
    (tmp_path / "short.bin").write_bytes(bytes(10))
    (tmp_path / "y_labels.csv").write_text(rows)
    with pytest.raises(DataError, match=message):
        labelled(tmp_path, benchmark("kws01"))
    with pytest.raises(DataError, match=r"holds no y_labels\.csv"):
        labelled(tmp_path / "nowhere", benchmark("kws01"))


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[str]:
    """A port that answers the first command with one text, the second with the next, and so on."""
    pytest.importorskip("serial")
    master, slave = pty.openpty()
    tty.setraw(slave)
    texts = iter(request.param)

    def answer() -> None:
        try:
            while True:
                if b"%" in os.read(master, 100):
                    os.write(master, next(texts, b""))
        except OSError:
            return

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield os.ttyname(slave)
    os.close(slave)
    thread.join(5)
    os.close(master)


NAME, MODEL = b"m-name-dut-[x]\r\nm-ready\r\n", b"m-model-[kws01]\r\nm-ready\r\n"


@pytest.mark.parametrize(
    ("answering", "message"),
    [
        ([b"garbage"], "no m-ready within 0.3 s of 'name'; it said b'garbage'"),
        ([b""], "the device says nothing"),
        ([b"e-[what]\r\nm-ready\r\n"] * 5, "'name' was answered with e-"),
        ([NAME, b"m-ready\r\n"], "'profile' was answered with nothing, which is not MLPerf Tiny's protocol"),
        ([NAME, b"m-model-[xyz01]\r\nm-ready\r\n"], "MLPerf Tiny has no 'xyz01'"),
        ([NAME, MODEL, b"m-init-done\r\nm-ready\r\n"], "the device was reset during 'db load 490'"),
        ([NAME, MODEL, b"e-[full]\r\nm-ready\r\n"], r"the device says e-\[full\]"),
        ([NAME, MODEL, *[b"m-ready\r\n"] * 20], "'db' was answered with nothing"),
        (
            [NAME, MODEL, *[b"m-load-done\r\nm-ready\r\n"] * 17, b"m-lap-us-1\r\nm-results-[1]\r\nm-ready\r\n"],
            "'infer' was answered",
        ),
        (
            [NAME, MODEL, *[b"m-load-done\r\nm-ready\r\n"] * 17, b"m-results-[1]\r\nm-ready\r\n"],
            "gave 1 results, kws01 has 12",
        ),
    ],
    indirect=["answering"],
)
def test_devices_that_misbehave(answering: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftc.simulator.mlperf.client.COMMAND_SECONDS", 0.3)
    folder = write_samples(tmp_path, [(bytes(490), "12,0")])
    started = time.monotonic()
    with pytest.raises((ToolError, UsageError), match=message):
        run(answering, folder, baud=115200, mode="accuracy")
    assert time.monotonic() - started < 3


def test_what_an_earlier_runner_asked_is_no_answer() -> None:
    """It was stopped; its inferences end while the next one asks for the name."""
    with device("kws01") as port:
        with Client(port, 115200) as client:
            client.start()
            one = client.infer(1, 0).seconds
            assert one is not None
            client._send(f"infer {int(0.5 / one) + 1} 0")
        with Client(port, 115200) as client:
            assert client.start() == ("driftc", "kws01")
            assert client.command("results")[0].startswith("m-results-[")


def test_a_device_that_is_stopped(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    with host_device(reference("kws01").program(), benchmark("kws01")) as (port, _):
        client = Client(port, 115200)
        client.start()
    with pytest.raises(ToolError, match=r"the port has gone|no m-ready"):
        client.command("name", 0.3)
