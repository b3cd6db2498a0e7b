"""MicroPython's own tools on exported packages: mpremote, mip, its CMake files, its linker for Xtensa."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from exported import MODELS, export, readme_commands, shell, tools
from micropython import ARM, board_for_mpremote, on_board, on_this_machine

PLATFORMS = Path(__file__).resolve().parents[2] / "support" / "platforms"
TWO = "import ic, kws\nprint(ic.Network().selftest(), kws.Network().selftest())\n"


def test_readme_of_a_built_module(models: Path, tmp_path: Path) -> None:
    """Installed by mpremote, which understands package.json, on an emulated board."""
    options = ("--micropython", tools() / "micropython", "--arch", "armv7m")
    package = export(models, "kws", "mpy", tmp_path, *options)
    (try_it,) = readme_commands(package)
    with board_for_mpremote(ARM, tmp_path) as mpremote:
        assert "\nkws: OK\n" in shell(try_it, package, path=mpremote)


def test_readme_of_the_source_of_a_module(models: Path, tmp_path: Path) -> None:
    """Built by its Makefile, here for the emulated board."""
    package = export(models, "wake", "mpy", tmp_path)
    make, try_it = readme_commands(package)
    environment = {"MICROPYTHON": str(tools() / "micropython")}
    make = make.replace("armv7emsp", "armv7m")
    shell(make, package, environment, path=tools() / "venv" / "bin")
    with board_for_mpremote(ARM, tmp_path) as mpremote:
        assert "wake: OK\n" in shell(try_it, package, path=mpremote)
    shell(make.replace("make ", "make clean "), package, environment, path=tools() / "venv" / "bin")
    export(models, "wake", "mpy", tmp_path)


def test_two_native_modules_on_an_emulated_board(models: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name in ("ic", "kws"):
        options = ("--micropython", tools() / "micropython", "--arch", "armv7m")
        package = export(models, name, "mpy", tmp_path, *options)
        shutil.copy(package / "armv7m_6.3" / f"{name}.mpy", tmp_path / "files")
    assert on_board(ARM, tmp_path / "files", TWO) == "None None\n"


def test_mip_on_this_machine(models: Path, tmp_path: Path) -> None:
    """MicroPython's installer takes the module from a server, as README says."""
    package = export(models, "kws", "mpy", tmp_path, "--micropython", tools() / "micropython", "--arch", "x64")
    assert '`mip.install("http://.../x64_6.3/kws.mpy")`' in (package / "README.md").read_text()
    library = tools() / "micropython" / "lib" / "micropython-lib"
    board = tmp_path / "board"
    board.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(package))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        script = (
            "import sys\n"
            f"sys.path += ['{library}/micropython/requests', '{library}/python-ecosys/mip', 'lib']\n"
            "import mip\n"
            f"mip.install('http://127.0.0.1:{server.server_port}/x64_6.3/kws.mpy', target='lib')\n"
            "import kws\nprint(kws.Network().selftest())\n"
        )
        try:
            printed = on_this_machine(tools() / "micropython-unix" / "micropython", board, script)
        finally:
            server.shutdown()
    assert printed.endswith("Copying: lib/kws.mpy\nDone\nNone\n")


def test_ports_that_build_with_cmake(models: Path, tmp_path: Path) -> None:
    """README's command with a port of ours for this machine, by MicroPython's CMake files: one module, and all."""
    for name in MODELS:
        export(models, name, "micropython", tmp_path / "modules")
    _, _, make, _ = readme_commands(tmp_path / "modules" / "kws")
    assert make.startswith("make -C $MICROPYTHON/ports/rp2 BOARD=RPI_PICO USER_C_MODULES=")
    configure = f"cmake -S {PLATFORMS}/micropython-cmake -B {tmp_path}/build -DMICROPY_DIR=$MICROPYTHON -D"
    environment = {"MICROPYTHON": str(tools() / "micropython")}
    one = make.replace("make -C $MICROPYTHON/ports/rp2 BOARD=RPI_PICO ", configure)
    assert "Found User C Module(s): usermod_kws\n" in shell(
        f"exec 2>&1\n{one}", tmp_path / "modules" / "kws", environment
    )
    includes = [f"include(${{CMAKE_CURRENT_LIST_DIR}}/{name}/micropython.cmake)\n" for name in MODELS]
    (tmp_path / "modules" / "all.cmake").write_text("".join(includes))
    shell(f"{configure}USER_C_MODULES={tmp_path}/modules/all.cmake", tmp_path, environment)
    shell("cmake --build build -j2", tmp_path)
    for name in MODELS:
        example = (tmp_path / "modules" / name / "examples" / "selftest.py").read_text()
        assert on_this_machine(tmp_path / "build" / "firmware", tmp_path, example, "").startswith(f"{name}: OK\n")
    assert on_this_machine(tmp_path / "build" / "firmware", tmp_path, TWO, "") == "None None\n"


def test_xtensawin_as_far_as_it_goes(models: Path, tmp_path: Path) -> None:
    """The Makefile and MicroPython's linker, with the ESP8266's compiler: its calls differ, and nothing is run."""
    for command in ("xtensa-lx106-elf-gcc", "arm-none-eabi-gcc"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is absent; .ci/tools installs it")
    package = export(models, "kws", "mpy", tmp_path)
    shell(
        f"xtensa-lx106-elf-gcc -ffreestanding -Os -mlongcalls -c {PLATFORMS}/xtensa/arithmetic.c -o arithmetic.o\n"
        "xtensa-lx106-elf-ar rc libarithmetic.a arithmetic.o\n"
        "make -s ARCH=xtensawin CROSS=xtensa-lx106-elf- MPY_DIR=$MICROPYTHON "
        "CFLAGS_EXTRA='-isystem /usr/include/newlib' "
        'MPY_LD_FLAGS="-l$PWD/libarithmetic.a -l$(xtensa-lx106-elf-gcc --print-libgcc-file-name)"\n',
        package,
        {"MICROPYTHON": str(tools() / "micropython")},
        path=tools() / "venv" / "bin",
    )
    head = (package / "kws.mpy").read_bytes()[:3]
    assert head[:2] == b"M\x06"
    assert head[2] >> 2 == 10, "xtensawin"
