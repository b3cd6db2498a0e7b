"""What takes a server's updates in C: the tables of the layers that can be updated, and NAME_update around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import driftc
from driftc.codegen.elastic.coding import Folded, UpdatableLayer, layer_bytes
from driftc.codegen.elastic.parameters import Parameters, operator_of
from driftc.codegen.emit import text
from driftc.codegen.emit.emit import environment
from driftc.codegen.names import comment
from driftc.codegen.plan.changing import KeptLayer
from driftc.codegen.plan.plan import Plan

HEADERS = ("driftc_update.h",)
OFFSETS = {  # of a layout's arrays: multipliers, shifts, biases
    "plain": ("multiplier", "shift", "bias"),
    "pairs": ("scales", "shifts", "scales"),
    "pairs_apart": ("scales", "shifts", "scales"),
    "fours": ("lanes", "lanes", "lanes"),
    "sixteens": ("lanes", "lanes", "lanes"),
    "table": ("table", "table", "table"),
}


@dataclass(frozen=True)
class Row:
    """A driftc_updatable_t."""

    label: str
    kind: str
    bytes: int  # of its part of a packet
    channels: int
    largest: int
    numbers: str
    shifts: str
    put: str
    scales: int
    right: int
    biases: int
    columns: int


def emit_update(known: Parameters, plan: Plan) -> dict[str, str]:
    """File name -> text."""
    kept = {layer.operator.name: layer for layer in plan.kept}
    arrays: list[text.ConstantArray] = []
    rows = [_row(layer, kept[operator_of(layer)], arrays) for layer in known.layers]
    values = {
        "name": plan.name,
        "version": driftc.__version__,
        "fed": plan.fed is not None,
        "arrays": arrays,
        "layers": rows,
        "channels": sum(layer.channels for layer in known.layers),
        "bytes": known.packet_bytes,
        "id": ", ".join(f"0x{byte:02X}" for byte in known.model_id),
        "id_text": known.model_id.hex(),
    }
    files = (f"{plan.name}_update.{suffix}" for suffix in ("h", "c"))
    found = {name: str(environment().get_template(f"update.{name[-1]}.j2").render(**values)) for name in files}
    return found | {"simulator/update.h": str(environment().get_template("simulator_update.h.j2").render(**values))}


def update_constant_bytes(known: Parameters) -> int:
    """In flash, of the tables of the layers as they were compiled."""
    return sum(17 * la.channels if isinstance(la, Folded) else la.table.nbytes for la in known.layers)


def _row(layer: UpdatableLayer, kept: KeptLayer, arrays: list[text.ConstantArray]) -> Row:
    """And the arrays that it names."""
    scales, right, biases = (kept.offset(key) for key in OFFSETS[kept.layout])
    name, label = operator_of(layer), comment(layer.label)
    if not isinstance(layer, Folded):
        rows, columns = layer.table.shape
        arrays.append(text.constant_array(f"{name}_numbers", layer.table, name, f"{rows} x {columns}"))
        return Row(
            label, layer.kind, layer_bytes(layer), rows, 0, f"{name}_numbers", "NULL", "NULL", scales, 0, 0, columns
        )
    numbers = np.stack([layer.raw, layer.rest, layer.multiplier, layer.step], axis=1).astype(np.int32)
    arrays.append(text.constant_array(f"{name}_numbers", numbers, name, f"{layer.channels} x 4"))
    arrays.append(text.constant_array(f"{name}_shifts", layer.shift.astype(np.uint8), name))
    return Row(
        label=label,
        kind=layer.kind,
        bytes=layer_bytes(layer),
        channels=layer.channels,
        largest=layer.largest,
        numbers=f"{name}_numbers",
        shifts=f"{name}_shifts",
        put=f"driftc_put_{kept.layout.removesuffix('_apart')}",
        scales=scales,
        right=right,
        biases=biases,
        columns=-layer.channels % 4 if kept.layout == "pairs_apart" else 0,
    )
