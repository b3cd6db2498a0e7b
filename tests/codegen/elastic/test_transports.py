"""A folder and a serial line instead of a broker; and what a broker's address may be."""

from __future__ import annotations

import contextlib
import os
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from elastic_models import KEY
from elastic_servers import LEAST, server_of
from fleet_models import compiled
from float_models import needs, skip_without

from driftc.codegen.elastic.packet import ALL_DEVICES, Reason, check, header
from driftc.codegen.elastic.student import Student
from driftc.codegen.elastic.transports.folder import Folder
from driftc.codegen.elastic.transports.serial import KEPT, SAYS, UPDATE, UPLOAD, Serial
from driftc.codegen.elastic.transports.transport import Message
from driftc.codegen.elastic.wire import Status, Topic, Upload
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.serial_link import Packet, Unpacker, pack

skip_without("sqlalchemy", "elastic")

from driftc.codegen.elastic.server import Policy, Server, largest_payload  # noqa: E402

DEVICE = bytes([0, 1, 2, 3, 4, 5, 6, 7])


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Student:
    return Student.of(compiled(tmp_path_factory.mktemp("model")).lowered)


def upload(student: Student, number: int) -> bytes:
    sample = number.to_bytes(4, "little") * (student.input_bytes // 4)
    return Upload(number, 0, 0, sample).packed(student.model_id)


def turn_until(server: Server, what: object) -> None:
    end = time.monotonic() + 20
    while not what():  # type: ignore[operator]
        server.turn(0.05)
        assert time.monotonic() < end


def test_files_are_uploads_and_packets(student: Student, tmp_path: Path) -> None:
    url, said = f"sqlite:///{tmp_path}/server.db", list[str]()
    transport = Folder(student.model_id, largest_payload(student), tmp_path / "shared")
    server = server_of(student, transport, url, say=said.append)
    server.open()
    place = tmp_path / "shared" / str(Topic(student.model_id, DEVICE, "up"))
    place.mkdir(parents=True)
    (place / ".half").write_bytes(b"being written")
    (place / "000").write_bytes(b"x" * 10_000_000)
    for number in range(LEAST):
        (place / f"{number + 1:03}").write_bytes(upload(student, number))
    (place.parent / "status").write_bytes(Status(0, 0, Reason.OK).packed())
    update = tmp_path / "shared" / str(Topic(student.model_id, ALL_DEVICES, "update"))
    turn_until(server, update.is_file)
    packet = update.read_bytes()
    assert check(packet, student.parameters, key=KEY, device=DEVICE) is Reason.OK
    assert [path.name for path in place.iterdir()] == [".half"] and not (place.parent / "status").exists()
    (row,) = server._store.as_json()["devices"]
    assert (row["uploads"], row["active"], row["dropped"]) == (LEAST, 0, {"length": 1})
    for number in range(LEAST):
        (place / f"{number}").write_bytes(upload(student, 1000 + number))
    turn_until(server, lambda: update.read_bytes() != packet)
    assert header(update.read_bytes()).sequence == 2
    server.close()
    server._store.close()


def test_a_file_that_was_replaced_meanwhile_is_read_again(student: Student, tmp_path: Path) -> None:
    transport = Folder(student.model_id, largest_payload(student), tmp_path)
    got: list[Message] = []
    transport.open(got.append, print)
    path = tmp_path / str(Topic(student.model_id, DEVICE, "up")) / "000"
    path.parent.mkdir(parents=True)
    for number in range(2):  # the device has forgotten how far it was
        (path.parent / ".part").write_bytes(upload(student, number))
        (path.parent / ".part").rename(path)
        transport.poll(0)
        if number == 0:
            continue
        got[0].acknowledge()
        assert path.exists()
        transport.poll(0)
        got[1].acknowledge()
    assert [message.payload for message in got] == [upload(student, 0), upload(student, 1)] and not path.exists()


def test_what_cannot_be_removed_is_said_and_not_read_again(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Folder(student.model_id, largest_payload(student), tmp_path)
    got: list[Message] = []
    said: list[str] = []
    transport.open(got.append, said.append)
    path = tmp_path / str(Topic(student.model_id, DEVICE, "up")) / "000"
    path.parent.mkdir(parents=True)
    path.write_bytes(upload(student, 0))
    transport.poll(0)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    got[0].acknowledge()
    transport.poll(0)
    assert len(got) == 1 and "cannot be removed: Permission denied" in said[0]


@needs("paho", "elastic")
def test_a_message_of_a_connection_that_was_lost_is_not_acknowledged(student: Student) -> None:
    """Its number may be that of another one by now."""
    from types import SimpleNamespace

    from driftc.codegen.elastic.transports.mqtt import Broker, Mqtt

    transport = Mqtt(student.model_id, largest_payload(student), Broker("localhost"), "server")
    got: list[Message] = []
    acknowledged: list[int] = []
    transport._receive, transport._say = got.append, print
    client = SimpleNamespace(ack=lambda number, qos: acknowledged.append(number), subscribe=lambda topics: None)
    message = SimpleNamespace(mid=5, qos=1, topic="driftc/x/y/up", payload=b"")
    for _ in range(2):
        transport._on_connect(client, None, None, SimpleNamespace(is_failure=False), None)  # type: ignore[arg-type]
        transport._on_message(client, None, message)  # type: ignore[arg-type]
    got[0].acknowledge()
    assert not acknowledged
    got[1].acknowledge()
    assert acknowledged == [5]


def test_each_device_has_packets_of_its_own(student: Student, tmp_path: Path) -> None:
    transport = Folder(student.model_id, largest_payload(student), tmp_path / "shared")
    policy = Policy(LEAST, per_device=True)
    server = server_of(student, transport, f"sqlite:///{tmp_path}/server.db", policy=policy)
    server.open()
    for device in (b"device A", b"device B"):
        place = tmp_path / "shared" / str(Topic(student.model_id, device, "up"))
        place.mkdir(parents=True)
        for number in range(LEAST):
            (place / str(number)).write_bytes(upload(student, number + 256 * device[-1]))
    for device, other in ((b"device A", b"device B"), (b"device B", b"device A")):
        update = tmp_path / "shared" / str(Topic(student.model_id, device, "update"))
        turn_until(server, update.is_file)
        assert check(update.read_bytes(), student.parameters, key=KEY, device=device) is Reason.OK
        assert check(update.read_bytes(), student.parameters, key=KEY, device=other) is Reason.DEVICE
    server.close()
    server._store.close()


class Line:
    """The device's end of a pseudo terminal."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        tty.setraw(self._ours)
        self.name, self._theirs = os.ttyname(theirs), theirs
        os.set_blocking(self._ours, False)
        self._unpacker = Unpacker(0xFFFF)
        self.got: list[Packet] = []

    def say(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._ours, data) :]
            except BlockingIOError:
                time.sleep(0.01)

    def hear(self) -> list[Packet]:
        with contextlib.suppress(BlockingIOError):
            self.got += self._unpacker.feed(os.read(self._ours, 1 << 16))
        return self.got

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@needs("serial", "serial")
def test_a_serial_line_carries_uploads_and_packets(student: Student, tmp_path: Path, line: Line) -> None:
    transport = Serial(student.model_id, largest_payload(student), line.name, 115200)
    server = server_of(student, transport, f"sqlite:///{tmp_path}/server.db")
    server.open()
    for number in range(LEAST):
        frame = pack(UPLOAD, number, DEVICE + upload(student, number))
        if number % 5 == 0:
            line.say(frame[:-7] + b"noise")  # damaged, so that it is sent again
        line.say(frame)
        turn_until(server, lambda number=number: Packet(KEPT, number, b"") in line.hear())
    turn_until(server, lambda: line.hear()[-1].kind == UPDATE)
    to, packet = line.got[-1].payload[:8], line.got[-1].payload[8:]
    assert to == ALL_DEVICES and check(packet, student.parameters, key=KEY, device=DEVICE) is Reason.OK
    for status, again in ((Status(1, 1, Reason.OK), False), (Status(0, 0, Reason.OK), True)):  # it has forgotten
        line.got.clear()
        line.say(pack(SAYS, 77, DEVICE + status.packed()))
        turn_until(server, lambda: any(packet.kind == KEPT for packet in line.hear()))
        assert [got.payload[8:] for got in line.hear() if got.kind == UPDATE] == ([packet] if again else [])
    (row,) = server._store.as_json()["devices"]
    assert (row["uploads"], row["active"]) == (LEAST, 0)
    server.close()
    server._store.close()


@needs("serial", "serial")
def test_ports_that_are_not_there_and_inputs_that_do_not_fit_are_refused(student: Student) -> None:
    with pytest.raises(ToolError, match="no such port"):
        Serial(student.model_id, 100, "/dev/no-such-port", 115200).open(lambda message: None, print)
    with pytest.raises(UsageError, match="does not fit a frame"):
        Serial(student.model_id, 70_000, "/dev/null", 115200)


@needs("paho", "elastic")
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("host", ("host", 1883)),
        ("host:1", ("host", 1)),
        ("[::1]:1884", ("::1", 1884)),
        ("::1", ("::1", 1883)),
        ("host:", None),
        ("host:x", None),
        (":1", None),
        ("host:99999", None),
    ],
)
def test_addresses_of_brokers(given: str, found: tuple[str, int] | None) -> None:
    from driftc.codegen.elastic.transports.mqtt import Broker

    if found is None:
        with pytest.raises(UsageError, match="is no HOST or HOST:PORT"):
            _ = Broker(given).address
    else:
        assert Broker(given).address == found
