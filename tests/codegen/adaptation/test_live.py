"""Models whose layers normalise each sample by its own statistics: exact on every engine, stateless, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_models import METHODS, Samples, adaptation, adapted, compiled, samples_of
from models import ModelBuilder, keyword_model, residual_model

from driftc.codegen.adaptation import iabn, lean
from driftc.codegen.adaptation.adapt import adapt
from driftc.codegen.adaptation.constants import Constants, Rank
from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.adapt_kernel import AdaptKernel
from driftc.codegen.operators.adapt.adapt_rank import AdaptRank
from driftc.codegen.operators.adapt.adapt_trust import AdaptTrust
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.options import Options
from driftc.codegen.plan.call import static_calls
from driftc.simulator.engines import engine
from driftc.simulator.reference import run_graph


def hostile(graph: Graph) -> Samples:
    """All lowest, all highest, all zero, a checkerboard of the extremes."""
    (tensor,) = graph.inputs
    board = np.where(np.indices(tensor.shape).sum(axis=0) % 2, 127, -128)
    return [(np.full(tensor.shape, value).astype(np.int8),) for value in (-128, 127, tensor.zero_point, board)]


def live_layers(graph: Graph) -> Iterator[tuple[Live, AdaptKernel, AdaptAffine]]:
    """The three operators of each, ADAPT_TRUST and ADAPT_RANK aside."""
    for position, operator in enumerate(graph.operators):
        if isinstance(operator, Live):
            rest = [part for part in graph.operators[position + 1 :] if not isinstance(part, AdaptTrust | AdaptRank)]
            statistics, affine = rest[:2]
            assert isinstance(statistics, AdaptKernel)
            assert isinstance(affine, AdaptAffine)
            yield operator, statistics, affine


def statistics_of(graph: Graph, operator: Live, statistics: AdaptKernel, values: dict[str, Any]) -> list[Any]:
    """What the kernel gives, by the equations' own order: after ADAPT_TRUST or ADAPT_RANK, where there is one."""
    made = {part.outputs[0].name: part for part in graph.operators if isinstance(part, AdaptTrust | AdaptRank)}
    given = dict(zip((t.name for t in operator.outputs), operator.spec(values[operator.inputs[0].name]), strict=True))
    for tensor in statistics.inputs[2:]:
        before = made[tensor.name]
        (given[tensor.name],) = before.spec(*(given[t.name] for t in before.inputs))
    return [given[operator.outputs[0].name], *statistics.spec(*(given[t.name] for t in statistics.inputs))]


@pytest.mark.parametrize("method", METHODS)
def test_every_tensor_is_exact_on_every_engine(model: Path, method: str, tmp_path: Path) -> None:
    made = compiled(model, method)
    graph = made.lowered.graph
    given = np.concatenate([sample[0] for sample in samples_of(graph, 2, seed=9) + hostile(graph)])
    np.savez(tmp_path / "data.npz", x=given)
    engines = ["numpy", *(name for name in ("host", "unicorn") if engine(name).missing_for("cortex-m4") is None)]
    found = made.verify(tmp_path / "data.npz", engines=engines, sanitize=True)
    assert found.first_difference is None, str(found.first_difference)
    assert found.samples == 6
    kinds = [tensor.dtype.name for tensor in made.lowered.plan.layers]
    assert {"int8", "int32", "int64"} == set(kinds)


@pytest.mark.parametrize(
    "content", [keyword_model(channels=32), residual_model(channels=16)], ids=["keyword", "residual"]
)
def test_every_tensor_is_exact_by_vectors(content: bytes, tmp_path: Path) -> None:
    """Of so many channels that vectors pay: a vector instruction takes two cycles of the core."""
    path = tmp_path / "live.tflite"
    path.write_bytes(content)
    made = compiled(path, "lean", Options(core="cortex-m55"))
    used = {call.kernel.name for call in static_calls(made.lowered.plan.program)}
    assert "mve/pointwise_sums" in used
    assert "mve/depthwise_sums" in used or not any(
        isinstance(op, DepthwiseConv2D) for op in made.lowered.graph.operators
    )
    assert {"mve/convolution_sums", "mve/convolution_gathered_sums"} & used
    engines = ["numpy", *(name for name in ("host", "qemu") if engine(name).missing_for("cortex-m55") is None)]
    found = made.verify(engines=engines, random=2, sanitize=True)
    assert found.first_difference is None, str(found.first_difference)


