"""What a server is given: the compiled folder, the teacher, clean samples, and the key. As files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from driftc.codegen.adaptation.network import tensorflow
from driftc.codegen.elastic.packet import LEAST_KEY
from driftc.codegen.elastic.round import Clean, Rounds
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.teacher import Teacher
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.samples import Samples, load

LONGEST_KEY = 1 << 16  # bytes


def rounds_of(
    student: Student, teacher: Path, clean: Path, *, divisor: float = 1.0, one_environment: bool = False
) -> Rounds:
    """Raises UsageError, ModelError, DataError or ToolError, before anything is computed."""
    tensorflow()
    samples = load(clean, student.graph.inputs, divisor=divisor)
    taught = Teacher.load(teacher, student.shape, student.classes)
    labels = None if samples.labels is None else samples.labels.astype(np.int64)
    if labels is not None and not (labels.min() >= 0 and labels.max() < student.classes):
        raise DataError(
            f"{clean.name}: 'y' has labels from {labels.min()} to {labels.max()}, not 0 to {student.classes - 1}"
        )
    try:
        return Rounds(student, taught, Clean(raw(samples, student), labels), one_environment)
    except DataError as problem:
        raise DataError(f"{clean.name}: {problem}") from None


def uploads_of(path: Path, student: Student, divisor: float = 1.0) -> Raw:
    """Samples as a device would have sent them, raw int8 [n, ...]."""
    return raw(load(path, student.graph.inputs, divisor=divisor), student)


def raw(samples: Samples, student: Student) -> Raw:
    return np.stack([given[0] for given in samples.quantized]).reshape(len(samples), *student.shape)


def key_of(path: Path) -> bytes:
    """The file's bytes, all of them. Raises UsageError."""
    try:
        key = path.read_bytes() if path.stat().st_size <= LONGEST_KEY else b""
    except OSError as problem:
        raise UsageError(f"{path}: the key cannot be read: {problem.strerror}") from None
    if not LEAST_KEY <= len(key) <= LONGEST_KEY:
        raise UsageError(
            f"{path}: a key has {LEAST_KEY} to {LONGEST_KEY} bytes; head -c 32 /dev/urandom > {path} makes one"
        )
    return key
