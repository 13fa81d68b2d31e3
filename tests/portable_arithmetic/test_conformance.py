"""A device that computes otherwise than IEEE 754 says is refused, with what it computes wrong."""

import pytest
import torch

from reprostats.errors import UnportableError
from reprostats.portable_arithmetic import conformance
from reprostats.portable_arithmetic.mode import portable


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_conforms():
    conformance.check_device("cuda:0")
