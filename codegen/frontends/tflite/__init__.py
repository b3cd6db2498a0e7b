""".tflite files, by the schema of TensorFlow Lite."""

SUFFIXES = (".tflite",)
