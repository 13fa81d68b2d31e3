"""Counting: the rule of the frame, post-processing, error rates, agreement, and bad input."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage import measure
from sklearn import metrics as reference

from reprostats.errors import InputError
from reprostats.metrics.counting import (
    Agreement,
    CountingFrame,
    PostProcessing,
    connected_cells,
    count_cells,
    error_rate,
    image_error_rates,
    match_cells,
    pixel_agreement,
    pooled,
    separate_cells,
    without_small,
)

PUBLISHED = Path(__file__).parent.parent.parent / "data" / "published"
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24)))


def discs(shape, *circles):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.any([(rows - y) ** 2 + (columns - x) ** 2 <= r**2 for y, x, r in circles], axis=0)


class TestFrame:
    @pytest.mark.parametrize(
        ("rows", "columns", "counted"),
        [
            ((4, 6), (4, 6), True),  # inside
            ((4, 6), (0, 4), False),  # over the left edge
            ((8, 12), (4, 6), False),  # over the bottom edge
            ((0, 4), (4, 6), True),  # over the top edge
            ((4, 6), (8, 12), True),  # over the right edge
            ((0, 4), (0, 4), False),  # over the top left corner: the left edge prolonged upwards
            ((8, 12), (8, 12), False),  # over the bottom right corner: prolonged downwards
            ((0, 4), (8, 12), True),  # over the top right corner
            ((8, 12), (0, 4), False),  # over the bottom left corner
            ((0, 2), (4, 6), False),  # outside
            ((3, 4), (3, 4), True),  # the first pixel inside, at two lines without crossing them
        ],
    )
    def test_rule_at_each_edge_and_corner(self, rows, columns, counted):
        """Gundersen 1977, Fig. 1. The frame has rows and columns 3 to 8 of 12."""
        labels = np.zeros((12, 12), int)
        labels[slice(*rows), slice(*columns)] = 7
        frame = CountingFrame(3, 3, 6, 6)
        assert frame.counted(labels).tolist() == [7] * counted
        assert count_cells(labels, frame) == counted

    @settings(deadline=None, max_examples=60)
    @given(
        mask=arrays.arrays(bool, (24, 30)),
        height=st.sampled_from([3, 6, 8]),
        width=st.sampled_from([3, 5, 10]),
    )
    def test_frames_that_tile_the_plane_count_every_cell_once(self, mask, height, width):
        """What makes the rule unbiased, whatever shapes cells have."""
        labels = connected_cells(mask)
        corners = itertools.product(range(0, 24, height), range(0, 30, width))
        counted = [CountingFrame(*corner, height, width).counted(labels) for corner in corners]
        assert sorted(np.concatenate(counted)) == list(range(1, labels.max() + 1))

    def test_frame_larger_than_the_image(self):
        labels = np.zeros((10, 20), int)
        with pytest.raises(InputError, match=r"ends at row 11, column 5; the image has 10 x 20"):
            CountingFrame(1, 0, 10, 5).counted(labels)

    def test_margin(self):
        frame = CountingFrame.inside((10, 20), 2)
        assert (frame.top, frame.left, frame.bottom, frame.right) == (2, 2, 8, 18)
        with pytest.raises(InputError, match="margin of 5 pixels leaves no counting frame"):
            CountingFrame.inside((10, 20), 5)

    @pytest.mark.parametrize("wrong", [(0, 0, 0, 4), (0, 0, 4, -1), (-1, 0, 4, 4)])
    def test_frame_that_is_none(self, wrong):
        with pytest.raises(InputError, match="sides must be 1 or more"):
            CountingFrame(*wrong)


class TestPostProcessing:
    def test_threshold_is_127_of_255(self):
        output = np.array([[127, 128]]) / 255
        assert PostProcessing(smallest_area=1).cells(output).tolist() == [[0, 1]]

    def test_blobs_under_250_pixels_are_removed(self):
        output = np.zeros((40, 80))
        output[2:12, 2:27] = 1  # 250 pixels
        output[20:30, 2:27] = 1
        output[29, 26] = 0  # 249
        labels = PostProcessing().cells(output)
        assert count_cells(labels) == 1
        assert labels[2, 2] == 1

    def test_separation_divides_cells_that_touch(self):
        output = discs((60, 90), (30, 20, 10), (30, 37, 10), (30, 75, 10)).astype(float)
        assert count_cells(PostProcessing(smallest_area=50).cells(output)) == 2
        assert count_cells(PostProcessing(smallest_area=50, separate=True).cells(output)) == 3

    def test_empty_mask_has_no_cells(self):
        for separate in (False, True):
            labels = PostProcessing(separate=separate).cells(np.zeros((9, 9)))
            assert count_cells(labels) == 0
            assert count_cells(labels, CountingFrame.inside((9, 9), 1)) == 0

    @pytest.mark.parametrize("wrong", [np.zeros((2, 3, 3)), np.full((3, 3), np.nan)])
    def test_what_is_no_image(self, wrong):
        with pytest.raises(InputError, match="one image of finite numbers"):
            PostProcessing().cells(wrong)

    @settings(deadline=None, max_examples=80)
    @given(MASKS)
    def test_separation_only_divides(self, mask):
        """No pixel is lost, none is added, and no cell belongs to two blobs."""
        blobs, cells = connected_cells(mask), separate_cells(mask)
        assert np.array_equal(cells > 0, mask)
        pairs = np.unique(np.stack([cells[mask], blobs[mask]], 1), axis=0)
        assert len(pairs) == cells.max(initial=0) >= blobs.max(initial=0)

    @settings(deadline=None)
    @given(MASKS, st.integers(0, 12))
    def test_small_cells_and_no_others_are_removed(self, mask, smallest):
        labels = connected_cells(mask)
        areas = [region.area for region in measure.regionprops(labels)]
        kept = without_small(labels, smallest)
        assert kept.max(initial=0) == sum(area >= smallest for area in areas)
        assert count_cells(kept) == kept.max(initial=0)


class TestErrorRate:
    @pytest.mark.parametrize("table", [3, 4, 5])
    def test_the_papers_error_rates_are_those_of_totals_out_of_535(self, table):
        """Each printed rate is an integer out of 535 true cells, cut after two places."""
        with (PUBLISHED / f"alahmari2020_table_{table}.csv").open() as file:
            printed = [float(row["Error rate (%)"]) for row in csv.DictReader(file)]
        for rate in printed:
            wrong = math.ceil(rate * 535 / 100)
            assert math.floor(100 * error_rate([535], [535 + wrong])) / 100 == rate
            assert error_rate([500, 35], [500 - wrong, 35]) == error_rate([535], [535 + wrong])

    def test_images_too_high_and_too_low_cancel(self):
        assert error_rate([10, 10], [5, 15]) == 0
        assert image_error_rates([10, 10], [5, 15]).tolist() == [50, 50]

    def test_count_of_zero(self):
        assert error_rate([10, 0], [9, 0]) == 10
        each = image_error_rates([10, 0, 0], [9, 0, 4])
        np.testing.assert_array_equal(each, [10, math.nan, math.nan])
        with pytest.raises(InputError, match=r"true count of the 2 image\(s\) is 0"):
            error_rate([0, 0], [0, 1])

    @pytest.mark.parametrize(("true", "found"), [([1, 2], [1]), ([], []), ([[1]], [[1]])])
    def test_counts_that_do_not_pair(self, true, found):
        with pytest.raises(InputError, match="one of each per image"):
            error_rate(true, found)

    @pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
    def test_what_is_no_count(self, wrong):
        with pytest.raises(InputError, match="integers from 0"):
            error_rate([3], [wrong])


class TestAgreement:
    @settings(deadline=None)
    @given(arrays.arrays(bool, (2, 7, 5)))
    def test_pixels_agree_with_scikit_learn(self, masks):
        true, found = masks
        agreement = pixel_agreement(true, found)
        expected = [
            score(true.ravel(), found.ravel(), zero_division=np.nan)
            for score in (
                reference.precision_score,
                reference.recall_score,
                reference.f1_score,
            )
        ]
        ours = [agreement.precision, agreement.recall, agreement.f1]
        np.testing.assert_allclose(ours, expected)

    @pytest.mark.parametrize("table", [3, 4, 5])
    def test_the_papers_f1_is_that_of_its_precision_and_recall_but_not_its_dice(self, table):
        with (PUBLISHED / f"alahmari2020_table_{table}.csv").open() as file:
            rows = [{name: float(x) for name, x in row.items()} for row in csv.DictReader(file)]
        for row in rows:
            harmonic = 2 / (1 / row["Precision"] + 1 / row["Recall"])
            assert harmonic == pytest.approx(row["F1-score"], abs=0.0015)
            assert abs(row["Dice Coef"] - row["F1-score"]) > 0.005

    def test_empty_masks(self):
        empty, full = np.zeros((3, 3)), np.ones((3, 3))
        both = pixel_agreement(empty, empty)
        assert all(math.isnan(x) for x in (both.dice, both.precision, both.recall))
        missed, spurious = pixel_agreement(full, empty), pixel_agreement(empty, full)
        assert (missed.dice, missed.recall, spurious.dice, spurious.precision) == (0, 0, 0, 0)
        assert math.isnan(missed.precision)
        assert math.isnan(spurious.recall)

    def test_images_are_pooled(self):
        assert pooled([Agreement(1, 2, 3), Agreement(4, 5, 6)]) == Agreement(5, 7, 9)
        assert pooled([]) == Agreement(0, 0, 0)

    def test_masks_of_another_size(self):
        for compare in (pixel_agreement, match_cells):
            with pytest.raises(InputError, match="masks of 3 x 3 and 3 x 4 pixels"):
                compare(np.zeros((3, 3), int), np.zeros((3, 4), int))


class TestMatching:
    def test_merged_cells_are_missed_and_split_ones_are_spurious(self):
        true, found = np.zeros((2, 4, 20), int)
        true[:, :4], true[:, 4:8] = 1, 2  # merged into one of 8 columns: half of it each
        found[:, :8] = 1
        true[:, 10:18] = 3  # split 5 to 3
        found[:, 10:15], found[:, 15:18] = 2, 3
        cells = match_cells(true, found)
        assert cells.matched.tolist() == [[3, 2]]
        assert cells.missed.tolist() == [1, 2]
        assert cells.spurious.tolist() == [1, 3]
        assert cells.agreement == Agreement(1, 2, 2)

    @settings(deadline=None)
    @given(arrays.arrays(np.int64, (2, 8, 8), elements=st.integers(0, 4)))
    def test_each_cell_is_matched_once_or_listed(self, labels):
        true, found = labels
        cells = match_cells(true, found)
        for column, numbers, rest in ((0, true, cells.missed), (1, found, cells.spurious)):
            listed = sorted([*cells.matched[:, column], *rest])
            assert listed == sorted(set(numbers.ravel()) - {0})

    @given(arrays.arrays(np.int64, (8, 8), elements=st.integers(0, 9)))
    def test_an_image_matches_itself(self, labels):
        cells = match_cells(labels, labels)
        assert (cells.matched[:, 0] == cells.matched[:, 1]).all()
        assert cells.agreement == Agreement(count_cells(labels), 0, 0)
