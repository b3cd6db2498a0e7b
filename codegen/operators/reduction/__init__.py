"""Operators that make one value of many: means, pools, softmax."""
