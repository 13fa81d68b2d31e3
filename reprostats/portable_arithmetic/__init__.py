"""Arithmetic whose bits are the same on every machine.

exact, products, convolution
    sums of products that float64 adds without rounding, in whatever order
sums, elementary
    sums in an order of their own; exponential, logarithm and their kin
operations
    the portable form of each operation of PyTorch, by what it does; table.py finds it
mode
    the mode that puts them in place, and refuses what has none
"""
