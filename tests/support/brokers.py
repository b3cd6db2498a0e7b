"""A Mosquitto of the test's own, and clients that speak to it as devices and as onlookers do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from float_models import skip_without

from driftc.codegen.elastic.packet import ALL_DEVICES, Reason, check, header
from driftc.codegen.elastic.parameters import Parameters
from driftc.codegen.elastic.wire import STATUS, UP, UPDATE, Status, Topic, Upload

skip_without("paho", "elastic")
if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None and not os.environ.get("DRIFTC_REQUIRE"):
    pytest.skip("absent: mosquitto", allow_module_level=True)

from paho.mqtt.client import Client, MQTTMessageInfo, MQTTv311  # noqa: E402
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402

SECONDS = 30.0


def until(what: Callable[[], Any], seconds: float = SECONDS, between: Callable[[], object] | None = None) -> Any:
    """What `what` gives, once that is true; fails where it is not in time."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it has not come about"
        if between is None:
            time.sleep(0.02)
        else:
            between()
    return found


class Mosquitto:
    """Keeps what it holds on the disk, so that it may be stopped and started."""

    def __init__(self, folder: Path, *more: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {folder}/"]
        lines += ["user root"] if os.geteuid() == 0 else []
        lines += more or ["allow_anonymous true"]
        self._config.write_text("\n".join(["max_queued_messages 0", *lines]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        path = f"{os.environ['PATH']}:/usr/sbin"
        command = [shutil.which("mosquitto", path=path) or "mosquitto", "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._listens)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(SECONDS)
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "mosquitto ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Device:
    """Uploads, and takes packets as the specification of a device says. `saw`: every packet, in order."""

    def __init__(
        self, broker: Mosquitto, known: Parameters, key: bytes, name: bytes, client: str | None = None
    ) -> None:
        self._known, self._key, self.name = known, key, name
        self.active = self.highest = 0
        self.saw: list[tuple[bytes, bool, Reason]] = []  # packet, retained, what came of it
        self._here = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name.hex(), protocol=MQTTv311, clean_session=False)
        self._client.max_inflight_messages_set(100)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._here.set()
        self._client.on_message = self._taken
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", broker.port)
        self._client.loop_start()

    def here(self) -> Device:
        assert self._here.wait(SECONDS)
        return self

    def upload(self, sequence: int, sample: bytes) -> MQTTMessageInfo:
        return self.publish(UP, Upload(sequence, 4096, 0, sample).packed(self._known.model_id))

    def publish(self, kind: str, payload: bytes, model: bytes | None = None, retain: bool = False) -> MQTTMessageInfo:
        topic = Topic(model or self._known.model_id, ALL_DEVICES if kind == UPDATE else self.name, kind)
        return self._client.publish(str(topic), payload, qos=1, retain=retain)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Client, *_: Any) -> None:
        topics = [Topic(self._known.model_id, device, UPDATE) for device in (self.name, ALL_DEVICES)]
        client.subscribe([(str(topic), 1) for topic in topics])

    def _taken(self, client: Client, _: Any, message: Any) -> None:
        content = bytes(message.payload)
        about = {"device": self.name, "sequence": self.highest, "active": self.active}
        reason = check(content, self._known, key=self._key, **about)  # type: ignore[arg-type]
        if reason is Reason.OK:
            self.active = self.highest = header(content).sequence
        self.saw.append((content, bool(message.retain), reason))
        self.publish(STATUS, Status(self.active, self.highest, reason).packed())
