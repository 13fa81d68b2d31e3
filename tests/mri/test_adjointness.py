"""The check of adjointness itself: it passes a true adjoint and finds a wrong one."""

import pytest
import torch

from tests.mri.adjointness import check_adjoint, seeded

MATRIX = torch.arange(12).reshape(3, 4).to(torch.complex128) * (1 + 2j)
DOMAIN = ((4,), torch.complex128)


def test_passes_the_conjugate_transpose():
    check_adjoint(
        lambda x: MATRIX @ x, lambda y: MATRIX.mH @ y, DOMAIN, tolerance=1e-12, generator=seeded(1)
    )


@pytest.mark.parametrize("wrong", [MATRIX.T, MATRIX.mH * (1 + 1e-9), MATRIX.mH * 1j])
def test_finds_what_is_not_the_adjoint(wrong):
    with pytest.raises(AssertionError):
        check_adjoint(
            lambda x: MATRIX @ x, lambda y: wrong @ y, DOMAIN, tolerance=1e-12, generator=seeded(1)
        )
