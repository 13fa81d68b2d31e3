"""Simulated k-space: that it is what it says, and that its parts fit together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats.datasets.simulated_kspace import simulated_kspace
from reprostats.datasets.templates import centred
from reprostats.errors import InputError
from reprostats.mri.fourier import to_image
from reprostats.mri.sense import Sense


def simulated(number=1, seed=1, **more):
    chosen = {"n_slices": 2, "resolution": 8} | more
    return simulated_kspace(number, np.random.default_rng(seed), **chosen)


@pytest.fixture(scope="module")
def subject():
    (subject,) = simulated(resolution=4)
    return subject


class TestSimulation:
    def test_without_noise_k_space_is_that_of_the_images(self):
        (subject,) = simulated(noise=0, resolution=4)
        everywhere = torch.ones(subject.images.shape[1:], dtype=torch.bool)
        sense = Sense(torch.from_numpy(subject.sensitivities), everywhere)
        expected = sense.forward(torch.from_numpy(subject.images)).numpy()
        assert np.allclose(subject.kspace, expected, atol=1e-6)

    @pytest.mark.parametrize("noise", [0.01, 0.1])
    def test_noise_has_its_sd_in_both_parts_of_k_space_and_image(self, noise):
        clean, noisy = (simulated(resolution=4, noise=sd)[0] for sd in (0, noise))
        assert (clean.images == noisy.images).all()
        added = noisy.kspace - clean.kspace
        image = to_image(torch.from_numpy(added)).numpy()
        for part in (added.real, added.imag, image.real, image.imag):
            assert part.std() == pytest.approx(noise, rel=0.02)
            assert abs(part.mean()) < 4 * noise / np.sqrt(part.size)

    def test_brightest_voxel_is_1_and_lies_in_the_brain(self, subject):
        magnitude = np.abs(subject.images)
        assert magnitude.max() == pytest.approx(1)
        assert subject.brain[np.unravel_index(magnitude.argmax(), magnitude.shape)]
        assert magnitude[subject.brain].mean() > 10 * magnitude[~subject.brain].mean()

    def test_phase_varies_smoothly_but_does_vary(self, subject):
        turned = subject.images[:, 1:] * subject.images[:, :-1].conj()
        both = subject.brain[:, 1:] & subject.brain[:, :-1]
        assert np.abs(np.angle(turned[both])).max() < 0.5  # rad from voxel to voxel of 4 mm
        assert np.angle(subject.images[subject.brain]).std() > 0.1

    def test_coils_are_the_same_in_all_slices_and_other_in_other_subjects(self):
        one, other = simulated(2)
        assert (one.sensitivities[0] == one.sensitivities[1]).all()
        assert not (one.sensitivities[0] == other.sensitivities[0]).all()

    def test_first_subjects_do_not_depend_on_how_many_follow(self):
        few, many = simulated(2)[1], simulated(5)[1]
        assert (few.kspace == many.kspace).all()
        assert (few.brain == many.brain).all()

    def test_repeats_from_the_generator(self):
        assert (simulated()[0].kspace == simulated()[0].kspace).all()
        assert not (simulated()[0].kspace == simulated(seed=2)[0].kspace).all()

    def test_anatomy_does_not_depend_on_coils(self):
        few, many = (simulated(n_coils=number)[0] for number in (1, 9))
        assert (few.images == many.images).all()
        assert many.kspace.shape[1] == 9

    @pytest.mark.parametrize("size", [(16, 20), (41, 33)])
    def test_size_cuts_or_fills_around_the_centre(self, size):
        whole, fitted = (simulated(size=each)[0] for each in (None, size))
        assert fitted.kspace.shape == (2, 6, *size)
        assert (fitted.brain == centred(whole.brain, size)).all()

    def test_sides_are_even(self):
        assert all(side % 2 == 0 for side in simulated(resolution=7)[0].kspace.shape[-2:])

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"number": 0}, "n_subjects is 0; need from 1"),
            ({"n_slices": 26}, "n_slices is 26; the template has from 1 to 25"),
            ({"n_coils": 0}, "n_coils is 0"),
            ({"noise": -1}, "noise is -1"),
            ({"noise": np.nan}, "noise is nan"),
            ({"size": (0, 4)}, r"size is \(0, 4\)"),
            ({"size": (4,)}, r"size is \(4,\)"),
        ],
    )
    def test_numbers_out_of_range(self, wrong, message):
        with pytest.raises(InputError, match=message):
            simulated(**wrong)


class TestSubject:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"images": np.zeros((2, 30, 26))}, "images are float64; complex64 is due"),
            ({"brain": np.zeros((2, 30, 26))}, "brain is float64; bool is due"),
            ({"brain": np.zeros((2, 30, 26), bool)}, r"brain of shape \(2, 30, 26\) holds no"),
            ({"brain": np.ones((2, 30, 25), bool)}, r"brain \(2, 30, 25\)"),
            ({"kspace": np.ones((2, 30, 26), np.complex64)}, r"k-space has shape \(2, 30, 26\)"),
            ({"spacing": (1.0, 0.0, 1.0)}, r"spacing is \(1.0, 0.0, 1.0\) mm"),
        ],
    )
    def test_what_does_not_fit_is_said_with_the_subject(self, wrong, message):
        (subject,) = simulated()
        with pytest.raises(InputError, match=f"mni152-kspace, subject head-001: .*{message}"):
            replace(subject, **wrong)

    @pytest.mark.parametrize("name", ["images", "sensitivities", "kspace"])
    def test_not_finite(self, name):
        (subject,) = simulated()
        values = getattr(subject, name).copy()
        values[(0,) * values.ndim] = np.nan
        with pytest.raises(InputError, match=r"subject head-001.*not finite"):
            replace(subject, **{name: values})

    def test_arrays_that_cannot_be_written_or_run_backwards(self):
        (subject,) = simulated()
        one = np.broadcast_to(subject.sensitivities[:1], subject.sensitivities.shape)
        same = replace(subject, sensitivities=one, kspace=subject.kspace[::-1])
        assert (same.kspace[0] == subject.kspace[1]).all()

    def test_silent_coil(self):
        (subject,) = simulated()
        kspace = subject.kspace.copy()
        kspace[1, 3] = 0
        with pytest.raises(InputError, match=r"coil 3 .* is zero everywhere"):
            replace(subject, kspace=kspace)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=3), st.integers(1, 9), st.integers(1, 9))
def test_centre_stays_at_the_centre(shape, height, width):
    array = np.zeros(shape, np.float32)
    array[:, shape[1] // 2, shape[2] // 2] = 1
    fitted = centred(array, (height, width))
    assert fitted.shape == (shape[0], height, width)
    assert (fitted[:, height // 2, width // 2] == 1).all()
    assert fitted.sum() == shape[0]
