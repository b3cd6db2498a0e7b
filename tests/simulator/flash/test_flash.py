"""driftc flash: the tools themselves, where they can be had, and what goes wrong."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import DRIFTC, driftc
from exported import picotool
from gdb_servers import PYOCD_TARGET, free_port, openocd, pyocd_environment, running, simulated_probe

from driftc.boards import load, names
from driftc.codegen.errors import UsageError
from driftc.simulator.elf import Elf
from driftc.simulator.flash import tools
from driftc.simulator.flash.flash import Way, command, plan
from driftc.simulator.flash.image import Image, read_image
from driftc.simulator.flash.tools import find

BOARD = "nucleo-f446re"
PROGRAM = bytes(range(256)) * 20 + b"end"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "program.bin"
    path.write_bytes(PROGRAM)
    return path


def test_openocd(tmp_path: Path, image: Path) -> None:
    """Programmed and verified by OpenOCD's own stm32f4x.cfg and flash driver."""
    openocd()
    image.write_bytes(PROGRAM[:1500])
    with simulated_probe(tmp_path) as probe:
        options = ("--board", BOARD, "--tool", "openocd", "--port", probe)
        done = driftc("flash", "--image", image, *options, cwd=tmp_path)
        assert "nucleo-f446re: 1,500 B at 0x08000000, programmed with openocd" in done.stdout
        deadline = time.monotonic() + 10
        while not (tmp_path / "afterwards.bin").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert (tmp_path / "afterwards.bin").read_bytes()[:1500] == PROGRAM[:1500]


def test_the_harness_of_a_folder(kws: Path, tmp_path: Path) -> None:
    """What is programmed begins with the vector table: the stack in the board's RAM, the reset handler in its flash."""
    kept = tmp_path / "harness.bin"
    line = driftc("flash", "kws", "--board", BOARD, "--dry-run", "-o", kept, cwd=kws).stdout
    assert str(kept) in line
    stack, start = struct.unpack("<2I", kept.read_bytes()[:8])
    board = load(BOARD)
    assert board.largest.base < stack <= board.largest.end and stack % 8 == 0
    assert board.flash.base < start < board.flash.base + kept.stat().st_size and start & 1


