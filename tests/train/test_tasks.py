"""Measures by case, and their summary."""

import math

from reprostats.train.tasks import by_measure, summarised


def test_measure_that_is_infinite_for_all_cases_is_kept():
    found = by_measure({"a": {"hausdorff": math.inf}, "b": {"hausdorff": math.inf}})
    assert summarised(found)["hausdorff"].mean == math.inf


def test_measure_that_a_case_lacks_is_nan_there():
    found = by_measure({"a": {"x": 1.0}, "b": {"x": 2.0, "y": 3.0}})
    assert found["x"] == {"a": 1.0, "b": 2.0}
    assert found["y"]["b"] == 3.0
    assert math.isnan(found["y"]["a"])
