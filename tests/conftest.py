"""Settings of all tests: one thread for each of their processes, and what Hypothesis tries.

Hypothesis looks elsewhere each time on a desk, and at the same examples in CI.
"""

import os

from hypothesis import settings

# Tests run in as many processes as there are cores. Threads that spin while they wait for each
# other then take the cores from those that compute, thirtyfold. OpenMP reads these variables when
# it is loaded, which is when a test imports torch; studies set the threads of trials themselves.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
