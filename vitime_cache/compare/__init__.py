"""Comparisons of two: a signal and its reduced form, two sets of weights, two periods."""
