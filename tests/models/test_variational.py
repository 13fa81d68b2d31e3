"""The variational network: its formula, its symmetries, what it starts from, what it refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from torch.nn import functional

from reprostats.errors import InputError
from reprostats.models.initialisers import INITIALISERS, build
from reprostats.models.radial_basis import RadialBasis
from reprostats.models.variational import PADDINGS, PROJECTIONS, Kernels, VariationalNetwork
from reprostats.mri.coils import simulated_sensitivities
from reprostats.mri.masks import equispaced
from reprostats.mri.sense import Sense

SMALL = {"stages": 2, "features": 3, "kernel_size": 5, "basis_functions": 7}


def built(rule="he_normal", seed=1, **more) -> VariationalNetwork:
    return build(
        lambda: VariationalNetwork(**(SMALL | more)), rule, torch.Generator().manual_seed(seed)
    )


def perturbed(model: VariationalNetwork, seed: int = 1) -> VariationalNetwork:
    """Move every weight a little, so that no two are alike."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def measured(sides=(16, 12), coils=3, batch=2, acceleration=2, dtype=torch.complex64):
    """K-space of random images, sensitivities and a mask for each."""
    maps = [
        simulated_sensitivities(sides, coils, np.random.default_rng(seed), dtype=dtype)
        for seed in range(batch)
    ]
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, *sides, dtype=dtype, generator=generator)
    masks = torch.stack(
        [equispaced(sides, acceleration=acceleration, centre=2 + number) for number in range(batch)]
    )
    kspace = [
        Sense(one, mask).forward(image)
        for one, mask, image in zip(maps, masks, images, strict=True)
    ]
    return torch.stack(kspace), torch.stack(maps), masks, images


def by_hand(model, kspace, maps, mask):
    """One image, written out with NumPy, SciPy and the operator of the classical methods.

    As in the authors' code: an edge mirrored by so much that the zeros around it reach no pixel,
    convolutions that keep the size, and the transpose by the turned kernel.
    """
    sense = Sense(maps, mask)
    start = sense.adjoint(kspace)
    scale = start.abs().max()
    image, measurement = start / scale, kspace / scale
    for stage in model.stages:
        kernels, weights = stage.kernels.weight.detach().numpy(), stage.activation.weight
        size, count = kernels.shape[-1], weights.shape[1]
        padded = np.pad(image.numpy(), size, mode="symmetric")
        centres, deviation = np.linspace(-1, 1, count), 2 / (count - 1)
        slope = np.zeros_like(padded)
        for (real, imaginary), weight in zip(kernels, weights.detach().numpy(), strict=True):
            response = signal.correlate2d(padded.real, real, "same")
            response = response + signal.correlate2d(padded.imag, imaginary, "same")
            gaussians = np.exp(-((response[..., None] - centres) ** 2) / (2 * deviation**2))
            potential = gaussians @ weight
            slope += signal.convolve2d(potential, real, "same")
            slope += 1j * signal.convolve2d(potential, imaginary, "same")
        slope = torch.from_numpy(slope[size:-size, size:-size] / len(kernels))
        data_term = sense.adjoint(sense.forward(image) - measurement)
        image = image - slope - stage.data_weight.detach() * data_term
    return scale * image


