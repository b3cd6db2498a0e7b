"""A server on a real broker, and all that can go wrong between them: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brokers
import elastic_servers
import pytest
from brokers import Device, Mosquitto, until
from elastic_models import KEY
from elastic_servers import LEAST, server_of
from fleet_models import compiled
from float_models import skip_without

from driftc.codegen.elastic.packet import Header, Reason, encode, header, signed
from driftc.codegen.elastic.server import STEPS, Policy, Server, largest_payload
from driftc.codegen.elastic.student import Student
from driftc.codegen.elastic.wire import UP, UPDATE, Upload

skip_without("sqlalchemy", "elastic")

from driftc.codegen.elastic.store import Store  # noqa: E402
from driftc.codegen.elastic.transports.mqtt import Broker, Mqtt  # noqa: E402


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Student:
    return Student.of(compiled(tmp_path_factory.mktemp("model")).lowered)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    yield made
    made.stop()


def sample(student: Student, number: int) -> bytes:
    return number.to_bytes(4, "little") * (student.input_bytes // 4)


class Served:
    """A server in this process, turned by the test."""

    def __init__(self, student: Student, broker: Mosquitto, url: str, name: str = "server", **more: Any) -> None:
        self.said: list[str] = []
        version = more.pop("version", "3.1.1")
        transport = Mqtt(student.model_id, largest_payload(student), Broker(broker.address, version), name)
        self.server: Server = server_of(student, transport, url, say=self.said.append, **more)
        self.store: Store = self.server._store
        self.server.open()

    def until(self, what: Any) -> Any:
        return until(what, between=lambda: self.server.turn(0.02))

    def kept(self) -> int:
        return sum(row["uploads"] for row in self.store.as_json()["devices"])

    def sent(self) -> list[int]:
        return [row["sequence"] for row in self.store.as_json()["packets"] if row["sent"] is not None]

    def close(self) -> None:
        self.server.close()
        self.store.close()


def database(folder: Path, name: str = "server") -> str:
    return f"sqlite:///{folder}/{name}.db"


def ready(served: Served) -> None:
    """Its session is known to the broker, which from then on keeps what it misses."""
    served.until(lambda: any("connected" in line for line in served.said))
    served.until(lambda: served.server._transport._settled is not None)  # type: ignore[attr-defined]


def device_of(broker: Mosquitto, student: Student, number: int = 1) -> Device:
    return Device(broker, student.parameters, KEY, number.to_bytes(8, "big")).here()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_uploads_come_in_and_a_packet_goes_out_that_devices_take(
    student: Student, broker: Mosquitto, tmp_path: Path, version: str
) -> None:
    broker.start()
    served = Served(student, broker, database(tmp_path), version=version)
    ready(served)
    devices = [device_of(broker, student, number) for number in (1, 2)]
    for number in range(LEAST):
        devices[number % 2].upload(number, sample(student, number))
    served.until(served.sent)
    served.until(lambda: all(device.active == 1 for device in devices))
    served.until(lambda: [row["active"] for row in served.store.as_json()["devices"]] == [1, 1])
    late = device_of(broker, student, 3)
    until(lambda: late.active == 1)
    assert [row[1:] for row in late.saw] == [(True, Reason.OK)]
    for device in (*devices, late):
        device.close()
    served.close()


def test_a_broker_that_is_not_there_yet_and_one_that_goes_away(
    student: Student, broker: Mosquitto, tmp_path: Path
) -> None:
    served = Served(student, broker, database(tmp_path))
    served.until(lambda: any("cannot be reached" in line for line in served.said))
    broker.start()
    ready(served)
    device = device_of(broker, student)
    for number in range(10):
        device.upload(number, sample(student, number))
    served.until(lambda: served.kept() == 10)
    broker.stop()
    served.until(lambda: any("is lost" in line for line in served.said))
    for number in range(10, LEAST):  # the device keeps them
        device.upload(number, sample(student, number))
    broker.start()
    served.until(served.sent)
    assert served.kept() == LEAST
    until(lambda: device.active == 1)
    device.close()
    served.close()


def test_what_comes_while_the_server_is_away_waits_at_the_broker(
    student: Student, broker: Mosquitto, tmp_path: Path
) -> None:
    broker.start()
    served = Served(student, broker, database(tmp_path))
    ready(served)
    served.close()
    device = device_of(broker, student)
    for number in range(200):
        device.upload(number, sample(student, number)).wait_for_publish(10)
    served = Served(student, broker, database(tmp_path), policy=Policy(10**6))
    served.until(lambda: served.kept() == 200)
    device.close()
    served.close()


def test_duplicates_disorder_truncation_forgery_and_floods(student: Student, broker: Mosquitto, tmp_path: Path) -> None:
    broker.start()
    served = Served(student, broker, database(tmp_path), budget=40, policy=Policy(10**6))
    ready(served)
    device, other = device_of(broker, student, 1), device_of(broker, student, 2)
    for number in (5, 3, 3, 4, 5, 0, 1, 2):  # sequences out of order, and some twice
        device.upload(number, sample(student, number))
    whole = Upload(9, 0, 0, sample(student, 9)).packed(student.model_id)
    for payload in (b"", whole[:-1], whole + b"x", whole[:16], bytes(len(whole))):
        other.publish(UP, payload)
    wrong = Upload(9, 0, 0, sample(student, 9)).packed(bytes(8))
    other.publish(UP, wrong)
    other.publish(UP, whole, model=bytes(range(8)))  # on an older model's topic: nobody listens
    other.publish("status", b"nonsense")
    for number in range(100, 200):  # more than its budget
        other.upload(number, sample(student, number))
    served.until(lambda: served.kept() == 46)

    def said() -> list[dict[str, int]]:
        return [row["dropped"] for row in served.store.as_json()["devices"]]

    # 4 lengths and the status; all zeros have the right length and no format; the model is another's
    expected = {"length": 5, "format": 1, "model": 1, "budget": 60}
    served.until(lambda: said() == [{"repeated": 2}, expected])
    device.close()
    other.close()
    served.close()


def test_a_flood_is_heard_again_after_the_round(student: Student, broker: Mosquitto, tmp_path: Path) -> None:
    broker.start()
    served = Served(student, broker, database(tmp_path), budget=LEAST)
    ready(served)
    device = device_of(broker, student)
    for number in range(LEAST + 20):
        device.upload(number, sample(student, number))
    served.until(lambda: served.sent() == [1])
    for number in range(1000, 1000 + LEAST):
        device.upload(number, sample(student, number))
    served.until(lambda: served.sent() == [1, 2])
    device.close()
    served.close()


def test_forged_and_replayed_packets_reach_no_device_and_move_no_sequence(
    student: Student, broker: Mosquitto, tmp_path: Path
) -> None:
    broker.start()
    served = Served(student, broker, database(tmp_path))
    ready(served)
    device = device_of(broker, student)
    for number in range(LEAST):
        device.upload(number, sample(student, number))
    served.until(lambda: device.active == 1)
    good = device.saw[0][0]
    higher = bytearray(good)
    higher[16:20] = (9).to_bytes(4, "little")
    forged = signed(bytes(higher[:-32]), bytes(32))  # with another key
    for payload in (good, forged, bytes(higher), good[:-1], b""):
        device.publish(UPDATE, payload)
    served.until(lambda: len(device.saw) >= 6)
    assert [row[2] for row in device.saw[1:]] == [
        *(Reason.SEQUENCE, Reason.TAG, Reason.TAG, Reason.LENGTH, Reason.LENGTH),
    ]
    assert device.active == 1
    for number in range(100, 100 + LEAST):
        device.upload(number, sample(student, number))
    served.until(lambda: device.active == 2)
    assert served.store.as_json()["dropped"] == {"format": 4}  # on the topic of all devices
    device.close()
    served.close()


def test_a_packet_of_one_device_on_the_topic_of_all_is_not_taken_for_anothers(
    student: Student, broker: Mosquitto, tmp_path: Path
) -> None:
    broker.start()
    served = Served(student, broker, database(tmp_path))
    ready(served)
    device = device_of(broker, student)
    known = student.parameters
    device.publish(UPDATE, encode(known, known.unchanged(), key=KEY, sequence=5, device=device.name))
    beyond = signed(Header(known.model_id, 6).packed() + b"\x7f" * (known.packet_bytes - 64), KEY)
    device.publish(UPDATE, beyond)  # out of bounds, by whoever has the key
    served.until(lambda: served.store.as_json()["dropped"] == {"format": 2})
    assert served.store.as_json()["packets"] == []
    device.close()
    served.close()


def test_two_servers_on_one_topic(student: Student, broker: Mosquitto, tmp_path: Path) -> None:
    """Each has all uploads. What one has sent raises the other's sequence; of two of one sequence the first counts."""
    broker.start()
    first = Served(student, broker, database(tmp_path, "first"), "first")
    second = Served(student, broker, database(tmp_path, "second"), "second", policy=Policy(2 * LEAST))
    ready(first)
    ready(second)
    device = device_of(broker, student)

    def both() -> None:
        first.server.turn(0.01)
        second.server.turn(0.01)

    for number in range(2 * LEAST):
        device.upload(number, sample(student, number))
        if number == LEAST - 1:
            until(lambda: device.active == 1, between=both)
            until(lambda: second.store.as_json()["packets"], between=both)
    until(lambda: len(device.saw) >= 3, between=both)
    assert first.kept() == second.kept() == 2 * LEAST
    reasons = [row[2] for row in device.saw]
    assert reasons[0] is Reason.OK and device.active >= 2
    taken = [header(content).sequence for content, _, reason in device.saw if reason is Reason.OK]
    assert taken == sorted(set(taken))
    until(lambda: first.store.next_sequence() > device.highest, between=both)
    until(lambda: second.store.next_sequence() > device.highest, between=both)
    first.close()
    second.close()
    device.close()


