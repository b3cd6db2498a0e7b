"""ONNX operators, by family. A function under `operator` is registered by existing in a module here."""
