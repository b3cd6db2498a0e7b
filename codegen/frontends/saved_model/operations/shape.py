"""What moves elements and computes nothing."""

from __future__ import annotations

from typing import Any

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.tensor import Tensor


@operation("Pad", "PadV2")
def pad(found: Operation) -> Tensor:
    amounts = [(int(a), int(b)) for a, b in found.constant(1)]
    fill = float(found.constant(2)) if found.kind == "PadV2" else 0.0
    return found.to.pad(found.label, found.value(0), amounts, fill)


@operation("ConcatV2")
def concat(found: Operation) -> Tensor:
    last = len(found.inputs) - 1
    parts = [found.value(place) for place in range(last)]
    return found.to.concat(found.label, parts, int(found.constant(last)))


@operation("ExpandDims", "Reshape", "Squeeze")
def reshape(found: Operation) -> Tensor:
    """To a shape that is known when compiling."""
    x, shape = found.value(0), found.node.outputs[0].shape
    known = found.walk.fetch(found.inputs[1]) if found.kind == "Reshape" else None
    if known is not None:
        wanted = [int(n) for n in known.reshape(-1)]
        return x if _rows(found, x, wanted) else found.to.reshape(found.label, x, tuple(wanted))
    inner = shape.as_list()[1:] if shape.rank else [None]
    if None not in inner:
        return found.to.reshape(found.label, x, (1, *(int(n) for n in inner if n)))
    return found.to.reshape(found.label, x, (1, *(int(n) for n in found.constant(1).reshape(-1)[1:])))


def _rows(found: Operation, x: Tensor, wanted: list[int]) -> bool:
    """It only lines rows up for a product, which here goes over the last axis of any shape: tf.tensordot."""
    readers = found.node.outputs[0].consumers()
    lined_up = len(x.shape) > 2 and len(wanted) == 2 and wanted[1] == x.shape[-1]
    return lined_up and all(reader.type == "MatMul" for reader in readers)


@operation("Transpose")
def transpose(found: Operation) -> Tensor:
    return found.to.transpose(found.label, found.value(0), [int(n) for n in found.constant(1)])


@operation("StridedSlice")
def strided_slice(found: Operation) -> Tensor:
    """By constants."""
    masks = {name: int(found.node.get_attr(f"{name}_mask")) for name in ("begin", "end", "ellipsis", "new_axis")}
    shrunk = int(found.node.get_attr("shrink_axis_mask"))
    keys: list[Any] = []
    for place, limits in enumerate(zip(*(found.constant(n).tolist() for n in (1, 2, 3)), strict=True)):
        bit, (first, last, step) = 1 << place, limits
        if masks["ellipsis"] & bit:
            keys.append(Ellipsis)
        elif masks["new_axis"] & bit:
            keys.append(None)
        elif shrunk & bit:
            keys.append(int(first))
        else:
            keys.append(slice(None if masks["begin"] & bit else first, None if masks["end"] & bit else last, step))
    return found.to.index(found.label, found.value(0), keys)


@operation("Split")
def split(found: Operation) -> list[Tensor]:
    x, axis, count = found.value(1), int(found.constant(0)), int(found.node.get_attr("num_split"))
    axis %= len(x.shape)
    return found.to.split(found.label, x, [x.shape[axis] // count] * count, axis)


@operation("SplitV")
def split_v(found: Operation) -> list[Tensor]:
    x, axis = found.value(0), int(found.constant(2)) % len(found.value(0).shape)
    sizes = [int(n) for n in found.constant(1)]
    left = x.shape[axis] - sum(n for n in sizes if n >= 0)
    return found.to.split(found.label, x, [left if n < 0 else n for n in sizes], axis)


@operation("Pack")
def pack(found: Operation) -> Tensor:
    parts = [found.value(place) for place in range(len(found.inputs))]
    return found.to.pack(found.label, parts, int(found.node.get_attr("axis")) % (len(parts[0].shape) + 1))


@operation("Unpack")
def unpack(found: Operation) -> list[Tensor]:
    return found.to.unpack(found.label, found.value(0), int(found.node.get_attr("axis")) % len(found.value(0).shape))


@operation("ReverseV2")
def reverse(found: Operation) -> Tensor:
    x = found.value(0)
    return found.to.flip(found.label, x, [int(axis) % len(x.shape) for axis in found.constant(1)])


@operation("Tile")
def tile(found: Operation) -> Tensor:
    return found.to.tile(found.label, found.value(0), [int(n) for n in found.constant(1)])


@operation("MirrorPad")
def mirror_pad(found: Operation) -> Tensor:
    amounts = [(int(a), int(b)) for a, b in found.constant(1)]
    reflects = found.node.get_attr("mode") in (b"REFLECT", "REFLECT")
    return found.to.mirrored(found.label, found.value(0), amounts, reflects)


@operation("DepthToSpace")
def depth_to_space(found: Operation) -> Tensor:
    return found.to.depth_to_space(found.label, found.value(0), int(found.node.get_attr("block_size")))


@operation("SpaceToDepth")
def space_to_depth(found: Operation) -> Tensor:
    return found.to.space_to_depth(found.label, found.value(0), int(found.node.get_attr("block_size")))


@operation("ResizeBilinear", "ResizeNearestNeighbor")
def resize(found: Operation) -> Tensor:
    rows, pixels = (int(n) for n in found.constant(1))
    return found.to.resize(
        found.label,
        found.value(0),
        (rows, pixels),
        bilinear=found.kind == "ResizeBilinear",
        align_corners=bool(found.node.get_attr("align_corners")),
        half_pixel_centers=bool(found.node.get_attr("half_pixel_centers")),
    )
