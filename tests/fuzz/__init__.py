"""A seeded fuzzer of the .tflite reader: each mutant must be refused clearly or compiled correctly.

`pytest tests/fuzz` runs the part that CI runs; `PYTHONPATH=tests python -m fuzz --count 20000` a longer one by hand.
"""
