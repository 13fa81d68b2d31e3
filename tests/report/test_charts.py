"""Every value is a point; a box only where there are enough of them."""

from __future__ import annotations

import pandas as pd

from reprostats.report.charts import boxes_caption, points_plot


def values(**counts: int) -> pd.DataFrame:
    """Return as many values of each group as its name is given."""
    groups = [name for name, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"group": groups, "value": range(len(groups))})


def layers(table: pd.DataFrame) -> list[dict]:
    return points_plot(table, value="value", group="group", value_title="x").to_dict()["layer"]


def test_few_values_are_points_alone():
    table = values(a=9, b=3)
    assert [layer["mark"]["type"] for layer in layers(table)] == ["circle"]
    assert boxes_caption(table, "group") == ""


def test_a_box_stands_behind_ten_values_and_not_behind_three():
    table = values(a=10, b=3)
    chart = points_plot(table, value="value", group="group", value_title="x").to_dict()
    box, points = chart["layer"]
    rows = {name: chart["datasets"][layer["data"]["name"]] for name, layer in
            (("box", box), ("points", points))}  # fmt: skip
    assert {row["group"] for row in rows["box"]} == {"a"}
    assert len(rows["points"]) == 13
    assert box["mark"]["extent"] == "min-max"
    assert "whiskers reach to the smallest and the largest value" in boxes_caption(table, "group")


def test_colour_says_nothing_that_the_axis_says():
    assert all("color" not in layer["encoding"] for layer in layers(values(a=10, b=3)))