@pytest.mark.parametrize("method", ["whole", "lean-mean", "iabn", "rank"])
def test_sums_of_64_bits_are_exact_on_every_engine(method: str, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    builder = ModelBuilder()
    x = builder.input("x", (1, 48, 48, 18), scale=0.05, zero_point=-3)
    weights, scales = random.integers(-127, 128, (6, 3, 3, 18)), random.uniform(0.002, 0.02, 6)
    bias = random.integers(-500, 500, 6)
    builder.output(builder.conv_2d(x, weights, bias, weight_scale=scales, out_scale=0.5, out_zero_point=5, name="conv"))
    path = tmp_path / "wide.tflite"
    path.write_bytes(builder.build())
    made = compiled(path, method)
    assert made.lowered.graph.operators[0].outputs[1].dtype == np.int64
    engines = ["numpy", *(name for name in ("host", "unicorn") if engine(name).missing_for("cortex-m4") is None)]
    found = made.verify(engines=engines, random=2, sanitize=True)
    assert found.first_difference is None, str(found.first_difference)


@pytest.mark.parametrize(("method", "tiled"), [("fixed", True), ("rank", False)])
def test_what_needs_all_channels_is_computed_whole(method: str, tiled: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    builder = ModelBuilder()
    x = builder.input("x", (1, 8, 8, 4), scale=0.05, zero_point=-3)
    for name, shape, scale in (("wide", (64, 1, 1, 4), 0.1), ("narrow", (2, 1, 1, 64), 0.5)):
        weights, bias = random.integers(-127, 128, shape), random.integers(-500, 500, shape[0])
        x = builder.conv_2d(x, weights, bias, weight_scale=np.full(shape[0], 0.01), out_scale=scale, name=name)
    builder.output(x)
    path = tmp_path / "wide.tflite"
    path.write_bytes(builder.build())
    options = Options(minimize="ram", overhead=1000.0)
    made = Compiled(path.read_bytes(), options, lower(path, options, adaptation=adapted(path, METHODS[method])))
    calls = [call for call in static_calls(made.lowered.plan.program) if isinstance(call.operator, Live)]
    assert any(call.channels.count < call.operator.outputs[0].hwc[2] for call in calls) == tiled
    assert made.verify(engines=["numpy"], random=1).bit_exact


def test_references_compare_the_models_own_operators(model: Path) -> None:
    from driftc.simulator.engines import reference

    absent = reference("tflm").missing()
    if absent is not None:
        pytest.skip(absent)
    found = compiled(model, 0.3).verify(engines=["tflm"], random=1)
    assert found.bit_exact
    assert any("tflm cannot adapt" in note for note in found.notes)


@pytest.mark.parametrize("method", [0.0, "lean-nothing", "iabn-nothing"])
def test_without_trust_it_is_the_folded_model(model: Path, method: float | str) -> None:
    """Each live layer, given what the folded one was given: off by what rounding to int8 before the affine can do.

    With one output step for each `gain` steps before it: gain / 2 from that rounding, 1/2 from the folded model's own,
    1/2 from this one's, and a sixteenth for the constants.
    """
    nothing = {"lean-nothing": partial(lean.constants, tau=1.0), "iabn-nothing": partial(iabn.constants, k=90.0)}
    found = adapted(model, nothing[method]) if isinstance(method, str) else adaptation(model, method)
    plain = lower(model, Options()).model
    graph = adapt(plain, found)
    for sample in samples_of(plain, 16):  # what was calibrated with: nothing saturates
        values = run_graph(plain, sample)
        for operator, statistics, affine in live_layers(graph):
            (source,) = (op for op in plain.operators if op.name == operator.name)
            (given,) = affine.spec(*statistics_of(graph, operator, statistics, values))
            (wanted,) = source.spec(values[operator.inputs[0].name])
            scales = operator.outputs[0].quantization
            assert scales is not None
            bound = np.ceil(scales.scale / source.outputs[0].scale / 2 + 1 + 1 / 16) + 1e-9
            assert np.all(np.abs(given.astype(int) - wanted) <= bound)


def moved(known: Constants, mean: Any, var: Any, pixels: int) -> tuple[Any, Any]:
    """Mean, and variance with eps, to normalise with: the equations in float64."""
    form, source = known.form, known.var + known.eps
    if not form.linear:
        more, log = across(known.rank, mean, np.log2(var + known.eps))
        return known.dm * mean + known.cm + more, np.exp2(known.dv * np.log2(var + known.eps) + known.cv + log)
    mu, wide = known.dm * mean + known.cm - known.mean, known.dv * (var - known.var)

    def soft(x: Any, calm: Any) -> Any:
        return np.sign(x) * np.maximum(np.abs(x) - form.shrink * calm, 0)

    mu, wide = soft(mu, np.sqrt(source / pixels)), soft(wide, source * np.sqrt(2 / (pixels - 1)))
    distance = np.mean(mu**2 / source) if form.mean else np.sum(mu**2 / source)
    d = 1 - np.exp(-distance)
    w = 1 - {"": 0.0, "power": d**form.rate, "product": form.rate * d}[form.trust]
    return known.mean + w * mu, source + w * wide


def across(rank: Rank | None, mean: Any, log: Any) -> tuple[Any, Any]:
    """What the rank term adds to the mean and to the log variance."""
    if rank is None:
        return 0.0, 0.0
    z = np.concatenate([(mean - rank.mean) / rank.deviation, (log - rank.log_mean) / rank.log_deviation])
    moved = rank.up @ np.maximum(rank.down @ z.clip(-8, 8) + rank.start, 0)
    return rank.deviation * moved[: len(mean)], rank.log_deviation * moved[len(mean) :]


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("whole", "rank-eager")])
def test_the_kernel_is_the_equations(model: Path, method: str) -> None:
    """Multiplier and offset against the real equations in float64."""
    found = adapted(model, METHODS[method])
    plain = lower(model, Options()).model
    graph = adapt(plain, found)
    values = run_graph(graph, samples_of(plain, 1, seed=5)[0])
    for operator, statistics, affine in live_layers(graph):
        known = found.layers[operator.name]
        (source,) = (op for op in plain.operators if op.name == operator.name)
        assert isinstance(source, Weighted)
        x = operator.accumulate(values[operator.inputs[0].name]).reshape(-1, operator.channels).astype(np.float64)
        step = operator.inputs[0].scale * operator.quantization.scale.astype(np.float64)
        x = (x + (source.raw_bias - operator.raw_bias)) * step
        mu, power = moved(known, x.mean(axis=0), x.var(axis=0), len(x))
        y = known.gamma / np.sqrt(power) * (x - mu) + known.beta
        low, high = affine.bounds
        wanted = np.clip(y / affine.outputs[0].scale + affine.outputs[0].zero_point, low, high)
        given = values[affine.outputs[0].name].reshape(-1, operator.channels)
        unit = values[statistics.outputs[0].name] / 2.0**16  # output steps for one of the int8 values
        inside = np.abs(values[operator.outputs[0].name].reshape(-1, operator.channels)) < 127
        assert np.all(np.abs(given - wanted)[inside] <= (unit / 2 + 0.5 + 0.25 + np.zeros_like(wanted))[inside])


