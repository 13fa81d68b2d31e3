"""A device that computes otherwise than IEEE 754 says is refused, with what it computes wrong."""

import subprocess
import sys

import pytest
import torch

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic import conformance
from reprostats.portable_arithmetic.mode import portable

FLUSHED = """
import torch
from reprostats.portable_arithmetic.mode import portable
if torch.set_flush_denormal(True):
    with portable():
        pass
else:
    print("this processor cannot flush")
"""


@pytest.fixture(autouse=True)
def asked_anew():
    conformance.check_device.cache_clear()
    yield
    conformance.check_device.cache_clear()


def test_every_primitive_has_its_bits():
    assert set(conformance.EXPECTED) == set(conformance.PRIMITIVES)
    found = {name: conformance.digest(name) for name in conformance.PRIMITIVES}
    assert found == conformance.EXPECTED


def test_a_primitive_with_other_bits_is_named(monkeypatch):
    def other_exp(x, double):
        return torch.exp(x) * (1 + 2**-22)

    monkeypatch.setitem(conformance._FUNCTIONS, "exp", other_exp)
    with pytest.raises(UnportableError, match="other bits for exp\\."), portable():
        pass


def test_numbers_that_are_flushed_to_zero_are_noticed():
    done = subprocess.run(
        [sys.executable, "-c", FLUSHED], capture_output=True, text=True, check=False
    )
    if "cannot flush" in done.stdout:
        pytest.skip("this processor cannot flush small numbers to 0")
    assert "other bits for arithmetic" in done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_conforms():
    conformance.check_device("cuda:0")
