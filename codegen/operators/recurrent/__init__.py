"""Operators that keep a state of their own."""
