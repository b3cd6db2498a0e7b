"""MicroPython: modules of the firmware and native ones, on this machine and on emulated boards.

Firmwares are built here with the models in them; native modules are loaded into firmwares that know nothing of them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import driftc, driftc_json
from exported import MODELS, export, readme_commands, shell, tools
from micropython import ARM, RV32, Board, board_for_mpremote, on_board, on_this_machine
from models import keyword_model

from driftc.codegen.compiled import Compiled
from driftc.simulator.reference import run_graph

# What MicroPython's source needs where its libraries of others are absent, as in Debian's.
BARE = (
    "MICROPY_PY_FFI=0 MICROPY_PY_SSL=0 MICROPY_PY_BTREE=0 MICROPY_PY_BLUETOOTH=0 MICROPY_SSL_MBEDTLS=0 FROZEN_MANIFEST="
)

BEHAVIOUR = """
import array, gc, kws
def show(*things):
    print(*[thing if isinstance(thing, (int, float)) else [round(x, 4) for x in thing] for thing in things])
def fails(function, *arguments):
    try:
        function(*arguments)
        print("nothing")
    except ValueError as problem:
        print("ValueError:", problem)
    except Exception as problem:
        print(type(problem).__name__)
net = kws.Network()
show(kws.INPUT_SHAPE, kws.INPUT_ZERO, round(kws.INPUT_SCALE, 4), kws.OUTPUT_SHAPE, kws.OUTPUT_ZERO, kws.OUTPUT_SCALE)
data = bytes((7 * i) % 256 for i in range(490))
out = bytes(net.invoke(data))
show(net.output)
for given in (bytearray(data), memoryview(data), array.array('B', data), array.array('b', bytes(490))):
    print(bytes(net.invoke(given)) == out)
for i in range(490):
    net.input[i] = (7 * i + 128) % 256 - 128
print(bytes(net.invoke()) == out, net.invoke() is net.output)
net.invoke(data)
steps, left = 1, net.step()
while left:
    steps, left = steps + 1, net.step()
print(steps)
memory = bytearray(kws.MEMORY_BYTES)
first, second = kws.Network(memory), kws.Network(memoryview(memory))
print(bytes(first.invoke(data)) == out, bytes(second.invoke(data)) == out, any(memory))
reals = [kws.INPUT_SCALE * i for i in (-300, -1, 0.25, 0.75, 3, 300)]
show(kws.quantize(reals), kws.quantize(array.array('f', reals)), kws.quantize(bytes([0, 1])))
into = bytearray(6)
print(kws.quantize(reals, into) is into, list(into))
show(kws.dequantize(bytes([128, 0, 127])))
print(net.selftest())
fails(net.invoke, data[1:])
fails(net.invoke, array.array('f', range(490)))
fails(net.invoke, 5)
fails(kws.Network, bytearray(100))
fails(kws.Network, data)
fails(kws.quantize, reals, bytearray(5))
fails(kws.quantize, reals, None, 1)
fails(kws.quantize, 5)
fails(setattr, net, 'output', 3)
view = kws.Network().invoke(data)
gc.collect()
junk = [bytearray(64) for i in range(200)]
print(bytes(view) == out)
try:
    junk = [kws.Network() for i in range(10000)]
except MemoryError:
    junk = None
    print("MemoryError")
"""

BEHAVES = """
[49, 10, 1] 83 0.5847 [12] -128 0.00390625
@OUTPUT@
True
True
True
False
True True
12
True True True
[-128, 82, 83, 84, 86, 127] [-128, 82, 83, 84, 86, 127] [83, 85]
True [128, 82, 83, 84, 86, 127]
[0.0, 0.5, 0.9961]
None
ValueError: input: 490 values of int8_t wanted
ValueError: input: 490 values of int8_t wanted
TypeError
ValueError: memory: @MEMORY@ bytes or more wanted
TypeError
ValueError: quantize: as many bytes as numbers wanted
ValueError: quantize: no such input, or it has no scale
TypeError
AttributeError
True
MemoryError
"""

# Rows are fed, the answer is that of the whole image.
ROWS = """
import vww
net = vww.Network()
row = bytes((5 * i) % 256 for i in range(vww.INPUT_ROW_LEN))
print(vww.INPUT_ROWS, [net.feed(row) for i in range(3)])
net.restart()
fed = 1
while not net.feed(memoryview(row)):
    fed += 1
