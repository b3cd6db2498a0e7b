"""Keras 3 .keras and Keras 2 .h5 files."""
