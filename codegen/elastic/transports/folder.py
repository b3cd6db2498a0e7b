"""Uploads and packets as files, where there is no broker: a folder that devices and server share.

    DIR/driftc/MODEL/DEVICE/up/NAME    an upload; removed once it is kept
    DIR/driftc/MODEL/DEVICE/status     the device's last status; removed once it is kept
    DIR/driftc/MODEL/DEVICE/update     the last packet, replaced at one moment; DEVICE may be `all`

A file is to appear whole: written under a name that begins with a dot, then renamed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from driftc.codegen.elastic.transports.transport import Message, Receive, Say, Transport
from driftc.codegen.elastic.wire import ROOT, STATUS, UP, UPDATE, Topic
from driftc.codegen.errors import UsageError
from driftc.codegen.files import write_file

PAUSE = 0.2  # seconds between two looks
AT_ONCE = 1000  # files


class Folder(Transport):
    def __init__(self, model_id: bytes, largest: int, folder: Path) -> None:
        super().__init__(model_id, largest)
        self._root, self._place = folder, folder / ROOT / model_id.hex()
        self._waiting: set[Path] = set()  # received, not kept yet

    def open(self, receive: Receive, say: Say) -> None:
        self._receive, self._say = receive, say
        try:
            self._place.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise UsageError(f"{self._root}: cannot be written: {problem.strerror}") from None

    def poll(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            found = [path for path, _ in zip(self._files(), range(AT_ONCE), strict=False)]
            for path in found:
                self._read(path)
            left = until - time.monotonic()
            if found or left <= 0:
                return
            time.sleep(min(PAUSE, left))

    def _files(self) -> Iterator[Path]:
        """What is new, uploads in the order of their names."""
        try:
            devices = sorted(entry for entry in self._place.iterdir() if entry.is_dir())
            for device in devices:
                uploads = sorted((device / UP).iterdir()) if (device / UP).is_dir() else []
                yield from (path for path in uploads if self._is_new(path))
                yield from (path for path in (device / STATUS,) if self._is_new(path))
        except OSError as problem:
            self._say(f"{self._place}: cannot be read: {problem.strerror}")

    def _is_new(self, path: Path) -> bool:
        return not path.name.startswith(".") and path not in self._waiting and path.is_file()

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                payload, read = file.read(self.largest + 1), _which(os.fstat(file.fileno()))
        except OSError:  # gone meanwhile
            return
        parts = path.relative_to(self._root).parts
        self._waiting.add(path)

        def acknowledge() -> None:
            try:
                if _which(path.stat()) == read:  # else the device has put another in its place
                    path.unlink()
            except FileNotFoundError:
                pass
            except OSError as problem:
                self._say(f"{path}: is kept, but cannot be removed: {problem.strerror}")
                return  # it waits for ever, so that it is not read again
            self._waiting.discard(path)

        self._receive(Message("/".join(parts[:4]), payload, acknowledge))

    def send(self, topic: Topic, packet: bytes) -> bool:
        path = self._root / str(topic)
        assert path.name == UPDATE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file() or path.read_bytes() != packet:
                write_file(path, packet)
        except (OSError, UsageError) as problem:
            self._say(f"{path}: cannot be written: {problem}")
            return False
        return True

    def close(self) -> None:
        self._waiting.clear()


def _which(file: os.stat_result) -> tuple[int, int, int, int]:
    """Differs between two files of one name."""
    return file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size
