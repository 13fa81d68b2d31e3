"""Settings of all tests: one thread for each of their processes, and what Hypothesis tries.

Hypothesis looks elsewhere each time on a desk, and at the same examples in CI.
"""

import os

import pytest
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Keep tests that share a set-up of their module in one process, so that it is made once.

    What takes long begins first, so that no process is left alone with it at the end.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _shares_a_setup(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _shares_a_setup(item):
    # pytest has no public way to ask for the scope of the fixtures of a test.
    information = getattr(item, "_fixtureinfo", None)
    definitions = information.name2fixturedefs.values() if information else ()
    wide = ("class", "module", "package")
    return any(each[-1].scope in wide and each[-1].baseid for each in definitions)
