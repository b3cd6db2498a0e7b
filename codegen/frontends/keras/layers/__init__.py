"""Keras layers, by family. A function under `layer` is registered by existing in a module here."""