def test_a_full_disk_costs_no_upload(student: Student, broker: Mosquitto, tmp_path: Path) -> None:
    from sqlalchemy import event

    broker.start()
    served = Served(student, broker, database(tmp_path), policy=Policy(10**6))
    pages = [40]
    engine = served.store._engine

    def limited(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")

    event.listen(engine, "checkout", limited)
    engine.dispose()
    ready(served)
    device = device_of(broker, student)
    for number in range(400):
        device.upload(number, sample(student, number))
    served.until(lambda: any("full" in line for line in served.said))
    assert served.kept() < 400
    pages[0] = 10**6
    served.until(lambda: served.kept() == 400)
    device.close()
    served.close()


def process(model: Path, broker: Mosquitto, url: str, step: str = "") -> subprocess.Popen[bytes]:
    support = Path(brokers.__file__).parent
    paths = os.pathsep.join([str(support), str(support.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, elastic_servers.__file__, str(model), broker.address, url, *([step] if step else [])]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_dies_at_a_step_of_a_round_goes_on_where_it_was(
    student: Student, broker: Mosquitto, tmp_path: Path, step: str
) -> None:
    broker.start()
    model, url = tmp_path / "student", database(tmp_path)
    model.write_bytes(pickle.dumps(student))
    served = Served(student, broker, url)
    ready(served)
    served.close()
    device = device_of(broker, student)
    for number in range(LEAST):
        device.upload(number, sample(student, number)).wait_for_publish(10)
    dying = process(model, broker, url, step)
    try:
        assert dying.wait(60) == 9
    finally:
        dying.kill()
    going = process(model, broker, url)
    try:
        until(lambda: device.active == 1, 60)
        for number in range(100, 100 + LEAST):
            device.upload(number, sample(student, number))
        until(lambda: device.active == 2, 60)
    finally:
        going.send_signal(signal.SIGKILL)
        going.wait()
    assert [(header(content).sequence, reason) for content, _, reason in device.saw] == [(1, Reason.OK), (2, Reason.OK)]
    store = Store(url, student.model_id, 1)
    kept = {row["device"]: row["uploads"] for row in store.as_json()["devices"]}
    assert kept == {device.name.hex(): 2 * LEAST}
    assert [row["state"] for row in store.as_json()["rounds"]] == ["done", "done"]
    store.close()
    device.close()
