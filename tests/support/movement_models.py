"""Strategies of `operator_models` for operators that move elements: to other places, shapes, sizes, types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from models import ModelBuilder, Tensor
from operator_cases import images, inputs, pairs, scales, seeds, shapes, zero_points

Models = st.SearchStrategy[ModelBuilder]


def moving(build: Callable[[st.DrawFn, ModelBuilder, Tensor], None], most: int, largest: int = 5) -> Models:
    """Models with one input of up to `most` axes, to which `build` adds the rest."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        builder = ModelBuilder()
        build(draw, builder, draw(inputs(builder, draw(shapes(1, most, largest)))))
        return builder

    return models()


def pad(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    amounts = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in x.shape]
    m.output(m.pad(x, amounts, value=draw(st.one_of(st.none(), st.integers(-128, 127)))))


def reshape(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    shape = [*draw(st.permutations(x.shape)), *draw(st.lists(st.just(1), max_size=2))]
    m.output(m.reshape(x, shape, operand=draw(st.booleans())))


def squeeze(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    ones = [axis for axis, extent in enumerate(x.shape) if extent == 1]
    chosen = draw(st.lists(st.sampled_from(ones), unique=True)) if ones else []
    m.output(m.squeeze(x, [axis - len(x.shape) if draw(st.booleans()) else axis for axis in chosen]))


def expand_dims(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    m.output(m.expand_dims(x, draw(st.integers(-len(x.shape) - 1, len(x.shape)))))


def transpose(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    m.output(m.transpose(x, draw(st.permutations(range(len(x.shape))))))


def concatenation(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    axis = draw(st.integers(-len(x.shape), len(x.shape) - 1))
    quantised: dict[str, Any] = {"scale": x.scale[0], "zero_point": x.zero_point[0]}
    random = np.random.default_rng(draw(seeds))
    parts = [x]
    for number in range(draw(st.integers(0, 4))):
        shape = list(x.shape)
        shape[axis] = draw(st.integers(1, 4))
        if draw(st.booleans()):
            parts.append(m.constant(random.integers(-128, 128, shape, dtype=np.int8), **quantised))
        else:
            parts.append(m.input(f"x{number}", tuple(shape), **quantised))
    m.output(m.concatenation(draw(st.permutations(parts)), axis))


def strided_slice(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    begin, end, strides = [], [], []
    masks: dict[str, Any] = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0}
    for axis, extent in enumerate(x.shape):
        step = draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        first = draw(st.integers(0, extent - 1))
        if draw(st.integers(0, 4)) == 0:
            masks["shrink_axis_mask"] |= 1 << axis
            first, last, step = first - draw(st.sampled_from([0, extent])), first + 1, 1
        elif step > 0:
            last = draw(st.integers(first + 1, extent + 3))
            masks["begin_mask"] |= draw(st.sampled_from([0, 1])) << axis
            masks["end_mask"] |= draw(st.sampled_from([0, 1])) << axis
            first -= draw(st.sampled_from([0, extent]))
        else:
            last = -extent - 1 - draw(st.integers(0, 2))
            masks["end_mask"] |= draw(st.sampled_from([0, 1])) << axis
        begin.append(first)
        end.append(last)
        strides.append(step)
    m.output(m.strided_slice(x, begin, end, strides, **masks))


def split(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    axis = draw(st.integers(-len(x.shape), len(x.shape) - 1))
    pieces = [n for n in range(1, x.shape[axis] + 1) if x.shape[axis] % n == 0]
    m.output(*m.split(x, draw(st.sampled_from(pieces)), axis))


def split_v(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    axis = draw(st.integers(-len(x.shape), len(x.shape) - 1))
    cuts = sorted(draw(st.sets(st.integers(1, x.shape[axis])))) or [x.shape[axis]]
    sizes = [stop - start for start, stop in zip([0, *cuts], [*cuts, x.shape[axis]], strict=False) if stop > start]
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    m.output(*m.split_v(x, sizes, axis))


def slice_(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    begin = [draw(st.integers(0, extent - 1)) for extent in x.shape]
    sizes = [
        draw(st.one_of(st.just(-1), st.integers(1, extent - first)))
        for first, extent in zip(begin, x.shape, strict=True)
    ]
    m.output(m.slice(x, begin, sizes))


def pack(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    axis = draw(st.integers(-len(x.shape) - 1, len(x.shape)))
    quantised: dict[str, Any] = {"scale": x.scale[0], "zero_point": x.zero_point[0]}
    others = [m.input(f"x{number}", x.shape, **quantised) for number in range(draw(st.integers(0, 3)))]
    m.output(m.pack(draw(st.permutations([x, *others])), axis))


def unpack(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    m.output(*m.unpack(x, draw(st.integers(-len(x.shape), len(x.shape) - 1))))


def tile(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    m.output(m.tile(x, [draw(st.integers(1, 3)) for _ in x.shape]))


def reverse_v2(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    first = draw(st.integers(0, len(x.shape) - 1))
    axes = range(first, draw(st.integers(first, len(x.shape) - 1)) + 1)
    m.output(m.reverse_v2(x, [axis - draw(st.sampled_from([0, len(x.shape)])) for axis in draw(st.permutations(axes))]))


def mirror_pad(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    reflect = draw(st.booleans())
    amounts = [st.integers(0, extent - reflect) for extent in x.shape]
    m.output(m.mirror_pad(x, [(draw(amount), draw(amount)) for amount in amounts], reflect=reflect))


def broadcast_to(draw: st.DrawFn, m: ModelBuilder, x: Tensor) -> None:
    new = draw(st.lists(st.integers(1, 3), max_size=5 - len(x.shape)))
    m.output(m.broadcast_to(x, [*new, *(draw(st.integers(1, 4)) if n == 1 else n for n in x.shape)]))


def blocks(code: str) -> Models:
    """SPACE_TO_DEPTH and DEPTH_TO_SPACE."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        builder, block = ModelBuilder(), draw(st.integers(1, 3))
        space, depth = (block, 1) if code == "space_to_depth" else (1, block * block)
        height, width, channels = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
        shape = (draw(st.sampled_from([1, 1, 2])), height * space, width * space, channels * depth)
        builder.output(getattr(builder, code)(draw(inputs(builder, shape)), block))
        return builder

    return models()


@st.composite
def spaces_to_batches(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    spatial = draw(st.integers(1, 2))
    block = [draw(st.integers(1, 3)) for _ in range(spatial)]
    before = [draw(st.integers(0, 3)) for _ in block]
    extents = [draw(st.integers(1, 7)) for _ in block]
    after = [
        -(n + first) % size + size * draw(st.integers(0, 1))
        for n, first, size in zip(extents, before, block, strict=True)
    ]
    shape = (draw(st.integers(1, 2)), *extents, draw(st.integers(1, 5)))
    x = draw(inputs(builder, shape))
    builder.output(builder.space_to_batch_nd(x, block, list(zip(before, after, strict=True))))
    return builder


@st.composite
def batches_to_spaces(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    spatial = draw(st.integers(1, 2))
    block = [draw(st.integers(1, 3)) for _ in range(spatial)]
    extents = [draw(st.integers(1, 4)) for _ in block]
    crops = []
    for n, size in zip(extents, block, strict=True):
        first = draw(st.integers(0, min(3, n * size - 1)))
        crops.append((first, draw(st.integers(0, min(3, n * size - 1 - first)))))
    shape = (draw(st.integers(1, 2)) * int(np.prod(block)), *extents, draw(st.integers(1, 5)))
    builder.output(builder.batch_to_space_nd(draw(inputs(builder, shape)), block, crops))
    return builder


@st.composite
def casts(draw: st.DrawFn) -> ModelBuilder:
    """From one type to another, and to a third."""
    builder = ModelBuilder()
    kinds = draw(st.permutations([np.int8, np.int32, np.bool_]))
    scale: dict[Any, Any] = {np.int8: {"scale": draw(scales), "zero_point": draw(zero_points)}}
    x = builder.input("x", draw(shapes(1, 4)), dtype=kinds[0], **scale.get(kinds[0], {}))
    y = builder.cast(x, kinds[1], **scale.get(kinds[1], {}))
    builder.output(y, builder.cast(y, kinds[2], **scale.get(kinds[2], {})))
    return builder


def resize(code: str, largest: int = 6) -> Models:
    """To any size, with every grid."""

    @st.composite
    def models(draw: st.DrawFn) -> ModelBuilder:
        image = draw(images(largest, 5))
        _, height, width, _ = image.tensor.shape
        factors = st.tuples(st.just(height * draw(st.integers(1, 4))), st.just(width * draw(st.integers(1, 4))))
        size = draw(st.one_of(factors, pairs(3 * largest)))
        grid = draw(st.sampled_from([{}, {"align_corners": True}, {"half_pixel_centers": True}]))
        image.builder.output(getattr(image.builder, code)(image.tensor, size, **grid))
        return image.builder

    return models()


@st.composite
def gathers(draw: st.DrawFn) -> ModelBuilder:
    """A look-up in a table that is constant or computed."""
    builder = ModelBuilder()
    shape = draw(shapes(1, 4, 4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    batch_dims = draw(st.integers(0, axis % len(shape)))
    where = (*shape[:batch_dims], *draw(shapes(0, 2, 3)))
    if draw(st.booleans()):
        data = np.random.default_rng(draw(seeds)).integers(-128, 128, shape, dtype=np.int8)
        table = builder.constant(data, scale=0.1, zero_point=3)
    else:
        table = draw(inputs(builder, shape))
    indices = builder.input("indices", where, dtype=np.int32)
    builder.output(builder.gather(table, indices, axis=axis, batch_dims=batch_dims))
    return builder


@st.composite
def gathers_nd(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    shape = draw(shapes(1, 4, 4))
    data = np.random.default_rng(draw(seeds)).integers(-128, 128, shape, dtype=np.int8)
    table = builder.constant(data, scale=0.1, zero_point=3) if draw(st.booleans()) else draw(inputs(builder, shape))
    where = (*draw(shapes(0, 2, 3)), draw(st.integers(1, len(shape))))
    builder.output(builder.gather_nd(table, builder.input("indices", where, dtype=np.int32)))
    return builder


@st.composite
def embeddings(draw: st.DrawFn) -> ModelBuilder:
    builder = ModelBuilder()
    shape = draw(shapes(2, 4))
    data = np.random.default_rng(draw(seeds)).integers(-128, 128, shape, dtype=np.int8)
    indices = builder.input("indices", (draw(st.integers(1, 5)),), dtype=np.int32)
    builder.output(builder.embedding_lookup(indices, builder.constant(data, scale=0.1)))
    return builder


MOVEMENT: dict[str, Models] = {
    "pad": moving(pad, 5, 4),
    "reshape": moving(reshape, 4),
    "squeeze": moving(squeeze, 5, 2),
    "expand_dims": moving(expand_dims, 5),
    "transpose": moving(transpose, 5, 4),
    "concatenation": moving(concatenation, 5, 4),
    "strided_slice": moving(strided_slice, 4, 6),
    "split": moving(split, 5, 6),
    "split_v": moving(split_v, 4, 6),
    "slice": moving(slice_, 5, 6),
    "pack": moving(pack, 4, 4),
    "unpack": moving(unpack, 4, 5),
    "resize_nearest_neighbor": resize("resize_nearest_neighbor"),
    "resize_bilinear": resize("resize_bilinear"),
    "tile": moving(tile, 4, 4),
    "reverse_v2": moving(reverse_v2, 4, 5),
    "mirror_pad": moving(mirror_pad, 4, 4),
    "broadcast_to": moving(broadcast_to, 4, 3),
    "space_to_depth": blocks("space_to_depth"),
    "depth_to_space": blocks("depth_to_space"),
    "space_to_batch_nd": spaces_to_batches(),
    "batch_to_space_nd": batches_to_spaces(),
    "cast": casts(),
    "gather": gathers(),
    "gather_nd": gathers_nd(),
    "embedding_lookup": embeddings(),
}
