"""TFLite Micro and LiteRT in their child processes: golden bytes, refusals, crashes, and silence on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite
from golden import GOLDEN, Golden, Pattern, fnv1a, pattern_input
from models import ModelBuilder, keyword_model, residual_model
from numpy.typing import NDArray
from shared_data import shared_file

from driftc.simulator.references import LitertReference, ReferenceRefused, TflmReference, litert, tflm
from driftc.simulator.references.worker import outline

Reference = TflmReference | LitertReference


@pytest.fixture(params=[TflmReference, LitertReference], ids=["tflm", "litert"])
def reference(request: pytest.FixtureRequest) -> Reference:
    kind: type[Reference] = request.param
    return present(kind())


def present(reference: Reference) -> Reference:
    reason = reference.missing()
    if reason is not None:
        pytest.skip(reason)
    return reference


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "model.tflite"
        path.write_bytes(data)
        return path

    return write


def first_input(model: Path) -> tuple[tuple[int, ...], int]:
    """Shape and zero point of the first graph input."""
    subgraph = tflite.Model.GetRootAs(bytearray(model.read_bytes())).Subgraphs(0)
    tensor = subgraph.Tensors(subgraph.Inputs(0))
    return tuple(tensor.ShapeAsNumpy().tolist()), int(tensor.Quantization().ZeroPoint(0))


def softmax_model(scale: float) -> bytes:
    m = ModelBuilder()
    m.output(m.softmax(m.input("x", (1, 4), scale=scale)))
    return m.build()


ZEROS: NDArray[np.int8] = np.zeros((1, 4), np.int8)


@pytest.mark.shared_data
@pytest.mark.parametrize("pattern", list(Pattern), ids=lambda pattern: str(pattern.name).lower())
@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: str(golden.name))
def test_tflm_gives_the_golden_hash_of_every_operator(golden: Golden, pattern: Pattern) -> None:
    engine = present(TflmReference())
    model = shared_file(golden.path)
    sample = pattern_input(pattern, *first_input(model))
    (tensors,) = engine.run(model, [[sample]])
    graph_input, *operators = outline("test", model).tensors
    assert np.array_equal(tensors[graph_input], sample)
    assert [fnv1a(tensors[index]) for index in operators] == list(golden.layers[pattern])


@pytest.mark.shared_data
def test_litert_refuses_person_detect_by_a_reason() -> None:
    engine = present(LitertReference())
    model = shared_file("extra_models/tflm/person_detect.tflite")
    with pytest.raises(
        ReferenceRefused, match=r"LiteRT refuses person_detect\.tflite: .*quantized_dimension"
    ) as refused:
        list(engine.run(model, [[np.zeros((1, 96, 96, 1), np.int8)]]))
    assert len(str(refused.value)) < 300  # not the same again for each of its tensors


def test_references_agree_where_no_dense_layer_is(written: Callable[[bytes], Path]) -> None:
    model = written(residual_model())
    sample = pattern_input(Pattern.RANDOM, *first_input(model))
    (ours,) = present(TflmReference()).run(model, [[sample]])
    (theirs,) = present(LitertReference()).run(model, [[sample]])
    tensors = outline("test", model).tensors
    assert ours.keys() == theirs.keys() == set(tensors)
    *before, _dense, _softmax = tensors
    assert all(np.array_equal(ours[index], theirs[index]) for index in before)


def test_samples_come_in_order_and_do_not_touch_each_other(
    reference: Reference, written: Callable[[bytes], Path]
) -> None:
    model = written(keyword_model())
    shape, zero_point = first_input(model)
    samples = [[pattern_input(pattern, shape, zero_point)] for pattern in Pattern]
    together = list(reference.run(model, samples))
    alone = [next(reference.run(model, [sample])) for sample in samples]
    for one, other in zip(together, alone, strict=True):
        assert all(np.array_equal(one[index], other[index]) for index in one)


def test_inputs_are_taken_in_the_order_of_the_graph(reference: Reference, written: Callable[[bytes], Path]) -> None:
    m = ModelBuilder()
    a, b = m.input("a", (1, 3), scale=0.5), m.input("b", (1, 3), scale=0.5)
    m.output(m.sub(a, b, out_scale=0.5))
    arrays = [np.array([[10, 20, 30]], np.int8), np.array([[1, 2, 3]], np.int8)]
    (tensors,) = reference.run(written(m.build()), [arrays])
    assert tensors[m.outputs[0].index].tolist() == [[9, 18, 27]]


def test_an_abort_is_a_refusal(
    reference: Reference, written: Callable[[bytes], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    model = written(softmax_model(scale=1e-9))  # a multiplier below 1 fails a TFLITE_CHECK, which aborts
    with pytest.raises(ReferenceRefused, match="process ended with signal SIGABRT"):
        list(reference.run(model, [[ZEROS]]))
    assert capfd.readouterr() == ("", "")


def test_a_refusal_quotes_the_kernel_and_prints_nothing(
    reference: Reference, written: Callable[[bytes], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), scale=0.1)
    y = m.tensor("y", (1, 4), scale=0.5, zero_point=-128)
    m.operator("SOFTMAX", [x], [y], "SoftmaxOptions", Beta=1.0)
    m.output(y)
    with pytest.raises(ReferenceRefused, match=r"output->params\.scale"):
        list(reference.run(written(m.build()), [[ZEROS]]))
    assert capfd.readouterr() == ("", "")


def test_a_hang_is_a_refusal(reference: Reference, written: Callable[[bytes], Path]) -> None:
    with pytest.raises(ReferenceRefused, match="no answer within 0 s"):
        list(reference.run(written(softmax_model(scale=0.1)), [[ZEROS]], timeout=0.0))


def test_a_file_that_is_no_model_is_a_refusal(reference: Reference, tmp_path: Path) -> None:
    model = tmp_path / "noise.tflite"
    model.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(ReferenceRefused, match=r"noise\.tflite"):
        list(reference.run(model, [[ZEROS]]))


def test_a_missing_or_misshapen_input_is_a_refusal(reference: Reference, written: Callable[[bytes], Path]) -> None:
    with pytest.raises(ReferenceRefused):
        list(reference.run(written(softmax_model(scale=0.1)), [[np.zeros((1, 5), np.int8)]]))


def test_tflm_arena_grows_until_the_tensors_fit(written: Callable[[bytes], Path]) -> None:
    engine = TflmReference()
    present(engine)
    m = ModelBuilder()
    x = m.input("x", (1, 1024, 1024, 4), scale=0.1)
    m.output(m.relu(m.relu(x)))
    model = written(m.build())
    sample: NDArray[Any] = np.ones((1, 1024, 1024, 4), np.int8)
    (tensors,) = engine.run(model, [[sample]])
    assert np.array_equal(tensors[m.outputs[0].index], sample)
    use = engine.arena_use(model)
    assert use.head >= 2 * sample.nbytes
    assert engine.arena_bytes(model) == use.total == use.head + use.tail


@pytest.mark.parametrize("kind", [TflmReference, LitertReference])
def test_missing_says_what_to_install(kind: type[Reference], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tflm, litert):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "pip install" in (kind().missing() or "")
    assert kind().note is None or kind is TflmReference


def test_a_stand_in_for_litert_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert, "find_spec", lambda name: object() if name == "tflite_runtime" else None)
    monkeypatch.setattr(litert, "version", lambda name: "2.14.0")
    stand_in = LitertReference()
    assert stand_in.missing() is None
    assert "tflite_runtime 2.14.0 in place of ai-edge-litert 2.3.0" in (stand_in.note or "")
