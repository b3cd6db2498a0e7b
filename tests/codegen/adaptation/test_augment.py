"""Shifted copies: seeded, in range, each kind for the inputs that it is for; files of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import residual_model
from numpy.typing import NDArray

from driftc.codegen.adaptation.augment import image, kinds, motion, shifts, spectrum
from driftc.codegen.adaptation.augment.spectrum import Range
from driftc.codegen.api import compile
from driftc.codegen.errors import DataError, DriftcError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.options import Options

RANGE = Range(0.1, 0.9)
LIKELY = [
    ((1, 32, 32, 3), "image"),
    ((1, 96, 96, 1), "image"),
    ((1, 120, 160, 3), "image"),
    ((1, 49, 10, 1), "spectrum"),
    ((1, 30, 1, 40), "spectrum"),
    ((1, 1, 98, 40), "spectrum"),
    ((1, 61, 13), "spectrum"),
    ((1, 128, 9), "motion"),
    ((1, 128, 1, 6), "motion"),
    ((1, 1, 128, 3), "motion"),
    ((1, 128, 3, 1), "motion"),
]
UNCLEAR = [(1, 4), (1, 120, 160, 1), (1, 28, 28), (1, 16000, 1), (1, 16, 16, 8), (1, 98, 40, 1)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "ic.tflite"
    path.write_bytes(residual_model())
    return path


@pytest.fixture(scope="module")
def graph(model: Path) -> Graph:
    return lower(model, Options()).model


def taking(graph: Graph, shape: tuple[int, ...]) -> Graph:
    given = graph.inputs[0]
    return Graph(
        graph.name, graph.operators, (type(given)("x", shape, given.dtype, given.quantization),), graph.outputs
    )


def raw(shape: tuple[int, ...], count: int = 20) -> list[tuple[np.ndarray[tuple[int, ...], np.dtype[np.int8]], ...]]:
    random = np.random.default_rng(4)
    return [(random.integers(-100, 100, shape).astype(np.int8),) for _ in range(count)]


@pytest.mark.parametrize(("shape", "kind"), LIKELY)
def test_the_shape_says_the_kind(shape: tuple[int, ...], kind: str) -> None:
    assert [name for name, found in kinds().items() if found.likely(shape)] == [kind]
    assert kinds()[kind].takes(shape)


@pytest.mark.parametrize("shape", UNCLEAR)
def test_where_it_does_not_say_it_is_asked_for(graph: Graph, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"--augment: image, motion, spectrum or FILE\.npz"):
        shifts(None, taking(graph, shape), [])


@pytest.mark.parametrize(("shape", "kind"), [*LIKELY, ((1, 120, 160, 1), "image"), ((1, 98, 40, 1), "spectrum")])
def test_copies_are_seeded_and_stay_in_range(graph: Graph, shape: tuple[int, ...], kind: str) -> None:
    samples = raw(shape)
    how = shifts(kind, taking(graph, shape), samples)
    assert how.paired
    assert how.count == len(samples)
    (clean, copies), (again, same) = (how.batch(np.arange(20), np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(clean, again)
    assert np.array_equal(copies, same)
    for found in (clean, copies):
        assert found.dtype == np.float32
        assert found.shape == (len(samples), *shape[1:])
        assert found.min() >= 0
        assert found.max() <= 1
    given = as_float(samples)
    assert (np.abs(copies - clean).reshape(len(samples), -1).max(axis=1) > 1 / 255).all()
    changed = (np.abs(clean - given).reshape(len(samples), -1).max(axis=1) > 1 / 255).mean()
    assert changed > 0.5 if kind == "image" else changed == 0
    assert np.isin(np.rint(clean * 255), np.rint(given * 255)).all()  # nothing but moved and mirrored


def test_colours_and_frames_are_told_apart(graph: Graph) -> None:
    with pytest.raises(UsageError, match=r"--augment motion: takes .* is \[1, 16, 16, 3\]"):
        shifts("motion", graph, raw(graph.inputs[0].shape))
    with pytest.raises(UsageError, match="--augment fog: is none of image, motion, spectrum"):
        shifts("fog", graph, [])


def test_noise_fills_what_is_quiet_and_leaves_what_is_loud() -> None:
    x = np.full((200, 8), 0.1, np.float32)
    x[:20] = 0.9
    made = spectrum.noise(x, np.random.default_rng(3), RANGE)
    assert (made >= x - 1e-6).all()
    assert (made - x)[20:].mean() > 2 * (made - x)[:20].mean()


def test_noise_is_steady_or_comes_and_goes() -> None:
    x = np.zeros((220, 20), np.float32)
    x[:20] = 0.9
    random = np.random.default_rng(4)
    levels = np.array([spectrum.noise(x, random, RANGE)[20:].mean(axis=1) for _ in range(100)])
    wander = levels.reshape(100, 10, 20).mean(axis=2).std(axis=1)  # of tenths of the time
    assert 25 < (wander < 0.01).sum() < 75
    assert (wander > 0.03).sum() > 20


def test_gain_moves_all_of_a_sample_alike_and_further_down_than_up() -> None:
    x = np.random.default_rng(0).uniform(0.3, 0.7, (40, 20)).astype(np.float32)
    moved = np.array([spectrum.gain(x, np.random.default_rng(seed), RANGE) - x for seed in range(50)])
    assert np.allclose(moved, moved[:, :1, :1], atol=1e-6)
    assert -moved.min() > moved.max() > 0


def test_reverberation_leaves_a_tail_and_keeps_what_is_steady() -> None:
    x = np.full((40, 8), 0.1, np.float32)
    x[10] = 0.9
    made = spectrum.reverberation(x, np.random.default_rng(3), RANGE)
    assert (made[11:30].mean(axis=1) > 0.11).all()
    assert (np.diff(made[11:30].mean(axis=1)) < 0).all()
    steady = np.full((40, 8), 0.5, np.float32)
    assert np.allclose(spectrum.reverberation(steady, np.random.default_rng(3), RANGE), steady, atol=1e-5)


def test_bands_are_lost_down_to_the_floor() -> None:
    x = np.random.default_rng(0).uniform(0.3, 0.9, (40, 20)).astype(np.float32)
    seen = [spectrum.band(x, np.random.default_rng(seed), RANGE) for seed in range(20)]
    assert min(float(made.min()) for made in seen) == pytest.approx(0.1)
    assert any((x - made)[:, -1].mean() > (x - made)[:, 8].mean() + 0.1 for made in seen)


def test_cepstra_are_shifted_as_spectra() -> None:
    random = np.random.default_rng(1)
    smooth = (random.normal(size=(50, 30, 1)) + 0.2 * random.normal(size=(50, 30, 10))).astype(np.float32)
    assert not spectrum.is_cepstrum(smooth)
    matrix = spectrum._dct(10)
    assert np.allclose(matrix @ matrix.T, np.eye(10), atol=1e-6)
    cepstra = smooth @ matrix.T
    assert spectrum.is_cepstrum(cepstra)
    scaled = (0.2 + 0.6 * (cepstra - cepstra.min()) / np.ptp(cepstra)).astype(np.float32)
    loud = spectrum.KIND.made(scaled, 0.5)(scaled, np.random.default_rng(2)) - scaled
    assert np.abs(loud[..., 0]).mean() > 2 * np.abs(loud[..., 5:]).mean()  # loudness is in the first coefficient


def test_turning_keeps_lengths_and_turns_every_sensor_alike() -> None:
    one = np.random.default_rng(5).normal(size=(50, 3)).astype(np.float32)
    x = np.concatenate([one, 2 * one], axis=1)
    made = motion.turned(x, np.random.default_rng(6), np.ones(6, np.float32))
    assert np.allclose(np.linalg.norm(made[:, :3], axis=1), np.linalg.norm(one, axis=1), atol=1e-5)
    assert np.allclose(made[:, 3:], 2 * made[:, :3], atol=1e-5)
    assert np.abs(made - x).max() > 0.1


def test_gain_is_about_the_real_zero() -> None:
    still = np.full((20, 30, 3), 0.4, np.float32)
    random = np.random.default_rng(0)
    assert np.allclose(motion.gain(still[0] - 0.4, random, np.ones(3, np.float32)), 0)
    copies = motion.KIND.made(still, 0.4)(still, random)
    assert np.allclose(copies, 0.4)  # no spread, no movement: nothing but zeros to turn, scale or offset


def test_images_as_before() -> None:
    x = np.random.default_rng(2).random((12, 8, 8, 3)).astype(np.float32)
    made = image.shifted(x, np.random.default_rng(7))
    assert all(np.abs(a - b).max() > 0 for a, b in zip(made, x, strict=True))


# --- files ---


def as_float(samples: list[tuple[np.ndarray[tuple[int, ...], np.dtype[np.int8]], ...]]) -> NDArray[np.float32]:
    return (np.concatenate([sample[0] for sample in samples]).astype(np.float32) + 128) / np.float32(255)


def written(path: Path, graph: Graph, count: int, **more: object) -> str:
    x = np.concatenate([sample[0] for sample in raw(graph.inputs[0].shape, count)])
    np.savez(path, x=x, **more)  # type: ignore[arg-type]
    return str(path)


def test_as_many_are_pairs(graph: Graph, tmp_path: Path) -> None:
    how = shifts(written(tmp_path / "s.npz", graph, 20), graph, raw(graph.inputs[0].shape))
    assert how.paired
    assert how.count == 20
    samples = raw(graph.inputs[0].shape)
    clean, copies = how.batch(np.array([3, 5]), np.random.default_rng(0))
    assert np.allclose(clean, as_float([samples[3], samples[5]]))
    assert np.allclose(copies, as_float(raw(graph.inputs[0].shape, 20)[3:6:2]))


def test_an_index_pairs_any_number(graph: Graph, tmp_path: Path) -> None:
    index = np.arange(40) % 7
    how = shifts(written(tmp_path / "s.npz", graph, 40, index=index), graph, raw(graph.inputs[0].shape))
    assert how.paired
    samples = raw(graph.inputs[0].shape)
    clean, _ = how.batch(np.arange(how.count), np.random.default_rng(0))
    assert np.allclose(clean, as_float([samples[n] for n in index]))


@pytest.mark.parametrize("count", [17, 45])
def test_others_are_unpaired_and_all_of_both_are_seen(graph: Graph, tmp_path: Path, count: int) -> None:
    how = shifts(written(tmp_path / "s.npz", graph, count), graph, raw(graph.inputs[0].shape))
    assert not how.paired
    clean, copies = how.batch(np.arange(how.count), np.random.default_rng(0))
    for found, different in ((clean, 20), (copies, count)):
        assert len(np.unique(found.reshape(len(found), -1), axis=0)) == different


@pytest.mark.parametrize(
    ("count", "more", "message"),
    [
        (20, {"index": np.arange(20) + 1}, "'index' is 1 to 20; the calibration samples are 0 to 19"),
        (20, {"index": np.arange(19)}, r"'index' is int64\[19\]; expected integers \[20\]"),
        (20, {"index": np.arange(20.0)}, "'index' is float64"),
        (15, {}, "15 shifted samples; 16 are needed"),
    ],
)
def test_files_that_do_not_fit(graph: Graph, tmp_path: Path, count: int, more: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        shifts(written(tmp_path / "s.npz", graph, count, **more), graph, raw(graph.inputs[0].shape))


def test_other_shapes_and_no_file(graph: Graph, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.zeros((20, 8, 8, 3), np.int8))
    with pytest.raises(DataError, match=r"shape \[20, 8, 8, 3\]; expected \[samples, 16, 16, 3\]"):
        shifts(str(tmp_path / "s.npz"), graph, [])
    with pytest.raises(DataError, match="no such file"):
        shifts(str(tmp_path / "none.npz"), graph, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--augment image: is for constants that --adapt learns"),
        ({"adapt": "fixed"}, "--augment image: the method fixed learns nothing"),
    ],
)
def test_where_nothing_is_learnt(model: Path, tmp_path: Path, options: dict[str, str], message: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros((16, 16, 16, 3), np.int8))
    if options:
        options = options | {"calibrate": str(tmp_path / "x.npy")}
    with pytest.raises(DriftcError, match=message):
        compile(model, augment="image", measure=False, **options)  # type: ignore[arg-type]
