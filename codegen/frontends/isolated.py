"""Frameworks read model files in a child process: one that dies, hangs or takes all memory there ends in a message."""

from __future__ import annotations

import atexit
import json
import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from driftc.codegen.errors import DriftcError, ModelError
from driftc.codegen.graph import Graph

TIMEOUT = 600.0  # seconds for one model; the slowest by far is ONNX's own reference on a large network


class Reader:
    """A child process that reads models of one framework, one after the other, as long as it lives."""

    def __init__(self, framework: str) -> None:
        self._framework = framework
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        atexit.register(self.close)

    def read(self, module: str, path: Path, name: str | None, title: str, timeout: float = TIMEOUT) -> Graph:
        """What `load` of `module` gives. Raises what it raises, and ModelError where the process comes to an end."""
        process = self._started()
        assert process.stdin is not None and self._log is not None
        said = os.fstat(self._log.fileno()).st_size
        request = {"module": module, "extra": self._framework, "path": str(path), "name": name, "title": title}
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = self._answer(process, timeout)
        except TimeoutError:
            self.close()
            raise ModelError(f"{title}: {self._framework} has not read it within {timeout:g} s") from None
        except (OSError, EOFError):
            how = self._death(said)
            raise ModelError(f"{title}: {self._framework} crashed while it read the file: {how}") from None
        except BaseException:  # an interrupt, in the middle of an answer
            self.close()
            raise
        if isinstance(answer, DriftcError):
            raise answer
        assert isinstance(answer, Graph)
        return answer

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            paths = os.pathsep.join(path for path in sys.path if path)
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  `close` closes it
            self._process = subprocess.Popen(
                [sys.executable, "-m", "driftc.codegen.frontends.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                bufsize=0,
                env=os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            )
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], timeout: float) -> object:
        deadline = time.monotonic() + timeout
        (length,) = struct.unpack("<Q", self._bytes(process, 8, deadline))
        return pickle.loads(self._bytes(process, length, deadline))

    def _bytes(self, process: subprocess.Popen[bytes], count: int, deadline: float) -> bytes:
        assert process.stdout is not None
        found = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while len(found) < count:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise TimeoutError
                data = os.read(process.stdout.fileno(), min(count - len(found), 1 << 20))
                if not data:
                    raise EOFError
                found += data
        return bytes(found)

    def _death(self, said: int) -> str:
        """How the process ended, and the last line that it wrote."""
        assert self._process is not None and self._log is not None
        code = self._process.wait()
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        lines = os.pread(self._log.fileno(), 1 << 16, said).decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self.close()
        return f"{cause} ({last[-300:]})" if last else cause


_readers: dict[str, Reader] = {}


def read(module: str, framework: str, path: Path, name: str | None, title: str) -> Graph:
    """The Graph that `load` of `module` gives, in a process that has `framework` loaded."""
    reader = _readers.setdefault(framework, Reader(framework))
    return reader.read(module, path, name, title)
