import numpy as np
import pytest

from reprostats.errors import InputError
from reprostats.report.schedules import schedule_plot, schedule_table
from reprostats.report.theme import write_chart


def rates(count: int, steps: int = 40) -> dict[str, np.ndarray]:
    return {f"number {n}": np.linspace(1, 0.1, steps) / (n + 1) for n in range(count)}


def drawn(chart) -> list[dict]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def test_table_has_every_step():
    table = schedule_table({"a": [1.0, 0.5, 0.25], "b": [2.0]}, steps_per_epoch=2)
    assert table["schedule"].tolist() == ["a", "a", "a", "b"]
    assert table["epoch"].tolist() == [0, 0.5, 1, 0]
    assert table["learning_rate"].tolist() == [1.0, 0.5, 0.25, 2.0]


def test_short_trainings_are_drawn_whole_and_to_their_end():
    rows = drawn(schedule_plot({"a": [1.0, 0.5, 0.25]}, steps_per_epoch=2))
    assert [row["learning_rate"] for row in rows] == [1.0, 0.5, 0.25, 0.25]
    assert rows[-1]["epoch"] == 1.5


@pytest.mark.parametrize("count", [1, 4, 5, 30])
def test_long_trainings_are_drawn_in_few_points(count):
    rows = drawn(schedule_plot(rates(count, 20_000), steps_per_epoch=100))
    assert len(rows) <= 5000
    first = [row for row in rows if row["schedule"] == "number 0"]
    assert (first[0]["epoch"], first[-1]["epoch"]) == (0, 200)
    assert first[-1]["learning_rate"] == pytest.approx(0.1)


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("count", [1, 4, 5])
def test_are_drawn_in_one_panel_or_in_many(tmp_path, count, logarithmic):
    chart = schedule_plot(rates(count), 4, logarithmic=logarithmic)
    assert ("concat" in chart.to_dict()) == (count == 5)
    for path in write_chart(chart, tmp_path, "schedules"):
        assert path.stat().st_size > 5000


def test_lines_that_coincide_differ_in_breadth():
    encoding = schedule_plot(rates(3), 4).to_dict()["encoding"]
    widths = encoding["strokeWidth"]["scale"]["range"]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 3


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [1.0, -1.0], [np.nan], [[1.0], [2.0]]], ids=str)
def test_rates_must_be_a_row_of_positive_numbers(values):
    with pytest.raises(InputError, match="schedule 'a': need one positive finite rate for every"):
        schedule_table({"a": values}, 2)


def test_nothing_to_draw():
    with pytest.raises(InputError, match="0 schedules with 2 steps per epoch"):
        schedule_plot({}, 2)
    with pytest.raises(InputError, match="1 schedules with 0 steps per epoch"):
        schedule_plot({"a": [1.0]}, 0)
