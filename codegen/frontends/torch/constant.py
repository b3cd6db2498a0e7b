"""What depends on constants alone, computed by PyTorch itself, by operators that touch nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from driftc.codegen.frontends.torch.call import kind_of
from driftc.codegen.tensor import Array

LARGEST = 1 << 24  # elements
FOLDED = (
    "_to_copy", "abs", "add", "add_", "alias", "arange", "cat", "clamp", "clone", "contiguous", "cos",
    "cumsum", "detach", "detach_", "div", "div_", "eq", "exp", "expand", "fill_", "flatten", "flip",
    "floor_divide", "full", "full_like", "ge", "gt", "index_select", "le", "lift_fresh_copy",
    "linspace", "log", "lt", "meshgrid", "mul", "mul_", "ne", "neg", "new_ones", "new_zeros", "ones",
    "ones_like", "permute", "pow", "reciprocal", "remainder", "repeat", "reshape", "rsqrt", "scalar_tensor",
    "select", "sin", "slice", "split", "sqrt", "squeeze", "stack", "sub", "sub_", "sum", "t", "to", "transpose",
    "tril", "triu", "unsqueeze", "view", "where", "zeros", "zeros_like",
)  # fmt: skip


def folded(torch: Any, node: Any, known: Mapping[str, Any]) -> Array | list[Array] | None:
    """The result of `node` where all it takes is in `known` as arrays; None where it is not, or not of FOLDED."""
    kind = kind_of(node)
    if "getitem" in kind:
        parts = known.get(node.args[0].name)
        return parts[node.args[1]] if isinstance(parts, list) else None
    if kind.startswith("_assert"):
        found = known.get(getattr(node.args[0], "name", ""))
        return found if isinstance(found, np.ndarray) else None
    if kind not in FOLDED or not str(node.target).startswith("aten."):
        return None
    if not all(isinstance(known.get(argument.name), np.ndarray) for argument in node.all_input_nodes):
        return None
    made = node.meta["val"]
    for tensor in made if isinstance(made, list | tuple) else [made]:
        if prod(int(n) for n in tensor.shape) > LARGEST:
            return None

    def value(argument: Any) -> Any:
        if hasattr(argument, "name") and hasattr(argument, "target"):
            return torch.from_numpy(np.array(known[argument.name]))
        return type(argument)(value(part) for part in argument) if isinstance(argument, list | tuple) else argument

    with torch.no_grad():
        found = node.target(*(value(a) for a in node.args), **{key: value(a) for key, a in node.kwargs.items()})
    if isinstance(found, list | tuple):
        return [np.asarray(part.numpy()) for part in found]
    return np.asarray(found.numpy())
