"""UF2, the file that boot loaders with a USB drive take: blocks of 512 bytes, each with its address."""

from __future__ import annotations

import struct

PAGE = 256
MAGIC = b"UF2\n"
_FIRST, _SECOND, _LAST, _HAS_FAMILY = 0x0A32_4655, 0x9E5D_5157, 0x0AB1_6F30, 0x2000


def uf2(address: int, data: bytes, family: int) -> bytes:
    """`data` from `address` on, in pages of 256 bytes, the last filled with zeros (github.com/microsoft/uf2)."""
    pages = [data[at : at + PAGE].ljust(PAGE, b"\0") for at in range(0, len(data), PAGE)]
    blocks = []
    for number, page in enumerate(pages):
        at = address + PAGE * number
        header = struct.pack("<8I", _FIRST, _SECOND, _HAS_FAMILY, at, PAGE, number, len(pages), family)
        blocks.append(header + page.ljust(476, b"\0") + struct.pack("<I", _LAST))
    return b"".join(blocks)
