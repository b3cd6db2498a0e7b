"""Between the devices of a fleet and its server: in this process, or through a broker."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from driftc.codegen.elastic.packet import ALL_DEVICES
from driftc.codegen.elastic.transports.transport import Message, Receive, Say, Transport
from driftc.codegen.elastic.wire import UPDATE, Topic
from driftc.codegen.errors import ToolError

if TYPE_CHECKING:
    from driftc.codegen.elastic.transports.mqtt import Broker

SECONDS = 30.0  # for a broker to answer


class Way(ABC):
    """The devices' end: one for all of them."""

    @abstractmethod
    def post(self, topic: Topic, payload: bytes) -> None:
        """Raises ToolError where it cannot be handed over."""

    @abstractmethod
    def packets(self) -> list[bytes]:
        """For all devices, since the last call."""

    @abstractmethod
    def close(self) -> None: ...


class Here(Transport, Way):
    """Both ends in one process; nothing happens but by calls, so that all is in order."""

    def open(self, receive: Receive, say: Say) -> None:
        self._receive = receive
        self._packets: list[bytes] = []

    def poll(self, seconds: float) -> None:
        """There is nothing to wait for."""

    def send(self, topic: Topic, packet: bytes) -> bool:
        self._packets.append(packet)
        return True

    def post(self, topic: Topic, payload: bytes) -> None:
        self._receive(Message(str(topic), payload, lambda: None))

    def packets(self) -> list[bytes]:
        taken, self._packets = self._packets, []
        return taken

    def close(self) -> None:
        """Nothing is held."""


class Mail(Way):
    """One client of a broker. What it holds of other runs (retained packets) is not taken."""

    def __init__(self, broker: Broker, model_id: bytes) -> None:
        """Raises ToolError where the broker cannot be reached."""
        self._host, self._topic = broker.host, str(Topic(model_id, ALL_DEVICES, UPDATE))
        self._packets: list[bytes] = []
        self._listening = threading.Event()
        self._client = broker.client(f"fleet-{os.getpid()}", clean=True)
        self._client.manual_ack_set(False)
        self._refused: str | None = None
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._listening.set()
        self._client.on_message = self._arrived
        broker.connect(self._client, clean=True)
        if not self._listening.wait(SECONDS):
            self.close()
            raise ToolError(f"broker {self._host}: did not let the devices in within {SECONDS:.0f} s")
        if self._refused is not None:
            self.close()
            raise ToolError(f"broker {self._host}: does not let the devices in: {self._refused}")

    def post(self, topic: Topic, payload: bytes) -> None:
        message = self._client.publish(str(topic), payload, qos=1)
        try:
            message.wait_for_publish(SECONDS)
            done = message.is_published()
        except (RuntimeError, ValueError):  # no connection, or the queue is full
            done = False
        if not done:
            raise ToolError(f"broker {self._host}: took no upload within {SECONDS:.0f} s")

    def packets(self) -> list[bytes]:
        count = len(self._packets)
        taken, self._packets[:count] = self._packets[:count], []
        return taken

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Any, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            self._listening.set()
        else:
            client.subscribe(self._topic, 1)

    def _arrived(self, client: Any, _: Any, message: Any) -> None:
        if not message.retain:
            self._packets.append(bytes(message.payload))
