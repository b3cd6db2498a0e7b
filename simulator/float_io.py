"""NAME_float_io.c on this machine: the functions that a user calls with real values, compared like everything else."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.simulator.cache import cached, digest
from driftc.simulator.engine import Program
from driftc.simulator.program import model_sources
from driftc.simulator.toolchain import host_compiler

Array = NDArray[Any]


class FloatIo:
    """The compiled translation unit, loaded. `inputs` and `outputs` are the ports' names in C."""

    def __init__(self, program: Program, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        compiler = host_compiler(program.target.cc)
        name = program.name
        sources = [f"{name}_float_io.c", *map(str, model_sources(program))]
        texts = [path.read_bytes() for path in sorted(program.folder.glob("*.[ch]"))]
        flags = [
            "-std=c11",
            "-O2",
            "-shared",
            "-fPIC",
            *(["-fno-sanitize=undefined"] if compiler.kind == "zig" else []),
        ]

        def build(folder: Path) -> None:
            compiler.run([*flags, *sources, "-o", str(folder / "float_io.so")], program.folder)

        key = digest(["float_io", compiler.version, *map(str, compiler.command), *flags, *sources, *texts])
        library = ctypes.CDLL(str(cached(key, "float_io.so", build)))
        self._types = [port.dtype for port in program.inputs]
        self._quantize = [getattr(library, f"{name}_quantize_{port}", None) for port in inputs]
        self._dequantize = [getattr(library, f"{name}_dequantize_{port}", None) for port in outputs]

    def quantize(self, port: int, real: Array) -> Array | None:
        """What NAME_quantize_<port> makes of float32 values; None for an input that is not quantised."""
        function = self._quantize[port]
        if function is None:
            return None
        source = np.ascontiguousarray(real, np.float32)
        result: Array = np.zeros(source.shape, self._types[port])
        function(result.ctypes.data_as(ctypes.c_void_p), source.ctypes.data_as(ctypes.c_void_p))
        return result

    def dequantize(self, port: int, quantized: Array) -> NDArray[np.float32] | None:
        """What NAME_dequantize_<port> makes of quantised values."""
        function = self._dequantize[port]
        if function is None:
            return None
        source = np.ascontiguousarray(quantized)
        result = np.zeros(source.shape, np.float32)
        function(result.ctypes.data_as(ctypes.c_void_p), source.ctypes.data_as(ctypes.c_void_p))
        return result
