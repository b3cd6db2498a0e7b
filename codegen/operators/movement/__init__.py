"""Operators that move, cut, join or rename bytes and compute nothing."""
