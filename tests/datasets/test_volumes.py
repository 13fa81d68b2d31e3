"""NIfTI volumes and Decathlon tasks: orientation, and files that are not what they should be."""

import json

import nibabel
import numpy as np
import pytest

from reprostats.datasets.decathlon import load_decathlon
from reprostats.datasets.preprocessing import crop_or_pad, resample
from reprostats.datasets.volumes import load_volumes, read_volume
from reprostats.errors import InputError, NotAvailableError

SPACING = (1.0, 1.5, 8.0)  # along x, y and z
AFFINE = np.diag([*SPACING, 1.0])


def save(path, data, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.asarray(data, np.float32), affine), path)


def head(shape=(8, 10, 4), seed=0):
    """Noise, and a block that is the truth."""
    image = np.random.default_rng(seed).normal(size=shape)
    mask = np.zeros(shape)
    mask[3:5, 4:7, 1:3] = 1
    return image, mask


def write_pair(folder, name="a", *, shape=(8, 10, 4), affine=AFFINE, **replaced):
    image, mask = head(shape)
    save(folder / "images" / f"{name}.nii.gz", replaced.get("image", image), affine)
    save(
        folder / "labels" / f"{name}.nii.gz",
        replaced.get("mask", mask),
        replaced.get("mask_affine", affine),
    )


class TestReading:
    def test_axes_and_spacing(self, tmp_path):
        image, _ = head()
        save(tmp_path / "a.nii.gz", image)
        volume = read_volume(tmp_path / "a.nii.gz")
        assert volume.spacing == (8.0, 1.5, 1.0)
        assert volume.values[2, 5, 3] == np.float32(image[3, 5, 2])

    def test_orientation_does_not_matter(self, tmp_path):
        """The same head stored from right to left and with its axes swapped."""
        image, _ = head()
        save(tmp_path / "ras.nii", image)
        plain = nibabel.load(tmp_path / "ras.nii")
        for code in ("LAS", "PIR", "SPL"):
            axes = nibabel.orientations.axcodes2ornt(code)
            nibabel.save(plain.as_reoriented(axes_from(axes)), tmp_path / f"{code}.nii")
            assert nibabel.aff2axcodes(nibabel.load(tmp_path / f"{code}.nii").affine) == tuple(code)
            turned = read_volume(tmp_path / f"{code}.nii")
            assert (turned.values == read_volume(tmp_path / "ras.nii").values).all()
            assert turned.spacing == pytest.approx((8.0, 1.5, 1.0))

    def test_channel_of_four_axes(self, tmp_path):
        both = np.stack([np.zeros((4, 4, 4)), np.ones((4, 4, 4))], axis=-1)
        save(tmp_path / "a.nii.gz", both)
        assert (read_volume(tmp_path / "a.nii.gz", channel=1).values == 1).all()
        for wrong in (None, 2, -1):
            with pytest.raises(InputError, match=r"a.nii.gz: holds 2 volumes; choose a channel"):
                read_volume(tmp_path / "a.nii.gz", channel=wrong)

    def test_channel_of_three_axes(self, tmp_path):
        save(tmp_path / "a.nii.gz", np.zeros((4, 4, 4)))
        with pytest.raises(InputError, match="has 3 axes, so there is no channel 1"):
            read_volume(tmp_path / "a.nii.gz", channel=1)

    def test_two_axes(self, tmp_path):
        save(tmp_path / "a.nii.gz", np.zeros((4, 4)))
        with pytest.raises(InputError, match=r"has 2 axes; need 3"):
            read_volume(tmp_path / "a.nii.gz")

    def test_nan(self, tmp_path):
        image, _ = head()
        image[1, 2, 3] = np.nan
        save(tmp_path / "a.nii.gz", image)
        with pytest.raises(
            InputError, match=r"a.nii.gz: 1 voxels are not finite .* at \(1, 2, 3\)"
        ):
            read_volume(tmp_path / "a.nii.gz")

    @pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
    def test_cut_short(self, tmp_path, share):
        path = tmp_path / "a.nii.gz"
        save(path, np.random.default_rng(1).normal(size=(16, 16, 16)))
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"a.nii.gz: cannot be read as NIfTI"):
            read_volume(path)

    def test_damaged_in_the_middle(self, tmp_path):
        path = tmp_path / "a.nii.gz"
        save(path, np.random.default_rng(1).normal(size=(16, 16, 16)))
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes(50) + content[middle + 50 :])
        with pytest.raises(InputError, match="cannot be read as NIfTI"):
            read_volume(path)

    def test_something_else(self, tmp_path):
        path = tmp_path / "a.nii"
        path.write_text("hello")
        with pytest.raises(InputError, match="cannot be read as NIfTI"):
            read_volume(path)

    def test_missing(self, tmp_path):
        with pytest.raises(NotAvailableError, match="no such file"):
            read_volume(tmp_path / "a.nii")


def axes_from(target):
    """Give the transform from RAS+ to another orientation."""
    return nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), target)


