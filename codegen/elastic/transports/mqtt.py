"""Uploads and packets through an MQTT broker, 3.1.1 or 5. Needs paho-mqtt, from the extra `elastic`.

Uploads are acknowledged (QoS 1) by the server once they are kept, not by the library once they are there; the broker
holds those that came meanwhile, for the server's session outlives its connections. Packets are retained, so that a
device takes the last one whenever it comes. What is retained says, after a restart, whether a packet was sent.
"""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from driftc.codegen.elastic.transports.transport import Message, Receive, Say, Transport
from driftc.codegen.elastic.wire import ROOT, STATUS, UP, UPDATE, Topic
from driftc.codegen.errors import UsageError

PORT, TLS_PORT = 1883, 8883
WEEK = 7 * 24 * 3600  # seconds that the broker keeps the session of a server that is away (MQTT 5)
SETTLED = 1.0  # seconds after the subscription, within which a broker sends what is retained
SECONDS = 5.0  # for the broker to confirm a packet
PAUSES = (1, 30)  # seconds between attempts to connect
VERSIONS = {"3.1.1": MQTTv311, "5": MQTTv5}


@dataclass(frozen=True)
class Broker:
    """`host`: HOST or HOST:PORT. TLS where `tls`, or where there is a certificate of any kind."""

    host: str
    version: str = "3.1.1"
    user: str | None = None
    password: str | None = None
    tls: bool = False
    authority: Path | None = None  # whose certificates are believed, PEM; None: the system's
    certificate: Path | None = None  # the server's own, PEM, and its key
    certificate_key: Path | None = None

    @property
    def secured(self) -> bool:
        return self.tls or self.authority is not None or self.certificate is not None

    @property
    def address(self) -> tuple[str, int]:
        """Raises UsageError."""
        host, colon, port = self.host.rpartition(":")
        if not colon or (host.count(":") and not host.endswith("]")):
            host, port = self.host, str(TLS_PORT if self.secured else PORT)
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16 or not host.strip("[]"):
            raise UsageError(f"--broker {self.host}: is no HOST or HOST:PORT")
        return host.strip("[]"), int(port)

    def client(self, name: str, *, clean: bool) -> Client:
        """A client that acknowledges by hand. Raises UsageError where the certificates cannot be read."""
        five = self.version == "5"
        made = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=None if five else clean,
            protocol=VERSIONS[self.version],
            manual_ack=True,
        )
        if self.user is not None:
            made.username_pw_set(self.user, self.password)
        if self.secured:
            own = (self.authority, self.certificate, self.certificate_key)
            authority, certificate, its_key = (None if path is None else str(path) for path in own)
            try:
                made.tls_set(authority, certificate, its_key, ssl.CERT_REQUIRED)
            except (OSError, ValueError, ssl.SSLError) as problem:
                raise UsageError(f"--broker {self.host}: its certificates cannot be used: {problem}") from None
        made.reconnect_delay_set(*PAUSES)
        return made

    def connect(self, client: Client, *, clean: bool) -> None:
        """Begin to connect, and to try again and again where the broker is not there."""
        if self.version == "5":
            properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            if not clean:
                properties.SessionExpiryInterval = WEEK
            client.connect_async(*self.address, clean_start=clean, properties=properties)
        else:
            client.connect_async(*self.address)
        client.loop_start()


class Mqtt(Transport):
    def __init__(self, model_id: bytes, largest: int, broker: Broker, name: str) -> None:
        """`name` of the session: the same after a restart, and no other server's."""
        super().__init__(model_id, largest)
        self._broker = broker
        self._client = broker.client(name, clean=False)
        self._connections = 0  # so far: numbers of messages are of one of them
        self._settled: float | None = None  # when; None: not connected, or not subscribed yet
        self._retained: dict[str, bytes] = {}  # topic -> the packet that the broker holds
        self._sending: dict[tuple[str, bytes], int] = {}  # number of the message
        self._published: set[int] = set()
        self._confirmed = threading.Condition()

    def open(self, receive: Receive, say: Say) -> None:
        self._receive, self._say = receive, say
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._broker.connect(self._client, clean=False)

    def poll(self, seconds: float) -> None:
        time.sleep(seconds)  # the library's thread receives

    def send(self, topic: Topic, packet: bytes) -> bool:
        settled = self._settled
        if settled is None or time.monotonic() < settled:
            return False
        name = str(topic)
        if self._retained.get(name) == packet:
            return True
        key = name, packet
        if key not in self._sending:  # once: the library sends it again by itself where the connection is lost
            self._sending[key] = self._client.publish(name, packet, qos=1, retain=True).mid
        number = self._sending[key]
        with self._confirmed:
            done = self._confirmed.wait_for(lambda: number in self._published, SECONDS)
            self._published.discard(number)
        if done:
            del self._sending[key]
            self._retained[name] = packet
        return done

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._say(f"broker {self._broker.host}: does not let the server in: {reason}")
            return
        self._connections += 1
        self._say(f"broker {self._broker.host}: connected")
        topics = [(f"{ROOT}/{self.model_id.hex()}/+/{kind}", 1) for kind in (UP, STATUS, UPDATE)]
        client.subscribe(topics)

    def _on_connect_fail(self, client: Client, _: Any) -> None:
        self._say(f"broker {self._broker.host}: cannot be reached; trying again")

    def _on_disconnect(self, client: Client, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._settled = None
        if reason.is_failure:
            self._say(f"broker {self._broker.host}: the connection is lost ({reason}); trying again")

    def _on_subscribe(self, client: Client, _: Any, number: int, reasons: Any, properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._say(f"broker {self._broker.host}: refuses the subscription: {refused[0]}")
            return
        self._settled = time.monotonic() + SETTLED

    def _on_publish(self, client: Client, _: Any, number: int, reason: Any, properties: Any) -> None:
        with self._confirmed:
            self._published.add(number)
            self._confirmed.notify_all()

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        number, qos, connection = message.mid, message.qos, self._connections
        if message.topic.endswith(f"/{UPDATE}"):
            self._retained[message.topic] = bytes(message.payload)

        def acknowledge() -> None:
            if connection == self._connections:  # else the broker sends it again, and the number may be another's
                client.ack(number, qos)

        self._receive(Message(message.topic, bytes(message.payload), acknowledge))
