"""The chart of growth, also where there is nothing to draw."""

import pandas as pd

from reprostats.report.divergence import growth_figure, growth_plot
from reprostats.report.theme import write_chart


def test_draws_on_a_logarithmic_scale_without_steps_that_are_equal(tmp_path):
    growth = pd.DataFrame({"step": [1, 2, 3], "relative": [0.0, 1e-8, 1e-6]})
    chart = growth_plot(growth).to_dict()
    assert chart["layer"][1]["encoding"]["y"]["scale"] == {"type": "log"}
    drawn = [len(rows) for rows in chart["datasets"].values()]
    assert sorted(drawn) == [1, 2]


def test_equal_trainings(tmp_path):
    growth = pd.DataFrame({"step": [1, 2], "relative": [0.0, 0.0]})
    chart = growth_plot(growth)
    assert "equal after every step" in chart.to_dict()["title"]["text"]
    assert all(path.stat().st_size for path in write_chart(chart, tmp_path, "growth"))
    empty = growth_plot(pd.DataFrame({"step": [], "relative": []}))
    assert "not compared" in empty.to_dict()["title"]["text"]


def test_the_figure_says_what_its_points_and_lines_are():
    growth = pd.DataFrame({"step": [1, 2], "relative": [1e-8, 1e-6]})
    caption = growth_figure(growth).caption
    assert "Each point is one training step" in caption
    assert "dashed line" in caption
