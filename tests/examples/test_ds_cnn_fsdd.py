"""The example for sound: spectra mean what they say, what is tested was not trained on, every layer stays live."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ds_cnn_fsdd
import numpy as np
import pytest
from commands import ROOT
from float_models import needs
from logmel import BANDS, FLOOR, FRAMES, RATE, SAMPLES, filters, logmel
from shared_data import shared_file

from driftc.codegen.api import compile

FILE = "fsdd/fsdd_8k_int16.npz"


def test_noise_has_its_variance_in_every_band_and_silence_the_floor() -> None:
    noise = np.random.default_rng(0).normal(scale=0.01, size=(40, SAMPLES)).astype(np.float32)
    spectra = logmel(noise)
    assert spectra.shape == (40, FRAMES, BANDS, 1)
    assert spectra.dtype == np.float32
    assert np.allclose(np.log(np.exp(spectra[..., 0]).mean(axis=(0, 1))), np.log(1e-4 + FLOOR), atol=0.1)
    assert np.allclose(logmel(np.zeros((1, SAMPLES), np.float32)), np.log(FLOOR), atol=1e-3)


def test_a_tone_is_in_its_band_at_its_level() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 1000 / RATE * np.arange(SAMPLES))[None].astype(np.float32)
    spectra = logmel(tone)[0, :, :, 0]
    frequency = np.arange(filters().shape[1]) * RATE / 2 / (filters().shape[1] - 1)
    centres = filters() @ frequency
    assert set(spectra.argmax(axis=1)) <= set(np.argsort(abs(centres - 1000))[:2])
    peak = spectra.argmax(axis=1)[0]
    assert np.allclose(logmel(10 * tone)[0, :, peak, 0] - spectra[:, peak], np.log(100), atol=5e-3)


@pytest.mark.parametrize("length", [1, 1000, 1001, SAMPLES, SAMPLES + 7, SAMPLES + 1000])
def test_recordings_are_in_the_middle(tmp_path: Path, length: int) -> None:
    audio = np.arange(1, length + 1, dtype=np.int16)
    one = np.zeros(1, np.uint8)
    path = tmp_path / "one.npz"
    np.savez(path, audio=audio, offset=[0, length], digit=one + 7, speaker=one, take=one, speakers=["ann"])
    (sound,) = ds_cnn_fsdd.load(path).sound
    heard = np.rint(sound * 32768).astype(int)
    kept = heard[heard > 0]
    assert ds_cnn_fsdd.load(path).speech.tolist() == [len(kept)] == [min(length, SAMPLES)]
    assert (np.diff(kept) == 1).all()
    assert abs((kept[0] - 1) - (length - kept[-1])) <= 1  # as much is cut at either end
    before, after = np.flatnonzero(heard)[0], SAMPLES - 1 - np.flatnonzero(heard)[-1]
    assert abs(before - after) <= 1


@pytest.mark.shared_data
def test_training_keeps_away_from_what_is_tested() -> None:
    every = ds_cnn_fsdd.load(shared_file(FILE))
    training = ds_cnn_fsdd.trained_on(every)
    assert len(training) == 4 * 10 * (50 - ds_cnn_fsdd.HELD_OUT)
    assert not set(training.speaker) & set(ds_cnn_fsdd.UNSEEN)
    assert set(every.speaker) == set(training.speaker) | set(ds_cnn_fsdd.UNSEEN)
    assert training.take.min() == ds_cnn_fsdd.HELD_OUT
    assert set(training.digit) == set(range(ds_cnn_fsdd.DIGITS))


@pytest.mark.shared_data
@needs("tensorflow", "keras")
@pytest.mark.filterwarnings("ignore")
def test_it_learns_and_every_normalisation_stays_live(tmp_path: Path) -> None:
    recordings = shared_file(FILE)
    model, data = tmp_path / "ds_cnn.keras", tmp_path / "train.npz"
    script = ROOT / "examples" / "ds_cnn_fsdd.py"
    command = [sys.executable, str(script), str(recordings), str(model), "--samples", str(data), "--epochs", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(data) as file:
        np.save(tmp_path / "few.npy", file["x"][::20])
    made = compile(model, calibrate=tmp_path / "few.npy", adapt="fixed", planner="greedy", measure=False)
    made.write(tmp_path / "digits")
    live = json.loads((tmp_path / "digits" / "adaptation.json").read_text())["layers"]
    assert len(live) == 1 + 2 * ds_cnn_fsdd.BLOCKS
    every = ds_cnn_fsdd.load(recordings)
    held = every[~np.isin(every.speaker, ds_cnn_fsdd.UNSEEN) & (every.take == 0)]
    np.save(tmp_path / "held.npy", logmel(held.sound))
    found = made.simulate(tmp_path / "held.npy", engine="host")
    right = [int(np.argmax(one[0])) == digit for one, digit in zip(found.outputs, held.digit, strict=True)]
    assert np.mean(right) > 0.5  # of ten digits
