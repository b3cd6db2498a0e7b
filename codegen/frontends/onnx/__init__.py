"""ONNX files."""

SUFFIXES = (".onnx",)
