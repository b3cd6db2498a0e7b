"""What a SavedModel would run while it is loaded and frozen, looked at before: nothing may leave its own tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from driftc.codegen.errors import ModelError, first_line

LARGEST_FILE = 1 << 28
# Operations with state that stay within the model: variables, tables, random numbers, calls.
STATEFUL = re.compile(
    r"VarHandleOp|VarIsInitializedOp|DestroyResourceOp|Variable(V2)?|IsVariableInitialized|ReadVariableOp|"
    r"Assign(Add|Sub)?(VariableOp)?|ResourceGather(Nd)?|DisableCopyOnRead|"
    r"(Mutable)?HashTable(V2)?|(AnonymousMutable)?HashTable|LookupTable(Import|Insert|Find|Size|Export)(V2)?|"
    r"InitializeTable(V2)?|"
    r"StatefulPartitionedCall|PartitionedCall|If|While|Case|Placeholder(V2|WithDefault)?|Assert|"
    r"Random(Uniform|UniformInt|StandardNormal|Shuffle|Gamma)|TruncatedNormal|Multinomial"
)
# Operations without state, as TensorFlow has it, that read files, run Python or start datasets, which do.
OUTSIDE = re.compile(
    r".*(Dataset|PyFunc|File|Iterator|Summary|Reader).*|ImmutableConst|LoadAndRemapMatrix|RemoteCall|Rpc.*"
)
RESTORES = frozenset({"RestoreV2", "Restore", "RestoreSlice"})  # of the model's own variables, in TensorFlow 1's way


def check(path: Path, title: str) -> None:
    """Raises ModelError where loading the model, or what it serves, would touch files, processes or Python."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import op_def_registry

    file = path / "saved_model.pb"
    if file.stat().st_size > LARGEST_FILE:
        raise ModelError(f"{title}: {file.stat().st_size} bytes; driftc reads models up to {LARGEST_FILE >> 20} MiB")
    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(file.read_bytes())
    except Exception as problem:  # protobuf's own class is another in each of its versions
        raise ModelError(f"{title}: saved_model.pb is damaged: {first_line(problem)}") from None
    for meta in model.meta_graphs:
        try:
            executed = list(_executed(meta))
        except Exception as problem:  # of a collection that is damaged
            raise ModelError(f"{title}: saved_model.pb is damaged: {first_line(problem)}") from None
        for node in executed:
            kind = str(node.op)
            definition = op_def_registry.get(kind)
            inside = kind in RESTORES or (
                STATEFUL.fullmatch(kind) is not None
                if definition is not None and definition.is_stateful
                else OUTSIDE.fullmatch(kind) is None
            )
            if not inside:
                where = f"operation {kind} ('{node.name}')"
                raise ModelError(f"{title}: {where} reads or writes outside the model; driftc does not run it")


def _executed(meta: Any) -> Iterator[Any]:
    """The nodes that loading and serving may run: all but those of the function that saves."""
    functions = {function.signature.name: function for function in meta.graph_def.library.function}
    nodes = {node.name: node for node in meta.graph_def.node}
    reached = list(_behind(nodes, _roots(meta)))
    yield from reached
    called = [name for node in reached for name in _calls(node)]
    for listed in meta.object_graph_def.nodes:
        called += listed.function.concrete_functions
        called.append(listed.bare_concrete_function.concrete_function_name)
    seen: set[str] = set()
    while called:
        name = called.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            yield node
            called += _calls(node)


def _roots(meta: Any) -> Iterator[str]:
    """The tensors and operations that are asked for: what is served, initializers, and what old loaders restore by."""
    for signature in meta.signature_def.values():
        for port in signature.outputs.values():
            yield port.name
    from tensorflow.core.framework import variable_pb2

    for key, collection in meta.collection_def.items():
        yield from collection.node_list.value
        for stored in collection.bytes_list.value if "variables" in key else ():
            yield variable_pb2.VariableDef.FromString(stored).initializer_name
    if not meta.object_graph_def.nodes:  # TensorFlow 1 restores variables by operations of the graph
        yield meta.saver_def.restore_op_name


def _behind(nodes: dict[str, Any], roots: Iterable[str]) -> Iterator[Any]:
    """The nodes that are needed for `roots`, by data or by control."""
    waiting, seen = [_node(root) for root in roots], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        yield nodes[name]
        waiting += [_node(source) for source in nodes[name].input]


def _node(tensor: str) -> str:
    """'^name' and 'name:0' without what is not the node's."""
    return tensor.removeprefix("^").split(":")[0]


def _calls(node: Any) -> Iterator[str]:
    """The functions that a node's attributes name."""
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        yield from (function.name for function in attribute.list.func)
