"""Fields of cells: counts that are known, and real nuclei against the counts they come with."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage
from skimage import measure

from reprostats.datasets.cells import (
    DrawnCells,
    draw_fields,
    hold_out_fields,
    load_fields,
    number_cells,
    standardised,
)
from reprostats.errors import DamagedFileError, InputError, NotAvailableError

NUCLEI = Path(os.environ.get("REPROSTATS_DATA", "data/raw")) / "bbbc039"


def drawn(number=20, seed=1, **settings):
    return draw_fields(number, np.random.default_rng(seed), DrawnCells(**settings))


class TestDrawnFields:
    def test_every_number_is_one_connected_cell(self):
        for field in drawn():
            assert 3 <= field.count <= 8
            assert field.count == field.cells.max()
            for cell in range(1, field.count + 1):
                assert measure.label(field.cells == cell).max() == 1

    def test_some_cells_touch_so_that_blobs_are_fewer_than_cells(self):
        fields = drawn(40)
        blobs = sum(measure.label(field.cells > 0).max() for field in fields)
        cells = sum(field.count for field in fields)
        assert 0.6 * cells < blobs < 0.95 * cells

    def test_none_touch_if_none_shall(self):
        for field in drawn(touching=0, most=4):
            grown = [ndimage.binary_dilation(field.cells == n) for n in range(1, field.count + 1)]
            assert np.sum(grown, axis=0).max() <= 1

    def test_depends_on_the_generator_alone(self):
        (one,), (same,), (other,) = drawn(1), drawn(1), drawn(1, seed=2)
        assert np.array_equal(one.image, same.image)
        assert not np.array_equal(one.image, other.image)

    def test_cells_are_brighter_than_the_ground(self):
        for field in drawn(5, noise=0.05, shade=0):
            inside, outside = field.image[field.cells > 0], field.image[field.cells == 0]
            assert np.median(inside) > np.percentile(outside, 90)

    def test_noise_and_shade_are_as_asked(self):
        (flat,) = drawn(1, fewest=0, most=0, noise=0.1, shade=0, side=128)
        assert flat.image.std() == pytest.approx(0.1, rel=0.05)
        (lit,) = drawn(1, fewest=0, most=0, noise=0, shade=0.5, side=128)
        assert 0.3 < (lit.image.max() - lit.image.min()) / lit.image.mean() <= 0.5
        assert lit.count == 0

    def test_too_many_cells(self):
        with pytest.raises(InputError, match=r"cells of radius 5.0 to 7.5 find no room in a field"):
            drawn(1, side=16, fewest=20, most=20)

    def test_settings_that_contradict_each_other(self):
        with pytest.raises(InputError, match="the smaller number comes first"):
            drawn(1, fewest=5, most=4)
        with pytest.raises(ValidationError):
            DrawnCells(touching=2)


def test_fields_are_divided():
    fields = drawn(10)
    kept, held = hold_out_fields(fields, 3, np.random.default_rng(1))
    assert sorted(f.name for f in [*kept, *held]) == [f.name for f in fields]
    assert [f.name for f in held] == sorted(f.name for f in held)
    for wrong in (0, 10):
        with pytest.raises(InputError, match="at least 1 on each side"):
            hold_out_fields(fields, wrong, np.random.default_rng(1))


def test_an_image_of_one_grey_value_is_standardised_to_zero():
    assert not standardised(np.full((3, 3), 7.0)).any()
    image = np.random.default_rng(1).normal(1000, 50, (50, 50)).astype(np.float32)
    assert standardised(image).mean() == pytest.approx(0, abs=1e-5)
    assert standardised(image).std() == pytest.approx(1, abs=1e-5)


def test_nuclei_that_touch_are_told_apart_by_their_colour():
    mask = np.array(
        [[1, 1, 2, 2, 0, 1], [1, 1, 2, 2, 0, 1], [0, 0, 0, 0, 0, 0], [0, 3, 0, 0, 3, 3]]
    )
    assert number_cells(mask).max() == 5


class TestNuclei:
    def folder(self, tmp_path, count):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir()
        Image.fromarray(np.full((6, 8), 4000, np.uint16)).save(tmp_path / "images" / "a.png")
        mask = np.zeros((6, 8), np.uint8)
        mask[1:3, 1:3], mask[1:3, 3:5] = 1, 2
        Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
        table = f"name,n_objects\na,{count}\n"
        (tmp_path / "counts_and_source_sha256.csv").write_text(table)
        return tmp_path

    def test_are_read_and_counted(self, tmp_path):
        (field,) = load_fields(self.folder(tmp_path, 2))
        assert (field.name, field.count, field.image.dtype) == ("a", 2, np.float32)
        assert field.image.max() == 4000

    def test_count_that_differs_from_the_list(self, tmp_path):
        with pytest.raises(DamagedFileError, match=r"a.png: 2 cells; .* says 3"):
            load_fields(self.folder(tmp_path, 3))

    def test_missing(self, tmp_path):
        with pytest.raises(
            NotAvailableError, match=r"data set \'nowhere\' is missing: .* Put its images"
        ):
            load_fields(tmp_path / "nowhere")

    @pytest.mark.slow
    @pytest.mark.skipif(
        not NUCLEI.is_dir(), reason="bbbc039 is not in the folder REPROSTATS_DATA names"
    )
    def test_real_ones_have_the_counts_that_come_with_them(self):
        fields = load_fields(NUCLEI)
        assert sum(field.count for field in fields) == 4751
        assert {field.image.shape for field in fields} == {(520, 696)}
        assert min(field.count for field in fields) == 0