class TestFolder:
    def test_slices_are_transversal_and_lie_on_one_another(self, tmp_path):
        write_pair(tmp_path)
        (patient,) = load_volumes(tmp_path)
        assert patient.images.shape == (4, 10, 8)
        assert patient.spacing == (8.0, 1.5, 1.0)
        assert patient.masks.any(axis=(1, 2)).tolist() == [False, True, True, False]

    def test_every_second_slice(self, tmp_path):
        write_pair(tmp_path)
        (patient,) = load_volumes(tmp_path, every=2)
        assert patient.images.shape == (2, 10, 8)
        assert patient.spacing == (16.0, 1.5, 1.0)

    def test_sizes_and_spacings_that_differ(self, tmp_path):
        write_pair(tmp_path, "a")
        write_pair(tmp_path, "b", shape=(16, 10, 4), affine=np.diag([0.5, 1.5, 8.0, 1.0]))
        with pytest.raises(InputError, match=r"slices differ in size.*Resample"):
            load_volumes(tmp_path)
        cohort = load_volumes(
            tmp_path, prepare=lambda p: crop_or_pad(resample(p, (8.0, 1.5, 1.0)), (10, 8))
        )
        assert [each.images.shape for each in cohort] == [(4, 10, 8)] * 2

    def test_mask_that_lies_elsewhere(self, tmp_path):
        moved = AFFINE.copy()
        moved[0, 3] = 5
        write_pair(tmp_path, mask_affine=moved)
        with pytest.raises(InputError, match=r"labels/a.nii.gz: its affine differs .* by up to 5"):
            load_volumes(tmp_path)

    def test_mask_of_another_shape(self, tmp_path):
        write_pair(tmp_path, mask=np.zeros((8, 9, 4)))
        with pytest.raises(InputError, match="a mask of 8 x 9 x 4 voxels; its image has 8 x 10"):
            load_volumes(tmp_path)

    def test_mask_of_probabilities(self, tmp_path):
        write_pair(tmp_path, mask=np.full((8, 10, 4), 0.5))
        with pytest.raises(InputError, match="a mask holds integers"):
            load_volumes(tmp_path)

    def test_mask_of_background(self, tmp_path):
        write_pair(tmp_path, mask=np.zeros((8, 10, 4)))
        with pytest.raises(InputError, match="background throughout in a"):
            load_volumes(tmp_path)

    def test_all_problems_are_listed(self, tmp_path):
        for name in "abc":
            write_pair(tmp_path, name)
        for name in "ac":
            (tmp_path / "images" / f"{name}.nii.gz").write_bytes(b"no")
        with pytest.raises(InputError, match=r"2 problems\n.*a.nii.gz.*\n.*c.nii.gz"):
            load_volumes(tmp_path)

    def test_image_without_mask(self, tmp_path):
        write_pair(tmp_path)
        (tmp_path / "labels" / "a.nii.gz").unlink()
        with pytest.raises(InputError, match=r"images/a.nii.gz: has no mask"):
            load_volumes(tmp_path)

    def test_no_folder(self, tmp_path):
        with pytest.raises(NotAvailableError, match="a folder with 'images'"):
            load_volumes(tmp_path)


def write_task(folder, **changed):
    for name in ("heart_007", "heart_003"):
        image, mask = head()
        save(folder / "imagesTr" / f"{name}.nii.gz", image)
        save(folder / "labelsTr" / f"{name}.nii.gz", 2 * mask)
    described = {
        "name": "LeftAtrium",
        "labels": {"0": "background", "1": "wall", "2": "left atrium"},
        "training": [
            {"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"}
            for n in ("heart_007", "heart_003")
        ],
    }
    (folder / "dataset.json").write_text(json.dumps(described | changed))


class TestDecathlon:
    def test_patients_in_order_and_label_by_name(self, tmp_path):
        write_task(tmp_path)
        cohort = load_decathlon(tmp_path, label="left atrium")
        assert cohort.identities == ("heart_003", "heart_007")
        assert cohort.patients[0].masks.sum() == 2 * 3 * 2

    @pytest.mark.slow  # importing MONAI takes seconds
    def test_is_what_monai_reads(self, tmp_path):
        from monai.data import load_decathlon_datalist

        write_task(tmp_path)
        theirs = load_decathlon_datalist(tmp_path / "dataset.json", True, "training")
        ours = load_decathlon(tmp_path, label=2)
        assert sorted(each["image"] for each in theirs) == [
            str(tmp_path / "imagesTr" / f"{name}.nii.gz") for name in ours.identities
        ]

    @pytest.mark.parametrize(
        ("label", "message"),
        [
            ("left atrum", "unknown label 'left atrum'; did you mean 'left atrium'"),
            (7, r"no structure 7. There are: 1 \(wall\), 2 \(left atrium\)"),
            (0, "no structure 0"),
        ],
    )
    def test_label_that_is_not_there(self, tmp_path, label, message):
        write_task(tmp_path)
        with pytest.raises(InputError, match=message):
            load_decathlon(tmp_path, label=label)

    def test_not_json(self, tmp_path):
        (tmp_path / "dataset.json").write_text("{")
        with pytest.raises(InputError, match=r"dataset.json: is not JSON"):
            load_decathlon(tmp_path)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"training": ["a", "b"]}, "must list images with labels"),
            ({"training": 3}, "must list"),
        ],
    )
    def test_another_json(self, tmp_path, changed, message):
        write_task(tmp_path, **changed)
        with pytest.raises(InputError, match=message):
            load_decathlon(tmp_path, label=2)

    def test_json_without_labels(self, tmp_path):
        (tmp_path / "dataset.json").write_text("[]")
        with pytest.raises(InputError, match="has no 'labels' and 'training'"):
            load_decathlon(tmp_path)

    def test_named_file_that_is_missing(self, tmp_path):
        write_task(tmp_path)
        (tmp_path / "imagesTr" / "heart_003.nii.gz").unlink()
        with pytest.raises(InputError, match=r"heart_003.nii.gz: there is no such file"):
            load_decathlon(tmp_path, label=2)
