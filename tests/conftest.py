"""Hypothesis looks elsewhere each time on a desk, and at the same examples in CI."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
