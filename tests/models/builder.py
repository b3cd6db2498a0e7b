"""A typed builder of .tflite models: one method per operator, output shapes worked out, everything else as given."""

from __future__ import annotations

from models.elementwise import ElementwiseOperators
from models.movement import MovementOperators
from models.state import StateOperators
from models.weighted import WeightedOperators


class ModelBuilder(WeightedOperators, ElementwiseOperators, MovementOperators, StateOperators):
    """Every method takes and gives tensors; `input`, `output` and `build` begin and end a model.

    `out_scale` and `out_zero_point` quantise an operator's output; where they may be left out the output takes its
    input's. Nothing is validated: a test may build what no converter would.
    """
