"""The record of a training on disk."""

import math

from reprostats.train.record import Summary, TrainingRecord, read_record, write_record


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
