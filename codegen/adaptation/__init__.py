"""Normalisation of each sample by its own statistics: which layers, with which constants. One file a method.

A method turns what calibration measured of a layer into that layer's `Constants`; the device kernels are shared
(operators/adapt_statistics.py; adapt_linear.py for those that move the variance and not its logarithm).
A module that defines `constants` (of one layer) or `Fitting` (of all) is a method by existing in this folder;
`VARIANTS` names further readings of it: name -> arguments of `constants`.
"""
