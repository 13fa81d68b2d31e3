"""Measures of segmentation: the thesis' formulas by hand, MONAI and scikit-learn, empty masks."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sklearn_metrics

from reprostats.errors import InputError
from reprostats.metrics.segmentation import (
    binary_metrics,
    class_agreement,
    confusion_matrix,
    distances,
    overlap,
    volume_difference,
)

SHAPES = st.sampled_from([(5, 7), (4, 3, 5)])
SPACINGS = st.floats(0.3, 4.0)
SQUARE = np.zeros((8, 8), dtype=bool)
SQUARE[2:5, 2:5] = True
EMPTY, FULL = np.zeros((8, 8), dtype=bool), np.ones((8, 8), dtype=bool)


@st.composite
def pairs_of_masks(draw):
    shape = draw(SHAPES)
    return tuple(draw(arrays.arrays(bool, shape)) for _ in range(2))


@st.composite
def pairs_of_label_maps(draw):
    shape = draw(SHAPES)
    return tuple(draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 3))) for _ in "ab")


def monai_distances(truth, prediction, spacing, percentile):
    """MONAI's Hausdorff distance, which wants (batch, channel, ...) tensors."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics import compute_hausdorff_distance

        tensors = [torch.from_numpy(mask[None, None].copy()) for mask in (prediction, truth)]
        return compute_hausdorff_distance(
            *tensors, include_background=True, percentile=percentile, spacing=list(spacing)
        ).item()


class TestThesisByHand:
    """Section 3.3.2.3, worked with pencil on a matrix of three classes."""

    # Rows: true class. t = (10, 4, 6), predicted p = (9, 6, 5).
    MATRIX = np.array([[8, 2, 0], [1, 3, 0], [0, 1, 5]])

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("mean_dice", (16 / 19 + 6 / 10 + 10 / 11) / 3),
            ("pixel_accuracy", 16 / 20),
            ("mean_accuracy", (8 / 10 + 3 / 4 + 5 / 6) / 3),
            ("mean_iou", (8 / 11 + 3 / 7 + 5 / 6) / 3),
            ("frequency_weighted_iou", (10 * 8 / 11 + 4 * 3 / 7 + 6 * 5 / 6) / 20),
        ],
    )
    def test_measure(self, name, value):
        assert class_agreement(self.MATRIX)[name] == pytest.approx(value, rel=1e-15)

    def test_average_hausdorff_is_the_larger_directed_average(self):
        """Table 5.1. A = columns 0 and 1, B = column 4: 4 and 3 to B, 3 back; averages 3.5, 3."""
        truth, prediction = np.zeros((1, 5), bool), np.zeros((1, 5), bool)
        truth[0, :2], prediction[0, 4] = True, True
        assert distances(truth, prediction)["average_hausdorff"] == 3.5
        assert distances(prediction, truth)["average_hausdorff"] == 3.5

    def test_sensitivity_specificity_precision_of_table_5_1(self):
        truth, prediction = [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0, 0]
        found = overlap(truth, prediction)
        assert found["sensitivity"] == pytest.approx(2 / 3)
        assert found["specificity"] == pytest.approx(4 / 5)
        assert found["precision"] == pytest.approx(2 / 3)
        assert found["dice"] == pytest.approx(4 / 6)


class TestAgainstScikitLearn:
    @given(pairs_of_label_maps())
    def test_confusion_matrix(self, maps):
        truth, prediction = maps
        expected = sklearn_metrics.confusion_matrix(
            truth.ravel(), prediction.ravel(), labels=range(4)
        )
        assert (confusion_matrix(truth, prediction, 4) == expected).all()

    @given(pairs_of_label_maps())
    def test_over_classes(self, maps):
        truth, prediction = (each.ravel() for each in maps)
        found = class_agreement(confusion_matrix(truth, prediction, 4))
        present = sorted(set(truth) | set(prediction))
        chosen = {"labels": present, "average": "macro", "zero_division": 0}
        there = {"labels": sorted(set(truth)), "average": "macro", "zero_division": 0}
        expected = {
            "mean_dice": sklearn_metrics.f1_score(truth, prediction, **chosen),
            "pixel_accuracy": sklearn_metrics.accuracy_score(truth, prediction),
            "mean_accuracy": sklearn_metrics.recall_score(truth, prediction, **there),
            "mean_iou": sklearn_metrics.jaccard_score(truth, prediction, **chosen),
            "frequency_weighted_iou": sklearn_metrics.jaccard_score(
                truth, prediction, **(there | {"average": "weighted"})
            ),
        }
        assert found == pytest.approx(expected)

    @given(pairs_of_masks())
    def test_of_one_structure(self, masks):
        truth, prediction = (each.ravel() for each in masks)
        found = overlap(truth, prediction)
        nan = {"zero_division": np.nan}
        expected = {
            "dice": sklearn_metrics.f1_score(truth, prediction, zero_division=1),
            "sensitivity": sklearn_metrics.recall_score(truth, prediction, **nan),
            "specificity": sklearn_metrics.recall_score(~truth, ~prediction, **nan),
            "precision": sklearn_metrics.precision_score(truth, prediction, **nan),
        }
        assert found == pytest.approx(expected, nan_ok=True)


