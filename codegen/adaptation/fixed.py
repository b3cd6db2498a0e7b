"""fixed: every layer believes the sample by one share (alpha-BN; Schneider et al. 2020): no fitting.

mu = alpha mu_i + (1 - alpha) mu_s; the variance is blended likewise, in the log domain (a geometric mean).
"""

from __future__ import annotations

import numpy as np

from driftc.codegen.adaptation.calibration import Source
from driftc.codegen.adaptation.constants import Constants

ALPHA = 0.3


def constants(source: Source, alpha: float = ALPHA, headroom: float = 1.25) -> Constants:
    """gamma and beta are such that a sample with the source's statistics is left as it is.

    `headroom`: how far beyond what calibration saw the int8 values before normalisation reach.
    """
    log_var = np.log2(source.var + source.eps)
    everywhere = np.ones_like(source.mean)
    return Constants(
        dm=alpha * everywhere,
        cm=(1 - alpha) * source.mean,
        dv=alpha * everywhere,
        cv=(1 - alpha) * log_var,
        gamma=np.exp2(log_var / 2),
        beta=source.mean,
        eps=source.eps,
        mean=source.mean,
        var=source.var,
        reach=np.maximum(headroom * source.reach, source.step),
    )
