"""Float models whose own normalisation stays live: what it knows of its source, and the same bytes on every engine."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from float_models import MODELS, Net, needs, samples

from driftc.codegen.adaptation import calibrated
from driftc.codegen.adaptation.adapt import adapt, chosen
from driftc.codegen.adaptation.calibration import measure
from driftc.codegen.adaptation.constants import Adaptation, Constants
from driftc.codegen.adaptation.find import find
from driftc.codegen.adaptation.known import Known, known
from driftc.codegen.adaptation.learning import Learning
from driftc.codegen.adaptation.network import Network
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import UsageError
from driftc.codegen.evaluate import trace
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.live import PRECISIONS, Live
from driftc.codegen.operators.adapt.tensor_statistics import TensorStatistics
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.options import Options
from driftc.codegen.quantize.calibration import check
from driftc.codegen.quantize.post_training import Quantized, Settings, quantize_graph
from driftc.codegen.samples import Samples
from driftc.codegen.samples import load as load_samples
from driftc.codegen.tensor import Array, Tensor
from driftc.simulator.engines import engine
from driftc.simulator.reference import run_graph


def mirrored(net: Net, x: Tensor) -> Tensor:
    """A normalisation that turns every second channel's sign."""
    channels = x.shape[-1]
    signs = np.where(np.arange(channels) % 2, -1.0, 1.0)
    ones = np.ones(channels)
    return net.batch_norm("mirrored", x, gamma=signs, beta=0.2 * ones, mean=0.1 * ones, variance=ones, epsilon=1e-3)


def anywhere() -> Graph:
    """Normalisation as the first layer, after an activation, after an addition, after a dense layer over a map."""
    net = Net(7)
    x = net.normalize(net.input("image", (1, 12, 10, 3)))
    x = net.normalize(net.activate(net.convolve(x, 8, padding="same")))
    y = net.activate(mirrored(net, net.convolve(x, 8, padding="same")))
    x = net.activate(net.normalize(net.plus(x, y)))
    x = net.reshape("pixels", x, (1, 120, 8))
    x = net.activate(net.normalize(net.connect(x, 6)))
    x = net.reshape("map", x, (1, 12, 10, 6))
    return net.graph([net.connect(net.mean("mean", x, (1, 2), keep_dims=False), 4)])


class Model:
    """A float model, quantised, as a file, with what is known of its normalisations."""

    def __init__(self, real: Graph, folder: Path, settings: Settings | None = None) -> None:
        self.quantized: Quantized = quantize_graph(real, check(real, [samples()], "x.npz"), settings or Settings())
        self.path = folder / "net.tflite"
        self.path.write_bytes(self.quantized.model)
        self.graph = lower(self.path, Options()).model
        self.known: Known = known(self.quantized, self.graph)
        self.data = folder / "x.npy"
        np.save(self.data, samples())

    @property
    def samples(self) -> Samples:
        return load_samples(self.data, self.graph.inputs)

    def compiled(self, adaptation: Adaptation) -> Compiled:
        return Compiled(self.path.read_bytes(), Options(), lower(self.path, Options(), adaptation=adaptation))


REALS = {**MODELS, "anywhere": anywhere}


