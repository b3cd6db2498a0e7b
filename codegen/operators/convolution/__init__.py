"""Operators with weights: convolutions and dense layers."""