def test_pyocd(tmp_path: Path, image: Path) -> None:
    """pyOCD's command as driftc writes it, with a target that it has and the simulated probe."""
    environment = pyocd_environment(tmp_path)
    board = load("nrf52840-dk")
    (fact,) = (fact for fact in board.flash_with if fact.name == "pyocd")
    way = Way(port="simulated")
    line = command(board, fact, Image(0x0800_0000, PROGRAM), way, image)
    assert line.startswith(
        "pyocd flash --no-wait --target nrf52840 --uid simulated --base-address 0x8000000 --format bin "
    )
    words = line.replace(str(fact.fact), PYOCD_TARGET).split()
    done = subprocess.run(
        [sys.executable, "-m", *words], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "programmed 8192 bytes" in done.stdout + done.stderr


@contextmanager
def mock_boot_loader(chip: str, folder: Path) -> Iterator[str]:
    """esp32-mock-bootloader: its port, as esptool takes it."""
    mock = shutil.which("esp32-mock-bootloader", path=str(Path(sys.executable).parent)) or shutil.which(
        "esp32-mock-bootloader"
    )
    if mock is None:
        pytest.skip("esp32-mock-bootloader is not installed")
    port = free_port()
    with running([mock, "run", "--chip", chip, "--port", str(port)], folder / "mock.log", "(?i)listening|127.0.0.1"):
        yield f"socket://127.0.0.1:{port}"


def test_esptool(tmp_path: Path, image: Path) -> None:
    """esptool against a boot loader that is a program: written, and its own hash compared."""
    with mock_boot_loader("esp32c3", tmp_path) as port:
        options = ("--board", "esp32-c3", "--address", "0x10000", "--port", port)
        done = driftc("flash", "--image", image, *options, "--tool-option=--no-stub", cwd=tmp_path)
    assert "esp32-c3: 5,123 B at 0x00010000, programmed with esptool" in done.stdout


def test_esptool_programs_the_harness(kws: Path, tmp_path: Path) -> None:
    """It begins where the flash begins, as the ROM wants it; esptool compares what was written."""
    with mock_boot_loader("esp32c6", tmp_path) as port:
        options = ("--board", "esp32-c6", "--no-measure", "-o", tmp_path / "model")
        driftc("compile", kws / "kws.tflite", *options, cwd=tmp_path)
        kept = tmp_path / "harness.bin"
        options = ("--port", port, "--tool-option=--no-stub", "-o", kept)
        done = driftc("flash", tmp_path / "model", *options, cwd=tmp_path)
    size = kept.stat().st_size
    assert f"esp32-c6: {size:,} B at 0x00000000, programmed with esptool" in done.stdout
    assert kept.read_bytes()[:8] == bytes.fromhex("1d04dbae1d04dbae")


def test_uf2_drive(tmp_path: Path, image: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    options = ("--board", "xiao-samd21", "--port", drive)
    done = driftc("flash", "--image", image, *options, cwd=tmp_path, code=2)
    assert "is no UF2 boot loader's drive (INFO_UF2.TXT is missing)" in done.stderr
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader\n")
    driftc("flash", "--image", image, *options, cwd=tmp_path)
    written = (drive / "driftc.uf2").read_bytes()
    blocks = [written[at : at + 512] for at in range(0, len(written), 512)]
    assert b"".join(block[32:288] for block in blocks)[: len(PROGRAM)] == PROGRAM
    assert all(block[28:32] == (0x68ED2B88).to_bytes(4, "little") for block in blocks)
    assert int.from_bytes(blocks[1][12:16], "little") == load("xiao-samd21").flash.base + 256


def test_every_board_has_a_command_or_says_that_it_has_none(image: Path) -> None:
    for name in names():
        board = load(name)
        if not board.flash_with:
            with pytest.raises(UsageError, match="knows no tool that programs it"):
                plan(board, Way())
        for fact in board.flash_with:
            line = command(board, fact, Image(board.flash.base, PROGRAM), Way(port="there"), image)
            assert str(image) in line and "there" in line


def test_openocds_scripts_exist() -> None:
    """Each script that a board names is one of the installed OpenOCD's."""
    scripts = Path(openocd()).resolve().parents[1] / "share" / "openocd" / "scripts"
    for name in names():
        for fact in load(name).flash_with:
            if fact.name == "openocd":
                assert all((scripts / script).is_file() for script in fact.fact), name


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--board", BOARD, "--tool", "openocd"),
            "openocd -f interface/stlink.cfg -f target/stm32f4x.cfg -c 'program ",
        ),
        (("--board", BOARD, "--tool", "st-flash"), "st-flash --reset write "),
        (("--board", "portenta-h7"), "dfu-util -d 2341:035b -a 0 -s 0x08040000:leave -D "),
        (("--board", "rp2350"), "picotool load -v -x "),
        (
            ("--board", "esp32-s3", "--port", "ttyACM0"),
            "esptool --chip esp32s3 --port ttyACM0 write-flash 0x0 ",
        ),
        (("--board", "metro-m4", "--port", "/media/metro"), "cp image.uf2 /media/metro"),
    ],
)
def test_dry_run(options: tuple[str, ...], line: str, tmp_path: Path, image: Path) -> None:
    done = driftc("flash", "--image", image, *options, "--dry-run", cwd=tmp_path)
    assert done.stdout.startswith(line) and len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--board", BOARD), "flash takes a folder"),
        (("kws", "--board", BOARD, "--image", "x.bin"), "flash takes a folder"),
        (("--image", "program.bin"), "--board is missing"),
        (("--image", "program.bin", "--board", "nucleo-f446"), "did you mean"),
        (("--image", "none.bin", "--board", BOARD), "none.bin: cannot be read: No such file"),
        (("--image", "empty.bin", "--board", BOARD), "empty.bin: is empty"),
        (("--image", "big.bin", "--board", "nucleo-f103rb"), "do not lie in the flash of nucleo-f103rb"),
        (("--image", "damaged.elf", "--board", BOARD), "damaged.elf: is a damaged ELF"),
        (("--image", "x.uf2", "--board", BOARD), "is a UF2 file; give the ELF"),
        (("--image", "x.hex", "--board", BOARD), "is a Intel HEX file; give the ELF"),
        (("--image", "program.bin", "--board", BOARD, "--address", "here"), "is no address of 32 bits"),
        (("--image", "program.bin", "--board", BOARD, "--tool", "esptool"), "--tool esptool: does not program"),
        (("--image", "program.bin", "--board", "teensy-4.1"), "knows no tool that programs it"),
        (("--image", "program.bin", "--board", "xiao-nrf52840"), "no drive of a UF2 boot loader is there"),
        (("kws", "--board", "xiao-nrf52840", "--tool-option", "x"), "no tool programs with UF2, a file is copied"),
        (("kws", "--address", "0"), "--address belongs to --image"),
        (("kws", "--board", "stm32f4-discovery", "--transport", "serial"), "driftc knows no serial line of it"),
        (("--image", "program.bin", "--board", BOARD, "--transport", "rtt"), "--transport belongs to the harness"),
        (("kws", "--board", "esp32-s3"), "esp32-s3: no compiler in reach of driftc makes programs for its xtensa-lx7"),
        (("kws", "--board", "nucleo-f091rc"), "has no DSP, which the C is made for"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], message: str, kws: Path, tmp_path: Path) -> None:
    (tmp_path / "kws").symlink_to(kws / "kws")
    contents = {"program.bin": PROGRAM, "empty.bin": b"", "big.bin": bytes(200_000), "x.hex": b":00000001FF\n",
                "damaged.elf": b"\x7fELF" + bytes(14) + b"\x28" + bytes(90), "x.uf2": b"UF2\n"}  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    done = driftc("flash", *arguments, cwd=tmp_path, code=2)
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_an_elf_for_another_core(kws: Path, tmp_path: Path) -> None:
    """Its machine, its architecture, and where it lies, in this order."""
    from driftc.codegen.compiled import Compiled
    from driftc.simulator.program import build_harness

    elf = build_harness(Compiled.load(kws / "kws").program(), load("nucleo-l4r5zi"))
    assert Elf(elf).arm_architecture == 2
    assert read_image(elf, load("nucleo-l4r5zi"), None).address == 0x0800_0000
    with pytest.raises(UsageError, match="is a program for another processor than esp32-c3's rv32imc"):
        read_image(elf, load("esp32-c3"), None)
    with pytest.raises(UsageError, match=r"is a program for armv7e-m, nucleo-f091rc has a cortex-m0plus \(armv6-m\)"):
        read_image(elf, load("nucleo-f091rc"), None)
    with pytest.raises(UsageError, match="do not lie in the flash of nrf52840-dk"):
        read_image(elf, load("nrf52840-dk"), None)
    with pytest.raises(UsageError, match="an ELF says itself where it goes"):
        read_image(elf, load(BOARD), 0x0800_0000)
    host = shutil.which("true")
    assert host is not None
    with pytest.raises(UsageError, match="is a program for another processor"):
        read_image(Path(host), load(BOARD), None)


