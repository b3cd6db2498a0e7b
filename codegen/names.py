"""Names from a model file made safe for C, CMake and the file system. Nothing else may reach generated text."""

from __future__ import annotations

import re
from collections.abc import Callable

from driftc.codegen.reserved import reserved, reserved_model

# What is appended to a layer's name: its constants, and the functions of a layer computed in parts.
_SUFFIX = re.compile(r"_(weights|bias|multiplier|shift|table|exp|part\d+)$")
# TensorFlow's words for its own operations at the end of a tensor's path, which say less than the layer's name does.
_OPERATION = re.compile(
    r"(Relu6?|BiasAdd|Conv2D|depthwise|MatMul|Add(V2)?|Mul|Sub|Mean|Softmax|Sigmoid|Tanh|LeakyRelu|FusedBatchNorm(V3)?|"
    r"batchnorm|AvgPool|MaxPool|Pad|Reshape|Squeeze|ReadVariableOp|Identity|(Stateful)?PartitionedCall|add|mul|sub)"
    r"(_?\d+)?(_int8)?"
)
LONGEST = 40


def identifier(text: str, fallback: str, taken: Callable[[str], bool] = reserved) -> str:
    """A lower-case C identifier of about 40 characters made from `text`, else from `fallback`; none that is `taken`."""
    safe = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST].strip("_")
    if not safe:
        safe = fallback
    if safe[0].isdigit() or taken(safe):
        safe = f"{fallback}_{safe}" if safe != fallback else f"{safe}_1"
    return f"{safe}_1" if taken(safe) else safe


def model_name(text: str) -> str:
    """The C prefix of a model: `kws` in kws_invoke."""
    return identifier(text, "model", reserved_model)


def layer_name(label: str, code: str) -> str:
    """The part of a tensor's path that its author chose: 'net/pw_1/Relu;net/pw_1/BiasAdd' gives 'pw_1'.

    Of a fused tensor's names only the first is sure to be this layer's; the others may come from shared constants.
    """
    parts = [part.split(":")[0] for part in label.split(";")[0].split("/") if part]
    while parts and _OPERATION.fullmatch(parts[-1]):
        parts.pop()
    return identifier(parts[-1] if parts else "", code.lower())


def readable(label: str) -> str:
    """A tensor's or layer's name for people: as it is where it is short, else the last part that says something.

    'net/pw_1/Relu;net/pw_1/BiasAdd;...' gives 'pw_1/Relu'. Not unique; for C there is `Names`.
    """
    if len(label) <= LONGEST and ";" not in label:
        return label
    parts = [part for part in label.split(";")[0].split("/") if part]
    last = len(parts) - 1
    while last > 0 and _OPERATION.fullmatch(parts[last].split(":")[0]):
        last -= 1
    short = "/".join(parts[last:])
    return short if 0 < len(short) <= LONGEST else f"…{(short or label)[-LONGEST + 1 :]}"


def comment(text: str) -> str:
    """Model text made harmless inside a C comment: printable ASCII that cannot end it."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in text).replace("\\", "/")
    return printable.replace("*/", "*?").replace("/*", "?*").replace("??", "? ")[:100]


class Names:
    """Hands out names that are unique within one model, whose C prefix is `model`."""

    def __init__(self, model: str = "") -> None:
        self.taken: set[str] = set()
        self._model = model

    def unique(self, name: str) -> str:
        chosen, count = name, 1
        while chosen in self.taken:
            count += 1
            chosen = f"{name}_{count}"
        self.taken.add(chosen)
        return chosen

    def layer(self, label: str, code: str) -> str:
        name = layer_name(label, code)
        if (
            name == self._model
            or name.startswith(f"{self._model}_")
            or name.startswith(("constant_", "initial_", "outside_"))
        ):
            name = f"layer_{name}"
        return self.unique(f"{name}_layer" if _SUFFIX.search(name) else name)

    def tensor(self, label: str, index: int) -> str:
        """Graph-internal: the file's own name where it is unique and not empty."""
        return self.unique(label or f"tensor_{index}")
