"""Normalisation in float Graphs, before it is folded or live."""
