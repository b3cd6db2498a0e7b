"""For the vector extension MVE (Helium): Cortex-M55, M85."""
