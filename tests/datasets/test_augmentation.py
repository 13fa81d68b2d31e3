"""Augmentation: images and masks move together, by what was asked, from one generator alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from reprostats.datasets.augmentation import (
    Augmentation,
    placed_positions,
    resample,
    smooth_displacements,
)
from reprostats.errors import InputError

CPU = torch.device("cpu")
EVERYTHING = Augmentation(
    rotation_degrees=45, zoom=(0.8, 1.2), shift_pixels=4, elastic_alpha=2, elastic_sigma=4
)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def random_images(batch=2, channels=1, height=16, width=16):
    return torch.rand(batch, channels, height, width, generator=generator(9))


def placed(images, angle=0.0, zoom=1.0, right=0.0, down=0.0, mode="bilinear", outside="zeros"):
    batch = len(images)
    positions = placed_positions(
        torch.full((batch,), math.radians(angle)),
        torch.full((batch,), zoom),
        torch.tensor([[right, down]]).expand(batch, 2),
        tuple(images.shape[-2:]),
    )
    return resample(images, positions, mode, outside)


class TestGeometry:
    @pytest.mark.parametrize("mode", ["bilinear", "nearest"])
    @pytest.mark.parametrize("turns", [-1, 1, 2])
    def test_quarter_turns_are_those_of_rot90(self, mode, turns):
        images = random_images()
        expected = torch.rot90(images, turns, (-2, -1))
        torch.testing.assert_close(
            placed(images, 90 * turns, mode=mode), expected, atol=1e-5, rtol=0
        )

    def test_oblong_images_are_turned_without_being_stretched(self):
        images = random_images(height=12, width=20)
        torch.testing.assert_close(placed(images, 180), images.flip(-1, -2), atol=1e-5, rtol=0)
        spot = torch.zeros(1, 1, 21, 41)
        spot[..., 10, 26] = 1  # 6 to the right of the centre
        turned = placed(spot, 90, mode="nearest")
        assert turned.nonzero().tolist() == [[0, 0, 4, 20]]  # 6 above it

    def test_shift_is_to_the_right_and_downwards(self):
        images = random_images()
        moved = placed(images, right=3, down=-2)
        torch.testing.assert_close(moved[..., :-2, 3:], images[..., 2:, :-3])
        assert not moved[..., -2:, :].any()
        assert not moved[..., :3].any()

    def test_zoom_enlarges(self):
        square = torch.zeros(1, 1, 40, 40)
        square[..., 15:25, 15:25] = 1
        assert placed(square, zoom=2.0, mode="nearest").sum() == 400
        assert placed(square, zoom=0.5, mode="nearest").sum() == 25

    def test_smooth_displacements_have_the_spread_and_correlation_they_say(self):
        """White noise smoothed by a Gaussian correlates by exp(-d² / (4 sigma²))."""
        field = smooth_displacements(400, (24, 24), 3.0, generator(), CPU)
        assert field.shape == (400, 24, 24, 2)
        assert field.mean().item() == pytest.approx(0, abs=0.06)  # 4 standard errors
        for row, column in ((0, 0), (12, 12), (23, 0)):  # borders vary as much as the middle
            assert field[:, row, column].std().item() == pytest.approx(1, abs=0.08)
        x = field[..., 0]
        for distance in (1, 3, 6):
            products = (x[:, :, distance:] * x[:, :, :-distance]).mean().item()
            assert products == pytest.approx(math.exp(-(distance**2) / 36), abs=0.07)
        assert (field[..., 0] * field[..., 1]).mean().item() == pytest.approx(0, abs=0.05)


class TestAugmentation:
    def test_images_and_masks_move_together(self):
        """A mask of 0 and 1, given as the image too, differs only where it was interpolated."""
        masks = (random_images(8, 1, 64, 64).mean((0, 1)) > 0).float().expand(8, 1, 64, 64).clone()
        masks[..., :20, :] = 0
        masks[..., 40:, 10:30] = 0
        images, moved = EVERYTHING.bind(generator())(masks, masks)
        assert (images - moved).abs().max() <= 0.75
        assert ((images - moved).abs() > 0.5).float().mean() < 0.01
        assert not torch.equal(moved, masks)

    def test_masks_keep_their_values_shape_and_type(self):
        labels = torch.arange(5).repeat_interleave(64).reshape(1, 16, 20).expand(3, 16, 20)
        images, moved = EVERYTHING.bind(generator())(random_images(3, 2, 16, 20), labels)
        assert images.shape == (3, 2, 16, 20)
        assert (moved.shape, moved.dtype) == (labels.shape, labels.dtype)
        assert set(moved.unique().tolist()) <= set(range(5))

    def test_draws_from_its_generator_alone(self):
        images = random_images()
        torch.manual_seed(1)
        before = torch.get_rng_state()
        one, _ = EVERYTHING.bind(generator())(images, images)
        assert torch.equal(torch.get_rng_state(), before)
        same, _ = EVERYTHING.bind(generator())(images, images)
        other, _ = EVERYTHING.bind(generator(2))(images, images)
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    def test_samples_and_batches_differ(self):
        images = random_images(1).expand(2, 1, 16, 16)
        augment = EVERYTHING.bind(generator())
        (first, _), (second, _) = (augment(images, images) for _ in range(2))
        assert not torch.equal(first[0], first[1])
        assert not torch.equal(first, second)

    def test_without_settings_nothing_changes_and_nothing_is_drawn(self):
        images, source = random_images(), generator()
        before = source.get_state()
        same, masks = Augmentation().bind(source)(images, images)
        assert same is images
        assert masks is images
        assert torch.equal(source.get_state(), before)

    @pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float16])
    def test_types_of_images_are_kept(self, kind):
        images = random_images()
        found, _ = EVERYTHING.bind(generator())(images.to(kind), images)
        expected, _ = EVERYTHING.bind(generator())(images, images)
        assert found.dtype == kind
        torch.testing.assert_close(found.float(), expected, atol=0.01, rtol=0)

    @settings(deadline=None, max_examples=25)
    @given(
        height=st.integers(1, 20),
        width=st.integers(1, 20),
        angle=st.floats(0, 180),
        shift=st.floats(0, 50),
        outside=st.sampled_from(["reflection", "border", "zeros"]),
    )
    def test_values_stay_within_those_given(self, height, width, angle, shift, outside):
        chosen = Augmentation(
            rotation_degrees=angle, shift_pixels=shift, elastic_alpha=1, outside=outside
        )
        images = random_images(2, 1, height, width)
        found, masks = chosen.bind(generator())(images, images > 0.5)
        low = 0 if outside == "zeros" else images.min()
        assert low - 1e-6 <= found.min() <= found.max() <= images.max() + 1e-6
        assert masks.dtype == torch.bool


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation_degrees": -1}, {"rotation_degrees": 400}, {"zoom": (1.2, 0.8)},
        {"zoom": (0, 1)}, {"shift_pixels": -1}, {"elastic_sigma": 0}, {"outside": "wrap"},
        {"flip": True},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        Augmentation(**wrong)


@pytest.mark.parametrize(
    ("images", "targets"),
    [((2, 16, 16), (2, 16, 16)), ((2, 1, 16, 16), (3, 16, 16)), ((2, 1, 16, 16), (2, 16, 18))],
)
def test_targets_that_do_not_fit_are_refused(images, targets):
    with pytest.raises(InputError, match="same number, height and width"):
        EVERYTHING.bind(generator())(torch.zeros(images), torch.zeros(targets))
