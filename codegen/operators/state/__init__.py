"""Operators on what outlives an inference."""
