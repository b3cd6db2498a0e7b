"""Sixteen published models: compiled, and bit-exact on every engine. Their files are outside the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from golden import GOLDEN, Golden, Pattern, fnv1a, pattern_input
from shared_data import shared_file

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.simulator.engines import ENGINES, REFERENCES, engine, reference
from driftc.simulator.reference import run_graph

pytestmark = pytest.mark.shared_data


@dataclass(frozen=True)
class Model:
    path: str
    data: str | None = None  # real samples
    divisor: float = 1.0
    refused_by: tuple[str, ...] = ()  # references that do not run the file


TINY, EXTRA = "mlperf_tiny/models", "extra_models"
RESNET = Model(f"{TINY}/ic/pretrainedResnet_quant.tflite", "mlperf_tiny/ic01/ic01.npz")
VWW = Model(f"{TINY}/vww/vww_96_int8.tflite", "mlperf_tiny/vww01/vww01.npz", 255.0)
KWS = Model(f"{TINY}/kws/kws_ref_model_int8.tflite")
AD = Model(f"{TINY}/ad/ad01_int8.tflite")
WAKEWORD = Model(f"{TINY}/sww/str_ww_ref_model_int8.tflite")
FIVE = (RESNET, KWS, AD, VWW, WAKEWORD)
MODELS = (
    *FIVE,
    Model(f"{TINY}/ic/pretrainedResnet_large_int8.tflite", "mlperf_tiny/ic01/ic01.npz"),
    Model(f"{EXTRA}/tflm/person_detect.tflite", refused_by=("litert",)),
    Model(f"{EXTRA}/tflm/hello_world_int8.tflite"),
    Model(f"{EXTRA}/mltk/autoencoder_example.tflite"),
    Model(f"{EXTRA}/mltk/image_example1.tflite"),
    Model(f"{EXTRA}/mltk/keyword_spotting.tflite"),
    Model(f"{EXTRA}/mltk/keyword_spotting_mobilenetv2.tflite"),
    Model(f"{EXTRA}/mltk/keyword_spotting_on_off.tflite"),
    Model(f"{EXTRA}/mltk/tflite_micro_magic_wand.tflite"),
    Model(f"{EXTRA}/openmv/fomo_face_detection.tflite"),
    Model(f"{EXTRA}/tinyengine/vww.tflite"),
)
OTHER_CORES = {
    "cortex-m0plus": "unicorn",
    "cortex-m3": "unicorn",
    "cortex-m7": "unicorn",
    "cortex-m33": "unicorn",
    "cortex-m55": "qemu",
    "rv32imc": "qemu",
}
FEW = 6  # real samples that each engine runs here; the command line was run on all of them


def compiled(model: Model, **options: str | int) -> Compiled:
    return compile(shared_file(model.path), measure=False, **options)  # type: ignore[arg-type]


def few_samples(model: Model, tmp_path: Path) -> Path | None:
    """The first samples of the model's real data, as a file of their own."""
    if model.data is None:
        return None
    with np.load(shared_file(model.data)) as data:
        np.savez(tmp_path / "few.npz", x=data["x"][:FEW], y=data["y"][:FEW])
    return tmp_path / "few.npz"


def need(*names: str, core: str = "cortex-m4") -> list[str]:
    """The engines asked for; the test is skipped by name where one is absent."""
    for name in names:
        absent = reference(name).missing() if name in REFERENCES else engine(name).missing_for(core)
        if absent is not None:
            pytest.skip(f"{name}: {absent}")
    return ["numpy", *names]


def prove(model: Compiled, engines: list[str], data: Path | None, divisor: float, *, sanitize: bool = False) -> None:
    """Bit-exact on all of `engines`, on real samples where there are some and on random and extreme ones."""
    refused: set[str] = set()
    for source in ({"data": data, "input_divisor": divisor},) if data else ():
        found = model.verify(engines=engines, sanitize=sanitize, **source)  # type: ignore[arg-type]
        assert found.first_difference is None, str(found.first_difference)
    found = model.verify(engines=engines, random=1, sanitize=sanitize)
    assert found.first_difference is None, str(found.first_difference)
    assert found.samples == 4
    assert len(found.compared) + len(found.fused) == found.total
    refused = set(engines) - set(found.engines)
    assert not refused or "refuses the model" in " ".join(found.notes)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: Path(model.path).stem)
def test_references(model: Model, tmp_path: Path) -> None:
    """Every tensor equals TFLite Micro's, and LiteRT's where it runs the file."""
    names = need(*(name for name in REFERENCES if name not in model.refused_by))
    prove(compiled(model), names, few_samples(model, tmp_path), model.divisor)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: Path(model.path).stem)
def test_host_sanitized(model: Model, tmp_path: Path) -> None:
    """The C on this machine, under ASan and UBSan."""
    names = need("host")
    prove(compiled(model), names, few_samples(model, tmp_path), model.divisor, sanitize=True)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: Path(model.path).stem)
def test_host_zig(model: Model) -> None:
    pytest.importorskip("ziglang", reason="zig: ziglang is not installed")
    prove(compiled(model, cc="zig"), need("host"), None, 1.0)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: Path(model.path).stem)
def test_cortex_m4(model: Model, tmp_path: Path) -> None:
    prove(compiled(model), need("unicorn"), few_samples(model, tmp_path), model.divisor)


