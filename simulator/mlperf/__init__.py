"""MLPerf Tiny: devices that its runner can drive, and a runner of our own (docs/mlperf.md)."""
