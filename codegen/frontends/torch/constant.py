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
    "_to_copy", "_weight_norm", "_weight_norm_interface", "abs", "acos", "add", "add_", "addmm", "alias", "amax",
    "amin", "arange", "asin", "atan", "bitwise_and", "bitwise_not", "bitwise_or", "bmm", "broadcast_to", "cat",
    "ceil", "chunk", "clamp", "clamp_max", "clamp_min", "clone", "contiguous", "cos", "cosh", "cumsum", "detach",
    "detach_", "diag", "diagonal", "div", "div_", "einsum", "eq", "exp", "expand", "expand_as", "expm1", "eye",
    "fill_", "flatten", "flip", "floor", "floor_divide", "full", "full_like", "ge", "gt", "index", "index_select",
    "le", "lift_fresh_copy", "linalg_vector_norm", "linear", "linspace", "log", "log10", "log1p", "log2",
    "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "masked_fill", "matmul", "max", "maximum",
    "mean", "meshgrid", "min", "minimum", "mm", "movedim", "mul", "mul_", "narrow", "ne", "neg", "new_full",
    "new_ones", "new_zeros", "norm", "ones", "ones_like", "outer", "permute", "pow", "prod", "reciprocal", "relu",
    "remainder", "repeat", "repeat_interleave", "reshape", "roll", "round", "rsqrt", "rsub", "scalar_tensor",
    "select", "sigmoid", "sign", "sin", "sinh", "slice", "softmax", "softplus", "split", "split_with_sizes", "sqrt",
    "square", "squeeze", "stack", "std", "sub", "sub_", "sum", "swapaxes", "t", "tan", "tanh", "tile", "to",
    "transpose", "tril", "triu", "unbind", "unflatten", "unsqueeze", "var", "view", "view_as", "where", "zeros",
    "zeros_like",
)  # fmt: skip
BY_SHAPE = {
    "new_ones": 1,
    "new_zeros": 0,
    "ones_like": 1,
    "zeros_like": 0,
}  # of a value of which the shape matters alone


def folded(torch: Any, node: Any, known: Mapping[str, Any]) -> Array | list[Array] | None:
    """The result of `node` where all it takes is in `known` as arrays; None where it is not, or not of FOLDED."""
    kind = kind_of(node)
    if "getitem" in kind:
        parts = known.get(node.args[0].name)
        return parts[node.args[1]] if isinstance(parts, list) else None
    if kind.startswith("_assert"):
        found = known.get(getattr(node.args[0], "name", ""))
        return found if isinstance(found, np.ndarray) else None
    made = node.meta.get("val")
    if kind in BY_SHAPE and str(node.target).startswith("aten.") and prod(int(n) for n in made.shape) <= LARGEST:
        return np.full([int(n) for n in made.shape], BY_SHAPE[kind], str(made.dtype).removeprefix("torch."))
    if kind not in FOLDED or not str(node.target).startswith("aten."):
        return None
    if not all(isinstance(known.get(argument.name), np.ndarray) for argument in node.all_input_nodes):
        return None
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
