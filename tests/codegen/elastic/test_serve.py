"""driftc serve, as it is used: a process, a folder of uploads, a page, and a packet that helps."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from commands import DRIFTC, driftc
from fleet_models import given, images, labels, raw, shifted
from float_models import skip_without

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.packet import Reason, check, decode
from driftc.codegen.elastic.student import Student
from driftc.codegen.elastic.wire import Topic, Upload

skip_without("tensorflow", "keras")
skip_without("sqlalchemy", "elastic")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return given(tmp_path_factory.mktemp("serve"))


TAUGHT = ("--teacher", "teacher.keras", "--clean", "clean.npz", "--key", "key")


def test_a_round_from_a_folder_to_a_packet(place: Path) -> None:
    student = Student.of(Compiled.load(place / "blocks").lowered)
    up = place / "shared" / str(Topic(student.model_id, b"device A", "up"))
    up.mkdir(parents=True)
    for number, sample in enumerate(raw(student, shifted(images(128, seed=5)))):
        (up / f"{number:03}").write_bytes(Upload(number, 0, 0, sample.tobytes()).packed(student.model_id))
    command: list[str | Path] = [
        DRIFTC,
        "serve",
        "blocks",
        *TAUGHT,
        "--folder",
        "shared",
        "--round",
        "128",
        "--http",
        "127.0.0.1:0",
    ]
    update = place / "shared" / str(Topic(student.model_id, bytes(8), "update"))
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            end = time.monotonic() + 120
            lines: list[str] = []
            while not any("sent to all" in line for line in lines):
                assert time.monotonic() < end and server.poll() is None, lines
                lines.append(server.stderr.readline())
            (url,) = (found[0] for line in lines if (found := re.search(r"http://\S+", line)))
            with urllib.request.urlopen(f"{url}status.json", timeout=10) as answer:
                said = json.load(answer)
        finally:
            server.send_signal(signal.SIGTERM)
        rest = server.stderr.read()
        assert server.wait(30) == 0 and "goes on at the next start" in rest and "Traceback" not in rest
    assert said["rounds"][0]["state"] == "done" and said["packets"][0]["sequence"] == 1
    packet = update.read_bytes()
    assert check(packet, student.parameters, key=bytes(range(32)), device=b"device A") is Reason.OK
    fresh = images(300, seed=6)
    before, after = (
        np.mean(student.decisions(raw(student, shifted(fresh)), codes) == labels(fresh))
        for codes in (None, decode(packet, student.parameters)[1])
    )
    assert after > before
    assert (place / "blocks.db").is_file()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ((), "one of --broker HOST, --folder DIR and --serial PORT"),
        (("--folder", "a", "--serial", "b"), "one of --broker HOST, --folder DIR and --serial PORT"),
        (("--folder", "a", "--round", "5"), "--round 5: a round needs 20 uploads or more"),
        (("--folder", "a", "--round", "50", "--budget", "40", "--per-device"), "no more than 40 count"),
        (("--folder", "a", "--http", "0.0.0.0:0"), "give --http-token FILE"),
        (("--folder", "a", "--database", "nothing"), "is no URL of SQLAlchemy's"),
        (("--folder", "a", "--database", "mysql+none://user:secret@host/name"), "user:***@host/name: is no URL"),
        (("--folder", "a", "--http", "127.0.0.1:0", "--http-token", "nowhere"), "nowhere: No such file"),
    ],
)
def test_bad_use_is_refused(place: Path, more: tuple[str, ...], why: str) -> None:
    assert why in driftc("serve", "blocks", *TAUGHT, *more, cwd=place, code=2).stderr
