"""The loss of segmentation against the Dice coefficient of masks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reprostats.learning.losses import one_minus_dice
from reprostats.metrics.segmentation import overlap


class TestOneMinusDice:
    def test_is_one_minus_the_dice_of_certain_pixels(self):
        generator = np.random.default_rng(1)
        truth, prediction = generator.integers(0, 2, (2, 3, 1, 8, 8))
        logits = torch.from_numpy(80.0 * (2 * prediction - 1))
        loss = one_minus_dice(logits, torch.from_numpy(truth))
        assert loss.item() == pytest.approx(1 - overlap(truth, prediction)["dice"])

    @given(st.integers(0, 100), st.sampled_from([torch.float16, torch.bfloat16, torch.float64]))
    def test_lies_between_0_and_1_and_has_a_gradient(self, seed, kind):
        generator = torch.Generator().manual_seed(seed)
        logits = (5 * torch.randn(2, 1, 300, 300, generator=generator)).to(kind)
        logits.requires_grad_()
        masks = (torch.rand(2, 1, 300, 300, generator=generator) > 0.5).to(kind)
        loss = one_minus_dice(logits, masks)
        loss.backward()
        assert 0 <= loss.item() <= 1
        assert torch.isfinite(logits.grad).all()

    def test_without_truth_or_probability_is_finite(self):
        logits = torch.full((1, 1, 2, 2), -1e4, requires_grad=True)
        loss = one_minus_dice(logits, torch.zeros(1, 1, 2, 2))
        loss.backward()
        assert loss.item() == 1
        assert torch.isfinite(logits.grad).all()
