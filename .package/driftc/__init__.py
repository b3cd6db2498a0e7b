"""driftc: int8 neural networks as readable C for microcontrollers, proved bit for bit."""

__version__ = "0.1.0"
