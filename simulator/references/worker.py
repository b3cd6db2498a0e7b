"""The parent's side of a reference in a child process: a crash, an abort or a hang becomes a refusal with a reason."""

from __future__ import annotations

import os
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path
from textwrap import shorten
from types import TracebackType
from typing import IO, Any, Self

import tflite
from numpy.typing import NDArray

from driftc.codegen.errors import DriftcError
from driftc.simulator.references import child

Array = NDArray[Any]

_UNREADABLE = (tflite.TensorType.STRING, tflite.TensorType.RESOURCE, tflite.TensorType.VARIANT)


LONG = 200  # characters: LiteRT says the same of each tensor


class ReferenceRefused(DriftcError):
    """A reference that does not run a model: its kernels refuse it, or the process died or hung."""

    def __init__(self, reference: str, model: Path, reason: str) -> None:
        super().__init__(f"{reference} refuses {model.name}: {reason}")
        self.reference = reference
        self.reason = reason


@dataclass(frozen=True)
class Outline:
    """What a reference must know of a model before it is run."""

    tensors: tuple[int, ...]  # of a run: graph inputs, operator outputs in program order, then what is variable
    stateful: bool  # something computed for one sample may be read for the next


def outline(reference: str, model: Path) -> Outline:
    """Read from the file; resource handles and strings are left out, as reading one crashes both interpreters."""
    try:
        return _outline(model)
    except (struct.error, ValueError, TypeError, AttributeError) as error:
        raise ReferenceRefused(reference, model, f"it is no readable .tflite file ({error})") from None


def _outline(model: Path) -> Outline:
    subgraph = tflite.Model.GetRootAs(bytearray(model.read_bytes())).Subgraphs(0)
    types = [subgraph.Tensors(index).Type() for index in range(subgraph.TensorsLength())]
    found = [int(subgraph.Inputs(position)) for position in range(subgraph.InputsLength())]
    for number in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(number)
        found.extend(int(operator.Outputs(position)) for position in range(operator.OutputsLength()))
    variables = [index for index in range(len(types)) if subgraph.Tensors(index).IsVariable()]
    found.extend(variables)
    tensors = (index for index in dict.fromkeys(found) if 0 <= index < len(types) and types[index] not in _UNREADABLE)
    return Outline(tuple(tensors), bool(variables) or tflite.TensorType.RESOURCE in types)


class Worker:
    """One child process for one model; kept for all its samples. Use it in a `with` block."""

    def __init__(self, reference: str, model: Path, *, timeout: float) -> None:
        self._reference = reference
        self._model = model
        self._timeout = timeout

    def __enter__(self) -> Self:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # closed in __exit__
        self._process = subprocess.Popen(
            # -P: the script's own folder stays off the child's path.
            [sys.executable, "-P", str(Path(child.__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
        )
        assert self._process.stdout is not None
        self._answers = _Answers(self._process.stdout.fileno())
        self._reader = BufferedReader(self._answers, 1 << 20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()
        self._reader.close()

    def ask(self, request: Mapping[str, Any], arrays: Sequence[Array] = ()) -> child.Frame:
        """Send a request; give the answer or raise ReferenceRefused."""
        said_before = os.fstat(self._log.fileno()).st_size
        self._answers.deadline = time.monotonic() + self._timeout
        try:
            assert self._process.stdin is not None
            with os.fdopen(os.dup(self._process.stdin.fileno()), "wb") as requests:
                child.write_frame(requests, request, dict(enumerate(arrays)))
            answer = child.read_frame(self._reader)
        except TimeoutError:
            raise self._refused(f"no answer within {self._timeout:g} s") from None
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise self._refused(self._death(said_before))
        if "refused" in answer[0]:
            reason = answer[0]["refused"]
            said = "" if len(reason) > LONG else self._said(said_before)  # then it is what they printed
            raise self._refused(_joined(shorten(reason, LONG, placeholder=" ..."), said))
        return answer

    def _refused(self, reason: str) -> ReferenceRefused:
        return ReferenceRefused(self._reference, self._model, reason)

    def _death(self, said_before: int) -> str:
        code = self._process.wait()
        cause = f"exit code {code}"
        if code < 0:
            cause = f"signal {signal.Signals(-code).name}"
        return _joined(f"its process ended with {cause}", self._said(said_before))

    def _said(self, start: int) -> str:
        """The last lines that the kernels printed, in one line."""
        text = os.pread(self._log.fileno(), 1 << 16, start).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("INFO:")]
        return "; ".join(lines[-3:])[-400:]


class _Answers(RawIOBase):
    """A pipe that raises TimeoutError when nothing comes before `deadline`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.deadline = 0.0
        self._selector = selectors.DefaultSelector()
        self._selector.register(descriptor, selectors.EVENT_READ)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._selector.select(max(self.deadline - time.monotonic(), 0)):
            raise TimeoutError
        data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._selector.close()
        super().close()


def _joined(*parts: str) -> str:
    return ": ".join(" ".join(part.split()) for part in parts if part.strip())