@pytest.mark.parametrize("core", OTHER_CORES)
@pytest.mark.parametrize("model", FIVE, ids=lambda model: Path(model.path).stem)
def test_other_cores(model: Model, core: str) -> None:
    prove(compiled(model, core=core), need(OTHER_CORES[core], core=core), None, 1.0)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: Path(model.path).stem)
def test_match_litert(model: Model, tmp_path: Path) -> None:
    """With LiteRT's arithmetic, LiteRT's tensors are reproduced from the input to the output."""
    if "litert" in model.refused_by:
        return  # the file has no LiteRT bytes to match
    names = need("litert", "host")
    prove(compiled(model, match="litert"), names, few_samples(model, tmp_path), model.divisor)


def test_person_detect_is_refused_by_litert_and_still_exact() -> None:
    (model,) = [model for model in MODELS if model.refused_by]
    found = compiled(model).verify(engines=need("litert", "tflm"), random=0)
    assert found.bit_exact
    assert found.engines == ["numpy", "tflm"]
    assert any("litert refuses the model" in note for note in found.notes)


@pytest.mark.parametrize("pattern", Pattern)
@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_golden_hashes(golden: Golden, pattern: Pattern) -> None:
    """The published hash of every operator's output, from the specification and from the C on this machine."""
    model = compile(shared_file(golden.path), measure=False, keep_constant=True)  # every channel is shown
    graph = model.lowered.model
    sample = pattern_input(pattern, graph.inputs[0].shape, graph.inputs[0].zero_point)
    values = run_graph(graph, [sample])
    assert tuple(fnv1a(values[operator.outputs[0].name]) for operator in graph.operators) == golden.layers[pattern]
    if engine("host").missing() is None:
        (run,) = engine("host").run(model.program(), [[sample]], trace=True)
        by_layer = {tensor.name: fnv1a(run.tensors[n]) for n, tensor in enumerate(model.lowered.plan.layers)}
        names = [operator.outputs[0].name for operator in graph.operators]
        shown = [by_layer[model.lowered.plan.views.get(name, name)] for name in names]
        assert tuple(shown) == golden.layers[pattern]


@pytest.mark.parametrize(("model", "expected"), [(RESNET, 0.865), (VWW, 0.854)], ids=["resnet8", "vww"])
def test_accuracy_on_real_samples(model: Model, expected: float) -> None:
    """All 200 images of ic01 and all 1,000 of vww01, through the C on this machine.

    These are the reference kernels' accuracies; LiteRT's XNNPACK, which rounds otherwise, gives 0.850 and 0.852.
    """
    assert model.data is not None
    need("host")
    found = compiled(model).simulate(shared_file(model.data), engine="host", input_divisor=model.divisor)
    assert found.accuracy == pytest.approx(expected, abs=1e-9)


def test_arena_is_no_larger_than_tflite_micros() -> None:
    """Tensors alone, without TFLite Micro's own structures, which are larger on this host than on a device."""
    need("tflm")
    from driftc.simulator.references import TflmReference

    for model in FIVE:
        head = TflmReference().arena_use(shared_file(model.path)).head
        inputs = 256 if model == AD else 0  # of its dense layers as int16, by which the kernels for DSP are fast
        assert compiled(model).report["arena_bytes"] <= head + inputs
        assert compiled(model, core="cortex-m0plus").report["arena_bytes"] <= head
        assert compiled(model, ram=head).report["arena_bytes"] <= head


# Bytes of RAM, inputs and outputs included: the most that the whole-tensor plan may need.
ARENAS = {RESNET: 35_000, KWS: 8_700, VWW: 38_500, AD: 1_024, WAKEWORD: 4_000}


# Bytes of code and constants beyond what inference needs.
BEYOND = {RESNET: 8_192, KWS: 7_168, AD: 3_072, VWW: 12_288, WAKEWORD: 9_216}


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("model", BEYOND, ids=lambda model: Path(model.path).stem)
def test_flash_beyond_what_inference_needs(model: Model, core: str) -> None:
    """An int8 a weight, an int32 bias a channel and five bytes a scale are needed; the stack stays below 400 bytes."""
    need(OTHER_CORES.get(core, "unicorn"), core=core)
    found = compile(shared_file(model.path), core=core, measure=True)
    if "gcc" not in str(found.measured_with):
        pytest.skip("the limits are for gcc")
    weighted = [op for op in found.lowered.graph.operators if isinstance(op, Weighted)]
    needed = sum(op.weights.size + 4 * op.channels + 5 * op.quantization.scale.size for op in weighted)
    assert found.report["flash"]["total"] - needed <= BEYOND[model]
    assert found.report["stack_bytes"] < 400


@pytest.mark.parametrize("model", MODELS, ids=lambda model: Path(model.path).stem)
def test_arena_is_proven_the_smallest(model: Model) -> None:
    pytest.importorskip("ortools", reason="ortools is not installed")
    found = compiled(model).report
    assert found["placement"]["proven"]
    assert found["arena_bytes"] <= ARENAS.get(model, found["arena_bytes"])
    assert found["arena_bytes"] <= compiled(model, planner="greedy").report["arena_bytes"]


def test_every_engine_is_known() -> None:
    assert set(OTHER_CORES.values()) <= set(ENGINES)
