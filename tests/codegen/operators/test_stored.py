"""What the quantiser writes of an operator, the references run to the same bytes as the file that it was read from."""

from __future__ import annotations

import numpy as np
import pytest
from elementwise_models import ELEMENTWISE
from hypothesis import given
from hypothesis import strategies as st
from operator_cases import examples
from operator_models import MODELS
from oracle import Oracle, load_bytes, samples_of

from driftc.codegen.operators import registry
from driftc.codegen.tflite_writer import write

REDUCING = ("mean", "sum", "reduce_max", "reduce_min", "arg_max", "arg_min")
CODES = [*ELEMENTWISE, *REDUCING, "log_softmax", "l2_normalization", "batch_matmul"]


@pytest.mark.parametrize("code", CODES)
@examples(2, shrink=False)
@given(st.data())
def test_written_file_computes_the_same(tflm: Oracle, litert: Oracle, code: str, data: st.DataObject) -> None:
    reference = tflm if "TFLite Micro" in registry()[code.upper()].compared else litert
    builder = data.draw(MODELS[code])
    written = write(load_bytes(builder.build()))
    samples = samples_of(builder, 0)
    before, behind = reference.run(builder.build(), samples), reference.run(written, samples)
    assert isinstance(before, list), before
    assert isinstance(behind, list), behind
    out = load_bytes(written).outputs[0].index
    assert out is not None
    for one, other in zip(before, behind, strict=True):
        assert np.array_equal(one[builder.outputs[0].index], other[out])
