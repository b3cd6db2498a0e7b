"""Layers whose weights are learnt on the device, and the operators of their backward pass (learning.md, part 2)."""
