"""From gradient-echo phase to the local field, on fields that are known."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage

from reprostats.datasets.background_field import remove_background
from reprostats.datasets.gradient_echo import (
    GradientEcho,
    fit_field,
    read_gradient_echo,
    signal_mask,
    unwrap,
)
from reprostats.datasets.simulated_susceptibility import simulated_susceptibility
from reprostats.errors import InputError
from reprostats.mri.dipole import DipoleField, dipole_kernel

PATCH = Path(os.environ.get("REPROSTATS_DATA", "data/raw")) / "mritools_gre"
TIMES = (0.004, 0.008, 0.012)
SHAPE = (12, 16, 14)


def ball(shape, radius):
    places = np.indices(shape) - (np.array(shape) // 2)[:, None, None, None]
    return np.linalg.norm(places, axis=0) <= radius


def scan(hertz, times=TIMES, *, offset=0.4, noise=0.0, magnitude=None):
    """Phase of a known field, wrapped."""
    magnitude = ball(hertz.shape, 5.5) + 0.01 if magnitude is None else magnitude
    echoes = np.stack([magnitude * np.exp(-time / 0.03) for time in times])
    phase = offset + 2 * np.pi * np.asarray(times)[:, None, None, None] * hertz
    signal = echoes * np.exp(1j * phase)
    generator = np.random.default_rng(1)
    signal += noise * (
        generator.normal(size=signal.shape) + 1j * generator.normal(size=signal.shape)
    )
    return GradientEcho(
        np.abs(signal).astype(np.float32),
        np.angle(signal).astype(np.float32),
        tuple(times),
        3.0,
        (2.0, 1.0, 1.0),
        (1.0, 0.0, 0.0),
        Path("phase.nii"),
    )


def bowl(highest=90.0):
    """Smooth, from about -highest / 3 to highest in Hz, wrapping at later echoes."""
    places = np.indices(SHAPE) / np.array(SHAPE)[:, None, None, None] - 0.5
    return (highest * (1 - 3 * (places**2).sum(axis=0)) - 20).astype(np.float32)


class TestSteps:
    @pytest.mark.parametrize("times", [TIMES, (0.005, 0.011), (0.003, 0.007, 0.013, 0.02)])
    def test_the_field_is_found(self, times):
        """Wrapped phase of up to 90 Hz: up to 1.8 turns at 20 ms."""
        measured = scan(bowl(), times)
        mask = signal_mask(measured)
        assert (mask == ball(SHAPE, 5.5)).all()
        found = fit_field(measured, unwrap(measured, mask), mask)
        assert np.abs(found.hertz - bowl())[mask].max() < 0.01  # Hz
        assert np.allclose(found.ppm[mask], bowl()[mask] / (42.577478518 * 3), atol=1e-4)
        assert found.misfit.max() < 1e-4  # rad
        assert not found.hertz[~mask].any()

    def test_one_echo_without_offset(self):
        measured = scan(bowl(), (0.004,), offset=0)
        mask = ball(SHAPE, 5.5)
        found = fit_field(measured, unwrap(measured, mask), mask)
        assert np.abs(found.hertz - bowl())[mask].max() < 0.01

    def test_noise_of_the_field_is_that_of_weighted_least_squares(self):
        """SD of a slope, with SD of phase noise / magnitude: Gauss and Markov."""
        noise, times = 0.01, np.asarray(TIMES)
        measured = scan(0 * bowl(), noise=noise, magnitude=np.ones(SHAPE))
        mask = np.ones(SHAPE, bool)
        found = fit_field(measured, unwrap(measured, mask), mask)
        weights = np.exp(-times / 0.03) ** 2 / noise**2
        spread = weights @ times**2 - (weights @ times) ** 2 / weights.sum()
        assert found.hertz.std() == pytest.approx(1 / np.sqrt(spread) / (2 * np.pi), rel=0.05)

    def test_another_mask(self):
        measured = scan(bowl())
        for mask, message in (
            (np.zeros(SHAPE, bool), r"mask of shape \(12, 16, 14\) is empty"),
            (np.ones((2, 2, 2), bool), r"bool of shape \(12, 16, 14\) is due"),
            (np.ones(SHAPE), "mask is float64"),
        ):
            with pytest.raises(InputError, match=message):
                unwrap(measured, mask)

    def test_phase_of_another_scan(self):
        with pytest.raises(InputError, match=r"phase has shape \(1, 12, 16, 14\)"):
            fit_field(scan(bowl()), scan(bowl(), (0.01,)).phase, np.ones(SHAPE, bool))

    def test_no_contrast(self):
        with pytest.raises(InputError, match="all magnitudes of the first echo"):
            signal_mask(scan(bowl(), magnitude=np.zeros(SHAPE)))


@pytest.fixture(scope="module")
def head():
    """A simulated brain with spheres of air (9.4 ppm above tissue) below it and at its sides."""
    (subject,) = simulated_susceptibility(1, np.random.default_rng(1), resolution=3, noise=0)
    shape = subject.brain.shape
    field = DipoleField(
        dipole_kernel([2 * side for side in shape], subject.spacing, subject.b0), shape
    )
    places = np.indices(shape) * 3.0
    air = np.zeros(shape, np.float32)
    for centre, radius in (((20, 190, 98), 12), ((15, 110, 30), 8), ((15, 110, 166), 8)):
        away = np.linalg.norm(places - np.array(centre)[:, None, None, None], axis=0)
        air[away <= radius] = 9.4
    air[ndimage.binary_dilation(subject.brain)] = 0
    background = field.forward(torch.from_numpy(air)).numpy()
    return subject, np.where(subject.brain, background, 0).astype(np.float32)


def rms(values):
    return float(np.sqrt(np.mean(values**2)))


class TestBackground:
    def test_of_sources_outside_is_removed(self, head):
        """Measured: 0.0267 ppm before and 0.00027 after, in 88 % of the brain."""
        subject, background = head
        residual, left = remove_background(background, subject.brain, subject.spacing)
        assert rms(residual[left]) < 0.02 * rms(background[left])
        assert left.sum() > 0.85 * subject.brain.sum()
        assert (left <= subject.brain).all()

    def test_local_field_stays_but_for_what_is_smooth(self, head):
        """Measured: correlation with the local field 0.23 before and 0.87 after."""
        subject, background = head
        total = subject.field + background
        local, left = remove_background(total, subject.brain, subject.spacing)
        before, after = (
            np.corrcoef(each[left], subject.field[left])[0, 1] for each in (total, local)
        )
        assert before < 0.3
        assert after > 0.8
        assert not local[~left].any()

    def test_one_ball_is_sharp_and_leaves_less(self, head):
        subject, background = head
        _, several = remove_background(background, subject.brain, subject.spacing)
        _, one = remove_background(background, subject.brain, subject.spacing, radii=(9.0,))
        assert one.sum() < several.sum()
        # 9 mm are 3 voxels: the mask is eroded by a ball of that radius.
        assert (one == ndimage.binary_erosion(subject.brain, ball((7, 7, 7), 3))).all()

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"radii": ()}, "radii are"),
            ({"radii": (0.5,)}, "at least a voxel, 1.0 mm"),
            ({"radii": (30.0,)}, "no ball with a radius of 30.0 mm fits"),
            ({"threshold": 0}, "threshold is 0"),
            ({"spacing": (1.0, 1.0)}, "voxel_size is"),
            ({"mask": np.zeros(SHAPE, bool)}, "is empty"),
            ({"field": np.full(SHAPE, np.nan)}, "finite in the mask"),
            ({"field": np.ones(SHAPE, complex)}, "field is complex128"),
        ],
    )
    def test_what_is_refused(self, more, message):
        chosen = {"field": bowl(), "mask": np.ones(SHAPE, bool), "spacing": (1.0,) * 3} | more
        with pytest.raises(InputError, match=message):
            remove_background(**chosen)


def save(folder, magnitude, phase, affine=None):
    paths = folder / "magnitude.nii.gz", folder / "phase.nii.gz"
    for path, values in zip(paths, (magnitude, phase), strict=True):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return paths


class TestFiles:
    def read(self, paths, **more):
        return read_gradient_echo(*paths, **({"echo_times": TIMES, "field_strength": 3.0} | more))

    @pytest.mark.parametrize("half_turn", [np.pi, 4096.0, -0.0036744])
    def test_phase_is_scaled(self, tmp_path, half_turn):
        stored = np.linspace(-half_turn, half_turn, 7 * 6 * 5 * 3).reshape(7, 6, 5, 3)
        paths = save(tmp_path, np.ones(stored.shape), stored)
        found = self.read(paths, half_turn=half_turn)
        expected = (stored * np.pi / half_turn).transpose(3, 2, 1, 0)
        assert np.allclose(np.exp(1j * found.phase), np.exp(1j * expected), atol=1e-5)
        assert found.magnitude.shape == (3, 5, 6, 7)

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"echo_times": (4, 8, 12)}, "milliseconds are thousandths"),
            ({"echo_times": (0.004, 0.004, 0.012)}, "increasing"),
            ({"echo_times": ()}, "echo_times are"),
            ({"echo_times": TIMES[:2]}, r"magnitude.nii.gz: holds 3 echoes; 2 echo times"),
            ({"echo_times": (*TIMES, 0.016)}, r"magnitude.nii.gz: holds 3 volumes"),
            ({"field_strength": 0}, "field_strength is 0"),
            ({"half_turn": 0.0}, "half_turn is 0.0"),
            ({"half_turn": 4096.0}, r"phase.nii.gz: the phase runs from -3.1.* 0.000767 turns"),
            ({"half_turn": 0.5}, "6.28 turns; from a tenth to one"),
        ],
    )
    def test_numbers_that_do_not_fit_the_files(self, tmp_path, more, message):
        phase = np.linspace(-np.pi, np.pi, 7 * 6 * 5 * 3).reshape(7, 6, 5, 3)
        paths = save(tmp_path, np.ones(phase.shape), phase)
        with pytest.raises(InputError, match=message):
            self.read(paths, **more)

    def test_files_that_do_not_fit_each_other(self, tmp_path):
        phase = np.linspace(-np.pi, np.pi, 7 * 6 * 5 * 3).reshape(7, 6, 5, 3)
        for magnitude, message in (
            (-np.ones(phase.shape), "magnitudes down to -1, below 0"),
            (np.ones((7, 6, 4, 3)), r"phase.nii.gz: has \(7, 6, 5\) voxels"),
            (np.ones(phase.shape, np.complex64), r"magnitude.nii.gz: its values are complex"),
        ):
            with pytest.raises(InputError, match=message):
                self.read(save(tmp_path, magnitude, phase))


@pytest.mark.slow
@pytest.mark.skipif(
    not PATCH.is_dir(), reason="mritools_gre is not in the folder REPROSTATS_DATA names"
)
def test_real_phase_is_linear_in_time_and_its_background_is_removed():
    """A patch of a brain: 51 x 51 x 41 voxels, 3 echoes. Measured: median misfit 0.016 rad."""
    measured = read_gradient_echo(
        PATCH / "Mag.nii.gz",
        PATCH / "Phase.nii.gz",
        echo_times=TIMES,
        field_strength=7.0,
        half_turn=0.0036744,
    )
    assert measured.magnitude.shape == (3, 41, 51, 51)
    mask = np.ones(measured.magnitude.shape[1:], bool)
    found = fit_field(measured, unwrap(measured, mask), mask)
    assert np.median(found.misfit) < 0.03  # rad
    local, left = remove_background(found.ppm, mask, measured.spacing)
    assert rms(local[left]) < 0.25 * found.ppm[left].std()
