"""Live normalisation: layers that normalise each sample by its own statistics."""
