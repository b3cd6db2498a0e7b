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
import threading
import time
from pathlib import Path
from typing import IO

from driftc.codegen.errors import DriftcError, ModelError
from driftc.codegen.graph import Graph

# On a machine of many cores, each thread else takes a good part of the address space that the child may have.
LEAN = {"MALLOC_ARENA_MAX": "4", "OPENBLAS_NUM_THREADS": "1"}
LONGEST = 400  # bytes kept of what a framework writes
TIMEOUT = 600.0  # seconds for one model; the slowest by far is ONNX's own reference on a large network


class Reader:
    """A child process that reads models of one framework, one after the other, as long as it lives."""

    def __init__(self, framework: str) -> None:
        self._framework = framework
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""  # the end of what the process wrote about this model
        self._listener: threading.Thread | None = None
        self._lock = threading.Lock()  # one model at a time
        self._owner = os.getpid()  # a process that was forked from this one has no child of its own
        atexit.register(self.close)

    def read(self, module: str, path: Path, name: str | None, title: str, timeout: float = TIMEOUT) -> Graph:
        """What `load` of `module` gives. Raises what it raises, and ModelError where the process comes to an end."""
        with self._lock:
            return self._read(module, path, name, title, timeout)

    def _read(self, module: str, path: Path, name: str | None, title: str, timeout: float) -> Graph:
        process = self._started()
        assert process.stdin is not None
        self._said = b""
        asked = {"module": module, "framework": self._framework, "path": str(path), "name": name, "title": title}
        request = {**asked, "folder": str(Path.cwd())}
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = self._answer(process, timeout)
        except TimeoutError:
            self.close()
            raise ModelError(f"{title}: {self._framework} has not read it within {timeout:g} s") from None
        except (OSError, EOFError):
            how = self._death(process)
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
        process, self._process = self._process, None
        owner, self._owner = self._owner, os.getpid()
        if process is None or owner != self._owner:
            return
        process.kill()
        process.wait()
        if self._listener is not None:
            self._listener.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self.close()
            paths = os.pathsep.join(path for path in sys.path if path)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "driftc.codegen.frontends.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=LEAN | os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            )
            self._listener = threading.Thread(target=self._listen, args=(self._process.stderr,), daemon=True)
            self._listener.start()
        return self._process

    def _listen(self, stream: IO[bytes]) -> None:
        while data := stream.read(1 << 16):
            self._said = (self._said + data)[-LONGEST:]

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

    def _death(self, process: subprocess.Popen[bytes]) -> str:
        """How the process ended, and the last line that it wrote."""
        code = process.wait()
        self.close()
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        lines = [line.strip() for line in self._said.decode(errors="replace").split("\n") if line.strip()]
        return f"{cause} ({lines[-1]})" if lines else cause


_readers: dict[str, Reader] = {}


def read(module: str, framework: str, path: Path, name: str | None, title: str) -> Graph:
    """The Graph that `load` of `module` gives, in a process that has `framework` loaded."""
    reader = _readers.setdefault(framework, Reader(framework))
    return reader.read(module, path, name, title)
