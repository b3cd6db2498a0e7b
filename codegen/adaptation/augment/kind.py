"""What a kind of augmentation is, and how a sample gets one shift or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Random = np.random.Generator
Copies = Callable[[Floats, Random], Floats]  # [samples, ...] -> a shifted copy of each
TWICE = 0.2  # share of the samples that are shifted in two ways


@dataclass(frozen=True)
class Kind:
    """`shapes`: what it takes, in words. `takes` and `likely` are asked with the input's shape, batch axis first.

    `likely`: inputs of this shape are this kind unless the user says otherwise. `made(samples, zero)` gives what shifts
    samples like these: float32 [samples, ...] in 0..1, which is the input's int8 range; `zero` is where a real 0 lies.
    `varied` gives other samples that are no worse than these: the more there are, the less is learnt by heart. Only
    where it was seen to help: what is moved in time, of sound or motion, did not.
    """

    shapes: str
    takes: Callable[[tuple[int, ...]], bool]
    likely: Callable[[tuple[int, ...]], bool]
    made: Callable[[Floats, float], Copies]
    varied: Copies = lambda samples, random: samples


def one_or_two(ways: Sequence[Callable[[Floats, Random], Floats]], samples: Floats, random: Random) -> Floats:
    """Each sample shifted in one of `ways`, one in five in two of them."""
    shifted = np.empty_like(samples)
    for number, sample in enumerate(samples):
        first = int(random.integers(len(ways)))
        result = ways[first](sample, random)
        if random.random() < TWICE:
            result = ways[(first + 1 + int(random.integers(len(ways) - 1))) % len(ways)](result, random)
        shifted[number] = result
    return shifted


def frames(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Frames and values of each, of [1, T, C], [1, T, 1, C], [1, 1, T, C] or [1, T, C, 1]; None of other shapes."""
    inner = shape[1:]
    if len(inner) == 3 and 1 in inner:
        cut = inner.index(1) if inner[2] != 1 else 2
        inner = inner[:cut] + inner[cut + 1 :]
    return (inner[0], inner[1]) if len(inner) == 2 else None
