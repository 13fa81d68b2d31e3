"""Measures of agreement of a result with the truth, for each case."""
