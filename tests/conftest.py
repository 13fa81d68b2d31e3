"""Settings of all tests: one thread for each of their processes, and what Hypothesis tries.

Hypothesis looks elsewhere each time on a desk, and at the same examples in CI.
"""

import os

from hypothesis import settings

# There are as many processes as cores. Threads that spin while they wait for each other then take
# the cores from those that compute: linear algebra was found to be eight times slower so. The
# libraries read these variables when they are loaded, in a process or in those that it starts;
# studies set the threads of their trials themselves.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
