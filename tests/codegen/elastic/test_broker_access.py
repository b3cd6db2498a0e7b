"""TLS and credentials, with a Mosquitto that asks for both."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from brokers import Mosquitto, until

from driftc.codegen.elastic.transports.mqtt import Broker, Mqtt
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.fleet.ways import Mail

if shutil.which("openssl") is None:
    pytest.skip("absent: openssl", allow_module_level=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates by it of the broker and of a server."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    own = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority")
    openssl(*own, "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("broker", "server"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", "csr", *signed, "-out", f"{name}.pem")
    subprocess.run(["mosquitto_passwd", "-b", "-c", folder / "users", "someone", "their password"], check=True)
    return folder


@pytest.fixture
def broker(place: Path, tmp_path: Path) -> Iterator[Mosquitto]:
    tls = [f"cafile {place}/ca.pem", f"certfile {place}/broker.pem", f"keyfile {place}/broker.key"]
    made = Mosquitto(tmp_path, *tls, "require_certificate true", f"password_file {place}/users")
    made.start()
    yield made
    made.stop()


def said(broker: Broker, what: str) -> list[str]:
    """What the server says, until it says `what`."""
    lines: list[str] = []
    transport = Mqtt(bytes(8), 100, broker, "server")
    transport.open(lambda message: None, lines.append)
    until(lambda: any(what in line for line in lines))
    transport.close()
    return lines


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho's socket of a failed handshake
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_who_has_certificate_and_password_is_let_in(place: Path, broker: Mosquitto, version: str) -> None:
    access = Broker(
        broker.address,
        version,
        user="someone",
        password="their password",
        authority=place / "ca.pem",
        certificate=place / "server.pem",
        certificate_key=place / "server.key",
    )
    assert len(said(access, "connected")) == 1
    said(replace(access, password="another"), "does not let the server in")
    Mail(access, bytes(8)).close()  # a simulated fleet's end
    with pytest.raises(ToolError, match="does not let the devices in"):
        Mail(replace(access, password="another"), bytes(8))
    said(replace(access, certificate=None, certificate_key=None), "is lost")
    said(replace(access, authority=place / "server.pem"), "cannot be reached")


def test_certificates_that_cannot_be_read_are_refused(place: Path) -> None:
    with pytest.raises(UsageError, match="its certificates cannot be used"):
        Mqtt(bytes(8), 100, Broker("host", authority=place / "ca.key"), "server")
    assert Broker("host", tls=True).address == ("host", 8883)
