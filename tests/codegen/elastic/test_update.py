"""driftc update: from files to a signed packet, or to the reason why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from commands import check_schema
from fleet_models import given, images, shifted
from float_models import needs

from driftc.codegen.cli import cli
from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.packet import Reason, check, encode, header, signed
from driftc.codegen.elastic.student import Student
from driftc.codegen.errors import DriftcError

pytestmark = needs("tensorflow", "keras")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = given(tmp_path_factory.mktemp("update"))
    np.savez(folder / "up.npz", x=shifted(images(256, seed=5)))
    return folder


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, what is printed, and what is said on standard error, in this process: TensorFlow is loaded once."""
    done = CliRunner().invoke(cli, arguments)
    if isinstance(done.exception, DriftcError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def arguments(place: Path, *more: str | Path, **other: str | Path) -> list[str]:
    given = {
        "--uploads": place / "up.npz",
        "--teacher": place / "teacher.keras",
        "--clean": place / "clean.npz",
        "--key": place / "key",
        **{f"--{name}": value for name, value in other.items()},
    }
    pairs = [str(part) for pair in given.items() for part in pair]
    return ["update", str(place / "blocks"), *pairs, *map(str, more)]


def test_a_packet_is_made_that_a_device_takes(place: Path) -> None:
    code, printed, _ = run(*arguments(place, "-o", place / "update.bin", "--json"))
    assert code == 0, printed
    said = json.loads(printed)
    check_schema(said, "update")
    known = Student.of(Compiled.load(place / "blocks").lowered).parameters
    packet = (place / "update.bin").read_bytes()
    assert check(packet, known, key=bytes(range(32))) is Reason.OK
    assert said["accepted"] and said["sequence"] == 1 and said["bytes"] == len(packet)
    assert said["uploads"]["after"] > said["uploads"]["before"]
    more = ("--active", place / "update.bin", "--device", "00000000000000ff", "-o", place / "second.bin")
    code, printed, _ = run(*arguments(place, *more))
    second = place / "second.bin"
    assert code == (0 if second.exists() else 1), printed
    if second.exists():
        assert (header(second.read_bytes()).sequence, header(second.read_bytes()).device) == (2, bytes(7) + b"\xff")


def test_where_nothing_is_gained_no_packet_is_written(place: Path) -> None:
    np.savez(place / "same.npz", x=np.repeat(images(1), 40, axis=0))
    code, printed, _ = run(*arguments(place, "-o", place / "none.bin", uploads=place / "same.npz"))
    assert code == 1 and "no packet" in printed
    assert not (place / "none.bin").exists()


@pytest.mark.parametrize(
    ("more", "other", "why"),
    [
        ((), {}, "-o FILE for the packet, or --dry-run"),
        (("--dry-run",), {"key": "nowhere"}, "the key cannot be read"),
        (("--dry-run",), {"key": "short"}, "16 to 65536 bytes"),
        (("--dry-run",), {"teacher": "nothing.keras"}, "no such file"),
        (("--dry-run",), {"clean": "nothing.npz"}, "no such file"),
        (("--dry-run",), {"clean": "wrong.npz"}, "'y' has labels from 0 to 9, not 0 to 3"),
        (("--dry-run", "--device", "12"), {}, "16 hex digits"),
        (("--dry-run", "--key", "/dev/zero"), {}, "16 to 65536 bytes"),
        (("--dry-run", "--input-divisor", "inf"), {}, "must be above 0"),
        (("--dry-run",), {"uploads": "few.npz"}, "few.npz: 5 uploads; a round needs 20"),
        (("--dry-run",), {"active": "short"}, "is no update packet"),
        (("--dry-run",), {"active": "unsigned"}, "unsigned: is not signed with this key"),
        (("--dry-run",), {"active": "beyond"}, "beyond: the steps of the codes are out of bounds"),
        (("--dry-run",), {"active": "last"}, "the last sequence"),
        (("-o", "nowhere/update.bin"), {}, "there is no folder"),
        (("-o", "/"), {}, "is a folder"),
    ],
)
def test_bad_use_is_refused(place: Path, more: tuple[str, ...], other: dict[str, str], why: str) -> None:
    (place / "short").write_bytes(b"0123")
    np.savez(place / "wrong.npz", x=images(100), y=np.arange(100) % 10)
    np.savez(place / "few.npz", x=images(5))
    known, key = Student.of(Compiled.load(place / "blocks").lowered).parameters, bytes(range(32))
    packet = encode(known, known.unchanged(), key=key, sequence=2**32 - 1)
    (place / "last").write_bytes(packet)
    (place / "unsigned").write_bytes(packet[:-1] + bytes([packet[-1] ^ 1]))
    (place / "beyond").write_bytes(signed(packet[:33] + b"\x09" + packet[34:-32], key))
    code, _, said = run(*arguments(place, *more, **{name: place / value for name, value in other.items()}))
    assert code == 2 and why in said, said
