"""TFLite Micro's and LiteRT's own kernels, each run in a child process: what driftc's bytes are compared with."""

from driftc.simulator.references.litert import LitertReference
from driftc.simulator.references.tflm import ArenaUse, TflmReference
from driftc.simulator.references.worker import ReferenceRefused

__all__ = ["ArenaUse", "LitertReference", "ReferenceRefused", "TflmReference"]
