"""ONNX files."""

SUFFIXES = (".onnx",)
FRAMEWORK = "onnx"