def fails(arguments: tuple[str | Path, ...], path: str, folder: Path) -> str:
    """What the command says with `path` as PATH."""
    done = subprocess.run(
        [DRIFTC, "flash", *arguments], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr
    return done.stderr


def test_a_tool_that_is_missing(tmp_path: Path, image: Path) -> None:
    said = fails(("--image", image, "--board", BOARD), str(tmp_path), tmp_path)
    assert said == (
        "driftc: openocd, which programs nucleo-f446re, is not installed (Debian: apt-get install openocd; "
        "macOS: brew install openocd)\n"
    )


def test_the_next_tool_is_taken(tmp_path: Path, image: Path) -> None:
    (tmp_path / "st-flash").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "st-flash").chmod(0o755)
    done = subprocess.run(
        [DRIFTC, "flash", "--image", image, "--board", BOARD], cwd=tmp_path, env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True, timeout=60,
    )  # fmt: skip
    assert "programmed with st-flash" in done.stdout


# Of each tool a board, how it takes a port, and what it says where there is no such board.
ABSENT = {
    "st-flash": (BOARD, "066EFF", "Couldn't find any ST-Link devices"),
    "dfu": ("portenta-h7", "003F", "No DFU capable USB device available"),
    "picotool": ("rp2350", "E660", "No accessible RP-series devices in BOOTSEL mode were found"),
    "openocd": (BOARD, "interface/cmsis-dap.cfg", "unable to find a matching CMSIS-DAP device"),
    "pyocd": ("nrf52840-dk", "0123", "No connected debug probe matches unique ID '0123'"),
    "esptool": ("esp32-c3", "/dev/ttyNOWHERE", "Could not open /dev/ttyNOWHERE"),
}


def tool_path(tool: str, folder: Path) -> str:
    """PATH with the tool itself; the test skips where it is absent."""
    if tool == "picotool":
        (folder / "bin").mkdir()
        (folder / "bin" / tool).write_text(f'#!/bin/sh\nexec {shlex.join(picotool())} "$@"\n')
        (folder / "bin" / tool).chmod(0o755)
        return os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    if find(tools.TOOLS[tool.replace("-", "_")].program) is None:
        pytest.skip(f"{tool} is not installed")
    return os.environ["PATH"]


@pytest.mark.parametrize(
    ("tool", "named"),  # without a port esptool asks every one of the machine
    [(tool, named) for tool in ABSENT for named in (False, True) if named or tool != "esptool"],
)
def test_a_board_that_is_not_there(tool: str, named: bool, tmp_path: Path, image: Path) -> None:
    """The tools themselves: they take the command, with and without --port, look for a board, and find none."""
    board, port, words = ABSENT[tool]
    path = tool_path(tool, tmp_path)
    where = ("--port", port) if named else ()
    said = fails(("--image", image, "--board", board, "--tool", tool, *where), path, tmp_path)
    program = "dfu-util" if tool == "dfu" else tool
    assert re.match(rf"driftc: {program} found no {board} \(exit code -?\d+\): .+; is it connected", said), said
    assert said.count("\n") == 1 and (not named or words in said)


@pytest.mark.parametrize("tool", ABSENT)
def test_a_command_that_the_tool_does_not_take(tool: str, tmp_path: Path, image: Path) -> None:
    """So that the test above means something: the tools tell a wrong command from an absent board."""
    board, _, _ = ABSENT[tool]
    path = tool_path(tool, tmp_path)
    said = fails(("--image", image, "--board", board, "--tool", tool, "--tool-option=--nonsense"), path, tmp_path)
    program = "dfu-util" if tool == "dfu" else tool
    assert said.startswith(f"driftc: {program} failed to program {board} (exit code ") and said.count("\n") == 1, said
