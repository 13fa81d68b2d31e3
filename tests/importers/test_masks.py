"""Predicted masks are measured with the metrics of this package."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from reprostats import read_results
from reprostats.cli import main
from reprostats.errors import InputError

TRUTH = np.zeros((4, 6, 3), np.uint8)
TRUTH[1:3, 1:4] = 1
TRUTH[1:3, 4:6, 0] = 2


def shifted(mask, by):
    return np.roll(mask, by, axis=0)


def nifti(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(mask, np.diag([1.0, 1, 2, 1])), path)


@pytest.fixture
def folder(tmp_path):
    for case in ("a", "b"):
        nifti(tmp_path / "truth" / f"{case}.nii.gz", TRUTH)
        nifti(tmp_path / "pred" / "unet" / "seed0" / f"{case}.nii.gz", TRUTH)
        nifti(tmp_path / "pred" / "unet" / "seed1" / f"{case}.nii.gz", shifted(TRUTH, 1))
    return tmp_path


def test_volumes(folder):
    table = read_results(folder / "pred", truths=folder / "truth").table
    dice = table[table["metric"] == "dice/1"]
    # Shifted by one of two rows, half of the structure overlaps.
    assert dice.groupby("seed")["value"].mean().tolist() == [1.0, 0.5]
    assert table["condition"].unique().tolist() == ["unet"]
    assert set(table["case"]) == {"a", "b"}


def test_command(folder, capsys):
    arguments = ["--truths", str(folder / "truth"), "--metric", "dice/2"]
    assert main(["verdict", str(folder / "pred"), *arguments]) == 0
    assert "Read as predicted masks, measured here." in capsys.readouterr().out


def test_case_without_a_prediction_is_a_row_without_a_value(folder):
    (folder / "pred" / "unet" / "seed1" / "b.nii.gz").unlink()
    results = read_results(folder / "pred", truths=folder / "truth")
    rows = results.table.query("metric == 'dice/1' and seed == 1")
    np.testing.assert_array_equal(rows["value"], [0.5, np.nan])
    assert any("no mask was predicted of b" in said for said in results.assumptions)


def test_pictures_and_arrays(tmp_path):
    mask = TRUTH[:, :, 1]
    for kind in ("truth", "pred"):
        (tmp_path / kind).mkdir()
        Image.fromarray(mask * 255).save(tmp_path / kind / "one.png")
        np.save(tmp_path / kind / "two.npy", mask * 255)
    table = read_results(tmp_path / "pred", truths=tmp_path / "truth").table
    assert table[table["metric"] == "dice"]["value"].tolist() == [1.0, 1.0]


def test_other_numbers_for_the_labels_are_refused(tmp_path):
    """1 for a structure that is 255 in the truth would be a Dice of 0."""
    for kind, inside in (("truth", 255), ("pred", 1)):
        (tmp_path / kind).mkdir()
        Image.fromarray(TRUTH[:, :, 1] * inside).save(tmp_path / kind / "one.png")
    with pytest.raises(InputError, match="holds the label 1, which no true mask has"):
        read_results(tmp_path / "pred", truths=tmp_path / "truth")


def test_shapes_differ(folder):
    nifti(folder / "pred" / "unet" / "seed1" / "b.nii.gz", TRUTH[:3])
    with pytest.raises(InputError, match=r"its shape is \(3, 6, 3\)"):
        read_results(folder / "pred", truths=folder / "truth")


def test_pickled_array_is_not_read(folder):
    np.save(folder / "pred" / "unet" / "seed1" / "b.npy", np.array([{}]), allow_pickle=True)
    nifti(folder / "truth" / "b.nii.gz", TRUTH)
    with pytest.raises(InputError, match="cannot be read as a mask"):
        read_results(folder / "pred", truths=folder / "truth")


def test_truths_are_asked_for(folder):
    with pytest.raises(InputError, match=r"truths='FOLDER' \(--truths FOLDER\)"):
        read_results(folder / "pred")
