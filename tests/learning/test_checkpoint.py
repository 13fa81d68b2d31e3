import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from reprostats.errors import InputError, WorkerLostError
from reprostats.learning import checkpoint as checkpoint_module
from reprostats.learning.checkpoint import (
    Checkpoints,
    checkpoints_in,
    load_checkpoint,
    newest_checkpoint,
)
from reprostats.learning.loop import Callback, fit
from reprostats.learning.strategies import SINGLE, VirtualWorkers
from tests.learning import trainings
from tests.learning.trainings import EPOCHS, OPTIMISERS, train

STEPS = 6  # 23 samples in batches of 4


class Interruption(Exception):  # noqa: N818 - it is no error
    pass


class Interrupt(Callback):
    def __init__(self, after: int):
        self.left = after

    def stepped(self, _):
        self.left -= 1
        if self.left == 0:
            raise Interruption


def differing(one, other):
    assert one.keys() == other.keys()
    return [
        name
        for name in one
        if one[name].dtype != other[name].dtype or not torch.equal(one[name], other[name])
    ]


def interrupted(folder, after, optimiser="adam", every_steps=1, **options):
    callbacks = [Checkpoints(folder, every_steps=every_steps), Interrupt(after)]
    with pytest.raises(Interruption):
        train(optimiser, callbacks=callbacks, **options)


