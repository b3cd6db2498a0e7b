"""What only copies a run of bytes is a view: it has no function in the C, and the bytes stay what they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder, Tensor
from numpy.typing import NDArray

import driftc
from driftc.codegen.compiled import Compiled
from driftc.simulator.engines import engine

OUT: dict[str, Any] = {"out_scale": 0.5, "out_zero_point": 3}


def weights(*shape: int) -> NDArray[np.int8]:
    return np.random.default_rng(sum(shape)).integers(-127, 128, shape, dtype=np.int8)


def compiled(path: Path, build: Callable[[ModelBuilder, Tensor], list[Tensor]], **options: Any) -> Compiled:
    """`build` on what a convolution gives, [1, 8, 6, 4]."""
    m = ModelBuilder()
    x = m.input("x", (1, 8, 6, 4), scale=0.1, zero_point=4)
    y = m.conv_2d(x, weights(4, 3, 3, 4), weight_scale=0.01, name="before", **OUT)
    m.output(*build(m, y))
    file = path / "m.tflite"
    file.write_bytes(m.build())
    return driftc.compile(file, measure=False, **options)


def conv(m: ModelBuilder, x: Tensor) -> Tensor:
    return m.conv_2d(x, weights(4, 3, 3, x.shape[3]), weight_scale=0.01, **OUT)


def recurrent(m: ModelBuilder, x: Tensor) -> list[Tensor]:
    """Each row added to what a dense layer makes of the one before."""
    rows = m.unpack(m.reshape(x, (8, 24)), 0)
    state = m.reshape(rows[0], (1, 24))
    for row in rows[1:]:
        made = m.fully_connected(state, weights(24, 24), weight_scale=0.01, **OUT)
        state = m.add(made, m.reshape(row, (1, 24)), **OUT)
    return [state]


VIEWS: dict[str, Callable[[ModelBuilder, Tensor], list[Tensor]]] = {
    "halves": lambda m, x: [m.add(*m.split(x, 2, 1), **OUT)],
    "pieces": lambda m, x: [conv(m, part) for part in m.split_v(x, [3, 5], 1)],
    "most rows": lambda m, x: [conv(m, m.strided_slice(x, [0, 1, 0, 0], [1, 7, 6, 4], [1, 1, 1, 1]))],
    "rows of rows": lambda m, x: [conv(m, m.slice(m.slice(x, [0, 2, 0, 0], [1, 6, 6, 4]), [0, 1, 0, 0], [1, 5, 6, 4]))],
    "a pack of one": lambda m, x: [m.relu(m.pack([x], 0), **OUT)],
    "nothing new": lambda m, x: [conv(m, m.tile(m.transpose(m.reshape(x, (8, 1, 6, 4)), (1, 0, 2, 3)), [1, 1, 1, 1]))],
    "an output": lambda m, x: [m.slice(x, [0, 1, 0, 0], [1, 6, 6, 4]), m.relu(x, **OUT)],
    "recurrence": recurrent,
}


@pytest.fixture(autouse=True)
def compiler() -> None:
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("minimize", ["instructions", "ram"])
@pytest.mark.parametrize("name", VIEWS)
def test_costs_nothing(name: str, minimize: str, tmp_path: Path) -> None:
    made = compiled(tmp_path, VIEWS[name], minimize=minimize)
    moves = [op.kind for op in made.lowered.graph.operators if op.template == "move"]
    assert moves == []
    found = made.verify(engines=["host"], random=2, sanitize=minimize == "ram")
    assert found.bit_exact, found.first_difference


COPIES: dict[str, Callable[[ModelBuilder, Tensor], list[Tensor]]] = {
    "a piece too small to keep the rest": lambda m, x: [conv(m, m.slice(x, [0, 1, 0, 0], [1, 3, 6, 4]))],
    "one that begins between words": lambda m, x: [
        m.relu(m.slice(m.reshape(x, (192,)), [3], [150]), **OUT),
    ],
    "not one run": lambda m, x: [m.relu(m.slice(x, [0, 0, 1, 0], [1, 8, 5, 4]), **OUT)],
}


@pytest.mark.parametrize("name", COPIES)
def test_is_copied(name: str, tmp_path: Path) -> None:
    made = compiled(tmp_path, COPIES[name])
    assert [op.kind for op in made.lowered.graph.operators if op.template == "move"] == ["SLICE"]


def test_a_model_of_copies_alone_is_compiled(tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(*m.unpack(m.input("x", (4, 8), scale=0.1), 0))
    file = tmp_path / "m.tflite"
    file.write_bytes(m.build())
    assert driftc.compile(file, measure=False).verify(engines=["host"], random=1).bit_exact


def test_what_reads_a_view_may_be_streamed(tmp_path: Path) -> None:
    """A view of what is streamed keeps it whole; its own readers may be streamed."""
    made = compiled(tmp_path, lambda m, x: [conv(m, conv(m, m.split(x, 2, 1)[0])), x], minimize="ram")
    found = made.verify(engines=["host"], random=2)
    assert found.bit_exact, found.first_difference
