"""Operators at the border between real values and integers."""
