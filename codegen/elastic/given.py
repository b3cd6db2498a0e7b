"""What a server is given: the compiled folder, the teacher and clean samples. As files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from driftc.codegen.adaptation.network import tensorflow
from driftc.codegen.elastic.round import FEWEST, Clean, Rounds
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.teacher import Teacher
from driftc.codegen.errors import DataError
from driftc.codegen.samples import Samples, load


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
    """Samples as a device would have sent them, raw int8 [n, ...]. Raises DataError, where they are too few as well."""
    found = raw(load(path, student.graph.inputs, divisor=divisor), student)
    if len(found) < FEWEST:
        raise DataError(f"{path.name}: {len(found)} uploads; a round needs {FEWEST}")
    return found


def raw(samples: Samples, student: Student) -> Raw:
    return np.stack([given[0] for given in samples.quantized]).reshape(len(samples), *student.shape)
