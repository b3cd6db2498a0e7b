"""Operators that give an image another size."""
