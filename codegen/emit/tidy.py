"""Indentation and blank lines of generated C, so that templates need not carry them."""

from __future__ import annotations

import re

_OPENS_ONE = re.compile(r"^(for|if|while) \(.*\)$|^else$|^(} )?else if \(.*\)$")


def tidy(code: str) -> str:
    """Indent by braces, four spaces a level; a lone statement under for, if or else goes one further."""
    lines: list[str] = []
    depth, hanging = 0, 0
    for raw in code.splitlines():
        line = raw.strip()
        if not line:
            if lines and lines[-1] and not lines[-1].endswith("{"):
                lines.append("")
            continue
        if line.startswith("}"):
            while lines and not lines[-1]:
                lines.pop()
            depth -= 1
        if line.startswith("#"):
            lines.append(line)
            continue
        inner = 1 if line.startswith("*") else 0  # the body of a block comment
        label = 1 if re.match(r"^(case .*|default):", line) else 0
        lines.append(" " * (4 * (depth + hanging - label) + inner) + line)
        hanging = hanging + 1 if _OPENS_ONE.match(_code(line)) else 0
        depth += max(0, _braces(line) + (1 if line.startswith("}") else 0))
    return "\n".join(lines).strip("\n") + "\n"


def _code(line: str) -> str:
    return re.sub(r"\s*/\*.*?\*/\s*$", "", line)


def _braces(line: str) -> int:
    code = _code(line)
    return code.count("{") - code.count("}")
