"""Boards: one TOML each, read from a datasheet; and the cores they carry (cores/)."""

from driftc.boards.board import (
    COLUMNS,
    Board,
    Cache,
    FlashTool,
    Memory,
    Pin,
    Programmer,
    RamRegion,
    Uart,
    load,
    names,
    parse,
    table,
)

__all__ = [
    "COLUMNS",
    "Board",
    "Cache",
    "FlashTool",
    "Memory",
    "Pin",
    "Programmer",
    "RamRegion",
    "Uart",
    "load",
    "names",
    "parse",
    "table",
]
