"""MicroPython: a C module of the firmware, for ports that build with Make and with CMake."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from driftc.codegen.errors import UsageError
from driftc.codegen.export.package import Files, Package, Port
from driftc.codegen.export.target import Target

# Modules that ports bring along: one of the same name would hide the model, or be hidden.
_MODULES = """array asyncio binascii bluetooth boot btree builtins cmath collections cryptolib deflate errno esp esp32
    espnow framebuf gc hashlib heapq io json machine main math microbit micropython mip neopixel network nrf ntptime
    onewire openamp os platform pyb random re requests rp2 samd select socket ssl stm struct sys time tls uasyncio
    uctypes vfs websocket wipy zephyr zlib"""
TAKEN = frozenset(_MODULES.split())


@dataclass(frozen=True)
class Text:
    """A string in C."""

    literal: str
    bytes: int


@dataclass(frozen=True)
class Memory:
    """The regions of a model in one block."""

    offsets: tuple[int, ...]
    bytes: int
    align: int


class MicroPython(Target):
    name = "micropython"

    def sources(self, package: Package) -> Files:
        if package.name in TAKEN:
            raise UsageError(
                f"{package.name}: MicroPython has a module of this name; compile the model with another --name"
            )
        shared = files("driftc").joinpath("firmware/bindings/driftc_micropython.h").read_text(encoding="utf-8")
        return super().sources(package) | {
            f"src/{package.name}_micropython.c": package.render("micropython.c.j2", **self.values(package)),
            "src/driftc_micropython.h": shared,
        }

    def values(self, package: Package) -> dict[str, Any]:
        rows = package.rows
        given = [port for number, port in enumerate(package.inputs) if rows is None or number != rows["input"]]
        ports = [*package.inputs, *package.outputs]
        quantized = [any(port.scale for port in side) for side in (package.inputs, package.outputs)]
        shapes = [(f"{port.name.upper()}_SHAPE", port.shape) for port in ports]
        memory = _memory(package)
        numbers = [("MEMORY_BYTES", memory.bytes + memory.align - 1)]
        numbers += [(f"{port.name.upper()}_ZERO", port.zero) for port in ports if port.scale]
        if rows is not None:
            fed = package.inputs[rows["input"]].name.upper()
            numbers += [(f"{fed}_ROWS", rows["count"]), (f"{fed}_ROW_LEN", rows["length"])]
        classes = [_text(name) for name in package.class_names]
        return {
            "bits": _bits,
            "given": given,
            "memory": memory,
            "methods": [
                "selftest",
                *(["feed", "restart"] if rows else ["invoke", "step"]),
                *(["reset", "save_state", "load_state"] if package.state else []),
                *(["learn_add", "learn_step", "learn_result", "learn_forget"] if package.learns else []),
                *(["adapt"] if package.adapts else []),
                *(["update_key", "update", "update_active", "update_revert"] if package.updates else []),
                *(["upload_wanted", "upload_round"] if package.uploads else []),
                *(["upload_entropy"] if package.by_entropy else []),
            ],
            "functions": [name for name, there in zip(("quantize", "dequantize"), quantized, strict=True) if there],
            "quantized_inputs": quantized[0],
            "quantized_outputs": quantized[1],
            "numbers": numbers,
            "scaled": [(f"{port.name.upper()}_SCALE", _scaled(port)) for port in ports if port.scale],
            "shapes": shapes,
            "classes": classes,
            "longest": max(len(classes), *(len(extents) for _, extents in shapes)),
        }


def _memory(package: Package) -> Memory:
    offsets, end = [], 0
    for region in package.regions:
        end = -(-end // region["align"]) * region["align"]
        offsets.append(end)
        end += region["bytes"]
    return Memory(tuple(offsets), end, max(region["align"] for region in package.regions))


def _bits(port: Port) -> str:
    """Of the scale as a float; 0 where there is none."""
    return f"0x{struct.unpack('<I', struct.pack('<f', _scale(port)))[0]:08X}u"


def _scale(port: Port) -> float:
    return float((port.scale or "0").removesuffix("f"))


def _scaled(port: Port) -> dict[str, str]:
    single = struct.unpack("<f", struct.pack("<f", _scale(port)))[0]
    twice = struct.unpack("<Q", struct.pack("<d", single))[0]
    return {"scale": port.scale or "", "single": _bits(port), "twice": f"0x{twice:016X}u"}


def _text(text: str) -> Text:
    """A C literal of the UTF-8 bytes; octal escapes end after three digits, whatever follows."""
    data = text.encode()
    plain = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in data)
    return Text(f'"{plain}"', len(data))
