"""The chart of a training: what it draws at every stage, and of long and broken trainings."""

import math

import numpy as np
import pandas as pd
import pytest

from reprostats.errors import InputError
from reprostats.report.theme import write_chart
from reprostats.report.training import training_chart


def losses(epochs: float = 3, steps_per_epoch: int = 10) -> pd.DataFrame:
    epoch = np.arange(1, round(epochs * steps_per_epoch) + 1) / steps_per_epoch
    return pd.DataFrame({"epoch": epoch, "loss": np.exp(-epoch)})


def metrics(epochs: int = 3, *names: str) -> pd.DataFrame:
    numbers = np.arange(1, epochs + 1)
    return pd.DataFrame({"epoch": numbers, **dict.fromkeys(names, 1 - 1 / (1 + numbers))})


def drawn(chart) -> list[list[dict]]:
    """Give the rows of light line, dark line and, where it is drawn, the panel of metrics."""
    content = chart.to_dict()
    names = [layer["data"]["name"] for layer in content["hconcat"][0]["layer"]]
    names += [panel["data"]["name"] for panel in content["hconcat"][1:]]
    return [content["datasets"].get(name, []) for name in names]


def test_draws_steps_means_of_epochs_and_metrics():
    light, dark, lines = drawn(training_chart(losses(), metrics(3, "dice", "IoU")))
    assert [row["epoch"] for row in light] == losses()["epoch"].tolist()
    assert [row["epoch"] for row in dark] == [0.5, 1.5, 2.5]
    means = losses()["loss"].to_numpy().reshape(3, 10).mean(1)
    assert [row["loss"] for row in dark] == pytest.approx(means)
    assert [row["metric"] for row in lines] == ["dice"] * 3 + ["IoU"] * 3


def test_an_epoch_that_goes_on_has_no_mean_yet():
    _, dark = drawn(training_chart(losses(2.7), metrics(0)))
    assert [row["epoch"] for row in dark] == [0.5, 1.5]


def test_losses_of_whole_epochs_are_drawn_as_they_are():
    chart = training_chart(losses(5, 1), metrics(0))
    light, dark = drawn(chart)
    assert (len(light), len(dark)) == (5, 0)
    assert chart.hconcat[0].title == "Loss of each epoch"


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 29, 300])
@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_can_be_drawn_at_every_stage(tmp_path, steps, epochs, logarithmic):
    chart = training_chart(
        losses(steps / 100, 100), metrics(epochs, "dice"), logarithmic=logarithmic
    )
    for path in write_chart(chart, tmp_path, "training"):
        assert path.stat().st_size > 1000


@pytest.mark.parametrize(("names", "rows"), [(1, 1000), (4, 4000), (20, 4800)])
def test_long_trainings_are_drawn_in_few_points(names, rows):
    measured = metrics(5000, *(f"metric {number}" for number in range(names)))
    light, dark, lines = drawn(training_chart(losses(5000, 20), measured))
    assert (len(light), len(dark), len(lines)) == (1000, 1000, rows)
    assert (light[0]["epoch"], light[-1]["epoch"]) == (0.05, 5000)


def test_what_is_not_finite_is_a_gap(tmp_path):
    broken = losses()
    broken.loc[3, "loss"] = math.nan
    broken.loc[4, "loss"] = math.inf
    chart = training_chart(broken, pd.DataFrame({"epoch": [1, 2], "dice": [math.nan, 0.5]}))
    light, _, lines = drawn(chart)
    assert [number for number, row in enumerate(light) if row["loss"] is None] == [3, 4]
    assert [row["value"] for row in lines] == [None, 0.5]
    write_chart(chart, tmp_path, "broken")


def test_on_a_logarithmic_axis_what_is_not_positive_is_a_gap():
    table = pd.DataFrame({"epoch": [0.5, 1.0, 1.5], "loss": [0.5, 0.0, -0.5]})
    light, _ = drawn(training_chart(table, metrics(0), logarithmic=True))
    assert [row["loss"] for row in light] == [0.5, None, None]


def test_metrics_beyond_the_palette_differ_in_dashes():
    few = training_chart(losses(), metrics(3, *"abcdefg")).to_dict()["hconcat"][1]
    many = training_chart(losses(), metrics(3, *"abcdefgh")).to_dict()["hconcat"][1]
    assert "strokeDash" not in few["encoding"]
    assert "strokeDash" in many["encoding"]


def test_missing_columns_are_named():
    with pytest.raises(InputError, match=r"losses: has no column loss\. It has: epoch, dice"):
        training_chart(metrics(3, "dice"), metrics(3))
    with pytest.raises(InputError, match="metrics: has no column epoch"):
        training_chart(losses(), pd.DataFrame({"dice": [1.0]}))
