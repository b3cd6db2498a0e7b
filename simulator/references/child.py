"""The child process that holds a reference's interpreter: a script of its own, started by path.

It imports nothing of driftc, so it starts fast and runs wherever the parent's Python does. Requests come on stdin and
answers leave on what was stdout, as frames: a length, a JSON header, and the bytes of the arrays it lists. All that the
kernels print goes to stderr, a file from which both sides read why a model was refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Frame = tuple[dict[str, Any], dict[int, Array]]

_FIRST_ARENA = 1 << 20
_LAST_ARENA = 1 << 29
_ARENA_TOO_SMALL = ("failed to resize buffer", "failed to allocate", "arena size", "not enough memory", "requested:")


def write_frame(stream: BinaryIO, header: Mapping[str, Any], arrays: Mapping[int, Array] | None = None) -> None:
    blocks = [(key, np.ascontiguousarray(array)) for key, array in (arrays or {}).items()]
    listed = [[key, array.dtype.str, list(np.shape(arrays[key]) if arrays else ())] for key, array in blocks]
    text = json.dumps({**header, "arrays": listed}).encode()
    stream.write(struct.pack("<I", len(text)) + text)
    for _, array in blocks:
        stream.write(array.tobytes())
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame, or None where the other side has gone."""
    length = stream.read(4)
    if len(length) < 4:
        return None
    text = stream.read(struct.unpack("<I", length)[0])
    try:
        header = json.loads(text)
    except ValueError:
        return None
    arrays: dict[int, Array] = {}
    for key, dtype, shape in header.pop("arrays"):
        kind = np.dtype(dtype)
        wanted = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        data = stream.read(wanted)
        if len(data) < wanted:
            return None
        arrays[int(key)] = np.frombuffer(data, kind).reshape(shape)
    return header, arrays


class Runner(Protocol):
    def restart(self) -> None:
        """Begin anew, with the states' initial values."""

    def run(self, inputs: Sequence[Array]) -> dict[int, Array]:
        """Every readable tensor by its index in the model file; the states are those that the last run left."""


class Tflm:
    def __init__(self, model: str, tensors: Sequence[int]) -> None:
        from tflite_micro import runtime

        self._model = model
        self._tensors = tensors
        self._config = runtime.InterpreterConfig.kPreserveAllTensors
        self._interpreter = _tflm_interpreter(model, self._config)

    def restart(self) -> None:
        # Its own reset zeroes variables and does not run CALL_ONCE again.
        self._interpreter = _tflm_interpreter(self._model, self._config)

    def run(self, inputs: Sequence[Array]) -> dict[int, Array]:
        for position, array in enumerate(inputs):
            self._interpreter.set_input(array, position)
        self._interpreter.invoke()
        return _numbers({index: self._interpreter.GetTensor(index, 0)["tensor_data"] for index in self._tensors})


class Litert:
    def __init__(self, model: str, tensors: Sequence[int], module: str) -> None:
        self._model = model
        self._tensors = tensors
        self._classes = _litert_classes(module)
        self.restart()

    def restart(self) -> None:
        # reset_all_variables leaves some states as they are.
        self._interpreter = self._opened()

    def _opened(self) -> Any:
        interpreter, resolvers = self._classes
        opened = interpreter(
            model_path=self._model,
            num_threads=1,
            experimental_op_resolver_type=resolvers.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        opened.allocate_tensors()
        return opened

    def run(self, inputs: Sequence[Array]) -> dict[int, Array]:
        for detail, array in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        found: dict[int, Array] = {}
        for index in self._tensors:
            # A tensor that was optimised away has no bytes to read; the parent reports what is there.
            with contextlib.suppress(ValueError):
                found[index] = self._interpreter.get_tensor(index)
        return _numbers(found)


def _numbers(tensors: Mapping[int, Any]) -> dict[int, Array]:
    """Without resource handles and strings, which have no bytes to compare."""
    arrays = {index: np.asarray(tensor) for index, tensor in tensors.items()}
    return {index: array for index, array in arrays.items() if array.dtype.kind in "biuf"}


def _litert_classes(module: str) -> tuple[Any, Any]:
    if module == "tensorflow":
        import tensorflow as tf

        return tf.lite.Interpreter, tf.lite.experimental.OpResolverType
    if module == "tflite_runtime":
        from tflite_runtime import interpreter
    else:
        from ai_edge_litert import interpreter
    return interpreter.Interpreter, interpreter.OpResolverType


def _tflm_interpreter(model: str, config: Any) -> Any:
    """Try larger arenas as long as TFLite Micro's complaint is about the size of the last one."""
    from tflite_micro import runtime

    data = Path(model).read_bytes()
    size = max(_FIRST_ARENA, 4 * len(data))
    while True:
        before = os.fstat(2).st_size
        try:
            return runtime.Interpreter.from_bytes(data, arena_size=size, intrepreter_config=config)
        except RuntimeError:
            said = _log(before).lower()
            if size >= _LAST_ARENA or not any(sign in said for sign in _ARENA_TOO_SMALL):
                raise
            os.ftruncate(2, before)
            size = min(4 * size, _LAST_ARENA)


def _tflm_arena(model: str, inputs: Sequence[Array]) -> str:
    """What TFLite Micro prints about its arena after one inference."""
    from tflite_micro import runtime

    interpreter = _tflm_interpreter(model, runtime.InterpreterConfig.kAllocationRecording)
    for position, array in enumerate(inputs):
        interpreter.set_input(array, position)
    interpreter.invoke()
    before = os.fstat(2).st_size
    interpreter.print_allocations()
    return _log(before)


def _log(start: int) -> str:
    return os.pread(2, max(os.fstat(2).st_size - start, 0), start).decode(errors="replace")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    runner: Runner | None = None
    while (frame := read_frame(requests)) is not None:
        request, arrays = frame
        inputs = [arrays[position] for position in sorted(arrays)]
        try:
            if request["do"] == "open" and request["kind"] == "tflm":
                runner = Tflm(request["model"], request["tensors"])
                write_frame(answers, {})
            elif request["do"] == "open":
                runner = Litert(request["model"], request["tensors"], request["kind"])
                write_frame(answers, {})
            elif request["do"] == "arena":
                write_frame(answers, {"printed": _tflm_arena(request["model"], inputs)})
            elif runner is not None:
                if request.get("restart"):
                    runner.restart()
                write_frame(answers, {}, runner.run(inputs))
        except Exception as error:
            write_frame(answers, {"refused": str(error) or type(error).__name__})


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
