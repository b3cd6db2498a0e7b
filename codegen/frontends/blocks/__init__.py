"""The parts of FloatBuilder, by family."""
