"""A walk over an exported program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.frontends.channels_first import ChannelsFirst
from driftc.codegen.frontends.torch.call import Call, kind_of
from driftc.codegen.frontends.torch.constant import folded
from driftc.codegen.frontends.translators import Missing, Translators
from driftc.codegen.tensor import Array

operator: Translators[Callable[[Call], Value | list[Value]]] = Translators("driftc.codegen.frontends.torch.operators")


CHANNELS_SECOND = ("adaptive_", "avg_pool", "batch_norm", "conv", "group_norm", "instance_norm", "max_pool", "upsample")
ANY_AXES = ("add", "clamp", "div", "mul", "pad", "relu", "sub", "to")


class Walk:
    """Visits the nodes of the exported graph in order."""

    def __init__(self, torch: Any, program: Any, builder: FloatBuilder) -> None:
        self.torch = torch
        self.program = program
        self.builder = builder
        self.to = ChannelsFirst(builder)
        self.values: dict[
            str, Any
        ] = {}  # Value, or an array that is constant; a list of an operator with several results
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.labels: set[str] = set()

    def run(self) -> None:
        parameters = self._parameters()
        missing, unknown = Missing(operator), set[str]()
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.values[node.name] = parameters[node.name] if node.name in parameters else self.input(node)
            elif node.op == "output":
                missing.refuse(self.builder.refuse)
                self.outputs = [self.to.output(str(argument), self.value(argument)) for argument in node.args[0]]
            elif node.op != "call_function":
                self.builder.refuse(f"node '{node.name}' ({node.op}) is not supported")
            elif any(argument.name in unknown for argument in node.all_input_nodes):
                unknown.add(node.name)
            else:
                constant = folded(self.torch, node, self.values)
                found = constant if constant is not None else self.call(node, missing)
                if found is None:
                    unknown.add(node.name)
                else:
                    self.values[node.name] = found

    def _parameters(self) -> dict[str, Array]:
        signature = self.program.graph_signature
        stored = {**self.program.constants, **dict(self.program.state_dict)}
        named = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        return {name: np.asarray(stored[target].detach().cpu().numpy()) for name, target in named.items()}

    def input(self, node: Any) -> Value:
        shape = [int(n) if isinstance(n, int) else None for n in node.meta["val"].shape]
        if shape and shape[0] not in (1, None):
            self.builder.refuse(f"input '{node.name}' was exported with {shape[0]} samples; export the model with one")
        dtype = np.dtype(np.float32 if node.meta["val"].is_floating_point() else np.int32)
        value = self.to.input(
            node.name, shape, dtype=dtype, image=len(shape) == 4 or (len(shape) == 3 and channels_second(node))
        )
        self.inputs.append(value)
        return value

    def value(self, argument: Any) -> Value:
        found = self.values[argument.name] if hasattr(argument, "name") else None
        if not isinstance(found, Value):
            self.builder.refuse(f"a constant stands where driftc expects a computed tensor ('{argument}')")
        return found

    def call(self, node: Any, missing: Missing) -> Value | list[Value] | None:
        """What the node computes; None where nothing translates it."""
        call = Call(self, node, self.label(node))
        if "getitem" in call.kind:
            parts = self.values[node.args[0].name]
            return parts[node.args[1]] if isinstance(parts, list) else self.value(node.args[0])
        if call.kind not in operator.known:
            missing.add(call.kind, call.label)
            return None
        with self.builder.reading(call.label, call.kind):
            return operator.known[call.kind](call)

    def label(self, node: Any) -> str:
        """The module's path where the operator came from one ('layer1.0.conv1'), once; else the node's name."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = str(stack[-1][0]) if stack else ""
        if not path or path.startswith("L[") or path in self.labels:
            return str(node.name)
        self.labels.add(path)
        return path


def channels_second(node: Any) -> bool:
    """True where an operator whose channels are on axis 1 reads the value, as it is or after arithmetic."""
    names = [(reader, kind_of(reader)) for reader in node.users]
    return any(
        name.startswith(CHANNELS_SECOND) or (name.startswith(ANY_AXES) and channels_second(reader))
        for reader, name in names
    )
