"""Losses: values from NumPy, gradients, what they refuse."""

import numpy as np
import pytest
import torch

from reprostats.errors import InputError
from reprostats.mri.dipole import dipole_kernel
from reprostats.mri.losses import Normalisation, QSMLoss, complex_mse, magnitude_error

SIDES = (6, 5, 4)
VOXEL = (1.0, 0.5, 2.0)
PPM = Normalisation(mean=0.02, sd=0.05)


def loss_of(sides=SIDES, dtype=torch.float64, **more) -> QSMLoss:
    return QSMLoss(dipole_kernel(sides, VOXEL, dtype=dtype), SIDES, VOXEL, **more)


def volumes(dtype=torch.float64):
    """Output, label and mask, two of each."""
    generator = torch.Generator().manual_seed(1)
    output, label = torch.randn(2, 2, 1, *SIDES, dtype=dtype, generator=generator)
    return output, label, torch.rand(label.shape, generator=generator) > 0.3


def test_normalisation_goes_there_and_back():
    """(0.12 - 0.02) / 0.05 = 2."""
    assert PPM.apply(torch.tensor(0.12)).item() == pytest.approx(2)
    assert PPM.restore(torch.tensor(2.0)).item() == pytest.approx(0.12)


@pytest.mark.parametrize(("mean", "sd"), [(0, 0), (0, -1), (float("nan"), 1), (0, float("inf"))])
def test_normalisation_that_cannot_be_is_refused(mean, sd):
    with pytest.raises(InputError, match=f"mean {mean} and standard deviation {sd}; a finite"):
        Normalisation(mean=mean, sd=sd)


def with_numpy(output, label, mask, kernel):
    """Write the terms out: restored maps one by one, complex transforms, differences by hand."""
    output, label, mask = (tensor.numpy()[:, 0] for tensor in (output, label, mask))
    padding = [(0, 0), *((0, one - own) for one, own in zip(kernel.shape, SIDES, strict=True))]

    def field(normalised):
        padded = np.pad(normalised * 0.05 + 0.02, padding)
        whole = np.fft.ifftn(kernel.numpy() * np.fft.fftn(padded, axes=(1, 2, 3)), axes=(1, 2, 3))
        return whole.real[:, : SIDES[0], : SIDES[1], : SIDES[2]]

    slopes = [
        np.abs(np.diff(output, axis=axis) - np.diff(label, axis=axis)).sum() / step
        for axis, step in zip((1, 2, 3), VOXEL, strict=True)
    ]
    return (
        np.abs(output - label).mean(),
        np.abs(mask * (field(output) - field(label))).mean(),
        sum(slopes) / output.size,
    )


@pytest.mark.parametrize("sides", [SIDES, (12, 10, 8)])
def test_terms_and_their_sum_are_those_of_numpy(sides):
    given = volumes()
    expected = with_numpy(*given, dipole_kernel(sides, VOXEL, dtype=torch.float64))
    loss = loss_of(sides, model_weight=5.0, gradient_weight=0.3, susceptibility=PPM)
    assert [term.item() for term in loss.terms(*given)] == pytest.approx(expected, rel=1e-12)
    total = expected[0] + 5 * expected[1] + 0.3 * expected[2]
    assert loss(*given).item() == pytest.approx(total, rel=1e-12)


def test_default_weights_are_those_of_the_later_release():
    given = volumes()
    terms = loss_of(susceptibility=PPM).terms(*given)
    expected = terms.susceptibility + 0.5 * terms.field + 0.1 * terms.gradient
    torch.testing.assert_close(loss_of(susceptibility=PPM)(*given), expected)


def test_the_label_itself_costs_nothing():
    _, label, mask = volumes()
    assert loss_of()(label, label, mask) == 0


def test_the_field_counts_inside_the_mask_only():
    output, label, mask = volumes()
    assert loss_of().terms(output, label, torch.zeros_like(mask)).field == 0
    weight = 0.5 * torch.ones_like(label)
    whole = loss_of().terms(output, label, torch.ones_like(mask)).field
    torch.testing.assert_close(loss_of().terms(output, label, weight).field, whole / 2)


