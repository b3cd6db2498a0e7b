"""Graph and Plan as text, for `--dump-after`."""

from __future__ import annotations

from driftc.codegen.graph import Graph
from driftc.codegen.plan.buffer import CONSTANTS, Buffer
from driftc.codegen.plan.call import Loop, Statement
from driftc.codegen.plan.plan import Plan
from driftc.codegen.tensor import Tensor


def dump(thing: Graph | Plan) -> str:
    return _graph(thing) if isinstance(thing, Graph) else _plan(thing)


def _tensor(tensor: Tensor) -> str:
    quantization = tensor.quantization
    scale = ""
    if quantization is not None and quantization.scale.size == 1:
        scale = f" {quantization.scale[0]:.6g}*(q{-int(quantization.zero_point[0]):+d})"
    elif quantization is not None:
        scale = f" {quantization.scale.size} scales"
    constant = " const" if tensor.data is not None else ""
    return f"%{tensor.name!r}: {tensor.dtype}{list(tensor.shape)}{scale}{constant}"


def _graph(graph: Graph) -> str:
    lines = [f"graph {graph.name} from {graph.source}"]
    lines += [f"  input  {_tensor(tensor)}" for tensor in graph.inputs]
    for operator in graph.operators:
        outs = ", ".join(_tensor(tensor) for tensor in operator.outputs)
        ins = ", ".join(f"%{tensor.name!r}" for tensor in operator.inputs)
        lines.append(f"  {outs} = {operator.kind} '{operator.name}' [{operator.summary()}] ({ins})")
    lines += [f"  output %{tensor.name!r}" for tensor in graph.outputs]
    lines += [f"  fused  %{name!r} into {into}" for name, into in graph.fused.items()]
    return "\n".join(lines)


def _buffer(buffer: Buffer) -> str:
    rows, pixels, channels = buffer.shape
    place = "constant" if buffer.region == CONSTANTS else f"{buffer.region}+{buffer.offset}"
    part = "" if buffer.dense else f" rows {buffer.rows} channels {buffer.kept} strides {buffer.strides}"
    return f"{place} {rows}x{pixels}x{channels} {buffer.dtype}{part}"


def _plan(plan: Plan) -> str:
    lines = [f"plan {plan.name}: " + ", ".join(f"{region.name} {region.bytes} B" for region in plan.regions)]
    lines += [f"  input  {_buffer(buffer)}" for buffer in plan.inputs]
    for statement in plan.program:
        lines += _lines(statement, "  ")
    lines += [f"  output {_buffer(buffer)}" for buffer in plan.outputs]
    return "\n".join(lines)


def _lines(statement: Statement, indent: str) -> list[str]:
    if isinstance(statement, Loop):
        head = f"{indent}for {statement.variable} in [{statement.start}, {statement.stop}) step {statement.step}:"
        return [head, *(line for part in statement.body for line in _lines(part, indent + "  "))]
    call = statement
    reduce = f" reduce {call.reduce}" if call.reduce else ""
    sums = f" sums {_buffer(call.sums)}" if call.sums else ""
    ins = ", ".join(_buffer(buffer) for buffer in call.inputs)
    outs = ", ".join(_buffer(buffer) for buffer in call.outputs)
    where = f"rows {call.rows} channels {call.channels}{reduce}"
    return [f"{indent}{call.operator.name} ({call.operator.kind}, {call.epilogue}) {where}: {ins}{sums} -> {outs}"]