print(fed, list(net.output), hasattr(net, 'invoke'), hasattr(net, 'input'))
try:
    net.feed(row[1:])
except ValueError as problem:
    print(problem)
"""

# What is kept from one inference to the next.
STATE = """
import wake
net = wake.Network()
frames = [bytes((k * i) % 256 for i in range(120)) for k in (3, 5, 7)]
first = [bytes(net.invoke(frame)) for frame in frames]
saved = net.save_state()
then = bytes(net.invoke(frames[0]))
net.reset()
print([bytes(net.invoke(frame)) for frame in frames] == first, net.save_state() == saved)
other = wake.Network()
other.load_state(bytes(saved))
print(bytes(other.invoke(frames[0])) == then, [round(1000 * x) for x in wake.dequantize(bytes([255]))])
saved[30] ^= 1
for bad in (saved, saved[:-1], b''):
    try:
        other.load_state(bad)
    except ValueError as problem:
        print(problem)
other.step()
try:
    other.save_state()
except ValueError as problem:
    print(problem)
"""
KEEPS = """True True
True [996]
load_state: damaged
load_state: not what save_state gave
load_state: not what save_state gave
save_state: an inference is under way
"""

TWO = """
import ic, kws
a, b = ic.Network(), kws.Network()
print(a.selftest(), b.selftest())
"""


@pytest.fixture(scope="module")
def behaves(models: Path) -> str:
    """What BEHAVIOUR prints, by the specification."""
    compiled = Compiled.load(models / "kws")
    graph = compiled.lowered.graph
    data = (7 * np.arange(490) % 256).astype(np.uint8).view(np.int8)
    output = run_graph(graph, [data.reshape(graph.inputs[0].shape)])[graph.outputs[0].name]
    memory = compiled.report["arena_bytes"] + 3
    return BEHAVES.lstrip().replace("@OUTPUT@", str(output.reshape(-1).tolist())).replace("@MEMORY@", str(memory))


@pytest.fixture(scope="module")
def fed(models: Path) -> str:
    """What ROWS prints."""
    graph = Compiled.load(models / "vww").lowered.graph
    row = (5 * np.arange(288) % 256).astype(np.uint8).view(np.int8)
    whole = np.broadcast_to(row.reshape(96, 3), (96, 96, 3)).reshape(graph.inputs[0].shape)
    output = run_graph(graph, [np.ascontiguousarray(whole)])[graph.outputs[0].name].reshape(-1).tolist()
    return f"96 [False, False, False]\n96 {output} False False\nrow: 288 values of int8_t wanted\n"


def example(package: Path) -> str:
    return (package / "examples" / "selftest.py").read_text()


# --- modules of the firmware ---


def test_module_of_the_unix_port(models: Path, behaves: str, fed: str, tmp_path: Path) -> None:
    """README's commands, but for where the build goes and for the libraries that the tests' MicroPython lacks."""
    for name in MODELS:
        export(models, name, "micropython", tmp_path / "modules")
    kws = tmp_path / "modules" / "kws"
    commands = readme_commands(kws)[0].replace("$MICROPYTHON/ports/unix/build-standard", str(tmp_path / "build"))
    commands = commands.replace("USER_C_MODULES", f"-j2 BUILD={tmp_path}/build {BARE} FROZEN_MANIFEST= USER_C_MODULES")
    printed = shell(commands, kws, {"MICROPYTHON": str(tools() / "micropython")})
    assert "\nkws: OK\noutput: [" in printed
    program = tmp_path / "build" / "micropython"
    for name in MODELS:
        assert on_this_machine(program, tmp_path, example(kws.parent / name)).startswith(f"{name}: OK\n")
    assert on_this_machine(program, tmp_path, BEHAVIOUR) == behaves
    assert on_this_machine(program, tmp_path, ROWS) == fed
    assert on_this_machine(program, tmp_path, STATE) == KEEPS
    assert on_this_machine(program, tmp_path, TWO) == "None None\n"


def test_module_of_an_emulated_board_and_what_python_costs(
    models: Path, behaves: str, fed: str, tmp_path: Path
) -> None:
    """README's commands for a board, another port. An invoke from Python takes at most 2 % more than the C call."""
    for name in MODELS:
        export(models, name, "micropython", tmp_path / "modules")
    _, make, _, run = readme_commands(tmp_path / "modules" / "kws")
    variables = f"-s -j2 BOARD=MPS2_AN385 FROZEN_MANIFEST= MICROPY_HEAP_SIZE=400000 BUILD={tmp_path}/build"
    make = make.replace("ports/stm32 BOARD=NUCLEO_F446RE", f"ports/qemu {variables}")
    shell(make, tmp_path / "modules" / "kws", {"MICROPYTHON": str(tools() / "micropython")})
    firmware = tmp_path / "build" / "firmware.elf"
    empty = tmp_path / "files"
    empty.mkdir()
    with board_for_mpremote(ARM, tmp_path, firmware) as mpremote:
        for name in MODELS:
            assert shell(run, tmp_path / "modules" / name, path=mpremote).startswith(f"{name}: OK\n")
    assert on_board(ARM, empty, TWO, firmware) == "None None\n"
    assert on_board(ARM, empty, BEHAVIOUR, firmware) == behaves
    assert on_board(ARM, empty, ROWS, firmware) == fed
    # SysTick runs at 25 MHz; with -icount shift=0 an instruction takes a nanosecond.
    count = (
        "import kws, machine\nnet, data, m = kws.Network(), bytes(490), machine.mem32\nnet.invoke(data)\n"
        "def ticks(data):\n    m[0xe000e014], m[0xe000e018], m[0xe000e010] = 0xffffff, 0, 5\n"
        "    if data:\n        net.invoke(data)\n    return 0xffffff - m[0xe000e018]\n"
        "print(ticks(data) - ticks(None))\n"
    )
    python = 40 * int(on_board(ARM, empty, count, firmware, "-icount shift=0"))
    np.savez(tmp_path / "zeros.npz", x=np.zeros((1, 49, 10, 1), np.int8))
    found = driftc_json(
        "simulate", models / "kws", "--data", "zeros.npz", "--core", "cortex-m3", "--engine", "qemu", cwd=tmp_path
    )
    in_c = found["instructions"]["total"]
    assert python <= 1.02 * in_c, f"{python:,} from Python, {in_c:,} in C"


