"""Watching a training: what is written, by whom, that it is read back, and that nothing is left."""

import json
import math
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from reprostats.errors import DamagedFileError, DivergedError, InputError, NotAvailableError
from reprostats.learning.loop import Callback, fit
from reprostats.learning.strategies import Single
from reprostats.learning.watching import StopWhenDiverging, Watch, read_watch


def train(*callbacks: Callback, epochs: int = 3, rate: float = 0.1, **settings) -> torch.Tensor:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    inputs = torch.randn(12, 2, generator=torch.Generator().manual_seed(1))
    losses = fit(
        model, inputs, inputs.sum(1, keepdim=True),
        loss=nn.functional.mse_loss, optimiser=torch.optim.SGD(model.parameters(), rate),
        batch_size=4, epochs=epochs, generator=torch.Generator().manual_seed(1),
        callbacks=callbacks, **settings,
    )  # fmt: skip
    return torch.cat([losses.flatten(), *(each.flatten() for each in model.parameters())])


class Measure(Callback):
    """A metric that is known: the number of the epoch, halved."""

    def epoch_ended(self, run):
        run.metrics["dice"] = run.epoch / 2


class Fail(Callback):
    def __init__(self, error: BaseException, epoch: int = 2):
        self.error, self.epoch = error, epoch

    def stepped(self, run):
        if run.epoch == self.epoch:
            raise self.error


class Stop(Callback):
    def stepped(self, run):
        run.stop("enough")


class Worker(Single):
    """One of several workers, as far as a callback can see."""

    def __init__(self, rank: int):
        self.rank = rank


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class TestWatch:
    def test_writes_what_each_epoch_reached(self, tmp_path):
        done = train(Measure(), Watch(tmp_path))
        watched = read_watch(tmp_path)
        assert list(watched.epochs) == ["time", "epoch", "training_loss", "learning_rate", "dice"]
        assert watched.epochs["epoch"].tolist() == [1, 2, 3]
        assert watched.epochs["dice"].tolist() == [0.5, 1, 1.5]
        means = done[:9].reshape(3, 3).double().mean(1)
        assert watched.epochs["training_loss"].tolist() == means.tolist()
        assert watched.end == "completed"

    def test_follows_the_schedule(self, tmp_path):
        parameter = nn.Parameter(torch.ones(1))
        optimiser = torch.optim.SGD([parameter], 1.0)
        model = nn.Linear(1, 1)
        fit(
            model, torch.ones(4, 1), torch.ones(4, 1), loss=nn.functional.mse_loss,
            optimiser=optimiser, batch_size=2, epochs=2, callbacks=[Watch(tmp_path)],
            generator=torch.Generator().manual_seed(1),
            schedule=torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5),
        )  # fmt: skip
        assert read_watch(tmp_path).epochs["learning_rate"].tolist() == [0.25, 0.0625]

    def test_samples_resources_at_least_once_and_at_the_end(self, tmp_path):
        train(Watch(tmp_path, every_s=600))
        resources = read_watch(tmp_path).resources
        assert len(resources) == 1
        assert resources["rank"].tolist() == [0]
        assert resources["process_memory_bytes"].min() > 1e6

    def test_samples_while_the_training_goes_on(self, tmp_path):
        path = tmp_path / "resources-0.jsonl"

        class UntilThree(Callback):
            def stepped(self, _):
                for _ in range(6000):
                    if path.read_bytes().count(b"\n") >= 3:
                        break
                    threading.Event().wait(0.01)

        train(Watch(tmp_path, every_s=0.01), UntilThree())
        assert len(read_watch(tmp_path).resources) >= 4

    def test_does_not_change_the_training(self, tmp_path):
        undisturbed = train()
        assert torch.equal(train(Watch(tmp_path, 0.001, tensorboard=True)), undisturbed)
        assert torch.equal(train(StopWhenDiverging()), undisturbed)

    def test_only_worker_0_writes_metrics_and_each_its_resources(self, tmp_path):
        train(Watch(tmp_path), strategy=Worker(1))
        assert [path.name for path in tmp_path.iterdir()] == ["resources-1.jsonl"]
        assert read_watch(tmp_path).epochs.empty
        train(Watch(tmp_path), strategy=Worker(0))
        watched = read_watch(tmp_path)
        assert watched.resources["rank"].tolist() == [0, 1]
        assert len(watched.epochs) == 3

    def test_serves_one_training_after_the_other(self, tmp_path):
        watch = Watch(tmp_path)
        train(watch)
        train(watch, epochs=1)
        assert read_watch(tmp_path).epochs["epoch"].tolist() == [1, 2, 3, 1]

    def test_metrics_that_are_not_finite(self, tmp_path):
        class Odd(Callback):
            def epoch_ended(self, run):
                run.metrics.update(a=math.nan, b=math.inf, c=-math.inf)

        train(Odd(), Watch(tmp_path), epochs=1)
        row = read_watch(tmp_path).epochs.iloc[0]
        assert math.isnan(row["a"])
        assert (row["b"], row["c"]) == (math.inf, -math.inf)

        def refuse(constant):
            raise AssertionError(constant)

        for line in (tmp_path / "training.jsonl").read_text().splitlines():
            json.loads(line, parse_constant=refuse)

    def test_a_metric_with_a_name_of_ours(self, tmp_path):
        class Named(Callback):
            def epoch_ended(self, run):
                run.metrics["epoch"] = 1.0

        with pytest.raises(InputError, match="a metric cannot be called 'epoch'"):
            train(Named(), Watch(tmp_path))

    @pytest.mark.parametrize("seconds", [0, -1, math.nan])
    def test_no_time_between_samples(self, tmp_path, seconds):
        with pytest.raises(InputError, match="more than 0 seconds"):
            Watch(tmp_path, seconds)


