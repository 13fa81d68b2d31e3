"""The record of a training on disk."""

import math

from reprostats.train.record import (
    Summary,
    TrainingRecord,
    read_record,
    summarised,
    write_record,
)
from reprostats.train.tasks import by_measure


def test_numbers_that_are_not_finite_are_read_back(tmp_path):
    written = TrainingRecord(
        config={},
        metrics={"hausdorff": {"a": math.inf}},
        summary={"hausdorff": Summary(mean=math.nan, sd=math.nan, cases=0)},
        losses=[1.0, math.nan],
    )
    write_record(tmp_path, written)
    found = read_record(tmp_path)
    assert found.metrics["hausdorff"]["a"] == math.inf
    assert math.isnan(found.summary["hausdorff"].sd)
    assert math.isnan(found.losses[1])


def test_measure_that_is_infinite_for_all_cases_is_kept():
    found = by_measure({"a": {"hausdorff": math.inf}, "b": {"hausdorff": math.inf}})
    assert summarised(found)["hausdorff"].mean == math.inf


def test_measure_that_a_case_lacks_is_nan_there():
    found = by_measure({"a": {"x": 1.0}, "b": {"x": 2.0, "y": 3.0}})
    assert found["x"] == {"a": 1.0, "b": 2.0}
    assert found["y"]["b"] == 3.0
    assert math.isnan(found["y"]["a"])
