"""Operators that compute each element by itself, or element by element of two tensors."""