@pytest.fixture(params=["residual", "separable", "anywhere"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    return Model(REALS[request.param](), tmp_path)


def test_folded_statistics_normalise_as_the_models_own(model: Model) -> None:
    """With the mean and variance of the samples, in float: before folding on x, after it on what folding made of x."""
    x = [samples(8)]
    own = {op.outputs[0].name: (op, given[0]) for op, given, _ in trace(model.quantized.real, x)}
    pairs = zip(model.quantized.graph.operators, model.graph.operators, strict=True)
    read = {ours.name: theirs.name for ours, theirs in pairs}
    compared = 0
    for operator, given, _ in trace(model.quantized.prepared, x):
        norm = model.known.layers.get(read[operator.name])
        if norm is None or not isinstance(operator, Weighted):
            continue
        ((bn, before),) = [(op, v) for op, v in own.values() if (op.label or op.name) == norm.name]
        assert isinstance(bn, BatchNormalization)
        values = replace(operator, activation=Activation.NONE).float_spec(given[0])[0]
        wanted = bn.gamma * _normal(before, bn.epsilon) + bn.beta
        factors = model.quantized.factors.get(operator.name, np.ones(len(bn.gamma)))
        found = np.sqrt(norm.var + norm.eps) * _normal(values, norm.eps) + norm.mean
        assert np.allclose(found * factors, wanted, atol=2e-3)
        compared += 1
    assert compared >= 5


def _normal(x: Array, eps: Array | float) -> Array:
    """By the mean and variance of each sample."""
    axes = tuple(range(1, x.ndim - 1))
    x = x.astype(np.float64)
    return np.asarray((x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps))


def test_only_normalisations_stay_live_and_go_by_their_names(model: Model) -> None:
    names = chosen(model.graph, "all", model.known.layers)
    assert names
    assert set(names) <= set(model.known.layers)
    first = model.known.layers[names[0]].name
    assert chosen(model.graph, first, model.known.layers) == names[:1]
    with pytest.raises(UsageError, match="no layer 'dense'; it could be norm_"):
        chosen(model.graph, "dense", model.known.layers)


def test_source_statistics_are_the_models_own(model: Model) -> None:
    names = chosen(model.graph, "all", model.known.layers)
    sources = measure(model.graph, names, model.samples.quantized, known=model.known.layers)
    for name in names:
        source, norm = sources[name], model.known.layers[name]
        assert np.array_equal(source.mean, norm.mean)
        assert np.array_equal(source.var, norm.var)
        units = np.log2(source.eps * source.pixels / source.step**2)
        assert np.allclose(units, np.rint(units))  # as the device adds it
        assert np.all((source.eps <= norm.eps * 1.5) | (source.eps <= source.step**2 / source.pixels * 1.01))


EVERY = [
    *(("fixed", precision) for precision in PRECISIONS),
    ("lean-mean", "int8"),
    ("lean", "int16"),
    ("iabn", "int32"),
]


@pytest.mark.parametrize(("method", "precision"), EVERY)
def test_every_tensor_is_exact_on_every_engine(model: Model, method: str, precision: str, tmp_path: Path) -> None:
    found, _ = find(model.graph, method, "all", model.samples, Learning(), None, model.known, precision)
    made = model.compiled(found)
    live = [op for op in made.lowered.graph.operators if isinstance(op, Live)]
    assert len(live) + sum(isinstance(op, TensorStatistics) for op in made.lowered.graph.operators) == len(found.layers)
    assert live
    assert {op.outputs[0].dtype.name for op in live} == {precision}
    engines = ["numpy", *(name for name in ("host", "unicorn") if engine(name).missing_for("cortex-m4") is None)]
    verified = made.verify(random=3, engines=engines, sanitize=True)
    assert verified.first_difference is None, str(verified.first_difference)
    made.write(tmp_path / "out")
    assert Compiled.load(tmp_path / "out").sources == made.sources


def test_auto_takes_of_the_normalisations_alone(model: Model) -> None:
    found, notes = find(model.graph, "fixed", "auto", model.samples, Learning(), None, model.known, budget=100.0)
    assert found.layers
    assert set(found.layers) <= set(model.known.layers)
    assert f"{len(found.layers)} of {len(chosen(model.graph, 'all', model.known.layers))} layers" in notes[-1]


def test_finer_values_follow_the_equations_more_nearly(model: Model) -> None:
    """Each live layer on the inputs that it really has, against its real equations."""
    found, _ = find(model.graph, "fixed", "all", model.samples, Learning(), None, model.known)
    values = run_graph(model.graph, model.samples.quantized[0])
    errors = dict.fromkeys(PRECISIONS, 0.0)
    for precision in PRECISIONS:
        graph = adapt(model.graph, replace(found, precision=precision))
        for position, operator in enumerate(graph.operators):
            if not isinstance(operator, Live):
                continue
            statistics, affine = graph.operators[position + 1 : position + 3]
            assert isinstance(affine, AdaptAffine)
            results = operator.spec(values[operator.inputs[0].name])
            (given,) = affine.spec(results[0], *statistics.spec(*results[1:]))
            (source,) = (op for op in model.graph.operators if op.name == operator.name)
            assert isinstance(source, Weighted)
            wanted = real_output(source, values[operator.inputs[0].name], found.layers[operator.name], affine)
            errors[precision] += float(np.abs(given.reshape(wanted.shape) - wanted).mean())
    assert errors["int16"] < errors["int8"]
    assert errors["int32"] < errors["int16"] * 1.05


def real_output(source: Weighted, given: Array, constants: Constants, affine: AdaptAffine) -> Array:
    """What the equations give, in steps of the output, before rounding: [pixels, channels]."""
    step = source.inputs[0].scale * source.quantization.scale.astype(np.float64)
    x = source.accumulate(given).reshape(-1, source.channels) * step
    level = constants.dv * np.log2(x.var(axis=0) + constants.eps) + constants.cv
    mu = constants.dm * x.mean(axis=0) + constants.cm
    y = constants.gamma * np.exp2(-level / 2) * (x - mu) + constants.beta
    return np.asarray(np.clip(y / affine.outputs[0].scale + affine.outputs[0].zero_point, *affine.bounds))


def test_positions_that_read_int8_as_it_is(tmp_path: Path) -> None:
    model = Model(anywhere(), tmp_path)
    found, _ = find(model.graph, "fixed", "all", model.samples, Learning(), None, model.known)
    kinds = [op.kind for op in model.compiled(found).lowered.graph.operators]
    assert kinds.count("TENSOR_STATISTICS") == 3  # first, after the activation, after the addition
    assert kinds.count("ADAPT_STATISTICS") == len(model.known.layers) == 5


def test_a_normalisation_that_turns_signs_scales_first(tmp_path: Path) -> None:
    net = Net(8)
    x = net.activate(mirrored(net, net.input("image", (1, 12, 10, 3))))
    model = Model(net.graph([net.connect(net.mean("mean", x, (1, 2), keep_dims=False), 4)]), tmp_path)
    found, _ = find(model.graph, "fixed", "all", model.samples, Learning(), None, model.known)
    made = model.compiled(found)
    assert [isinstance(op, Live) for op in made.lowered.graph.operators[:1]] == [True]
    assert made.verify(random=2, engines=["numpy"]).first_difference is None


def test_int8_normalised_as_it_is_follows_the_equations(tmp_path: Path) -> None:
    model = Model(anywhere(), tmp_path)
    found, _ = find(model.graph, "fixed", "all", model.samples, Learning(), None, model.known)
    graph = adapt(model.graph, found)
    values = run_graph(graph, model.samples.quantized[0])
    readers = {op.name: op for op in model.graph.operators}
    for position, operator in enumerate(graph.operators):
        if not isinstance(operator, TensorStatistics):
            continue
        affine, weights = graph.operators[position + 2], readers[operator.name]
        assert isinstance(affine, AdaptAffine)
        assert isinstance(weights, Weighted)
        wanted = real_output(weights, values[operator.inputs[0].name], found.layers[operator.name], affine)
        result = values[affine.outputs[0].name].reshape(-1, weights.channels)
        assert np.abs(result - wanted).max() <= 0.5 + 0.25  # rounding, and the constants'


@needs("tensorflow", "keras")
@pytest.mark.parametrize("name", REALS)
def test_network_runs_float_graphs(name: str) -> None:
    real = REALS[name]()
    graph = quantize_graph(real, check(real, [samples()], "x.npz"), Settings()).prepared
    x = samples(6)
    results = {op.outputs[0].name: result for op, _, (result, *_) in trace(graph, [x])}
    last = graph.operators[-1]
    logits = results[(last.inputs if last.kind == "SOFTMAX" else last.outputs)[0].name]
    assert np.allclose(np.asarray(Network(graph).run(x)), logits, atol=1e-3)


def test_a_model_without_normalisation_adapts_from_its_samples(tmp_path: Path) -> None:
    net = Net(2)
    x = net.activate(net.convolve(net.input("image", (1, 12, 10, 3)), 6, padding="same"))
    real = net.graph([net.connect(net.mean("mean", x, (1, 2), keep_dims=False), 4)])
    model = Model(real, tmp_path)
    found, notes = find(model.graph, "fixed", "all", model.samples, Learning(), None, model.known)
    assert len(found.layers) == 1
    assert any("has no batch normalisation" in note for note in notes)


@pytest.mark.parametrize("bias", [0.0, 0.7])
@pytest.mark.parametrize("method", ["fixed", "lean", "iabn"])
def test_a_dead_channel_leaves_its_layer_live(method: str, bias: float, tmp_path: Path) -> None:
    """A filter of zeros, pruned or never used: its steps are tiny, so that squares of them would leave int64."""
    net = Net(5)
    x = net.input("image", (1, 12, 10, 3))
    filters = net.weights(6, 3, 3, 3)
    filters[2] = 0
    x = net.conv("conv", x, filters, np.zeros(6), padding="same")
    ones = np.ones(6)
    x = net.batch_norm("norm", x, gamma=ones, beta=bias * ones, mean=0 * ones, variance=ones, epsilon=1e-3)
    x = net.activate(x)
    model = Model(net.graph([net.connect(net.mean("mean", x, (1, 2), keep_dims=False), 4)]), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, notes = find(model.graph, method, "all", model.samples, Learning(), None, model.known)
        compiled = model.compiled(found)
    assert len(found.layers) == 1
    assert not any("not live" in note for note in notes)
    assert compiled.verify(engines=["numpy", "host"], random=3).bit_exact


def test_layers_that_all_leaves_out_are_named_with_the_reason(tmp_path: Path) -> None:
    net = Net(2)
    x = net.activate(net.normalize(net.convolve(net.input("image", (1, 12, 10, 3)), 6, padding="same")))
    x = net.activate(net.normalize(net.convolve(net.mean("mean", x, (1, 2), keep_dims=True), 6, 1)))
    model = Model(net.graph([net.connect(net.reshape("flat", x, (1, 6)), 4)]), tmp_path)
    found, notes = find(model.graph, "fixed", "all", model.samples, Learning(), None, model.known)
    assert len(found.layers) == 1
    (note,) = [note for note in notes if "not live" in note]
    assert "norm_5: its map is 1 x 1" in note
    _, notes = find(model.graph, "fixed", next(iter(found.layers)), model.samples, Learning(), None, model.known)
    assert not any("not live" in note for note in notes)


def decided(last: str | None, outputs: int, folder: Path) -> Model:
    net = Net(4)
    x = net.activate(net.normalize(net.convolve(net.input("image", (1, 12, 10, 3)), 6, padding="same")))
    x = net.connect(net.mean("mean", x, (1, 2), keep_dims=False), outputs)
    return Model(net.graph([net.activate(x, last) if last else x]), folder)


def mapped(last: str | None) -> tuple[Net, Tensor]:
    """A map of five channels, 12 x 10."""
    net = Net(4)
    x = net.activate(net.normalize(net.convolve(net.input("image", (1, 12, 10, 3)), 6, padding="same")))
    x = net.convolve(x, 5, 1)
    return net, net.activate(x, last) if last else x


def assert_learnt(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short fit moves the constants from where they start."""
    monkeypatch.setattr(calibrated, "STEPS", 20)
    monkeypatch.setattr(calibrated, "EPOCHS", 0)
    made, _ = find(model.graph, "calibrated", "all", model.samples, Learning(), None, model.known)
    (constants,) = made.layers.values()
    assert np.abs(constants.dm - calibrated.KEPT * calibrated.START).max() > 0.01


@needs("tensorflow", "keras")
@pytest.mark.parametrize("outputs", [1, 3])
def test_sigmoids_are_decisions_of_their_own(outputs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A softmax over one output is always 1, and of several that are not exclusive it is not what they say."""
    model = decided("sigmoid", outputs, tmp_path)
    network = Network(model.known.real)
    logits = np.asarray(network.run(samples(4)))
    found = np.exp(np.asarray(network.decisions(logits)))
    assert found.shape == (4, 1, outputs, 2)
    assert np.allclose(found[:, 0, :, 0], 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert_learnt(model, monkeypatch)


@needs("tensorflow", "keras")
def test_one_number_is_no_decision(tmp_path: Path) -> None:
    model = decided(None, 1, tmp_path)
    with pytest.raises(UsageError, match=r"one output channel is no decision .* --adapt fixed needs none"):
        find(model.graph, "calibrated", "all", model.samples, Learning(), None, model.known)


@needs("tensorflow", "keras")
@pytest.mark.parametrize("last", [None, "sigmoid"])
def test_each_pixel_of_a_map_is_a_decision(last: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = mapped(last)
    model = Model(net.graph([x]), tmp_path)
    network = Network(model.known.real)
    logits = np.asarray(network.run(samples(4)))
    found = np.exp(np.asarray(network.decisions(logits)))
    assert found.shape == ((4, 120, 5, 2) if last else (4, 120, 1, 5))
    assert np.allclose(found.sum(-1), 1, atol=1e-5)
    pixels = logits.reshape(4, 120, 5)
    if last:
        assert ((found[..., 0] > 0.5) == (pixels > 0)).all()
    else:
        assert (found[:, :, 0].argmax(-1) == pixels.argmax(-1)).all()
    assert_learnt(model, monkeypatch)


@needs("tensorflow", "keras")
@pytest.mark.parametrize(
    ("last", "after", "shape"),
    [
        ("softmax", "reshape", (4, 120, 1, 5)),
        ("sigmoid", "reshape", (4, 120, 5, 2)),
        ("softmax", "transpose", (4, 120, 1, 5)),
        (None, "transpose", (4, 120, 1, 5)),
        (None, "reshape", (4, 1, 1, 600)),
    ],
)
def test_what_moves_decisions_does_not_change_them(
    last: str | None, after: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """Behind softmax or sigmoid, a reshape hides neither; of logits, it says what is one decision."""
    net, x = mapped(last)
    x = net.reshape("moved", x, (1, 600)) if after == "reshape" else net.transpose("moved", x, (0, 3, 1, 2))
    network = Network(Model(net.graph([x]), tmp_path).known.real)
    found = np.exp(np.asarray(network.decisions(network.run(samples(4)))))
    assert found.shape == shape
    assert np.allclose(found.sum(-1), 1, atol=1e-4)