class TestAgainstMonai:
    @settings(deadline=None)  # the first call imports MONAI
    @given(pairs_of_masks(), st.data())
    def test_hausdorff_95(self, masks, data):
        truth, prediction = masks
        if not truth.any() or not prediction.any():
            return
        spacing = tuple(data.draw(SPACINGS) for _ in truth.shape)
        found = distances(truth, prediction, spacing=spacing)["hausdorff_95"]
        # MONAI computes in float32, whose rounding is relative to the largest distance.
        diagonal = np.hypot.reduce(np.multiply(truth.shape, spacing))
        expected = monai_distances(truth, prediction, spacing, 95)
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6 * diagonal)

    @settings(deadline=None)
    @given(pairs_of_masks())
    def test_dice(self, masks):
        torch = pytest.importorskip("torch")
        from monai.metrics import compute_dice

        truth, prediction = masks
        tensors = [torch.from_numpy(mask[None, None].copy()) for mask in (prediction, truth)]
        theirs = compute_dice(*tensors, ignore_empty=False).item()
        if truth.any() or not prediction.any():
            assert overlap(truth, prediction)["dice"] == pytest.approx(theirs)


class TestProperties:
    @given(pairs_of_masks())
    def test_symmetric_where_they_should_be(self, masks):
        one, other = binary_metrics(*masks), binary_metrics(*reversed(masks))
        for name in ("dice", "mean_dice", "mean_iou", "average_hausdorff", "hausdorff_95"):
            assert one[name] == pytest.approx(other[name], nan_ok=True)
        assert one["volume_difference"] == -other["volume_difference"]
        assert one["sensitivity"] == pytest.approx(other["precision"], nan_ok=True)

    @given(pairs_of_masks(), st.floats(0.1, 10))
    def test_distances_scale_with_the_spacing(self, masks, scale):
        one = distances(*masks)
        scaled = distances(*masks, spacing=[scale] * masks[0].ndim)
        for name, value in one.items():
            assert scaled[name] == pytest.approx(scale * value)

    @given(pairs_of_masks())
    def test_binary_dice_is_the_harmonic_mean_of_sensitivity_and_precision(self, masks):
        found = overlap(*masks)
        if found["dice"] and found["sensitivity"] > 0 and found["precision"] > 0:
            mean = 2 / (1 / found["sensitivity"] + 1 / found["precision"])
            assert found["dice"] == pytest.approx(mean)

    @given(pairs_of_masks(), st.integers(1, 5))
    def test_empty_margins_change_no_distance(self, masks, margin):
        wide = [np.pad(mask, margin) for mask in masks]
        assert distances(*wide) == pytest.approx(distances(*masks))


NAN = math.nan
# The columns of the module's table: both empty, truth empty, prediction empty, both everything.
DEFINED = {
    "dice": (1, 0, 0, 1),
    "sensitivity": (NAN, NAN, 0, 1),
    "specificity": (1, 55 / 64, 1, NAN),
    "precision": (NAN, 0, NAN, 1),
    "average_hausdorff": (0, math.inf, math.inf, 0),
    "hausdorff_95": (0, math.inf, math.inf, 0),
    "volume_difference": (0, 9, -9, 0),
    "relative_volume_difference": (NAN, NAN, -1, 0),
}


@pytest.mark.parametrize("name", DEFINED)
def test_empty_masks_give_what_the_table_says(name):
    cases = [(EMPTY, EMPTY), (EMPTY, SQUARE), (SQUARE, EMPTY), (FULL, FULL)]
    found = [binary_metrics(*masks)[name] for masks in cases]
    assert found == pytest.approx(DEFINED[name], nan_ok=True)


class TestClassesThatAreNotThere:
    def test_counts_in_no_mean(self):
        with_empty = class_agreement([[4, 0, 0], [2, 2, 0], [0, 0, 0]])
        assert with_empty == class_agreement([[4, 0], [2, 2]])

    def test_predicted_all_the_same(self):
        found = class_agreement([[4, 1], [0, 0]])
        assert found["mean_iou"] == pytest.approx((4 / 5 + 0) / 2)
        assert found["mean_accuracy"] == pytest.approx(4 / 5)


class TestSpacing:
    def test_volume_is_in_cubic_millimetres(self):
        masks = np.zeros((2, 2, 2)), np.ones((2, 2, 2))
        found = volume_difference(*masks, spacing=(8.0, 1.5, 1.5))
        assert found["volume_difference"] == pytest.approx(8 * 18)

    def test_each_axis_has_its_own(self):
        truth, prediction = np.zeros((3, 3), bool), np.zeros((3, 3), bool)
        truth[0, 0], prediction[2, 0] = True, True
        assert distances(truth, prediction, spacing=(8, 1))["hausdorff_95"] == 16
        assert distances(truth.T, prediction.T, spacing=(8, 1))["hausdorff_95"] == 2


class TestBadInput:
    @pytest.mark.parametrize(
        ("truth", "prediction", "spacing", "message"),
        [
            ([1, 0], [1, 0, 0], None, r"shape \(2,\) and prediction \(3,\)"),
            ([1, 0.5], [1, 0], None, "0 and 1 alone, not 0.5"),
            ([1, math.nan], [1, 0], None, "0 and 1 alone, not nan"),
            ([], [], None, "has no pixels"),
            ([1, 0], [1, 0], (1, 1), "masks of 1 axes need 1 numbers above 0"),
            ([1, 0], [1, 0], (0,), "numbers above 0"),
        ],
    )
    def test_is_refused(self, truth, prediction, spacing, message):
        with pytest.raises(InputError, match=message):
            binary_metrics(truth, prediction, spacing=spacing)

    def test_label_outside_the_classes(self):
        with pytest.raises(InputError, match="prediction holds 3; labels of 3 classes"):
            confusion_matrix([0, 1], [0, 3], n_classes=3)

    def test_label_that_is_not_whole(self):
        with pytest.raises(InputError, match=r"truth holds 0\.5"):
            confusion_matrix([0, 0.5], [0, 1])

    @pytest.mark.parametrize(
        ("matrix", "message"), [([[1, 2]], "is square"), ([[0, 0], [0, 0]], "counts no pixels")]
    )
    def test_matrix(self, matrix, message):
        with pytest.raises(InputError, match=message):
            class_agreement(matrix)