# --- native modules ---


@pytest.mark.parametrize(
    ("name", "board", "arch"),
    [
        ("kws", ARM, "armv7m"),
        ("kws", ARM, "armv6m"),
        ("kws", RV32, "rv32imc"),
        ("ic", ARM, "armv7m"),
        ("vww", RV32, "rv32imc"),
        ("wake", ARM, "armv6m"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_native_module_on_an_emulated_board(
    name: str, board: Board, arch: str, models: Path, behaves: str, fed: str, tmp_path: Path
) -> None:
    package = export(models, name, "mpy", tmp_path, "--micropython", tools() / "micropython", "--arch", arch)
    files = package / f"{arch}_6.3"
    assert on_board(board, files, example(package)).startswith(f"{name}: OK\n")
    if name == "kws":
        assert on_board(board, files, BEHAVIOUR) == behaves
        constants = Compiled.load(models / "kws").report["flash"]["constants"]
        assert (files / "kws.mpy").stat().st_size - constants < 20_000
    if name == "vww":
        assert on_board(board, files, ROWS) == fed
    if name == "wake":
        assert on_board(board, files, STATE) == KEEPS


def test_native_modules_on_this_machine(models: Path, behaves: str, fed: str, tmp_path: Path) -> None:
    """The example, two models in one program, and mip with the manifest of the package."""
    library = tmp_path / "library"
    library.mkdir()
    program = tools() / "micropython-unix" / "micropython"
    for name in MODELS:
        package = export(models, name, "mpy", tmp_path, "--micropython", tools() / "micropython", "--arch", "x64")
        manifest = json.loads((package / "x64_6.3" / "package.json").read_text())
        assert manifest == {"urls": [[f"{name}.mpy", f"{name}.mpy"]], "version": "1.0.0"}
        shutil.copy(package / "x64_6.3" / f"{name}.mpy", library)
        assert on_this_machine(program, library, example(package)).startswith(f"{name}: OK\n")
    assert on_this_machine(program, library, BEHAVIOUR) == behaves
    assert on_this_machine(program, library, ROWS) == fed
    assert on_this_machine(program, library, STATE) == KEEPS
    assert on_this_machine(program, library, TWO) == "None None\n"


@pytest.mark.parametrize("arch", ["armv7emsp", "armv7emdp"])
def test_native_module_links(arch: str, models: Path, tmp_path: Path) -> None:
    """No emulated port has this ABI: linked, not run."""
    package = export(models, "kws", "mpy", tmp_path, "--micropython", tools() / "micropython", "--arch", arch)
    assert (package / f"{arch}_6.3" / "kws.mpy").read_bytes()[:2] == b"M\x06"


def test_same_native_module_each_time(models: Path, tmp_path: Path) -> None:
    found = [
        export(models, "kws", "mpy", tmp_path / place, "--micropython", tools() / "micropython", "--arch", "x64")
        for place in ("a", "b")
    ]
    first, second = (path / "x64_6.3" / "kws.mpy" for path in found)
    assert first.read_bytes() == second.read_bytes()


# --- class names, bad input ---


def test_class_names(tmp_path: Path) -> None:
    """Of any script, with what C and its preprocessor could take for something else."""
    names = ["yes", "no", 'a "b"', "a\\b", "grün", "是", "??/", "7e7", "e", "f", "g", "h"]
    (tmp_path / "kws.tflite").write_bytes(keyword_model(channels=8))
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    driftc("compile", "kws.tflite", "--no-measure", "--class-names", "names.txt", cwd=tmp_path)
    package = export(tmp_path, "kws", "mpy", tmp_path / "p", "--micropython", tools() / "micropython", "--arch", "x64")
    program = tools() / "micropython-unix" / "micropython"
    script = "import kws\nprint(*kws.CLASS_NAMES, sep='|')\n"
    assert on_this_machine(program, package / "x64_6.3", script) == "|".join(names) + "\n"
    assert "CLASS_NAMES[max(" in (package / "README.md").read_text()
    said, _, last = on_this_machine(program, package / "x64_6.3", example(package)).splitlines()
    assert (said, last.removeprefix("class: ") in names) == ("kws: OK", True)


def test_bad_use(models: Path, tmp_path: Path) -> None:
    def complaint(*options: str | Path) -> str:
        done = driftc("export", models / "kws", "--to", "mpy", "-o", "kws", *options, cwd=tmp_path, code=2)
        assert not (tmp_path / "kws").exists()
        return done.stderr

    assert complaint("--arch", "avr").startswith("driftc: --arch avr: no such architecture; known are x64, armv6m, ")
    assert complaint("--arch", "x64").startswith("driftc: --arch x64: needs --micropython TREE, MicroPython's source")
    (tmp_path / "tree" / "py").mkdir(parents=True)
    assert "--micropython tree: is no source tree of MicroPython" in complaint("--micropython", "tree")
    (tmp_path / "tree" / "py" / "dynruntime.mk").write_text("")
    version = "#define MPY_VERSION (7)\n#define MPY_SUB_VERSION 1\n"
    (tmp_path / "tree" / "py" / "persistentcode.h").write_text(version)
    said = complaint("--micropython", "tree")
    assert "--micropython tree: makes .mpy files of version 7.1; driftc's modules are for 6.3" in said


def test_tree_whose_build_fails(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("ar", reason='ar is not installed; pip install "driftc[micropython]"')
    (tmp_path / "tree" / "py").mkdir(parents=True)
    (tmp_path / "tree" / "py" / "dynruntime.mk").write_text("$(error no luck)\n")
    (tmp_path / "tree" / "py" / "persistentcode.h").write_text("#define MPY_VERSION 6\n#define MPY_SUB_VERSION 3\n")
    done = driftc(
        "export", models / "kws", "--to", "mpy", "--arch", "x64", "--micropython", "tree", cwd=tmp_path, code=2
    )
    assert done.stderr.startswith("driftc: --arch x64: make failed\n")
    assert "no luck" in done.stderr
    assert not (tmp_path / "mpy").exists()


@pytest.mark.parametrize("target", ["micropython", "mpy"])
def test_name_of_a_module_of_micropythons(target: str, tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(keyword_model(channels=8))
    driftc("compile", "a.tflite", "--name", "network", "--no-measure", cwd=tmp_path)
    done = driftc("export", "network", "--to", target, cwd=tmp_path, code=2)
    assert done.stderr.startswith(
        "driftc: network: MicroPython has a module of this name; compile the model with another"
    )
