"""The harness's bytes, from whole tensors down to single rows and slices of channels."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from toy_model import toy_samples, write_toy

from driftc.codegen.errors import DataError, ToolError
from driftc.simulator.engine import Program
from driftc.simulator.stream import OUTPUTS, Batch, Decoder, encode


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return write_toy(tmp_path_factory.mktemp("toy"))


def frame(kind: int, payload: bytes, *box: int) -> bytes:
    """`box`: the first and the number of rows, of pixels, of channels."""
    return struct.pack("<8i", kind, *(box or [0] * 6), len(payload)) + payload


MIX = np.arange(72, dtype=np.int8).reshape(6, 4, 3)
WHOLE = [
    frame(0, MIX[:4].tobytes(), 0, 4, 0, 4, 0, 3),
    frame(0, MIX[4:, :, :1].tobytes(), 4, 2, 0, 4, 0, 1),
    frame(0, MIX[4:, :, 1:].tobytes(), 4, 2, 0, 4, 1, 2),
    frame(1, MIX[:, :3].tobytes(), 0, 6, 0, 3, 0, 3),
    frame(1, MIX[:, 3:].tobytes(), 0, 6, 3, 1, 0, 3),
    frame(2, bytes(4), 0, 1, 0, 1, 0, 4),
    frame(OUTPUTS, bytes([1, 2, 3, 255])),
]


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_parts_become_tensors(program: Program, piece: int) -> None:
    data = b"".join(WHOLE) * 2
    decoder = Decoder(program, trace=True)
    runs = [run for at in range(0, len(data), piece) for run in decoder.feed(data[at : at + piece])]
    decoder.finish()
    assert len(runs) == 2
    for run in runs:
        np.testing.assert_array_equal(run.sample.tensors[0], MIX)
        assert run.sample.outputs[0].tolist() == [[1, 2, 3, -1]]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (WHOLE[1:], "layer mix: row 0, pixel 0, channel 0 was never shown"),
        (WHOLE[:2] + WHOLE[3:], "layer mix: row 4, pixel 0, channel 1 was never shown"),
        (WHOLE[3:], "layer mix was never shown"),
        (WHOLE[:4] + WHOLE[5:], "layer scale: row 0, pixel 3, channel 0 was never shown"),
        ([frame(0, bytes(12), 0, 1, 2, 4, 0, 3)], r"pixels 2\+4"),
        ([frame(7, b"")], "a frame of kind 7"),
        ([frame(0, bytes(12), 5, 2, 0, 4, 0, 3)], r"rows 5\+2"),
        ([frame(0, bytes(12), 0, 2, 0, 4, 0, 3)], "12 bytes"),
        ([frame(OUTPUTS, bytes(5))], "5 bytes of outputs instead of 4"),
        ([struct.pack("<8i", 0, 0, 0, 0, 0, 0, 0, -1)], "a frame of -1 bytes"),
        (WHOLE[:1], "ended within a sample"),
        ([WHOLE[0][:20]], "ended within a sample"),
    ],
)
def test_nonsense_is_refused(program: Program, frames: list[bytes], message: str) -> None:
    decoder = Decoder(program, trace=True)
    with pytest.raises(ToolError, match=message):
        decoder.feed(b"".join(frames))
        decoder.finish()


def test_samples_are_checked(program: Program) -> None:
    assert encode(program, Batch(toy_samples(2)))[:4] == b"\2\0\0\0"
    with pytest.raises(DataError, match=r"input 'x': got int8 \(6, 4, 2\), expected int8 \(1, 6, 4, 2\)"):
        encode(program, Batch([(np.zeros((6, 4, 2), np.int8),)]))
    with pytest.raises(DataError, match="2 arrays in a sample; the model has 1"):
        encode(program, Batch([(np.zeros(1), np.zeros(1))]))