class TestEnds:
    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (DivergedError("the loss is nan"), "DivergedError: the loss is nan"),
            (KeyboardInterrupt(), "KeyboardInterrupt"),
            (ZeroDivisionError("in a callback"), "ZeroDivisionError: in a callback"),
        ],
    )
    def test_an_error_is_written_and_the_thread_ends(self, tmp_path, error, said):
        with pytest.raises(type(error)):
            train(Watch(tmp_path), Fail(error))
        watched = read_watch(tmp_path)
        assert watched.end == said
        assert watched.epochs["epoch"].tolist() == [1]

    def test_an_error_before_the_watch_has_started(self, tmp_path):
        class Early(Callback):
            def started(self, _):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            train(Early(), Watch(tmp_path))
        assert list(tmp_path.iterdir()) == []

    def test_a_divergence_that_the_loop_finds(self, tmp_path):
        with pytest.raises(DivergedError):
            train(Watch(tmp_path), rate=1e30)
        assert read_watch(tmp_path).end.startswith("DivergedError: the training loss is")

    def test_stopped_by_a_callback(self, tmp_path):
        train(Watch(tmp_path), Stop())
        assert read_watch(tmp_path).end == "stopped: enough"

    def test_trouble_with_resources_ends_no_training(self, tmp_path, monkeypatch, caplog):
        def fails(self):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("reprostats.learning.watching.Resources.sample", fails)
        train(Watch(tmp_path, every_s=0.001))
        assert "resources are no longer watched" in caplog.text
        assert len(read_watch(tmp_path).epochs) == 3

    def test_what_is_not_watched_is_said_once(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setitem(sys.modules, "pynvml", None)
        train(Watch(tmp_path, every_s=0.001))
        assert caplog.text.count("not watched: GPUs: the package nvidia-ml-py is missing") == 1


class TestReading:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        train(Watch(tmp_path))
        return tmp_path

    def test_a_last_line_written_by_half_is_left_out(self, folder):
        path = folder / "training.jsonl"
        whole = path.read_bytes()
        for cut in range(len(whole)):
            path.write_bytes(whole[:cut])
            epochs, _, end = read_watch(folder)
            assert len(epochs) == min(3, whole[:cut].count(b"\n"))
            assert end == ""

    def test_a_training_that_goes_on_takes_the_half_line_away(self, folder):
        path = folder / "training.jsonl"
        path.write_bytes(path.read_bytes().rpartition(b'"end"')[0])
        train(Watch(folder), epochs=2)
        watched = read_watch(folder)
        assert watched.epochs["epoch"].tolist() == [1, 2, 3, 1, 2]
        assert watched.end == "completed"

    def test_while_a_training_goes_on_again_it_has_no_end(self, folder):
        with (folder / "training.jsonl").open("a") as file:
            file.write('{"time": 1.0, "epoch": 4}\n')
        assert read_watch(folder).end == ""

    @pytest.mark.parametrize("line", ["{'epoch': 1}", "3", "", '{"epoch": "first"}'])
    def test_another_damaged_line_is_named(self, folder, line):
        path = folder / "training.jsonl"
        lines = path.read_text().splitlines()
        lines[1] = line
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(DamagedFileError, match=r"training.jsonl, line 2: is not what was"):
            read_watch(folder)

    def test_nothing_watched(self, tmp_path):
        with pytest.raises(NotAvailableError, match="no training was watched here"):
            read_watch(tmp_path)


class TestTensorBoard:
    def test_shows_what_was_written(self, tmp_path):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        train(Measure(), Watch(tmp_path, tensorboard=True))
        board = EventAccumulator(str(tmp_path / "tensorboard" / "rank0"))
        board.Reload()
        shown = [(event.step, event.value) for event in board.Scalars("dice")]
        assert shown == [(1, 0.5), (2, 1.0), (3, 1.5)]
        assert len(board.Scalars("training_loss")) == 3
        assert board.Scalars("resources/memory_bytes")[0].value > 0

    def test_is_not_installed(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
        with pytest.raises(NotAvailableError, match="pip install tensorboard"):
            Watch(tmp_path, tensorboard=True)
        Watch(tmp_path)


class TestStopWhenDiverging:
    @pytest.mark.parametrize(
        "means",
        [
            pytest.param([0.7, 0.6, 0.5, 0.4], id="falls"),
            pytest.param([0.7], id="one epoch"),
            pytest.param([], id="no epoch"),
            pytest.param([0.7, 9, 9], id="not yet for three epochs"),
            pytest.param([0.7, 9, 9, 0.6, 9, 9], id="comes back"),
            pytest.param([0.7, 1e-4, 3e-4, 3e-4, 3e-4], id="small and noisy"),
            pytest.param([0.7, 0.0, 1e-3, 1e-3, 1e-3], id="above zero"),
            pytest.param([0.9, 0.91, 0.92, 0.93], id="does not learn"),
            pytest.param([-0.1, -0.11, -0.09, -0.08, -0.08], id="noisy below zero"),
            pytest.param([1.0, 2.0, 2.0, 2.0], id="at the limit"),
        ],
    )
    def test_goes_on(self, means):
        StopWhenDiverging(patience=3, factor=2.0).judge(torch.tensor(means, dtype=torch.double))

    @pytest.mark.parametrize(
        ("means", "limit"),
        [
            pytest.param([1.0, 2.1, 2.2, 2.3], "2", id="rises from the start"),
            pytest.param([0.9, 0.1, 1.0, 1.0, 1.0], "0.9", id="comes back to the start"),
            pytest.param([-1.0, -3.0, 0.1, 0.1, 0.1], "0", id="below zero"),
        ],
    )
    def test_stops(self, means, limit):
        with pytest.raises(DivergedError, match=f"above {limit} in 3 epochs in a row, and is "):
            StopWhenDiverging(patience=3, factor=2.0).judge(torch.tensor(means).double())

    def test_stops_a_training_with_the_epoch_and_the_numbers(self, tmp_path):
        losses = iter([1.0, 1.0, 0.5, 0.5, 3.0, 3.0, 4.0, 4.0, 5.0])

        def planned(output, target):
            return output.mean() * 0 + next(losses)

        model = nn.Linear(1, 1)
        with pytest.raises(DivergedError) as caught:
            fit(
                model, torch.ones(4, 1), torch.ones(4, 1), loss=planned,
                optimiser=torch.optim.SGD(model.parameters(), 0.1), batch_size=2, epochs=9,
                generator=torch.Generator().manual_seed(1),
                callbacks=[Watch(tmp_path), StopWhenDiverging(patience=2)],
            )  # fmt: skip
        said = (
            "the mean training loss was above 1 in 2 epochs in a row, and is 4 in epoch 4. "
            "The smallest was 0.5 in epoch 2; in epoch 1 it was 1."
        )
        assert str(caught.value) == said
        watched = read_watch(tmp_path)
        assert watched.end == f"DivergedError: {said}"
        assert watched.epochs["training_loss"].tolist() == [1, 0.5, 3, 4]

    @pytest.mark.parametrize(("patience", "factor"), [(0, 2.0), (1, 1.0), (1, math.nan)])
    def test_out_of_range(self, patience, factor):
        with pytest.raises(InputError, match="must be at least 1 and above 1"):
            StopWhenDiverging(patience, factor)
