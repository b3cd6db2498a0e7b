"""CEMA's released setting (chenyaofo/CEMA @ 7add5d0), float, on the folded network: what it is next to a round.

A step of SGD (0.0025, momentum 0.9) for each 32 uploads that pass the criteria, with 32 earlier ones; the running mean
and variance of every normalisation move with momentum 0.1 and go to the device with gain and beta. Loss: 3 H(edge) +
3 KL + CE, the latter two weighted by exp(E_max - H(teacher)). Departures: the teacher is not trained (batch statistics
alone), 32 replayed samples from the first step on (96 of a buffer of 10,000), E_min = 0.02 ln C (the configuration has
none), no redundancy filter; what is normalised is the folded layer's output, by the statistics of clean samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from choose import MOST, between, entropy_of
from numpy.typing import NDArray

from driftc.codegen.adaptation.network import Network, tensorflow
from driftc.codegen.elastic.coding import Codes, Folded
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.teacher import Teacher

RATE, INERTIA, MOMENTUM = 0.0025, 0.9, 0.1
STEP = 32  # uploads
LARGEST = 10.0  # norm of the gradient


class Released:
    """`codes` after each step is what the device has."""

    def __init__(self, student: Student, teacher: Teacher, clean: Raw) -> None:
        self._tf = tf = tensorflow()
        self._student, self._teacher = student, teacher
        self._network = Network(student.source)
        self._layers = {layer.name: layer for layer in student.parameters.layers if isinstance(layer, Folded)}
        self._known: dict[str, tuple[Any, Any]] = {}

        def see(name: str, x: Any) -> Any:
            if name in self._layers:
                mean, variance = tf.nn.moments(x, range(len(x.shape) - 1))
                self._known[name] = mean.numpy(), np.sqrt(variance.numpy() + 1e-6)
            return x

        self._network.run(tf.constant(student.real(clean)), see)
        self._running = {name: (mean, deviation**2) for name, (mean, deviation) in self._known.items()}
        self._learnt = {
            name: (tf.Variable(np.ones_like(mean)), tf.Variable(np.zeros_like(mean)))
            for name, (mean, _) in self._known.items()
        }
        self._speed = [np.zeros_like(v.numpy()) for pair in self._learnt.values() for v in pair]

    def run(self, stream: Raw, count: int) -> int:
        """See `count` samples of the stream; how many were uploaded."""
        random = np.random.default_rng(0)
        waiting: list[int] = []
        done: list[int] = []
        for start in range(0, count, STEP):
            some = np.arange(start, min(start + STEP, count))
            logits = self._logits(self._student.real(stream[some])).numpy().astype(np.float64)
            waiting += some[between(entropy_of(logits), self._student.classes)].tolist()
            while len(waiting) >= STEP:
                fresh, waiting = waiting[:STEP], waiting[STEP:]
                replayed = random.choice(done, STEP).tolist() if done else []
                self._step(stream[fresh + replayed])
                done += fresh
        return len(done) + len(waiting)

    @property
    def codes(self) -> tuple[Codes, ...]:
        found = []
        for layer in self._student.parameters.layers:
            assert isinstance(layer, Folded)
            mean, variance = self._running[layer.name]
            source_mean, deviation = self._known[layer.name]
            gamma, beta = (v.numpy().astype(np.float64) for v in self._learnt[layer.name])
            gain = np.maximum(gamma * deviation / np.sqrt(variance), 1e-3)
            before = layer.raw * layer.multiplier * np.exp2(-31.0 - layer.shift) * layer.scale
            found.append(layer.codes(gain, gain * (before - mean) + source_mean + beta * deviation))
        return tuple(found)

    def _logits(self, x: Any, moving: bool = False) -> Any:
        def normalise(name: str, values: Any) -> Any:
            if name not in self._layers:
                return values
            if moving:
                mean, variance = self._tf.nn.moments(values, range(len(values.shape) - 1))
                old = self._running[name]
                self._running[name] = tuple(  # type: ignore[assignment]
                    (1 - MOMENTUM) * was + MOMENTUM * now.numpy()
                    for was, now in zip(old, (mean, variance), strict=True)
                )
            (mean, variance), (source_mean, deviation) = self._running[name], self._known[name]
            gamma, beta = self._learnt[name]
            return deviation * (gamma * (values - mean) / np.sqrt(variance) + beta) + source_mean

        return self._network.run(x, normalise)

    def _step(self, samples: Raw) -> None:
        tf = self._tf
        real = self._student.real(samples)
        wanted = self._teacher.probabilities(real)
        weights = np.exp(MOST * np.log(wanted.shape[1]) - _entropy(wanted)).astype(np.float32)
        variables = [v for pair in self._learnt.values() for v in pair]
        with tf.GradientTape() as tape:
            found = tf.nn.log_softmax(self._logits(tf.constant(real), moving=True))
            shares = tf.exp(found)
            own = -tf.reduce_sum(shares * found, -1)
            apart = tf.reduce_sum(wanted * (np.log(wanted + 1e-9) - found), -1)
            label = -tf.gather(found, wanted.argmax(-1), batch_dims=1)
            loss = tf.reduce_mean(3 * own + weights * (3 * apart + label))
        gradients = [gradient.numpy() for gradient in tape.gradient(loss, variables)]
        norm = float(np.sqrt(sum(float((g**2).sum()) for g in gradients)))
        for number, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
            self._speed[number] = INERTIA * self._speed[number] + gradient * min(1.0, LARGEST / norm)
            variable.assign_sub(RATE * self._speed[number])


def _entropy(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(-(shares * np.log(shares + 1e-9)).sum(-1))
