"""A plugin of pyOCD's: the simulated chip behind a probe called `simulated`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from pyocd.core.plugin import Plugin
from pyocd.probe.debug_probe import DebugProbe

from simulated.chip import Chip, DebugPort


class SimulatedProbe(DebugProbe):  # type: ignore[misc]
    """SWD as pyOCD calls a probe: registers of the DP and AP, at once."""

    vendor_name = product_name = unique_id = "simulated"
    is_open = False
    wire_protocol = None
    capabilities: set[Any] = set()  # noqa: RUF012
    supported_wire_protocols: Collection[Any] = (DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD)

    def __init__(self) -> None:
        super().__init__()
        self._chip = Chip()
        self._port = DebugPort(self._chip)

    @classmethod
    def get_all_connected_probes(cls, unique_id: str | None = None, is_explicit: bool = False) -> Sequence[DebugProbe]:
        return [cls()]

    @classmethod
    def get_probe_with_id(cls, unique_id: str, is_explicit: bool = False) -> DebugProbe | None:
        return cls() if unique_id == "simulated" else None

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def connect(self, protocol: Any = None) -> None:
        self.wire_protocol = DebugProbe.Protocol.SWD

    def disconnect(self) -> None:
        self.wire_protocol = None

    def set_clock(self, frequency: float) -> None:
        pass

    def swj_sequence(self, length: int, bits: int) -> None:
        pass

    def reset(self) -> None:
        self._chip.reset()

    def assert_reset(self, asserted: bool) -> None:
        if not asserted:
            self._chip.reset()

    def is_reset_asserted(self) -> bool:
        return False

    def read_dp(self, addr: int, now: bool = True) -> Any:
        return _given(self._port.read_dp(addr & 0xC), now)

    def write_dp(self, addr: int, data: int) -> None:
        self._port.write_dp(addr & 0xC, data)

    def read_ap(self, addr: int, now: bool = True) -> Any:
        return _given(self._port.read_ap(addr & 0xC), now)

    def write_ap(self, addr: int, data: int) -> None:
        self._port.write_ap(addr & 0xC, data)

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        return _given([self._port.read_ap(addr & 0xC) for _ in range(count)], now)

    def write_ap_multiple(self, addr: int, values: Sequence[int]) -> None:
        for value in values:
            self._port.write_ap(addr & 0xC, value)


def _given(value: Any, now: bool) -> Any | Callable[[], Any]:
    return value if now else lambda: value


class SimulatedPlugin(Plugin):  # type: ignore[misc]
    name = description = "simulated"

    def load(self) -> type[DebugProbe]:
        return SimulatedProbe
