"""What a server needs of the way that uploads and packets travel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from driftc.codegen.elastic.wire import Topic


@dataclass(frozen=True, eq=False)
class Message:
    """`acknowledge` is called once what it says is kept; before, the sender may send it again."""

    topic: str
    payload: bytes
    acknowledge: Callable[[], None]


Receive = Callable[[Message], None]
Say = Callable[[str], None]


class Transport(ABC):
    """Of one model's server. `receive` is called from whatever thread; all else is called from one.

    What is on the way while the server is not there waits, or is sent again.
    """

    keeps: ClassVar[bool] = True  # what was sent reaches a device that was away

    def __init__(self, model_id: bytes, largest: int) -> None:
        """`largest`: bytes of a payload; of a longer one its beginning may be all that is received."""
        self.model_id, self.largest = model_id, largest

    @abstractmethod
    def open(self, receive: Receive, say: Say) -> None:
        """Begin. `say` takes lines for the log. Raises ToolError or UsageError for what will never work."""

    @abstractmethod
    def poll(self, seconds: float) -> None:
        """Receive what there is, for at most so long where there is nothing."""

    @abstractmethod
    def send(self, topic: Topic, packet: bytes) -> bool:
        """True once `packet` has been handed over, now or before; False where that cannot be done now."""

    @abstractmethod
    def close(self) -> None: ...
