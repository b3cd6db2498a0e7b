"""Plan -> C: the text of every generated file. Reads nothing but the Plan."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

import driftc
from driftc.codegen.emit import access, text
from driftc.codegen.emit.function import Function, Functions, functions
from driftc.codegen.emit.initial import InitialState, initial_states, state_id
from driftc.codegen.emit.ports import Port, ports
from driftc.codegen.emit.program import Fed, fed_of, in_step, step_names
from driftc.codegen.emit.tidy import tidy
from driftc.codegen.kernels.kernel import Shared
from driftc.codegen.names import comment
from driftc.codegen.operators.adapt.adapt_kernel import AdaptKernel
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Tiling
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.quantised import Clamped
from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.plan.buffer import CONSTANTS, PARAMETERS
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.check import PlanError
from driftc.codegen.plan.plan import Plan
from driftc.codegen.tensor import Array, Tensor

ACTIVATIONS = {
    Activation.NONE: "",
    Activation.RELU: ", ReLU",
    Activation.RELU_N1_TO_1: ", ReLU -1..1",
    Activation.RELU6: ", ReLU6",
}


@dataclass(frozen=True)
class Model:
    """What the file templates see as `m`."""

    name: str
    version: str
    driftc_version: int
    source: str
    sha256: str
    regions: tuple[Any, ...]
    used_regions: tuple[str, ...]
    constant_bytes: int
    macs: int
    headers: tuple[str, ...]  # of firmware/, that the C includes
    float_io: bool  # the float translation unit is there
    float_wrapper: bool  # and NAME_invoke_float in it
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    steps: tuple[str, ...]
    fed: Fed | None  # the input that arrives row by row
    layers: tuple[int, ...]  # bytes an element of each hook layer
    class_names: str  # as an initialiser of C strings; "" where there are none
    states: tuple[InitialState, ...]
    state_id: str  # of the model and the layout of its states, as C initialisers
    guest: str = ""  # it works on the states of another of this name, which resets and saves them
    learns: tuple[str, ...] = ()  # C files beside it, with which it learns
    updatable: bool = False  # NAME_update.c is beside it
    uploads: bool = False  # and NAME_upload.c

    @property
    def beside(self) -> tuple[str, ...]:
        """C files that belong to it."""
        more = [f"{self.name}_update.c"] * self.updatable + [f"{self.name}_upload.c"] * self.uploads
        return (*self.learns, *more)

    @property
    def asked(self) -> bool:
        """After an inference, about its sample: it knows whether one has ended."""
        return bool(self.learns) or self.uploads

    @property
    def keeps(self) -> bool:
        """It has states of its own."""
        return bool(self.states) and not self.guest

    @property
    def given(self) -> list[Port]:
        """Inputs that the caller writes whole."""
        return [port for number, port in enumerate(self.inputs) if self.fed is None or number != self.fed.port]

    @property
    def upper(self) -> str:
        return self.name.upper()

    @property
    def invoke_type(self) -> str:
        return f"const {self.outputs[0].type} *" if len(self.outputs) == 1 else "void "

    @property
    def macs_text(self) -> str:
        return f"{self.macs / 1e6:.1f} M" if self.macs >= 1e6 else f"{self.macs:,}"


@cache
def environment() -> Any:
    """Jinja2 over driftc.templates, strict about undefined names."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("driftc.templates")

    def source(name: str) -> str | None:
        path = folder.joinpath(name)
        return path.read_text(encoding="utf-8") if path.is_file() else None

    made = Environment(
        loader=FunctionLoader(source),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.tests["divides"] = lambda number, length: length % number == 0
    made.globals.update(
        at=access.at,
        plus=access.plus,
        times=access.times,
        c_type=access.c_type,
        comment=comment,
        to_int8=text.to_int8,
        to_values=text.to_values,
        any=any,
        element=access.element,
        minus=access.minus,
        names_of=access.names_of,
        offset=access.offset,
        scaled=text.scaled,
        requantized=text.requantized,
    )
    return made


def emit(
    plan: Plan,
    *,
    source: str,
    sha256: str,
    float_border: bool = False,
    float_io: bool = False,
    class_names: Sequence[str] = (),
    guest: str = "",
    learns: tuple[str, ...] = (),
    lent: Mapping[str, str] | None = None,
    uploads: bool = False,
) -> dict[str, str]:
    """File name -> text. `source` and `sha256` say which model file this is, in comments.

    A `guest` works on the states of another Plan, of that name, which `learns`: it has NAME.h, NAME.c and the weights
    alone, but for those that are `lent`, which it reads where the other one has them, by its names for them. The float
    translation unit is made where the model had float at its border, or on request (`float_io`).
    """
    made = functions(plan)
    arrays = [replace(array, lent=(lent or {}).get(array.name, "")) for array in constants(made, bool(guest))]
    known = _model(made, plan, source, sha256, float_border or float_io, float_io, class_names)
    own = sum(array.bytes for array in arrays if not (guest and array.lent))
    model = replace(known, guest=guest, learns=learns, uploads=uploads, constant_bytes=own)
    template = environment().get_template
    steps = [in_step(statement, made) for statement in plan.program] if plan.fed is None else []
    layers = [_function(function) for function in made]
    pieces = [_shared(piece) for piece in shared(made)]
    name = plan.name
    found = {
        f"{name}.h": template("model.h.j2").render(m=model),
        f"{name}.c": template("model.c.j2").render(m=model, pieces=pieces, layers=layers, steps=steps),
        f"{name}_weights.h": template("weights.h.j2").render(m=model, arrays=arrays),
    }
    if guest:
        return found
    found |= {
        "CMakeLists.txt": template("CMakeLists.txt.j2").render(m=model),
        "simulator/model.h": template("simulator.h.j2").render(m=model, id=_id(found.values())),
    }
    if model.float_io:
        for suffix in ("h", "c"):
            found[f"{name}_float_io.{suffix}"] = template(f"float_io.{suffix}.j2").render(m=model)
    return found


def _id(files: Iterable[str]) -> str:
    """Bytes as a C initialiser that tell these generated files from any others."""
    return ", ".join(f"0x{byte:02X}" for byte in hashlib.sha256("".join(files).encode()).digest()[:8])


def emit_selftest(plan: Plan, inputs: Sequence[Array], layers: Sequence[Array]) -> str:
    """NAME_selftest.c for these inputs; `layers` are what the specification computes, by hook index."""
    model = _model(functions(plan), plan, "", "", False, False)
    return str(
        environment()
        .get_template("selftest.c.j2")
        .render(
            m=model,
            inputs=[text.constant_array(f"input{n}", value, "selftest") for n, value in enumerate(inputs)],
            shapes=[(t.hwc[1], t.hwc[2], t.dtype.itemsize) for t in plan.layers],
            expected=layers,
            hashes=",\n".join(f"    0x{layer_hash(layer):08X}u" for layer in layers),
        )
    )


def layer_hash(layer: Array) -> int:
    """The self-test's hash of a layer's bytes; see templates/selftest.c.j2."""
    data = np.frombuffer(np.ascontiguousarray(layer).tobytes(), np.uint8).astype(np.uint64)
    weight = (2 * 0x9E3779B1 * np.arange(data.size, dtype=np.uint64) + 1) & np.uint64(0xFFFFFFFF)
    return int(((data + np.uint64(1)) * weight & np.uint64(0xFFFFFFFF)).sum() & np.uint64(0xFFFFFFFF))


def constants(functions: Functions, guest: bool = False) -> list[text.ConstantArray]:
    """Every array in flash, in the order of use: the operators' own, then constant inputs, then what is shared.

    A `guest` has no initial values of states.
    """
    found: dict[str, text.ConstantArray] = {}
    outside: dict[str, tuple[str, Array]] = {}
    for function in functions:
        owner = function.op.name
        kept = {array.key for array in function.kept}
        for key, data in function.constants.items():
            if key in kept:
                continue
            layout = " x ".join(str(n) for n in data.shape) if data.ndim > 1 else ""
            found.setdefault(f"{owner}_{key}", text.constant_array(f"{owner}_{key}", data, owner, layout))
        for buffer in function.inputs:
            if buffer.data is not None:
                found.setdefault(buffer.name, text.constant_array(buffer.name, buffer.data, owner))
        if isinstance(function.op, Weighted) and isinstance(function.op, Windowed) and function.inside:
            first, known = outside.get(function.outside, (owner, np.zeros(0)))
            widest = max(function.x.shape[2], known.size)
            outside[function.outside] = first, np.full(widest, function.op.inputs[0].zero_point, np.int8)
    states = () if guest else functions.states
    for state, shown in zip(states, initial_states(states), strict=True):
        if shown.array:
            found[shown.array] = text.constant_array(shown.array, state.initial, "reset", "what a reset gives")
    for name, (owner, data) in outside.items():
        found[name] = text.constant_array(name, data, owner, "what a window meets outside its input")
    return list(found.values())


def shared(functions: Functions) -> list[Shared]:
    """What several layers call, once each, in the order in which it must be defined."""
    found: dict[str, Shared] = {}
    for function in functions:
        for piece in function.kernel.shared(function.call):
            known = found.setdefault(piece.name, piece)
            assert (known.template, known.values) == (piece.template, piece.values), f"two functions {piece.name}"
    return list(found.values())


def headers(plan: Plan) -> list[str]:
    """The files of firmware/ that the C includes, directly or not."""
    found = {"driftc.h": None} | ({"driftc_adapt.h": None} if adapts(plan) else {})
    calls = list(static_calls(plan.program))
    named = [header for call in calls for header in (call.kernel.header, call.operator.header)]
    return [*found, *dict.fromkeys(name for name in named if name is not None)]


def constant_bytes(functions: Functions) -> dict[str, int]:
    """Bytes in flash by operator; what several share counts for the first of them."""
    sizes: dict[str, int] = {}
    for array in constants(functions):
        sizes[array.owner] = sizes.get(array.owner, 0) + array.bytes
    return sizes


def _model(
    made: Functions,
    plan: Plan,
    source: str,
    sha256: str,
    float_io: bool,
    float_wrapper: bool,
    class_names: Sequence[str] = (),
) -> Model:
    major, minor, patch = (int(part) for part in driftc.__version__.split(".")[:3])
    used = {b.region for b in plan.buffers() if b.region != CONSTANTS} | ({PARAMETERS} if plan.kept else set())
    return Model(
        name=plan.name,
        version=driftc.__version__,
        driftc_version=major * 10000 + minor * 100 + patch,
        source=comment(source),
        sha256=sha256,
        regions=plan.memory,
        used_regions=tuple(region.name for region in plan.memory if region.name in used),
        constant_bytes=sum(constant_bytes(made).values()),
        macs=sum({id(f.call.planned): f.call.planned.macs for f in made}.values()),
        headers=tuple(name for name in headers(plan) if name != "driftc.h" or not adapts(plan)),
        float_io=float_io,
        float_wrapper=float_wrapper and _one_quantised(plan.input_tensors) and _one_quantised(plan.output_tensors),
        inputs=ports(plan, "input", plan.inputs, plan.input_tensors),
        outputs=ports(plan, "output", plan.outputs, plan.output_tensors),
        steps=step_names(plan),
        fed=fed_of(plan, made),
        layers=tuple(tensor.dtype.itemsize for tensor in plan.layers),
        class_names=", ".join(text.c_string(name) for name in class_names),
        states=initial_states(plan.states),
        updatable=bool(plan.kept),
        state_id=", ".join(f"0x{byte:02X}" for byte in state_id(plan, sha256)),
    )


def adapts(plan: Plan) -> bool:
    """Whether the C needs driftc_adapt.h."""
    return any(isinstance(call.operator, AdaptKernel) for call in static_calls(plan.program))


def _one_quantised(tensors: tuple[Tensor, ...]) -> bool:
    return len(tensors) == 1 and tensors[0].stands_for_reals


def _function(function: Function) -> str:
    """The comment and the C of one layer."""
    op = function.op
    if op.divisible is Tiling.NONE and not function.flat:
        raise PlanError(f"{op.name}: {op.kind} is not computed in parts, nor on buffers with gaps")
    template = environment().get_template(function.kernel.template(function.call))
    body = tidy(template.render(fn=function, k=function.kernel.values(function.call)))
    head, opened, rest = body.partition("\n{\n")
    for name in function.origins:
        if not re.search(rf"\b{name}\b", rest):  # each row is where the one before it was
            rest = f"    (void){name};\n{rest}"
    body = _with_kept(head + opened + rest, function)
    return str(environment().get_template("layer.c.j2").render(fn=function, **_about(function))) + body


def _with_kept(body: str, function: Function) -> str:
    """Each C function that is given the parameters in RAM knows those that it reads by their names."""
    if not function.kept:
        return body
    given = re.compile(rf"^([^\n]*\b{PARAMETERS}[^\n]*\)\n\{{\n)(.*?)^\}}", re.MULTILINE | re.DOTALL)

    def declared(match: re.Match[str]) -> str:
        lines = [f"    {line}\n" for name, line in function.pointers.items() if re.search(rf"\b{name}\b", match[2])]
        unused = f"    (void){PARAMETERS};\n" if not lines and PARAMETERS not in match[2] else ""
        return f"{match[1]}{''.join(lines)}{unused}{match[2]}}}"

    return given.sub(declared, body)


def _shared(piece: Shared) -> str:
    """The C of what several layers call."""
    return tidy(environment().get_template(piece.template).render(name=piece.name, **piece.values))


def _about(function: Function) -> dict[str, Any]:
    op = function.op
    lines: list[str] = []
    for title, buffers, tensors in (("in", function.inputs, op.inputs), ("out", function.outputs, op.outputs)):
        for buffer, tensor in zip(buffers, tensors, strict=True):
            place = "flash" if buffer.region == CONSTANTS else f"{buffer.region} + {buffer.offset}"
            lines.append(f"{title:5} {place:14} {text.by(tensor.shape[1:] or (1,)):14} {text.real(tensor)}".rstrip())
    size = sum(data.nbytes for data in function.kernel.constants(op).values())
    if op.macs or size:
        lines.append(f"cost  {op.macs:,} MAC, {size:,} constant bytes")
    activation, folded = "", 0
    if isinstance(op, Weighted):
        folded = -op.inputs[0].zero_point
    if isinstance(op, Weighted | Clamped):
        activation = ACTIVATIONS[op.activation] if op.bounds is None else f", clamped to {op.range[0]}..{op.range[1]}"
        activation += ", int4 weights" if op.packed else ""
    return {"lines": lines, "activation": activation, "folded": folded}
