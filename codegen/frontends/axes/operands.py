"""Functions of each element, of one value and of two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driftc.codegen.frontends.axes.orders import Orders
from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.not_equal import NotEqual
from driftc.codegen.tensor import Array, Tensor


class Operands(Orders):
    """Operators that broadcast."""

    def binary(self, label: str, kind: type[Operator], a: Value, b: Value) -> Value:
        a, b = self.alike(label, a, b)
        return replace(a, tensor=self.builder.binary(label, kind, a.tensor, b.tensor))

    def binary_constant(self, label: str, kind: type[Operator], x: Value, data: Array, first: bool) -> Value:
        """An operand that is a constant, in the framework's axes; `first` where it is the first operand."""
        x, constant = self.beside(label, x, data)
        operands = (constant, x.tensor) if first else (x.tensor, constant)
        return replace(x, tensor=self.builder.binary(label, kind, *operands))

    def alike(self, label: str, a: Value, b: Value) -> tuple[Value, Value]:
        """Both in one order of axes, for an operator that broadcasts: that of the larger."""
        if a.flattened is not None and b.flattened is not None and a.shape == b.shape:
            before, other = a.flattened, b.flattened
            if before.axes == other.axes and before.shape == other.shape:
                return a, b
        rank = max(a.rank, b.rank)
        a, b = (
            self.expanded(f"{label}/{side}", self._unflattened(f"{label}/{side}", x), rank)
            for side, x in (("a", a), ("b", b))
        )
        if a.axes == b.axes and len(a.tensor.shape) == len(b.tensor.shape):
            return a, b
        if a.tensor.size >= b.tensor.size:
            return a, self.moved(f"{label}/b", b, a.axes)
        return self.moved(f"{label}/a", a, b.axes), b

    def beside(self, label: str, x: Value, data: Array) -> tuple[Value, Tensor]:
        """`x`, and a constant in its order, for an operator that broadcasts."""
        if x.flattened is not None and data.size > 1:
            if data.size == x.shape[-1]:
                return x, self.builder.constant(f"{label}/constant", x.as_here(data).reshape(-1))
            x = self._unflattened(label, x)
        x = self.expanded(label, x, max(x.rank, data.ndim))
        data = data.reshape((1,) * (x.rank - data.ndim) + data.shape)
        if x.flattened is None:
            data = data.transpose(np.argsort(x.axes))
        kept = next((axis for axis, n in enumerate(data.shape) if n > 1), data.ndim - 1)
        return x, self.builder.constant(f"{label}/constant", data.reshape(data.shape[kept:]))

    def activation(self, label: str, x: Value, name: str, alpha: float = 0.0) -> Value:
        """Of each element."""
        return replace(x, tensor=self.builder.activation(label, x.tensor, name, alpha))

    def threshold(self, label: str, x: Value, limit: float, value: float) -> Value:
        """x above `limit`, else `value`."""
        return replace(x, tensor=self.builder.threshold(label, x.tensor, limit, value))

    def power(self, label: str, x: Value, exponent: float) -> Value:
        return replace(x, tensor=self.builder.power(label, x.tensor, exponent))

    def prelu(self, label: str, x: Value, alpha: Array) -> Value:
        """`alpha` broadcasts in the framework's order."""
        if alpha.size == 1:
            return self.activation(label, x, "leaky_relu", float(alpha.reshape(-1)[0]))
        x, slopes = self.beside(label, x, alpha)
        assert slopes.data is not None
        return replace(x, tensor=self.builder.prelu(label, x.tensor, slopes.data))

    def clip(self, label: str, x: Value, low: float | None, high: float | None) -> Value:
        """Values between bounds; None is no bound."""
        return replace(x, tensor=self.builder.clip(label, x.tensor, low, high))

    def softmax(self, label: str, x: Value, axis: int, name: str = "softmax") -> Value:
        """`name`: or 'log_softmax'."""
        x = self.last(label, x, axis)
        return replace(x, tensor=self.builder.activation(label, x.tensor, name))

    # --- truth values ---

    def condition(self, label: str, x: Value) -> Value:
        """A truth value; of real values, where they are not 0."""
        if x.tensor.dtype == np.bool_:
            return x
        return replace(x, tensor=self.builder.compared(label, NotEqual, x.tensor, 0.0))

    def as_real(self, label: str, x: Value) -> Value:
        """1 where a truth value holds, else 0; real values as they are."""
        return replace(x, tensor=self.builder.as_real(label, x.tensor))

    def negation(self, label: str, x: Value) -> Value:
        return replace(x, tensor=self.builder.negation(label, x.tensor))

    def differ(self, label: str, a: Value, b: Value) -> Value:
        """Where one of two truth values holds, and not both."""
        a, b = self.alike(label, a, b)
        return replace(a, tensor=self.builder.differ(label, a.tensor, b.tensor))

    def where(self, label: str, condition: Value, a: Value | Array, b: Value | Array) -> Value:
        """`a` where the condition holds, else `b`; either may be constant. All three broadcast."""
        given: dict[str, Value | Array] = {"condition": condition, "then": a, "else": b}
        rank = max(x.rank if isinstance(x, Value) else x.ndim for x in given.values())
        values = {
            name: self.expanded(f"{label}/{name}", self._unflattened(f"{label}/{name}", x), rank)
            for name, x in given.items()
            if isinstance(x, Value)
        }
        largest = max(values.values(), key=lambda x: x.tensor.size)
        parts = {name: self.moved(f"{label}/{name}", x, largest.axes).tensor for name, x in values.items()}
        for name, x in given.items():
            if not isinstance(x, Value):
                _, parts[name] = self.beside(f"{label}/{name}", largest, x)
        return replace(largest, tensor=self.builder.select(label, *(parts[name] for name in given)))

    def masked(self, label: str, keep: Array, a: Value | Array, b: Value | Array) -> Value:
        """`where`, by a constant: each times its mask, and a sum."""
        keep = keep.astype(np.float32)
        values: list[Value] = []
        offset: Array = np.zeros(1, np.float32)
        for name, x, mask in (("then", a, keep), ("else", b, 1 - keep)):
            if isinstance(x, Value):
                values.append(self.binary_constant(f"{label}/{name}", Mul, x, mask, first=False))
            else:
                offset = np.where(mask > 0, x, np.float32(0))
        if len(values) == 2:
            return self.binary(label, Add, values[0], values[1])
        return self.binary_constant(label, Add, values[0], offset, first=False)
