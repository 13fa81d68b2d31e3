"""Reliability statistics: arrays and tables in, tables out. Never imports torch.

The public functions are names of the package itself: ``from reprostats import icc``.
"""
