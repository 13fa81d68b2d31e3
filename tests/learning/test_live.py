"""The live chart: when it draws, what it is given, and what a notebook keeps."""

import math
import re

import nbformat
import pandas as pd
import pytest
import torch
from nbclient import NotebookClient
from torch import nn

from reprostats.errors import DivergedError
from reprostats.learning import live
from reprostats.learning.live import LiveChart
from reprostats.learning.loop import Callback, fit
from reprostats.learning.strategies import Single


class Measure(Callback):
    def epoch_ended(self, run):
        run.metrics["dice"] = run.epoch / 2


class Shown(list):
    """Stands for the output of a cell: every picture that was shown, and the places they took."""

    places = 0

    def display(self, picture, display_id):
        assert display_id
        self.append(picture)
        self.places += 1
        return self

    def update(self, picture):
        self.append(picture)


@pytest.fixture
def shown(monkeypatch) -> Shown:
    shown = Shown()
    monkeypatch.setattr(live, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.display)
    return shown


class Clock(Callback):
    """A second passes with every step, and with nothing else unless somebody turns the clock."""

    now = 0.0

    def stepped(self, _):
        self.now += 1


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live.time, "monotonic", lambda: clock.now)
    return clock


def train(*callbacks: Callback, epochs: int = 3, rate: float = 0.1, **settings) -> torch.Tensor:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    samples = torch.ones(8, 1)
    losses = fit(
        model, samples, samples, loss=nn.functional.mse_loss,
        optimiser=torch.optim.SGD(model.parameters(), rate), batch_size=4, epochs=epochs,
        generator=torch.Generator().manual_seed(1), callbacks=callbacks, **settings,
    )  # fmt: skip
    return losses.flatten()


def tables(losses: pd.DataFrame, metrics: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return losses, metrics


def test_the_last_picture_is_of_the_whole_training(shown):
    done = train(Measure(), LiveChart(tables, every_s=math.inf))
    ((losses, metrics),) = shown
    assert losses["epoch"].tolist() == [0.5, 1, 1.5, 2, 2.5, 3]
    assert losses["loss"].tolist() == done.tolist()
    assert metrics.to_dict("list") == {"epoch": [1, 2, 3], "dice": [0.5, 1, 1.5]}


def test_is_drawn_again_in_the_same_place(shown, clock):
    train(clock, LiveChart(tables, every_s=1.0))
    assert [len(losses) for losses, _ in shown] == [1, 2, 3, 4, 5, 6, 6]
    assert shown.places == 1


def test_is_not_drawn_more_often_than_asked_for(shown, clock):
    train(clock, LiveChart(tables, every_s=3.0))
    assert [len(losses) for losses, _ in shown] == [3, 6, 6]


def test_slow_drawing_takes_a_twentieth_of_the_time(shown, clock):
    def slow(losses, metrics):
        clock.now += 0.5
        return losses

    train(clock, LiveChart(slow, every_s=1.0), epochs=15)
    assert [len(losses) for losses in shown] == [1, 11, 21, 30]


def test_each_training_has_a_place(shown):
    chart = LiveChart(tables, every_s=math.inf)
    train(Measure(), chart)
    train(Measure(), chart, epochs=1)
    assert shown.places == 2
    assert shown[-1][1]["epoch"].tolist() == [1]


def test_a_training_without_metrics(shown):
    train(LiveChart(tables))
    assert list(shown[-1][1]) == ["epoch"]


def test_a_training_that_diverges_is_drawn_as_far_as_it_came(shown):
    with pytest.raises(DivergedError):
        train(LiveChart(tables, every_s=math.inf), rate=1e30)
    losses, _ = shown[-1]
    assert len(losses) == 2


def test_only_worker_0_draws(shown):
    strategy = Single()
    strategy.rank = 1
    train(LiveChart(tables), strategy=strategy)
    assert not shown


def test_nothing_is_drawn_outside_notebooks(capsys):
    train(LiveChart(tables, every_s=0.0))
    assert capsys.readouterr().out == ""


def test_trouble_with_drawing_ends_no_training(shown, clock, caplog):
    def fails(losses, metrics):
        raise ValueError("SVG has an invalid size")

    assert len(train(clock, LiveChart(fails, every_s=1.0))) == 6
    assert caplog.text.count("the training is no longer drawn") == 1


def test_does_not_change_the_training(shown, clock):
    from reprostats.report.training import training_chart

    assert torch.equal(train(clock, LiveChart(training_chart, 1.0)), train())


CELL = """
import torch
from reprostats.learning.live import LiveChart
from reprostats.learning.loop import fit
from reprostats.report.theme import show_offline
from reprostats.report.training import training_chart

show_offline()
model, samples = torch.nn.Linear(1, 1), torch.ones(8, 1)
losses = fit(
    model, samples, samples, loss=torch.nn.functional.mse_loss,
    optimiser=torch.optim.SGD(model.parameters(), 0.01), batch_size=4, epochs=5,
    generator=torch.Generator().manual_seed(1),
    callbacks=[LiveChart(training_chart, every_s=0.0)],
)
"""


@pytest.mark.slow
def test_an_executed_notebook_keeps_one_picture(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    picture = output.data["image/svg+xml"]
    assert "Loss of steps" in picture
    assert re.search(r">5(\.0)?<", picture)  # the axis reaches the last epoch