@pytest.fixture(scope="module")
def undisturbed():
    return {optimiser: train(optimiser) for optimiser in OPTIMISERS}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two checkpoints, after steps 4 and 5."""
    folder = tmp_path_factory.mktemp("written")
    interrupted(folder, 5)
    return folder


@pytest.fixture(scope="module")
def checkpoint(written):
    return load_checkpoint(written)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_interrupted_at_every_step_ends_with_the_same_bits(tmp_path, undisturbed, optimiser):
    for after in range(1, EPOCHS * STEPS + 1):
        folder = tmp_path / str(after)
        interrupted(folder, after, optimiser, every_steps=2)
        resume = load_checkpoint(folder)
        after_resume = train(optimiser, resume=resume, callbacks=[Checkpoints(folder)])
        assert differing(after_resume, undisturbed[optimiser]) == [], f"after step {after}"


@settings(max_examples=8, deadline=None)
@given(after=st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_interrupted_again_and_again(tmp_path_factory, undisturbed, after):
    folder = tmp_path_factory.mktemp("checkpoints")
    for steps in after:
        resume = load_checkpoint(folder) if newest_checkpoint(folder) else None
        try:
            train(resume=resume, callbacks=[Checkpoints(folder, every_steps=3), Interrupt(steps)])
        except Interruption:
            continue
        break
    assert differing(train(resume=load_checkpoint(folder)), undisturbed["adam"]) == []


def test_interrupted_between_the_last_step_and_the_end_of_an_epoch(tmp_path, undisturbed):
    """The end of the epoch is made up for."""

    class Ends(Callback):
        def __init__(self):
            self.seen = []

        def epoch_ended(self, run):
            self.seen.append(run.epoch)

    checkpoints, ends = Checkpoints(tmp_path, every_steps=3, every_epochs=None), Ends()
    with pytest.raises(Interruption):
        train(callbacks=[checkpoints, Interrupt(STEPS)])
    resume = load_checkpoint(tmp_path)
    assert (resume.epoch, resume.step) == (1, STEPS)
    assert differing(train(resume=resume, callbacks=[ends]), undisturbed["adam"]) == []
    assert ends.seen == [1, 2]


def test_metrics_may_be_scalars_of_numpy(tmp_path):
    class Measure(Callback):
        def epoch_ended(self, run):
            run.metrics["dice"] = np.float32(0.5)

    train(callbacks=[Measure(), Checkpoints(tmp_path)])
    assert load_checkpoint(tmp_path).state["metrics"] == {"dice": 0.5}


class Stop(Callback):
    """Stops after a step, or after the end of its epoch."""

    def __init__(self, at: str, step: int = STEPS):
        self.at, self.step = at, step

    def stepped(self, run):
        if self.at == "step" and (run.epoch, run.step) == (2, self.step):
            run.stop("enough")

    def epoch_ended(self, run):
        if self.at == "epoch" and run.epoch == 2:
            run.stop("enough")


class InterruptAtTheEnd(Callback):
    def ended(self, _):
        raise Interruption


@pytest.mark.parametrize("stop", [("step", 2), ("step", STEPS), ("epoch",)])
@pytest.mark.parametrize("every_epochs", [1, None])
def test_stopped_and_interrupted_before_its_end_stays_stopped(tmp_path, stop, every_epochs):
    def trained(folder, *more, resume=None):
        kept = Checkpoints(folder, every_steps=1, every_epochs=every_epochs)
        return train(epochs=3, callbacks=[Stop(*stop), kept, *more], resume=resume)

    with pytest.raises(Interruption):
        trained(tmp_path / "one", InterruptAtTheEnd())
    resumed = train(epochs=3, resume=load_checkpoint(tmp_path / "one"), callbacks=[Stop(*stop)])
    undisturbed = trained(tmp_path / "other")
    assert len(resumed["losses"]) == 2
    assert resumed["losses"].isnan().sum() == (4 if stop == ("step", 2) else 0)
    resumed["losses"], undisturbed["losses"] = (
        each["losses"].nan_to_num() for each in (resumed, undisturbed)
    )
    assert differing(resumed, undisturbed) == []


def test_of_a_stop_is_told_to_callbacks_when_resumed(tmp_path):
    class Reason(Callback):
        def ended(self, run):
            self.found = run.stopped

    train(callbacks=[Stop("step", 2), Checkpoints(tmp_path, every_steps=1)])
    reason = Reason()
    train(resume=load_checkpoint(tmp_path), callbacks=[reason])
    assert reason.found == "enough"


def test_of_an_earlier_version_without_a_stop_can_be_used(written, undisturbed):
    checkpoint = load_checkpoint(written)
    del checkpoint.state["stopped"]
    assert differing(train(resume=checkpoint), undisturbed["adam"]) == []


@pytest.mark.parametrize(
    "schedule",
    [
        lambda each: torch.optim.lr_scheduler.StepLR(each, 5),
        lambda each: torch.optim.lr_scheduler.OneCycleLR(each, 0.01, total_steps=STEPS * EPOCHS),
        lambda each: torch.optim.lr_scheduler.LambdaLR(each, lambda step: 0.9**step),
    ],
    ids=["step", "one cycle", "lambda"],
)
def test_schedules_of_torch_go_on_too(tmp_path, schedule):
    interrupted(tmp_path, 8, schedule=schedule, every_steps=3)
    resumed = train(resume=load_checkpoint(tmp_path), schedule=schedule)
    assert differing(resumed, train(schedule=schedule)) == []


def test_checkpoints_change_nothing(tmp_path, undisturbed):
    watched = train(callbacks=[Checkpoints(tmp_path, every_steps=1)])
    assert differing(watched, undisturbed["adam"]) == []


def test_virtual_workers_go_on_with_streams_of_their_own(tmp_path):
    whole = train(strategy=VirtualWorkers(3))
    interrupted(tmp_path, 3, strategy=VirtualWorkers(3))
    resumed = train(strategy=VirtualWorkers(3), resume=load_checkpoint(tmp_path))
    assert differing(resumed, whole) == []


def test_a_checkpoint_can_be_used_twice(tmp_path, undisturbed):
    interrupted(tmp_path, 5)
    checkpoint = load_checkpoint(tmp_path)
    for _ in range(2):
        assert differing(train(resume=checkpoint), undisturbed["adam"]) == []


def test_a_finished_training_is_not_trained_again(tmp_path, undisturbed):
    train(callbacks=[Checkpoints(tmp_path)])
    resumed = train(resume=load_checkpoint(tmp_path), callbacks=[Interrupt(1)])
    assert differing(resumed, undisturbed["adam"]) == []


def test_more_epochs_can_be_added(tmp_path, undisturbed):
    train(epochs=EPOCHS - 1, callbacks=[Checkpoints(tmp_path)])
    assert differing(train(resume=load_checkpoint(tmp_path)), undisturbed["adam"]) == []


def test_newest_are_kept(tmp_path):
    train(callbacks=[Checkpoints(tmp_path, every_steps=5, every_epochs=None, keep=2)])
    assert [path.name for path in checkpoints_in(tmp_path)] == [
        "epoch-000002-step-00000005",
        "epoch-000001-step-00000005",
    ]


def test_metrics_are_kept(tmp_path):
    class Measure(Callback):
        seen = ()

        def started(self, run):
            self.seen = dict(run.metrics)

        def epoch_ended(self, run):
            run.metrics["dice"] = run.epoch / 7

    train(callbacks=[Measure(), Checkpoints(tmp_path)])
    again = Measure()
    train(resume=load_checkpoint(tmp_path), callbacks=[again])
    assert again.seen == {"dice": EPOCHS / 7}


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps", [1, 7, *(pytest.param(steps, marks=pytest.mark.long) for steps in (4, 11))]
)
def test_killed_process_ends_with_the_same_bits(tmp_path, undisturbed, steps):
    """It is killed as soon as it says that a step is done, wherever it is by then."""
    command = [sys.executable, "-m", trainings.__name__, str(tmp_path)]
    command += ["--checkpoints", str(tmp_path / "checkpoints")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(steps):
            process.stdout.readline()
        process.kill()
    assert process.returncode == -9
    subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL)
    assert differing(load_file(tmp_path / "0.safetensors"), undisturbed["adam"]) == []
    assert not list((tmp_path / "checkpoints").glob(".*"))


class TestDamage:
    FILES = ("model.safetensors", "optimiser.safetensors", "progress.safetensors", "state.json")

    @pytest.fixture
    def folder(self, written, tmp_path):
        return shutil.copytree(written, tmp_path / "copy")

    def check(self, folder, reason):
        """The older one is used, it is said so, and the training ends as it would have."""
        newest, older = checkpoints_in(folder)
        with pytest.warns(UserWarning, match=reason) as caught:
            found = load_checkpoint(folder)
        message = str(caught[0].message)
        assert message.startswith(f"{newest}: damaged")
        assert message.endswith(f"{older.name}, which is older, is used instead.")
        assert found.folder == older
        return found

    @pytest.mark.parametrize("name", FILES)
    def test_truncated(self, folder, name):
        path = newest_checkpoint(folder) / name
        path.write_bytes(path.read_bytes()[:-5])
        self.check(folder, "checksum")

    @pytest.mark.parametrize("name", FILES)
    def test_missing(self, folder, name):
        (newest_checkpoint(folder) / name).unlink()
        self.check(folder, "a file is missing")

    @pytest.mark.parametrize("name", FILES)
    @settings(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_one_bit(self, written, tmp_path_factory, name, data):
        folder = tmp_path_factory.mktemp("bit") / "copy"
        shutil.copytree(written, folder)
        path = newest_checkpoint(folder) / name
        content = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        if name == "state.json" and self.harmless(path, written):
            return
        self.check(folder, "checksum")

    def harmless(self, path, written):
        """Nothing is read of the words around the checksum."""
        before = (newest_checkpoint(written) / path.name).read_bytes()
        first, now = before.partition(b"\n")[0], path.read_bytes().partition(b"\n")[0]
        digest = first.split(b'"')[3]
        return first != now and digest in now

    def test_training_goes_on_from_the_older_one(self, folder, undisturbed):
        newest = newest_checkpoint(folder)
        (newest / "model.safetensors").unlink()
        resume = self.check(folder, "missing")
        resumed = train(resume=resume, callbacks=[Checkpoints(folder, every_steps=1, keep=99)])
        assert differing(resumed, undisturbed["adam"]) == []
        assert newest.exists()
        assert newest.with_name(f"{newest.name}.damaged").exists()

    def test_none_is_whole(self, folder):
        for path in checkpoints_in(folder):
            (path / "state.json").write_text("{}")
        with pytest.raises(InputError, match=r"no whole checkpoint(.|\n)*checksum is wrong"):
            load_checkpoint(folder)

    def test_none_is_there(self, tmp_path):
        with pytest.raises(InputError, match="no whole checkpoint"):
            load_checkpoint(tmp_path / "nowhere")

    def test_format_of_another_version(self, folder):
        path = newest_checkpoint(folder) / "state.json"
        state = json.loads(path.read_bytes())["state"] | {"format": 99}
        path.write_bytes(checkpoint_module._sealed(state))
        with pytest.raises(InputError, match="has format 99; this version reads format 1"):
            load_checkpoint(folder)

    @pytest.mark.parametrize("fails", [2, 3, 5])
    def test_full_disk_leaves_no_half(self, tmp_path, monkeypatch, fails):
        calls = iter(range(100))
        write = checkpoint_module._write_to_disk

        def full(path, data):
            if next(calls) == fails:
                raise OSError(28, "No space left on device")
            write(path, data)

        monkeypatch.setattr(checkpoint_module, "_write_to_disk", full)
        with pytest.raises(OSError, match="No space left"):
            train(callbacks=[Checkpoints(tmp_path, every_steps=1)])
        assert len(list(tmp_path.iterdir())) == fails // 4


class TestAnotherTraining:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"optimiser": "momentum"}, "optimiser: Adam in the checkpoint, SGD now"),
            ({"batch_size": 5}, "batch size: 4 in the checkpoint, 5 now"),
            ({"samples": 21}, "samples: 23 in the checkpoint, 21 now"),
            ({"strategy": VirtualWorkers(2)}, "workers: 1 in the checkpoint, 2 now"),
            (
                {"build": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2))},
                r"1.weight: float32 \[4\] in the checkpoint, float32 \[2, 64\] now",
            ),
            ({"build": lambda: nn.Sequential(nn.Flatten())}, "0.weight: .* not there now"),
            ({"dtype": torch.float64}, r"float32 .* in the checkpoint, float64"),
        ],
    )
    def test_says_what_differs(self, checkpoint, options, message, monkeypatch):
        if options.get("build") and "not there" in message:
            monkeypatch.setitem(
                OPTIMISERS, "adam", lambda _: torch.optim.Adam([nn.Parameter(torch.ones(1))], 0.1)
            )
        with pytest.raises(InputError, match=f"another training:\n(.|\n)*{message}"):
            train(resume=checkpoint, **options)

    def test_other_streams(self, checkpoint):
        model = trainings.network()
        settings = {"loss": nn.functional.cross_entropy, "batch_size": 4, "epochs": 1}
        settings["optimiser"] = torch.optim.Adam(model.parameters())
        settings["generator"] = torch.Generator()
        message = r"schedule: RateScheduler .*\nrandom streams: \['augmentation', 'batch_order'\]"
        with pytest.raises(InputError, match=message):
            fit(model, *trainings.images(), resume=checkpoint, **settings)


def test_a_folder_holds_one_training(tmp_path):
    train(callbacks=[Checkpoints(tmp_path)])
    with pytest.raises(InputError, match="holds checkpoints of an earlier training"):
        train(callbacks=[Checkpoints(tmp_path)])


@pytest.mark.parametrize("wrong", [{"every_steps": 0}, {"every_epochs": 0}, {"keep": 0}])
def test_numbers_must_be_positive(tmp_path, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is 0; it must be at least 1"):
        Checkpoints(tmp_path, **wrong)


def test_a_state_that_is_no_plain_value_is_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setitem(
        OPTIMISERS, "adam", lambda weights: torch.optim.Adam([{"params": weights, "note": object}])
    )
    with pytest.raises(InputError, match="an option of the optimiser cannot be checkpointed"):
        train(callbacks=[Checkpoints(tmp_path)])


def test_a_schedule_that_json_would_change_is_refused_at_the_start(tmp_path):
    def milestones(optimiser):
        return torch.optim.lr_scheduler.MultiStepLR(optimiser, [3, 5])

    with pytest.raises(InputError, match="the schedule's state cannot be checkpointed: JSON"):
        train(callbacks=[Checkpoints(tmp_path)], schedule=milestones)


def test_lost_worker_learns_of_the_last_checkpoint(tmp_path):
    class Lose(Callback):
        def epoch_ended(self, _):
            raise WorkerLostError("gone", ranks=(1,))

    with pytest.raises(WorkerLostError, match="Resume from the last checkpoint") as caught:
        train(callbacks=[Checkpoints(tmp_path), Lose()], strategy=SINGLE)
    assert caught.value.checkpoint == newest_checkpoint(tmp_path)