@pytest.mark.parametrize("sides", [(16, 12), (9, 7), (5, 11)])
def test_computes_the_formula_written_out(sides):
    model = perturbed(built()).double()
    kspace, maps, masks, _ = measured(sides, dtype=torch.complex128)
    found = model(kspace, maps, masks)
    for number in range(2):
        expected = by_hand(model, kspace[number], maps[number], masks[number])
        torch.testing.assert_close(found[number].detach(), expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(
    sides=st.tuples(st.integers(4, 17), st.integers(5, 17)),
    coils=st.integers(1, 3),
    batch=st.integers(1, 3),
    exponent=st.integers(-12, 12),
)
def test_shapes_and_units_of_any_size(sides, coils, batch, exponent):
    model = perturbed(built())
    kspace, maps, masks, _ = measured(sides, coils, batch)
    one = model(kspace, maps, masks)
    assert one.shape == (batch, *sides)
    scaled = model(kspace * 2.0**exponent, maps, masks)
    torch.testing.assert_close(scaled, one * 2.0**exponent, rtol=1e-4, atol=1e-4 * 2.0**exponent)


def test_the_unit_of_each_sample_is_its_own():
    model = perturbed(built())
    kspace, maps, masks, _ = measured()
    factor = torch.tensor([1e-6, 4e3])[:, None, None]
    scaled = model(kspace * factor[..., None], maps, masks)
    torch.testing.assert_close(scaled, model(kspace, maps, masks) * factor, rtol=1e-4, atol=1e-9)


def test_a_batch_gives_what_its_samples_give_alone():
    model = perturbed(built())
    kspace, maps, masks, _ = measured(batch=3)
    together = model(kspace, maps, masks)
    for number in range(3):
        one = slice(number, number + 1)
        torch.testing.assert_close(together[one], model(kspace[one], maps[one], masks[one]))


def test_one_mask_serves_all():
    model = perturbed(built())
    kspace, maps, masks, _ = measured()
    repeated = masks[:1].expand_as(masks)
    assert torch.equal(model(kspace, maps, masks[0]), model(kspace, maps, repeated))


def test_without_regulariser_all_samples_give_the_image_back():
    model = built(stages=1).double()
    torch.nn.init.zeros_(model.stages[0].activation.weight)
    kspace, maps, masks, images = measured(acceleration=1, dtype=torch.complex128)
    assert masks.all()
    torch.testing.assert_close(model(kspace, maps, masks), images)


def test_without_regulariser_it_is_landwebers_iteration():
    model = built(stages=30).double()
    for stage in model.stages:
        torch.nn.init.zeros_(stage.activation.weight)
    kspace, maps, masks, _ = measured(dtype=torch.complex128)
    sense = Sense(maps[0], masks[0])
    image = start = sense.adjoint(kspace[0])
    for _ in range(30):
        image = image - sense.adjoint(sense.forward(image) - kspace[0])
    found = model(kspace, maps, masks)[0].detach()
    torch.testing.assert_close(found, image)
    assert _misfit(sense, found, kspace) < 0.1 * _misfit(sense, start, kspace)


def _misfit(sense, image, kspace) -> float:
    return float((sense.forward(image) - kspace[0]).abs().square().sum())


def test_no_signal_gives_no_image():
    kspace, maps, masks, _ = measured()
    found = perturbed(built())(torch.zeros_like(kspace), maps, masks)
    assert found.isfinite().all()


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_every_parameter_has_a_gradient(projection):
    model = built(projection=projection)
    kspace, maps, masks, images = measured()
    (model(kspace, maps, masks) - images).abs().square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_gradients_are_those_of_finite_differences():
    model = perturbed(built(stages=1, features=2, kernel_size=3, basis_functions=4)).double()
    kspace, maps, masks, _ = measured((5, 4), coils=2, dtype=torch.complex128)

    def reconstruct(kspace, *parameters):
        named = dict(zip(dict(model.named_parameters()), parameters, strict=True))
        return torch.func.functional_call(model, named, (kspace, maps, masks))

    inputs = (kspace.requires_grad_(), *model.parameters())
    assert torch.autograd.gradcheck(reconstruct, inputs, fast_mode=True)


@pytest.mark.parametrize("count", [2, 3, 31])
def test_radial_basis_is_a_weighted_sum_of_gaussians(count):
    """On and off the span of the centres, with exact gradients."""
    basis = RadialBasis(2, count).double()
    torch.nn.init.normal_(basis.weight, generator=torch.Generator().manual_seed(1))
    values = torch.linspace(-4, 4, 24, dtype=torch.float64).reshape(2, 2, 2, 3).requires_grad_()
    centres = torch.linspace(-1, 1, count, dtype=torch.float64)
    gaussians = torch.exp(-((values[..., None] - centres) * (count - 1) / 2).square() / 2)
    expected = (gaussians * basis.weight[:, None, None]).sum(-1)
    torch.testing.assert_close(basis(values), expected)
    for found, wanted in zip(
        torch.autograd.grad(basis(values).sum(), (values, basis.weight)),
        torch.autograd.grad(expected.sum(), (values, basis.weight)),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)


def test_starts_as_the_authors_code_does():
    """configs/mri_vn.yaml: linear activation of scale 0.04 on [-1, 1], data-term weight 1."""
    model = VariationalNetwork()
    assert len(model.stages) == 10
    stage = model.stages[3]
    assert stage.kernels.weight.shape == (24, 2, 11, 11)
    expected = torch.from_numpy(0.04 * np.linspace(-1, 1, 31, dtype=np.float32))
    torch.testing.assert_close(stage.activation.weight, expected.expand(24, 31))
    assert stage.data_weight == 1


def means_and_norms(model):
    weights = torch.cat([stage.kernels.weight.detach() for stage in model.stages])
    return weights.mean((-2, -1)).abs(), torch.linalg.vector_norm(weights, dim=(1, 2, 3))


@pytest.mark.parametrize("rule", INITIALISERS)
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_drawn_kernels_are_projected_as_configured(rule, projection):
    means, norms = means_and_norms(built(rule, projection=projection))
    projected = bool(means.max() < 1e-6 and norms.max() < 1 + 1e-6)
    assert projected == (projection != "none")


def test_kernels_of_the_authors_rule_end_on_the_ball():
    """Norms of sqrt(2) before the projection, of 1 after it, as the port makes them."""
    means, norms = means_and_norms(built(kernel_size=11, features=24))
    torch.testing.assert_close(norms, torch.ones_like(norms))
    assert means.max() < 1e-6
    _, before = means_and_norms(built(kernel_size=11, features=24, projection="none"))
    assert before.mean().item() == pytest.approx(2**0.5, rel=0.02)


def test_kernels_inside_the_ball_keep_their_norm():
    model = built()
    with torch.no_grad():
        model.stages[0].kernels.weight *= 0.25
    model.project()
    _, norms = means_and_norms(model)
    torch.testing.assert_close(norms, torch.tensor([0.25] * 3 + [1.0] * 3))


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_kernels_are_projected_after_every_step_if_hooked(projection):
    model = built(projection=projection)
    optimiser = torch.optim.SGD(model.parameters(), 10.0)
    if model.projection == "every_step":
        optimiser.register_step_post_hook(lambda *_: model.project())
    kspace, maps, masks, images = measured()
    (model(kspace, maps, masks) - images).abs().square().mean().backward()
    optimiser.step()
    means, norms = means_and_norms(model)
    assert bool(means.max() < 1e-6 and norms.max() < 1 + 1e-6) == (projection == "every_step")


def test_projection_keeps_the_data_term_from_pushing_away():
    model = built()
    torch.nn.init.constant_(model.stages[1].data_weight, -0.5)
    model.project()
    assert [stage.data_weight.item() for stage in model.stages] == [1, 0]


@pytest.mark.parametrize("rule", INITIALISERS)
def test_weights_come_from_one_generator_alone(rule):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = built(rule).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = built(rule).state_dict(), built(rule, seed=2).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert all(tensor.isfinite().all() for tensor in one.values())
    kernels = [name for name in one if "kernels" in name]
    assert len(kernels) == 2
    assert not any(torch.equal(one[name], other[name]) for name in kernels)


def trained(steps: int = 3) -> dict[str, torch.Tensor]:
    model = built()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    kspace, maps, masks, images = measured()
    for _ in range(steps):
        optimiser.zero_grad()
        (model(kspace, maps, masks) - images).abs().square().mean().backward()
        optimiser.step()
    return model.state_dict()


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
def test_training_again_gives_the_same_bits():
    before = torch.get_rng_state()
    one, same = trained(), trained()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_lowers_the_error():
    model = built(projection="every_step")
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    optimiser.register_step_post_hook(lambda *_: model.project())
    kspace, maps, masks, images = measured()
    errors = []
    for _ in range(30):
        optimiser.zero_grad()
        errors.append((model(kspace, maps, masks) - images).abs().square().mean())
        errors[-1].backward()
        optimiser.step()
    assert errors[-1] < 0.8 * errors[0]


def test_hooks_see_tensors_in_their_places():
    seen = {}
    model = built()
    for name, module in model.named_modules():
        module.register_forward_hook(
            lambda _, args, output, name=name: seen.update({name: (*args, output)})
        )
    model(*measured()[:3])
    assert len(seen) == 1 + 2 * 3  # ModuleList has no forward
    assert all(isinstance(each, torch.Tensor) for tensors in seen.values() for each in tensors)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_transforms_in_single_precision(dtype):
    model = perturbed(built())
    kspace, maps, masks, _ = measured()
    single = model(kspace, maps, masks)
    types = []
    model.stages[0].kernels.register_forward_hook(lambda *seen: types.append(seen[2].dtype))
    with torch.autocast("cpu", dtype):
        half = model(kspace, maps, masks)
    half.abs().square().mean().backward()
    assert types == [dtype]
    assert half.dtype == torch.complex64
    assert 0 < (half - single).abs().max() < 0.05 * single.abs().max()
    assert {each.grad.dtype for each in model.parameters()} == {torch.float32}


def test_half_precision_is_refused():
    kspace, maps, masks, _ = measured()
    with pytest.raises(InputError, match=r"network is bfloat16; .* no half precision.*autocast"):
        built().to(torch.bfloat16)(kspace, maps, masks)
    with pytest.warns(UserWarning, match="ComplexHalf"):
        half = kspace.to(torch.complex32)
    with pytest.raises(InputError, match=r"kspace of shape \(2, 3, 16, 12\) is complex32"):
        built()(half, maps, masks)


def test_types_that_do_not_fit_are_refused():
    kspace, maps, masks, _ = measured()
    with pytest.raises(InputError, match=r"kspace .* is complex64; complex128 .* float64"):
        built().double()(kspace, maps, masks)
    with pytest.raises(InputError, match=r"sensitivities .* is complex128; complex64 .* float32"):
        built()(kspace, maps.to(torch.complex128), masks)
    with pytest.raises(InputError, match=r"kspace of shape \(2, 3, 16, 12\) is float32"):
        built()(kspace.real, maps, masks)


def test_shapes_that_do_not_fit_are_refused():
    kspace, maps, masks, _ = measured()
    model = built()
    with pytest.raises(InputError, match=r"\(2, 3, 16, 12\), sensitivities have \(2, 2, 16, 12\)"):
        model(kspace, maps[:, :2], masks)
    with pytest.raises(InputError, match=r"\(3, 16, 12\).*\(batch, coils, height, width\)"):
        model(kspace[0], maps[0], masks)
    with pytest.raises(InputError, match=r"mask of shape \(1, 16, 12\) is bool; .* \(2, 16, 12\)"):
        model(kspace, maps, masks[:1])
    with pytest.raises(InputError, match=r"mask of shape \(2, 16, 12\) is float32; bool"):
        model(kspace, maps, masks.float())


def test_images_smaller_than_kernels_are_refused():
    with pytest.raises(InputError, match="4 x 12 pixels; kernels of 7 x 7 take sides of 6"):
        built(kernel_size=7)(*measured((4, 12))[:3])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_refused_with_their_sample(value):
    kspace, maps, masks, _ = measured()
    kspace[1, 2, 8, 6] = value
    with pytest.raises(InputError, match=r"sample 1 .* of the 2 of shape \(16, 12\) is not finite"):
        built()(kspace, maps, masks)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": 0}, "stages is 0"),
        ({"features": 0}, "features is 0"),
        ({"kernel_size": 4}, "kernel_size is 4; an odd number"),
        ({"kernel_size": 1}, "kernel_size is 1"),
        ({"basis_functions": 1}, "basis_functions is 1; 2 or more"),
        ({"projection": "each_step"}, "unknown projection 'each_step'"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        VariationalNetwork(**(SMALL | settings))


class TestPadding:
    def test_reflection_is_that_of_numpy(self):
        """The port pads by PyTorch's reflection, which does not repeat the edge."""
        parts = torch.rand(1, 2, 6, 5, generator=torch.Generator().manual_seed(1))
        kernels = Kernels(1, 3, projected=False, edges="reflect")
        around = [(0, 0), (0, 0), (2, 2), (2, 2)]
        padded = torch.from_numpy(np.pad(parts.numpy(), around, mode="reflect"))
        torch.testing.assert_close(kernels(parts), functional.conv2d(padded, kernels.weight))

    def test_away_from_the_edges_it_does_not_matter(self):
        parts = torch.zeros(1, 2, 12, 12)
        parts[..., 5:7, 5:7] = 1
        one, other = (Kernels(2, 3, projected=False, edges=edges) for edges in PADDINGS)
        other.load_state_dict(one.state_dict())
        torch.testing.assert_close(one(parts), other(parts))

    def test_unknown(self):
        with pytest.raises(InputError, match="unknown padding 'zeros'"):
            VariationalNetwork(padding="zeros")
