"""Names from a model file made safe for C, CMake and the file system. Nothing else may reach generated text."""

from __future__ import annotations

import re

_C_WORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    alignas alignof bool constexpr false nullptr static_assert thread_local true typeof typeof_unqual asm and
    and_eq bitand bitor catch class compl const_cast delete dynamic_cast explicit export friend mutable
    namespace new noexcept not not_eq operator or or_eq private protected public reinterpret_cast static_cast
    template this throw try typeid typename using virtual wchar_t xor xor_eq concept requires main memcpy memset
    memmove memcmp strlen null int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t in out
    arena driftc scratch linux unix arm near far interrupt errno assert""".split()  # noqa: SIM905 - a list of words reads better as one text
)
# What the templates call their own variables and files: a layer of that name would be shadowed, or shadow it.
_TEMPLATE_WORDS = frozenset(
    """a acc b c channel column count data element end entry error expected expected_layers first from hash head
    hook in0 in1 index inside kx ky largest last layer layers length memory model next o oc outside pixel
    product quantize quantized real rest row s scale segment segments shapes share shift source steps sum sums t
    tail tap trace user value weight weights whole window x y zero add_to_hash""".split()  # noqa: SIM905 - a list of words reads better as one text
)
_NUMBERED = re.compile(r"(acc|channel|i|in|input|k|out|pixel|ram|row)\d+")
# What is appended to a layer's name: its constants, and the functions of a layer computed in parts.
_SUFFIX = re.compile(r"_(weights|bias|multiplier|shift|table|exp|outside|part\d+)$")
# TensorFlow's words for its own operations at the end of a tensor's path, which say less than the layer's name does.
_OPERATION = re.compile(
    r"(Relu6?|BiasAdd|Conv2D|depthwise|MatMul|Add(V2)?|Mul|Sub|Mean|Softmax|Sigmoid|Tanh|LeakyRelu|FusedBatchNorm(V3)?|"
    r"batchnorm|AvgPool|MaxPool|Pad|Reshape|Squeeze|ReadVariableOp|Identity|(Stateful)?PartitionedCall|add|mul|sub)"
    r"(_?\d+)?(_int8)?"
)
LONGEST = 40


def identifier(text: str, fallback: str) -> str:
    """A lower-case C identifier of at most 40 characters made from `text`, else `fallback`."""
    safe = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST].strip("_")
    if not safe:
        safe = fallback
    if safe[0].isdigit() or safe in _C_WORDS or safe in _TEMPLATE_WORDS or _NUMBERED.fullmatch(safe):
        safe = f"{fallback}_{safe}"
    return safe


def model_name(text: str) -> str:
    """The C prefix of a model: `kws` in kws_invoke."""
    return identifier(text, "model")


def layer_name(label: str, code: str) -> str:
    """The part of a tensor's path that its author chose: 'net/pw_1/Relu;net/pw_1/BiasAdd' gives 'pw_1'.

    Of a fused tensor's names only the first is sure to be this layer's; the others may come from shared constants.
    """
    parts = [part.split(":")[0] for part in label.split(";")[0].split("/") if part]
    while parts and _OPERATION.fullmatch(parts[-1]):
        parts.pop()
    return identifier(parts[-1] if parts else "", code.lower())


def comment(text: str) -> str:
    """Model text made harmless inside a C comment: printable ASCII that cannot end it."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    return printable.replace("*/", "*?").replace("/*", "?*").replace("\\", "/").replace("??", "? ")[:100]


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
        if name == self._model or name.startswith(f"{self._model}_") or name.startswith("constant_"):
            name = f"layer_{name}"
        return self.unique(f"{name}_layer" if _SUFFIX.search(name) else name)

    def tensor(self, label: str, index: int) -> str:
        """Graph-internal: the file's own name where it is unique and not empty."""
        return self.unique(label or f"tensor_{index}")