@pytest.mark.parametrize("method", ["whole", "lean-eager", "iabn-eager", "rank-eager"])
def test_same_sample_same_result_whatever_came_before(model: Path, method: str) -> None:
    made = compiled(model, method)
    graph = made.lowered.graph
    ordinary = samples_of(graph, 20, seed=21)
    random = np.random.default_rng(1)
    noise = [(random.integers(-128, 128, graph.inputs[0].shape).astype(np.int8),) for _ in range(4)]
    bad = hostile(graph) + noise
    mixed: Samples = []
    for number, sample in enumerate(ordinary):
        mixed += [bad[number % len(bad)], sample, bad[(number + 3) % len(bad)]]
    host = engine("host")
    absent = host.missing()
    if absent is not None:
        pytest.skip(absent)
    program = made.program()
    among = [sample.outputs[0] for sample in host.run(program, mixed, trace=False)]
    alone = [next(iter(host.run(program, [sample], trace=False))).outputs[0] for sample in ordinary[:3]]
    expected = [run_graph(graph, sample)[graph.outputs[0].name] for sample in ordinary]
    assert np.array_equal(among[1::3], expected)
    assert np.array_equal(alone, expected[:3])


@pytest.mark.parametrize("method", ["fixed", "lean-mean", "iabn", "rank"])
def test_constants_survive_the_folder(model: Path, method: str, tmp_path: Path) -> None:
    made = compiled(model, method)
    made.write(tmp_path / "out")
    again = Compiled.load(tmp_path / "out")
    assert again.sources == made.sources
    given = compile(model, adapt_constants=tmp_path / "out" / "adaptation.json", measure=False)
    assert given.sources == made.sources


def test_arena_grows_by_no_more_than_the_statistics(model: Path) -> None:
    made = compiled(model, 0.3)
    statistics = max(
        sum(tensor.bytes for tensor in operator.outputs[1:])
        for operator in made.lowered.graph.operators
        if isinstance(operator, Live)
    )
    plain = lower(model, Options()).plan.arena_bytes
    assert made.lowered.plan.arena_bytes <= plain + statistics
