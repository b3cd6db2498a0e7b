"""TensorFlow operations, by family. A function under `operation` is registered by existing in a module here."""