@pytest.mark.parametrize("term", ["susceptibility", "field", "gradient"])
def test_every_term_has_a_gradient(term):
    """A port restores the unit outside of autograd, so that its field term trains nothing."""
    output, label, mask = volumes()
    terms = loss_of(susceptibility=PPM).terms(output.requires_grad_(), label, mask)
    getattr(terms, term).backward()
    assert output.grad.any()


def test_gradient_is_that_of_finite_differences():
    output, label, mask = volumes()
    loss = loss_of(model_weight=5.0, susceptibility=PPM)
    assert torch.autograd.gradcheck(
        lambda given: loss(given, label, mask), (output.requires_grad_(),)
    )


def test_gradient_at_the_label_is_finite():
    _, label, mask = volumes()
    output = label.clone().requires_grad_()
    loss_of()(output, label, mask).backward()
    assert output.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    output, label, mask = volumes(torch.float32)
    loss = loss_of(dtype=torch.float32)
    found = loss(output.to(dtype), label, mask)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(output.to(dtype).float(), label, mask))


def test_volumes_that_do_not_fit_are_refused():
    output, label, mask = volumes()
    with pytest.raises(InputError, match=r"output \(2, 1, 6, 5, 4\), susceptibility \(1, 1, 6"):
        loss_of()(output, label[:1], mask)
    with pytest.raises(InputError, match=r"its last 3 axes must be \(6, 5, 4\)"):
        loss_of()(output[..., 1:], label[..., 1:], mask[..., 1:])
    with pytest.raises(InputError, match="the kernel has shape"):
        loss_of((3, 3, 3))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["model_weight", "gradient_weight"])
def test_weights_that_cannot_be_are_refused(name, weight):
    with pytest.raises(InputError, match=f"{name} is {weight}; a finite number of 0 or more"):
        loss_of(**{name: weight})


def images(dtype=torch.complex128):
    return torch.randn(2, 3, 5, 4, dtype=dtype, generator=torch.Generator().manual_seed(1))


def test_complex_error_is_that_of_numpy():
    output, target = images()
    expected = np.mean(np.abs(output.numpy() - target.numpy()) ** 2)
    assert complex_mse(output, target).item() == pytest.approx(expected, rel=1e-12)


def test_complex_error_is_twice_that_over_real_and_imaginary_parts():
    output, target = images()
    parts = torch.nn.functional.mse_loss(torch.view_as_real(output), torch.view_as_real(target))
    torch.testing.assert_close(complex_mse(output, target), 2 * parts)


def test_magnitude_error_is_that_of_the_authors_code():
    """train_mri_vn.py: mean over images of the sum of squares, magnitudes smoothed by 1e-12."""
    output, target = (tensor.numpy() for tensor in images())
    magnitudes = [np.sqrt((x * x.conj()).real + 1e-12) for x in (output, target)]
    expected = ((magnitudes[0] - magnitudes[1]) ** 2).sum((1, 2)).mean()
    assert magnitude_error(*images()).item() == pytest.approx(expected, rel=1e-12)


def test_magnitude_error_does_not_see_the_phase():
    _, target = images()
    assert magnitude_error(target * 1j, target).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("loss", [complex_mse, magnitude_error])
def test_gradients_of_image_losses(loss):
    output, target = images()
    assert torch.autograd.gradcheck(lambda given: loss(given, target), (output.requires_grad_(),))
    nothing = torch.zeros_like(target, requires_grad=True)
    loss(nothing, target).backward()
    assert nothing.grad.isfinite().all()


@pytest.mark.parametrize("loss", [complex_mse, magnitude_error])
def test_images_that_do_not_fit_are_refused(loss):
    output, target = images()
    with pytest.raises(InputError, match=r"output \(3, 5, 4\), target \(1, 5, 4\)"):
        loss(output, target[:1])
    with pytest.raises(InputError, match=r"output of shape .* is float64; complex64"):
        loss(output.real, target)
