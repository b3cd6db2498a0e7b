"""Devices that upload through a broker, all connected at once, and whether the server keeps every upload."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from driftc.codegen.elastic.student import Student
from driftc.codegen.elastic.wire import UP, Topic, Upload

SECONDS = 300.0  # for the server to keep the last upload


@click.option("--devices", default=1000, show_default=True)
@click.option("--rate", default=100.0, show_default=True, help="Uploads a second, of all devices together.")
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--round", "least", default=10**6, show_default=True, help="Uploads that make a round.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/elastic"), show_default=True)
def load(devices: int, rate: float, seconds: float, least: int, out: Path) -> None:
    """Uploads of ResNet-8 through a Mosquitto to `driftc serve`, with `rows`'s networks."""
    import images
    from bench import Bench

    bench = Bench(out, 256)
    student = bench.student(True)
    images.resnet20(out)
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        place = Path(folder)
        (place / "key").write_bytes(os.urandom(32))
        config = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0"]
        (place / "mosquitto.conf").write_text("\n".join(config) + "\n")
        mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto"
        url = f"sqlite:///{place}/server.db"
        serve = [sys.executable, "-c", "from driftc.codegen.cli import main; main()", "serve", str(out / "calibrated")]
        serve += ["--teacher", str(out / "resnet20.onnx"), "--clean", str(bench.train), "--key", str(place / "key")]
        serve += ["--broker", f"127.0.0.1:{port}", "--database", url, "--round", str(least)]
        broker = subprocess.Popen([mosquitto, "-c", str(place / "mosquitto.conf")], stderr=subprocess.DEVNULL)
        server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            while "connected" not in (line := server.stderr.readline()):
                click.echo(line, err=True, nl=False)
                assert server.poll() is None
            _measure(student, port, devices, rate, seconds, url, server)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
            broker.terminate()
            broker.wait()


class Fleet:
    """Clients on one thread."""

    def __init__(self, student: Student, port: int, count: int) -> None:
        self._student, self._selector = student, selectors.DefaultSelector()
        self.confirmed = self.sent = 0
        self._looked = 0.0
        self._clients = []
        for number in range(count):
            name = (number + 1).to_bytes(8, "big")
            client = Client(CallbackAPIVersion.VERSION2, client_id=name.hex(), protocol=MQTTv311)
            client.on_publish = self._confirmed
            client.connect("127.0.0.1", port)
            self._clients.append((client, Topic(student.model_id, name, UP)))
            self._selector.register(client.socket(), selectors.EVENT_READ, client)  # type: ignore[arg-type]
            self.turn(0.0)

    def upload(self, sample: bytes) -> None:
        client, topic = self._clients[self.sent % len(self._clients)]
        client.publish(str(topic), Upload(self.sent, 0, 1, sample).packed(self._student.model_id), qos=1)
        self.sent += 1

    def turn(self, seconds: float) -> None:
        for key, _ in self._selector.select(max(seconds, 0.0)):
            key.data.loop_read()
        if time.monotonic() < self._looked + 1.0:
            return
        self._looked = time.monotonic()
        for client, _ in self._clients:
            if client.want_write():
                client.loop_write()
            client.loop_misc()

    def _confirmed(self, *_: object) -> None:
        self.confirmed += 1


def _measure(
    student: Student, port: int, devices: int, rate: float, seconds: float, url: str, server: subprocess.Popen[str]
) -> None:
    fleet = Fleet(student, port, devices)
    random = np.random.default_rng(0)
    total = int(rate * seconds)
    began = time.monotonic()
    used = _cpu(server.pid)
    while fleet.sent < total:
        due = began + fleet.sent / rate
        fleet.turn(due - time.monotonic())
        if time.monotonic() >= due:
            fleet.upload(random.bytes(student.input_bytes))
    while fleet.confirmed < total:
        fleet.turn(0.1)
    last = time.monotonic()
    while (kept := _kept(url)) < total and time.monotonic() < last + SECONDS:
        fleet.turn(0.5)
    ended = time.monotonic()
    click.echo(
        f"{devices} devices, {total} uploads of {student.input_bytes:,} B in {last - began:.1f} s "
        f"({total / (last - began):.1f} a second); kept {kept}, lost {total - kept}; the last {ended - last:.1f} s "
        f"after the broker had it; the server's processor time {_cpu(server.pid) - used:.1f} s"
    )


def _kept(url: str) -> int:
    from sqlalchemy import create_engine, func, select

    from driftc.codegen.elastic.schema import uploads

    engine = create_engine(url)
    with engine.connect() as connection:
        found = int(connection.execute(select(func.count()).select_from(uploads)).scalar_one())
    engine.dispose()
    return found


def _cpu(process: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
