"""Keras 3 and Keras 2 files."""

SUFFIXES = (".keras", ".h5", ".hdf5")
FRAMEWORK = "tensorflow"
