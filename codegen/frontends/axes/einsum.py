"""Einstein sums of one or two operands, as reductions, transposes and one product of matrices."""

from __future__ import annotations

from math import prod

from driftc.codegen.frontends.axes.layers import Layers
from driftc.codegen.frontends.axes.pooling import Pooling
from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.operators.reduction.sum import Sum
from driftc.codegen.tensor import Array


class Einsum(Layers, Pooling):
    """einsum("bij,bjk->bik", a, b)."""

    def einsum(self, label: str, equation: str, operands: list[Value | Array]) -> Value:
        """Letters stand for axes; one or two operands, one of which may be constant."""
        equation = equation.replace(" ", "")
        given, arrow, out = equation.partition("->")
        terms = given.split(",")
        if not arrow:
            letters = given.replace(",", "")
            out = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
        ranks = [x.rank if isinstance(x, Value) else x.ndim for x in operands]
        repeated = any(len(set(term)) != len(term) for term in [*terms, out])
        if len(operands) > 2 or repeated or "." in equation or ranks != [len(term) for term in terms]:
            self.builder.refuse(
                f"'{label}': the equation '{equation}'; driftc reads one or two operands, a letter an axis, none twice "
                "in one operand: write the rest as matmul"
            )
        if len(terms) == 1:
            (x,) = operands
            return self._laid(label, self._summed(label, x, terms[0], out), out)
        return self._laid(label, self._product(label, terms, out, operands), out)

    def _summed(self, label: str, x: Value | Array, term: str, kept: str) -> tuple[Value | Array, str]:
        """Without the letters that nothing else has."""
        gone = [axis for axis, letter in enumerate(term) if letter not in kept]
        left = "".join(letter for letter in term if letter in kept)
        if not gone:
            return x, term
        if isinstance(x, Value):
            return self.reduce(Sum, f"{label}/sum", x, gone, keep_dims=False), left
        return x.sum(axis=tuple(gone)), left

    def _product(self, label: str, terms: list[str], out: str, operands: list[Value | Array]) -> tuple[Value, str]:
        """What both have and the result too counts the matrices; what both have and it has not is summed."""
        (a, first), (b, second) = (
            self._summed(f"{label}/{name}", x, term, out + other)
            for name, x, term, other in zip("ab", operands, terms, terms[::-1], strict=True)
        )
        extents = {letter: n for x, term in ((a, first), (b, second)) for letter, n in zip(term, x.shape, strict=True)}
        batch, inner = ([c for c in first if c in second and (c in out) is kept] for kept in (True, False))
        rows, columns = ([c for c in x if c not in y] for x, y in ((first, second), (second, first)))
        parts: list[Value | Array] = []
        for name, x, term, order in (
            ("a", a, first, (batch, rows, inner)),
            ("b", b, second, (batch, inner, columns)),
        ):
            permutation = [term.index(letter) for group in order for letter in group]
            shape = tuple(prod(extents[letter] for letter in group) for group in order)
            if isinstance(x, Value):
                turned = self.transpose(f"{label}/{name}/turned", x, permutation)
                parts.append(self.reshape(f"{label}/{name}/matrices", turned, shape))
            else:
                parts.append(x.transpose(permutation).reshape(shape))
        shape = tuple(extents[letter] for letter in (*batch, *rows, *columns))
        y = self._matrices(f"{label}/product", parts[0], parts[1])
        return self.reshape(f"{label}/axes", y, shape), "".join((*batch, *rows, *columns))

    def _matrices(self, label: str, a: Value | Array, b: Value | Array) -> Value:
        if isinstance(a, Value) and isinstance(b, Value):
            return self.matmul(label, a, b)
        if isinstance(a, Value):
            assert not isinstance(b, Value)
            return self.matmul_constant(label, a, b[0] if len(b) == 1 else b, first=False)
        assert isinstance(b, Value)
        return self.matmul_constant(label, b, a, first=True)

    def _laid(self, label: str, made: tuple[Value | Array, str], out: str) -> Value:
        x, term = made
        assert isinstance(x, Value)
        return x if term == out else self.transpose(label, x, [term.index(letter) for letter in out])
