"""The child process in which a framework reads model files: a request a line on stdin, an answer as a frame on stdout.

What libraries print goes to stderr. The process has bounds: ADDRESS_SPACE, and it writes no file once it has started.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import struct
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from driftc.codegen.errors import DriftcError, ModelError, fault

ADDRESS_SPACE = 1 << 34  # bytes; importing TensorFlow takes a tenth of it


def main() -> None:
    """Read models until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _bound("RLIMIT_AS", ADDRESS_SPACE)
    for line in sys.stdin:
        request = json.loads(line)
        answer = _read(**request)
        write(answers, answer)


def write(stream: BinaryIO, answer: Any) -> None:
    data = pickle.dumps(answer)
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def _read(module: str, framework: str, folder: str, path: str, name: str | None, title: str) -> Any:
    """The Graph, or the error to raise. `path` may be relative to `folder`."""
    try:
        os.chdir(folder)
        frontend = import_module(module)
        with contextlib.suppress(ImportError):  # said by the frontend itself
            import_module(framework)
        tempfile.gettempdir()  # PyTorch asks for it, and Python finds it by writing a file
        _bound("RLIMIT_FSIZE", 0)  # from here on: compiled modules are kept as ever
        return frontend.load(Path(path), name, title)
    except DriftcError as error:
        return error
    except MemoryError:
        return ModelError(f"{title}: takes more memory to read than the {ADDRESS_SPACE >> 30} GiB that driftc allows")
    except Exception as problem:
        return ModelError(f"{title}: cannot be imported: {fault(problem)}")


def _bound(limit: str, value: int) -> None:
    """Set a limit of this process, where the system has it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(getattr(resource, limit))
        resource.setrlimit(getattr(resource, limit), (value, hard))


if __name__ == "__main__":
    main()
