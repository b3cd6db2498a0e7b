"""A fleet in C against the real server: what devices choose, send and take is what the specifications say."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from commands import check_schema, driftc
from elastic_device import STRICT
from elastic_models import KEY, random_codes
from fleet_models import compiled, given, images, labels, raw, shifted
from float_models import skip_without

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic import packet
from driftc.codegen.elastic.packet import Reason
from driftc.codegen.elastic.round import Outcome, Rounds
from driftc.codegen.elastic.student import Student
from driftc.codegen.elastic.upload import Chooser
from driftc.codegen.errors import DataError, UsageError
from driftc.simulator.fleet.devices import Devices, Visit
from driftc.simulator.shipped import Shipped
from driftc.simulator.toolchain import host_compiler

skip_without("sqlalchemy", "elastic")

from elastic_servers import Quick  # noqa: E402
from simulated_fleet import fleet_of, made  # noqa: E402

from driftc.simulator.fleet.run import shares  # noqa: E402


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return made(tmp_path_factory.mktemp("fleet"))


@pytest.mark.parametrize("more", [{"upload": "entropy"}, {"upload": "random"}, {"upload_copy": "caller"}])
def test_a_device_is_its_specification(more: dict[str, Any], tmp_path: Path) -> None:
    """Over two visits, between which it is off, and with an update from the second on."""
    net = made(tmp_path, **more)
    student = Student.of(net.lowered)
    upload = net.lowered.upload
    assert upload is not None
    codes = random_codes(student.parameters, 3)
    good = packet.encode(student.parameters, codes, key=KEY, sequence=5)
    bad = packet.encode(student.parameters, codes, key=bytes(32), sequence=6)
    first, second = raw(student, images(40, seed=4)), raw(student, images(30, seed=5))
    with ThreadPoolExecutor() as pool:
        devices = Devices(Shipped.of(net.program(), None), KEY, student.parameters.packet_bytes, pool)
        (one,) = devices.visit([Visit(b"device 1", 9, b"", True, (), first)])
        (two,) = devices.visit([Visit(b"device 1", 9, one.left, True, (bad, good, good[:-1], good), second)])
    chooser = Chooser(upload, 9)
    for answer, samples, active in ((one, first, None), (two, second, codes)):
        chooser.round()
        assert answer.decisions.tolist() == student.decisions(samples, active).tolist()
        assert answer.wanted.tolist() == [chooser.wanted(int(entropy)) for entropy in answer.entropies]
        assert answer.uploads == tuple(sample.tobytes() for sample in samples[answer.wanted])
        assert answer.uploads
    reasons = [Reason.TAG, Reason.OK, Reason.LENGTH, Reason.SEQUENCE]
    assert [status.reason for status in two.statuses] == reasons
    assert [(status.active, status.highest) for status in two.statuses] == [(0, 0), (5, 5), (5, 5), (5, 5)]


def test_rounds_in_process_are_in_order(net: Compiled, tmp_path: Path) -> None:
    found, other = (fleet_of(net, tmp_path, 20, workers=count) for count in (1, 3))
    assert found == other
    first, second = found["rounds"]
    header, entry = 16, 8 * 8 * 3
    parameters = net.lowered.parameters
    assert parameters is not None
    for row in (first, second):
        sent = len(row["learnt"])
        assert sent and row["packets"] == 20 * sent and row["bytes_down"] == 20 * sent * parameters.packet_bytes
        assert row["bytes_up"] == row["uploads"] * (header + entry) + 12 * row["packets"]
        assert 0 < row["uploads"] <= 20 * 20 and row["samples"] == 20 * 20
        assert row["dropped"] == row["refused"] == {}
    assert first["accuracy"] == first["as_compiled"] != second["accuracy"]
    learnt = [each for row in (first, second) for each in row["learnt"]]
    assert [each["sequence"] for each in learnt] == list(range(1, len(learnt) + 1))
    assert second["sequences"] == {len(learnt): 20}
    kept = first["uploads"] + second["uploads"] - second["waiting"]
    assert sum(each["uploads"] for each in learnt) == kept


class Failing(Quick):
    """Learns as `Quick` does until it is to fail."""

    def __init__(self, student: Student, fails_at: int) -> None:
        super().__init__(student)
        self.calls, self._fails_at = 0, fails_at

    def run(self, *given: Any) -> Outcome:
        self.calls += 1
        if self.calls == self._fails_at:
            raise KeyboardInterrupt
        return super().run(*given)


@pytest.mark.parametrize("first", [1, 2])
def test_a_run_that_was_ended_goes_on_with_its_round(first: int, net: Compiled, tmp_path: Path) -> None:
    """In the middle of the round `first`, with uploads in the database and devices that have seen its samples."""
    student = Student.of(net.lowered)
    whole = fleet_of(net, tmp_path, 5)
    learnt = [len(row["learnt"]) for row in whole["rounds"]]
    mine: dict[str, Any] = {"taught": (str(tmp_path),)}  # no other test's
    fails = Failing(student, 1 + sum(learnt[: first - 1]))
    with pytest.raises(KeyboardInterrupt):
        fleet_of(net, tmp_path, 5, cast(Rounds, fails), **mine)
    goes_on, lines, seen = Failing(student, 0), list[str](), list[tuple[int, int]]()
    found = fleet_of(
        net,
        tmp_path,
        5,
        cast(Rounds, goes_on),
        lambda done, total: seen.append((done, total)),
        lines.append,
        workers=1,
        **mine,
    )
    assert found == whole
    assert goes_on.calls == sum(learnt[first - 1 :])
    each = 3 * 5
    assert seen[0] == ((first - 1) * each, 2 * each) and seen[-1] == (2 * each, 2 * each)
    assert any("1 of 2 rounds are known" in line for line in lines) == (first == 2)
    again = Failing(student, 0)
    assert fleet_of(net, tmp_path, 5, cast(Rounds, again), **mine) == whole
    assert again.calls == sum(learnt), "what is done is not kept"


def test_through_a_broker(net: Compiled, tmp_path: Path) -> None:
    from brokers import Mosquitto

    from driftc.codegen.elastic.transports.mqtt import Broker

    broker = Mosquitto(tmp_path)
    broker.start()
    try:
        found = fleet_of(net, tmp_path, 3, broker=Broker(broker.address))
        again = fleet_of(net, tmp_path, 3, broker=Broker(broker.address))
    finally:
        broker.stop()
    rows = found["rounds"]
    here = fleet_of(net, tmp_path, 3)["rounds"]
    assert [row["uploads"] for row in rows] == [row["uploads"] for row in here]
    assert sum(row["packets"] for row in rows) > 0 and found["broker"] == broker.address
    last = max(rows[1]["sequences"])
    assert rows[1]["sequences"] == {last: 3} and min(again["rounds"][1]["sequences"]) > last, "above the retained one"


def test_the_command(net: Compiled, tmp_path: Path) -> None:
    """With a teacher that teaches."""
    skip_without("tensorflow", "keras")
    given(tmp_path)
    net.write(tmp_path / "net")
    seen = images(320, seed=8)
    np.savez(tmp_path / "stream.npz", x=shifted(seen), y=labels(seen))
    taught = ("--teacher", "teacher.keras", "--clean", "clean.npz", "--key", "key")
    command = ("simulate", "net", "--fleet", "8", "--stream", "stream.npz", *taught, "--rounds", "2", "--round", "64")
    done = json.loads(driftc(*command, "--json", cwd=tmp_path).stdout)
    check_schema(done, "simulate-fleet")
    assert [row["samples"] for row in done["rounds"]] == [160, 160] and done["rounds"][0]["learnt"]
    shown = driftc(*command, cwd=tmp_path)
    assert f"{done['rounds'][1]['accuracy']:.1%}" in shown.stdout and "round 1: " in shown.stderr
    for more, why in (
        (("--fleet", "2", "--stream", "stream.npz"), "--fleet 2: needs --teacher, --clean"),
        (("--rounds", "2", "--broker", "x", "--mqtt", "5"), "--rounds, --broker, --mqtt: belongs to --fleet"),
        ((*command[2:], "--broker-tls", "--broker-user", "me"), "--broker-user, --broker-tls: belongs to --broker"),
        ((*command[2:], "--broker", "x", "--broker-password", "none"), "none: No such file"),
        ((*command[2:], "--engine", "qemu"), "--fleet runs on this machine"),
        ((*command[2:], "--broker", "localhost:x"), "is no HOST or HOST:PORT"),
        ((*command[2:], "--round", "5"), "--round 5: a round needs 20 uploads or more"),
    ):
        assert why in driftc("simulate", "net", *more, cwd=tmp_path, code=2).stderr


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("more", [{"upload": "entropy"}, {"upload_copy": "caller"}])
def test_the_c_has_no_warnings(cc: str, more: dict[str, Any], tmp_path: Path) -> None:
    if shutil.which(cc) is None:
        pytest.skip(f"{cc} is not installed")
    net = made(tmp_path, **more)
    flags = ["-std=c11", *STRICT, "-c", "simulator/fleet.c", "-o", str(tmp_path / "fleet.o")]
    host_compiler(cc).run(flags, net.program().folder)


def test_a_stream_is_shared_out(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, x=np.zeros(10))
    assert [[part.tolist() for part in row] for row in shares(path, 10, 2, 2)] == [
        [[0, 1, 2], [5, 6, 7]],
        [[3, 4], [8, 9]],
    ]
    np.savez(path, x=np.zeros(6), device=[1, 0, 1, 0, 0, 1])
    assert [[part.tolist() for part in row] for row in shares(path, 6, 2, 1)] == [[[1, 3, 4], [0, 2, 5]]]
    with pytest.raises(DataError, match="3 samples for a device; 4 rounds need 4"):
        shares(path, 6, 2, 4)
    with pytest.raises(DataError, match="'device' goes from 0 to 1, not 0 to 0"):
        shares(path, 6, 1, 1)


def test_a_folder_that_uploads_nothing_is_refused(tmp_path: Path) -> None:
    net = compiled(tmp_path, live=False)
    net.write(tmp_path / "net")
    with pytest.raises(UsageError, match="choose nothing to send; compile it with --upload entropy"):
        fleet_of(Compiled.load(tmp_path / "net"), tmp_path, 2)
