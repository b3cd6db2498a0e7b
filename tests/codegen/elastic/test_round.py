"""A round on a small model: what is learnt helps, what does not is refused, and codes mean what floats did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elastic_models import random_codes
from fleet_models import CLASSES, SHAPE, compiled, images, labels, raw, shifted, teacher_graph
from float_models import needs

from driftc.codegen.elastic.distil import Distillation, changes
from driftc.codegen.elastic.round import POINT, Clean, Outcome, Rounds, Shares, refusal
from driftc.codegen.elastic.student import Student
from driftc.codegen.elastic.teacher import Teacher, even
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.elementwise.relu import Relu
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.options import Options
from driftc.codegen.tensor import Tensor

pytestmark = needs("tensorflow", "keras")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Student:
    return Student.of(compiled(tmp_path_factory.mktemp("model")).lowered)


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Student:
    return Student.of(compiled(tmp_path_factory.mktemp("model"), live=False).lowered)


def teacher() -> Teacher:
    return Teacher(teacher_graph(), SHAPE, CLASSES)


def clean_of(student: Student, labelled: bool = True) -> Clean:
    samples = images(300, seed=3)
    return Clean(raw(student, samples), labels(samples) if labelled else None)


def test_a_teacher_by_the_statistics_of_the_batch_sees_through_the_shift() -> None:
    samples = images(256, seed=4)
    truth, taught = labels(samples), teacher()
    assert np.mean(taught.probabilities(shifted(samples)).argmax(-1) == truth) > 0.9
    assert np.mean(taught.probabilities(shifted(samples), shifted=False).argmax(-1) == truth) < 0.75
    assert (taught.probabilities(samples, shifted=False).argmax(-1) == truth).all()


def test_devices_with_enough_samples_are_taken_by_themselves() -> None:
    samples = images(100, seed=4)
    mixed = np.concatenate([shifted(samples[:60]), 3 - 2 * shifted(samples[60:])])
    truth, taught, devices = labels(samples), teacher(), np.repeat([7, 1, 2, 3], [60, 34, 3, 3])
    own = taught.probabilities(mixed, devices)
    assert np.mean(own.argmax(-1) == truth) > np.mean(taught.probabilities(mixed).argmax(-1) == truth)
    assert (own[:60] == taught.probabilities(mixed[:60])).all() and (own[94:] == taught.probabilities(mixed[94:])).all()


def exported_from_torch(path: Path) -> None:
    """`teacher_graph` as a PyTorch program, channels first."""
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for operator in teacher_graph().operators:
        if isinstance(operator, Conv2D):
            weights = torch.tensor(constant(operator.weights).transpose(0, 3, 1, 2))
            layer: nn.Module = nn.Conv2d(weights.shape[1], weights.shape[0], (weights.shape[2], weights.shape[3]))
            assert operator.bias is not None
            layer.load_state_dict({"weight": weights, "bias": torch.tensor(constant(operator.bias))})
        elif isinstance(operator, BatchNormalization):
            values = (operator.gamma, operator.beta, operator.mean, operator.variance)
            names = ("weight", "bias", "running_mean", "running_var")
            layer = nn.BatchNorm2d(operator.gamma.size, eps=operator.epsilon)
            state = {name: torch.tensor(np.asarray(v)) for name, v in zip(names, values, strict=True)}
            layer.load_state_dict(state, strict=False)
        elif isinstance(operator, FullyConnected):
            layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            layer = nn.Linear(operator.weights.shape[1], operator.weights.shape[0], bias=False)
            layer.load_state_dict({"weight": torch.tensor(constant(operator.weights))})
        elif isinstance(operator, Relu):
            layer = nn.ReLU()
        else:
            continue
        layers.append(layer)
    program = torch.export.export(nn.Sequential(*layers).eval(), (torch.zeros(1, 3, 8, 8),))
    torch.export.save(program, path)


def constant(tensor: Tensor) -> Any:
    assert tensor.data is not None
    return tensor.data


@needs("torch", "torch")
def test_a_teacher_from_torch_is_the_same_teacher(student: Student, tmp_path: Path) -> None:
    """Its batch normalisations are seen as such, so that it decides by the statistics of the batch."""
    exported_from_torch(tmp_path / "teacher.pt2")
    taught = Teacher.load(tmp_path / "teacher.pt2", SHAPE, CLASSES)
    assert taught.notes == []
    samples = shifted(images(64, seed=4))
    for by_batch in (True, False):
        expected = teacher().probabilities(samples, shifted=by_batch)
        np.testing.assert_allclose(taught.probabilities(samples, shifted=by_batch), expected, atol=1e-4)
    outcome = Rounds(student, taught, clean_of(student)).run(raw(student, shifted(images(256, seed=5))))
    assert outcome.accepted, outcome.reason


def test_batches_are_even() -> None:
    assert [even(count, 128) for count in (1, 128, 129, 256, 300)] == [1, 128, 65, 128, 100]


@pytest.mark.parametrize("labelled", [True, False])
def test_a_round_brings_the_model_near_the_teacher_and_holds_it_on_clean_samples(
    student: Student, labelled: bool
) -> None:
    rounds = Rounds(student, teacher(), clean_of(student, labelled))
    outcome = rounds.run(raw(student, shifted(images(256, seed=5))))
    assert outcome.accepted, outcome.reason
    assert outcome.clean_by == ("labels" if labelled else "teacher")
    assert outcome.codes is not None
    fresh = images(300, seed=6)
    truth = labels(fresh)
    before = np.mean(student.decisions(raw(student, shifted(fresh))) == truth)
    after = np.mean(student.decisions(raw(student, shifted(fresh)), outcome.codes) == truth)
    assert after > before + 0.03
    clean = np.mean(student.decisions(raw(student, fresh)) == truth)
    assert np.mean(student.decisions(raw(student, fresh), outcome.codes) == truth) > clean - 0.05
    again = rounds.run(raw(student, shifted(images(256, seed=5))), outcome.codes)
    assert again.uploads.before == outcome.uploads.after


def test_the_same_seed_gives_the_same_codes(student: Student) -> None:
    uploads = raw(student, shifted(images(96, seed=5)))
    first, second = (Rounds(student, teacher(), clean_of(student)).run(uploads, seed=3) for _ in range(2))
    assert first.codes is not None and second.codes is not None
    for a, b in zip(first.codes, second.codes, strict=True):
        assert a.exponents == b.exponents and (a.gain == b.gain).all()
        assert all((x == y).all() for x, y in zip(a.offsets, b.offsets, strict=True))


def test_folded_layers_need_to_be_asked_for_and_take_the_environment(folded: Student) -> None:
    with pytest.raises(UsageError, match="--one-environment"):
        Rounds(folded, teacher(), clean_of(folded))
    uploads = raw(folded, shifted(images(256, seed=5)))
    distillation = Distillation(folded, one_environment=True)
    wanted = teacher().probabilities(folded.real(uploads))
    found = distillation.teach(uploads, wanted, clean_of(folded).samples, folded.parameters.unchanged())
    layers = folded.parameters.layers
    codes = [change.codes(layer) for change, layer in zip(found, layers, strict=True)]
    fresh = images(300, seed=6)
    before = np.mean(folded.decisions(raw(folded, shifted(fresh))) == labels(fresh))
    after = np.mean(folded.decisions(raw(folded, shifted(fresh)), codes) == labels(fresh))
    assert after > before + 0.1


@pytest.mark.parametrize("kind", ["live", "folded"])
def test_what_codes_stand_for_gives_the_codes_again(kind: str, student: Student, folded: Student) -> None:
    known = (student if kind == "live" else folded).parameters
    for seed in range(5):
        codes = random_codes(known, seed)
        for layer, one, change in zip(known.layers, codes, changes(known.layers, codes), strict=True):
            again = change.codes(layer)
            for was, now in zip(layer.updated(one), layer.updated(again), strict=True):
                assert np.abs(was - now).max() <= max(np.abs(was).max() * 2.0**-7, 2.0**14)


def test_few_samples_and_other_teachers_are_refused(student: Student) -> None:
    rounds = Rounds(student, teacher(), clean_of(student))
    with pytest.raises(DataError, match="19 uploads"):
        rounds.run(raw(student, images(19)))
    with pytest.raises(DataError, match="63 clean samples"):
        Rounds(student, teacher(), Clean(raw(student, images(63))))
    with pytest.raises(UsageError, match=r"takes \[8, 8, 3\], the compiled model \[9, 8, 3\]"):
        Teacher(teacher_graph(), (9, 8, 3), CLASSES)
    with pytest.raises(UsageError, match="has 4 outputs, the compiled model 5"):
        Teacher(teacher_graph(), SHAPE, 5)


@pytest.mark.parametrize(
    ("uploads", "clean", "why"),
    [
        ((50.0, 50.0), (90.0, 90.0), "does not rise"),
        ((50.0, 49.0), (90.0, 95.0), "does not rise"),
        ((50.0, 60.0), (90.0, 90.0 - POINT - 0.01), "more than 1 point less"),
        ((50.0, 50.1), (90.0, 89.0), None),
    ],
)
def test_what_is_refused(uploads: tuple[float, float], clean: tuple[float, float], why: str | None) -> None:
    outcome = Outcome((), "", Shares(50, *uploads), Shares(100, *clean), "labels", 95.0, 1.0, 1.0)
    found = refusal(outcome)
    assert found is None if why is None else found is not None and why in found


def test_useless_uploads_make_no_packet(student: Student) -> None:
    noise = np.random.default_rng(0).integers(-128, 128, (64, *SHAPE)).astype(np.int8)
    samples = clean_of(student)
    wrong = Clean(samples.samples, student.decisions(samples.samples))
    outcome = Rounds(student, teacher(), wrong).run(np.repeat(noise[:1], 64, axis=0))
    assert not outcome.accepted and outcome.reason


def test_a_model_that_takes_no_updates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--updatable"):
        Student.of(compiled(tmp_path, options=Options()).lowered)


def test_a_model_that_chooses_its_uploads_is_taught_the_same(student: Student, tmp_path: Path) -> None:
    choosing = Student.of(compiled(tmp_path, options=Options(planner="greedy", upload="entropy")).lowered)
    samples = raw(student, images(20, seed=8))
    assert (choosing.decisions(samples) == student.decisions(samples)).all()
    assert len(choosing.parameters.layers) == len(student.parameters.layers)
    outcome = Rounds(choosing, teacher(), clean_of(choosing)).run(raw(choosing, shifted(images(96, seed=5))))
    assert outcome.uploads.count == 19
