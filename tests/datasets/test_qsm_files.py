"""Susceptibility data from NIfTI files."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats.datasets.qsm_files import b0_direction, field_in_ppm, load_qsm
from reprostats.datasets.volumes import Volume
from reprostats.errors import InputError, NotAvailableError

SHAPE = (6, 5, 4)


def save(path, values, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)


def parts():
    """Field, mask and susceptibility; x, y, z as in files."""
    generator = np.random.default_rng(1)
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:5, 1:4, 1:3] = 1
    field, susceptibility = generator.normal(0, 0.01, (2, *SHAPE)).astype(np.float32)
    return {"field": field, "mask": mask, "susceptibility": susceptibility}


def write(folder, identity="p1", affine=None, **other):
    for name, values in (parts() | other).items():
        save(folder / identity / f"{name}.nii.gz", values, affine)
    return folder


def about(axis, degrees):
    """A rotation about an axis of the scanner."""
    turn = np.deg2rad(degrees)
    one, two = (each for each in range(3) if each != axis)
    affine = np.eye(4)
    affine[[one, one, two, two], [one, two, one, two]] = (
        np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn),
    )  # fmt: skip
    return affine


class TestFolder:
    def test_subjects_in_folders_and_by_prefix(self, tmp_path):
        write(tmp_path, "b")
        for name, values in parts().items():
            save(tmp_path / f"a_{name}.nii", values)
        one, other = load_qsm(tmp_path)
        assert (one.identity, other.identity) == ("a", "b")
        assert (one.field == other.field).all()
        assert one.field.shape == SHAPE[::-1]
        assert one.b0 == (1.0, 0.0, 0.0)

    def test_values_count_inside_the_mask_alone(self, tmp_path):
        (subject,) = load_qsm(write(tmp_path))
        expected = np.where(parts()["mask"] > 0, parts()["field"], 0)
        assert np.allclose(subject.field, expected.transpose(2, 1, 0))
        assert subject.brain.sum() == 4 * 3 * 2

    def test_hz_is_converted(self, tmp_path):
        (ppm,) = load_qsm(write(tmp_path / "ppm"))
        hertz = (parts()["field"] * 42.577478518 * 3).astype(np.float32)
        (same,) = load_qsm(write(tmp_path / "hz", field=hertz), unit="Hz", field_strength=3.0)
        assert np.allclose(same.field, ppm.field, rtol=1e-5)

    def test_what_is_missing_is_said_of_all(self, tmp_path):
        write(tmp_path, "p1")
        write(tmp_path, "p2")
        (tmp_path / "p1" / "mask.nii.gz").unlink()
        (tmp_path / "p2" / "field.nii.gz").unlink()
        with pytest.raises(InputError, match=r"(?s)p1 has no mask.*p2 has no field"):
            load_qsm(tmp_path)

    def test_no_folder_and_nothing_in_it(self, tmp_path):
        with pytest.raises(NotAvailableError, match="no such folder"):
            load_qsm(tmp_path / "none")
        with pytest.raises(NotAvailableError, match=r"no NAME/field.nii.gz"):
            load_qsm(tmp_path)


class TestDamage:
    @pytest.mark.parametrize(
        ("other", "message"),
        [
            ({"mask": np.zeros(SHAPE, np.uint8)}, r"mask.nii.gz: the mask of .* is empty"),
            ({"mask": np.full(SHAPE, 0.5)}, "mask holds integers"),
            ({"mask": np.ones((6, 5, 5), np.uint8)}, r"mask.nii.gz: has \(6, 5, 5\) voxels"),
            ({"field": np.full(SHAPE, np.nan)}, r"field.nii.gz: 120 voxels are not finite"),
            ({"field": np.ones(SHAPE, np.complex64)}, r"field.nii.gz: its values are complex"),
            ({"field": np.full(SHAPE, 30.0)}, r"field.nii.gz: read as ppm, half .* beyond 30 ppm"),
        ],
    )
    def test_is_named_with_its_file(self, tmp_path, other, message):
        with pytest.raises(InputError, match=message):
            load_qsm(write(tmp_path, **other))

    def test_mask_with_another_affine(self, tmp_path):
        write(tmp_path)
        moved = np.eye(4)
        moved[0, 3] = 2
        save(tmp_path / "p1" / "mask.nii.gz", parts()["mask"], moved)
        with pytest.raises(InputError, match=r"mask.nii.gz: its affine differs from .* by up to 2"):
            load_qsm(tmp_path)

    def test_file_cut_short(self, tmp_path):
        write(tmp_path)
        path = tmp_path / "p1" / "field.nii.gz"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(InputError, match=r"field.nii.gz: cannot be read as NIfTI"):
            load_qsm(tmp_path)

    def test_sheared_affine(self, tmp_path):
        sheared = np.eye(4)
        sheared[0, 1] = 0.2
        with pytest.raises(InputError, match="not at right angles"):
            load_qsm(write(tmp_path, affine=sheared))


class TestDirection:
    def test_turned_about_left_to_right(self, tmp_path):
        """Turned by 30 degrees, B0 lies between z and y: cos 30 and sin 30."""
        (subject,) = load_qsm(write(tmp_path, affine=about(0, 30)))
        assert np.allclose(subject.b0, (np.cos(np.pi / 6), 0.5, 0), atol=1e-6)

    def test_turned_about_b0_it_stays(self, tmp_path):
        (subject,) = load_qsm(write(tmp_path, affine=about(2, 25)))
        assert np.allclose(subject.b0, (1, 0, 0), atol=1e-6)

    def test_of_coronal_slices_follows_the_voxels(self, tmp_path):
        """Stored with x, z, y; read with z, y, x: B0 is along z again, whatever the order."""
        affine = np.array([[1, 0, 0, 0], [0, 0, 2, 0], [0, 1.5, 0, 0], [0, 0, 0, 1.0]])
        (subject,) = load_qsm(write(tmp_path, affine=affine))
        assert subject.spacing == (1.5, 2.0, 1.0)
        assert subject.b0 == (1.0, 0.0, 0.0)

    @given(st.integers(-40, 40), st.integers(-40, 40))
    def test_is_a_unit_vector_that_the_affine_turns_to_z(self, first, second):
        """By definition: voxel axes times their directions in space is (0, 0, 1)."""
        turned = about(0, first) @ about(1, second) @ np.diag([1, 2, 3, 1.0])
        volume = Volume(np.zeros(SHAPE, np.float32), turned, (3.0, 2.0, 1.0), Path("a.nii"))
        axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
        assert np.allclose(axes @ b0_direction(volume)[::-1], (0, 0, 1), atol=1e-5)


class TestUnits:
    def test_radians_at_an_echo(self):
        """1 ppm at 3 T is 127.7 Hz; in 20 ms that is 2.555 turns."""
        phase = np.array([2 * np.pi * 42.577478518 * 3 * 0.02], np.float32)
        assert field_in_ppm(phase, "rad", field_strength=3, echo_time=0.02) == pytest.approx(1)

    @pytest.mark.parametrize(
        ("unit", "more", "message"),
        [
            ("hz", {}, "unknown unit of the field 'hz'. Known: Hz, ppm, rad"),
            ("Hz", {}, "field_strength is None; a field in Hz needs it in T"),
            ("rad", {"field_strength": 3}, "echo_time is None; a field in rad needs it in s"),
            ("rad", {"field_strength": 3, "echo_time": 20}, "echo_time is 20; .* above 0 to 1"),
            ("Hz", {"field_strength": 3e4}, "field_strength is 30000"),
        ],
    )
    def test_what_a_unit_needs(self, unit, more, message):
        with pytest.raises(InputError, match=message):
            field_in_ppm(np.ones(3, np.float32), unit, **more)
