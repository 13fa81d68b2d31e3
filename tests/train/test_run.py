"""A training from its configuration to its record, in one process."""

import hashlib
import json
import math
import shutil

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from reprostats.errors import DivergedError, InputError
from reprostats.models.store import publish
from reprostats.records.files import read_record, write_record
from reprostats.records.record import TrainingRecord
from reprostats.study.streams import Streams
from reprostats.train.build import torch_generator
from reprostats.train.claim import claim
from reprostats.train.config import read_config
from reprostats.train.run import run
from tests.records import version_1

COHORT = {"heads": {"patients": 4, "slices": 2, "resolution": 8}, "folds": 2}
TROUBLE = {"name": "own.py:Trouble", "parameters": {"kind": "raise", "step": 8}}

UNET = {"model": {"name": "unet", "parameters": {"widths": [2, 4]}}, "epochs": 1}


@pytest.fixture
def train(write, tmp_path):
    """Train in a folder of a name; give the record and what was announced."""

    def trained(name: str = "run", **changes: object):
        said = []
        record = run(read_config(write(**changes)), tmp_path / name, said.append)
        return record, said

    return trained


def as_version_1(folder, *, ended, has_code):
    """Leave in a folder what version 1 left there."""
    record = read_record(folder, TrainingRecord)
    (folder / "claim.json").unlink()
    (folder / "record.json").unlink()
    if has_code:
        (folder / "code.json").write_text(json.dumps(record.code))
    if ended:
        same = record.model_dump(include={"config", "fingerprints", "code"})
        version_1.write_training(folder, **same)


def edit(path):
    path.write_text(path.read_text() + "\n# a remark\n")


class TestRecord:
    def test_says_what_was_trained_and_what_came_out(self, train, tmp_path):
        record, said = train(task="segmentation")
        folder = tmp_path / "run"
        assert record == read_record(folder)
        assert record.status == "ok"
        assert set(record.cases("dice")) == {"one", "other"}
        values = record.cases("dice").values()
        assert record.summary["dice"].mean == pytest.approx(sum(values) / 2)
        losses = load_file(folder / "losses.safetensors")["losses"]
        assert losses.shape == (2, 6)
        assert record.losses == pytest.approx(losses.mean(1).tolist())
        assert record.description == {"training": 12, "test": 2}
        assert set(record.times) == {"loading", "building", "training", "testing"}
        assert record.effective["threads"] == 1
        assert "torch" in record.environment["packages"]
        assert [*record.code] == [str(tmp_path / "own.py")]
        assert said == [f"epoch {n} of 2: training loss {record.losses[n - 1]:.4g}" for n in (1, 2)]

    def test_measures_are_those_of_the_kept_weights(self, train, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        record, _ = train()
        import own

        model = own.Net()
        model.load_state_dict(load_file(tmp_path / "run" / "weights.safetensors"))
        model.eval()
        images, masks = own.discs()[1]["one"]
        found, truth = model(images) > 0, masks > 0
        dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
        assert record.cases("dice")["one"] == pytest.approx(float(dice))

    def test_of_a_cohort_names_its_patients(self, train):
        unet = {"name": "unet", "parameters": {"widths": [2, 4]}}
        record, _ = train(data=COHORT, model=unet, epochs=1)
        assert set(record.cases("dice")) == set(record.description["test_patients"])
        assert len(record.description["training_patients"]) == 2

    def test_of_a_divergence_says_so(self, train, tmp_path):
        with pytest.raises(DivergedError, match="epoch 1 of 2, step 1"):
            train(loss="own.py:not_a_number")
        record = read_record(tmp_path / "run")
        assert record.status == "diverged"
        assert "epoch 1 of 2, step 1" in record.reason

    def test_of_a_last_step_that_diverges_says_so(self, train, tmp_path):
        """Its loss is computed before it, and is finite as all others."""
        use = {"model": "own.py:Net", "optimiser": "sgd", "batch_size": 12, "epochs": 1}
        rate = {"name": "constant", "learning_rate": 1e38}
        with pytest.raises(DivergedError, match=r"outputs of the trained network .* case one are"):
            train(schedule=rate, **use)
        record = read_record(tmp_path / "run")
        assert record.status == "diverged"
        assert "case one are not finite" in record.reason
        assert math.isfinite(*record.losses)
        assert not record.metrics

    def test_watching_writes_beside_it(self, train, tmp_path):
        train(watch={"every_s": 60})
        lines = (tmp_path / "run" / "training.jsonl").read_text().splitlines()
        assert [json.loads(line).get("epoch") for line in lines[:2]] == [1, 2]


class TestRepeats:
    @pytest.mark.parametrize("strategy", [{}, {"strategy": "virtual", "workers": 3}])
    def test_are_bitwise_equal_with_all_streams_in_use(self, train, strategy):
        model = {"name": "own.py:Net", "parameters": {"dropout": 0.3}}
        use = {"model": model, "augmentation": {"rotation_degrees": 20}, **strategy}
        torch.manual_seed(1)
        one, _ = train("one", **use)
        torch.manual_seed(2)
        same, _ = train("same", **use)
        assert one.fingerprints == same.fingerprints
        assert one.world_size == strategy.get("workers", 1)

    @pytest.mark.parametrize(
        "changes",
        [
            {"seed": 1}, {"augmentation": {"shift_pixels": 2}}, {"initialiser": "he_normal"},
            {"strategy": "virtual", "workers": 2}, {"optimiser": "rmsprop"},
            {"model": {"name": "own.py:Net", "parameters": {"dropout": 0.5}}},
        ],
    )  # fmt: skip
    def test_differ_by_what_is_changed(self, train, changes):
        one, _ = train("one")
        other, _ = train("other", **changes)
        assert one.fingerprints["weights"] != other.fingerprints["weights"]

    def test_leave_the_global_generator_as_it_was(self, train):
        before = torch.get_rng_state()
        train(initialiser="own", model={"name": "own.py:Net", "parameters": {"dropout": 0.5}})
        assert torch.equal(before, torch.get_rng_state())

    def test_two_batch_sizes_of_a_step_are_one(self, train):
        workers = {"strategy": "virtual", "workers": 2}
        one, _ = train("one", batch_size=2, **workers)
        same, _ = train("same", batch_size=4, batch_size_of="step", **workers)
        assert one.fingerprints == same.fingerprints

    def test_draw_what_a_study_draws_with_the_same_seed(self):
        study = Streams(dict.fromkeys(("init", "batch_order"), 7))
        for stream in ("init", "batch_order"):
            drawn = torch_generator(stream, 7)
            assert torch.equal(drawn.get_state(), study.torch_generator(stream).get_state())


class TestGoingOn:
    @pytest.mark.parametrize("workers", [1, 2])
    def test_after_an_interruption_ends_with_the_same_bits(self, train, workers):
        use = {
            "strategy": "virtual", "workers": workers, "epochs": 5, "callbacks": [TROUBLE],
            "model": {"name": "own.py:Net", "parameters": {"dropout": 0.3}},
            "augmentation": {"rotation_degrees": 20}, "checkpoints": {"every_steps": 1},
        }  # fmt: skip
        with pytest.raises(InputError, match="something is wrong here"):
            train("one", **use)
        one, said = train("one", **use)
        assert said[0].startswith("going on from checkpoint epoch-00000")
        assert one.resumed
        undisturbed, _ = train("other", **(use | {"callbacks": []}))
        assert one.fingerprints == undisturbed.fingerprints

    def test_after_a_damaged_checkpoint_takes_the_one_before_and_says_so(self, train, tmp_path):
        with pytest.raises(InputError):
            train(callbacks=[TROUBLE])
        *_, newest = sorted((tmp_path / "run" / "checkpoints").iterdir())
        (newest / "model.safetensors").write_bytes(b"damaged")
        record, said = train(callbacks=[TROUBLE])
        assert f"{newest.name}: damaged" in said[0]
        assert record.resumed < newest.name
        assert record.fingerprints["weights"] == train("other")[0].fingerprints["weights"]

    def test_from_a_checkpoint_of_another_model_is_refused(self, train, tmp_path):
        train("one")
        shutil.copytree(tmp_path / "one" / "checkpoints", tmp_path / "other" / "checkpoints")
        with pytest.raises(
            InputError, match=r"another training:\n[^$]*\[2, 1, 3, 3\] in the check"
        ):
            train("other", model={"name": "own.py:Net", "parameters": {"maps": 3}})

    def test_after_the_last_step_tests_and_records_what_was_trained(self, train, tmp_path):
        first, _ = train()
        (tmp_path / "run" / "record.json").unlink()
        again, said = train()
        assert len(said) == 1  # no epoch was trained
        assert again.fingerprints == first.fingerprints
        assert again.metrics == first.metrics

    def test_from_the_configuration_in_its_folder(self, train, tmp_path):
        first, _ = train()
        config = read_config(tmp_path / "run" / "config.json")
        assert run(config, tmp_path / "run", print) == first

    def test_when_it_has_ended_gives_its_record(self, train):
        first, _ = train()
        again, said = train()
        assert again == first
        assert len(said) == 1
        assert "has ended already" in said[0]

    @pytest.mark.parametrize("rank", [0, 1])
    def test_when_it_has_ended_joins_no_workers(self, train, write, tmp_path, monkeypatch, rank):
        use = {"strategy": "distributed", "workers": 2}
        claim(tmp_path / "run", read_config(write(**use)))
        ended = TrainingRecord(config={})
        write_record(tmp_path / "run", ended)
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        record, said = train(**use)
        assert record == (None if rank else ended)
        assert len(said) == (0 if rank else 1)

    def test_with_another_configuration_is_refused(self, train):
        train()
        with pytest.raises(InputError, match=r"epochs: 2 there, 3 now\n  seed: 2019 there, 1 now$"):
            train(epochs=3, seed=1)

    def test_with_a_changed_file_is_refused_when_it_has_ended(self, train, tmp_path):
        train()
        edit(tmp_path / "own.py")
        with pytest.raises(InputError, match=rf"other code.*:\n  {tmp_path / 'own.py'}$"):
            train()

    def test_with_a_changed_file_is_refused_until_it_is_put_back(self, train, tmp_path):
        with pytest.raises(InputError, match="something is wrong here"):
            train(callbacks=[TROUBLE])
        as_it_was = (tmp_path / "own.py").read_text()
        edit(tmp_path / "own.py")
        with pytest.raises(InputError, match=rf"other code.*:\n  {tmp_path / 'own.py'}$"):
            train(callbacks=[TROUBLE])
        (tmp_path / "own.py").write_text(as_it_was)
        assert train(callbacks=[TROUBLE])[0].resumed

    def test_with_a_corrected_file_begins_if_nothing_was_learnt_yet(self, train, tmp_path):
        own = tmp_path / "wrong.py"
        own.write_text("def data(): return 5")
        with pytest.raises(InputError, match="gives a pair"):
            train(data="wrong.py:data")
        own.write_text("from own import discs as data")
        record, _ = train(data="wrong.py:data")
        assert record.code[str(own)] == hashlib.sha256(own.read_bytes()).hexdigest()

    @pytest.mark.parametrize("ended", [True, False])
    @pytest.mark.parametrize("has_code", [True, False])
    def test_in_a_folder_of_an_earlier_version(self, train, tmp_path, ended, has_code):
        """It holds no claim; hashes of code are in a file of their own, or in the record only."""
        first, _ = train()
        as_version_1(tmp_path / "run", ended=ended, has_code=has_code)
        assert train()[0].fingerprints == first.fingerprints
        edit(tmp_path / "own.py")
        with pytest.raises(InputError, match="other code"):
            train()

    def test_in_a_folder_of_an_earlier_version_with_other_code_is_refused(self, train, tmp_path):
        train()
        as_version_1(tmp_path / "run", ended=False, has_code=True)
        edit(tmp_path / "own.py")
        with pytest.raises(InputError, match="other code"):
            train()

    def test_while_another_trains_there_is_refused(self, train, tmp_path):
        (tmp_path / "run").mkdir()
        with (
            FileLock(tmp_path / "run" / ".lock"),
            pytest.raises(InputError, match="another training is going on there"),
        ):
            train()


class TestTransfer:
    @pytest.fixture
    def store(self, train, tmp_path):
        train("first", **UNET)
        weights = load_file(tmp_path / "first" / "weights.safetensors")
        publish(weights, {
            "name": "discs", "task": "segmentation", "data": "discs", "license": "CC0-1.0",
            "architecture": {"name": "reprostats.models.unet:UNet"},
            "metrics": {"dice": {"median": 0.5, "repeats": 1}},
        }, tmp_path / "store")  # fmt: skip
        return weights

    def test_of_a_frozen_encoder_keeps_it(self, train, tmp_path, store):
        chosen = {"name": "discs", "store": "store", "frozen": True}
        record, _ = train("second", seed=1, transfer=chosen, **UNET)
        found = load_file(tmp_path / "second" / "weights.safetensors")
        assert all(torch.equal(found[key], store[key]) for key in store if "down" in key)
        assert not torch.equal(found["output.weight"], store["output.weight"])
        assert record.config["transfer"]["store"] == str(tmp_path / "store")

    @pytest.mark.usefixtures("store")
    def test_of_what_is_not_there_is_refused(self, train):
        with pytest.raises(InputError, match="squares"):
            train("second", transfer={"name": "squares", "store": "store"}, **UNET)

    @pytest.mark.usefixtures("store")
    def test_into_another_network_is_refused(self, train):
        with pytest.raises(InputError, match="down"):
            train("second", transfer={"name": "discs", "store": "store"},
                  model={"name": "unet", "parameters": {"widths": [3, 4]}})  # fmt: skip


class TestOwnFile:
    def test_all_parts_are_used_with_no_change_in_the_package(self, train, tmp_path):
        record, _ = train(
            task="own.py:brightness",
            strategy="own.py:Halves",
            optimiser={"name": "own.py:Plain", "parameters": {"scale": 0.5}},
            schedule={"name": "own.py:Falling", "parameters": {"start": 0.2}},
            loss={"name": "own.py:squared", "parameters": {"weight": 2.0}},
            callbacks=["own.py:Steps"],
        )
        assert {name for name, _, _ in record.metrics} == {"brightness", "target"}
        assert (tmp_path / "run" / "steps.txt").read_text() == "12"
        plain, _ = train("plain", loss="own.py:squared", optimiser="sgd")
        assert plain.fingerprints["weights"] != record.fingerprints["weights"]

    def test_strategy_that_halves_a_batch_equals_one_that_does_not_but_for_statistics(self, train):
        """The mean over equal halves is the mean over the batch; batch normalisation is not."""
        unet = {"name": "unet", "parameters": {"widths": [2, 4], "normalisation": "none"}}
        use = {"model": unet, "loss": "own.py:squared", "optimiser": "sgd"}
        one, _ = train("one", **use)
        other, _ = train("other", strategy="own.py:Halves", **use)
        assert one.losses == pytest.approx(other.losses, rel=1e-5)

    def test_layer_without_a_rule_names_the_way_out(self, train):
        with pytest.raises(InputError, match=r"no rule for the parameters of '1' .GroupNorm") as e:
            train(model="own.py:GroupNet")
        assert "'own' a network keeps the weights it gives itself" in str(e.value)
        record, _ = train("own", model="own.py:GroupNet", initialiser="own")
        assert record.status == "ok"

    @pytest.mark.parametrize(
        ("code", "wanted"),
        [
            ("def data(): return 5", "gives a pair: .*; not a int"),
            ("def data(): return (1, 2)", "gives a pair: .*; not a tuple of 2"),
            ("def data(): return ((1, 2), {})", "gave no case to test"),
            (
                "def data():\n    raise KeyError('x')",
                "raised KeyError: 'x' on line 2 of .*wrong.py",
            ),
        ],
    )
    def test_data_that_is_none(self, train, tmp_path, code, wanted):
        (tmp_path / "wrong.py").write_text(code)
        with pytest.raises(InputError, match=wanted):
            train(data="wrong.py:data")

    def test_model_that_is_none(self, train, tmp_path):
        (tmp_path / "wrong.py").write_text("def net():\n    return 5\n")
        with pytest.raises(InputError, match="gave a int, which is no"):
            train(model="wrong.py:net", initialiser="own")


class TestRefused:
    def test_distributed_without_processes(self, train):
        with pytest.raises(InputError, match="start it with reprostats train, or with torchrun"):
            train(strategy="distributed", workers=2)

    def test_other_number_of_workers_than_torchrun_started(self, train, monkeypatch):
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("WORLD_SIZE", "3")
        with pytest.raises(InputError, match=r"torchrun started 3 workers, but .* workers: 2"):
            train(strategy="distributed", workers=2)

    def test_fewer_samples_than_workers(self, train):
        with pytest.raises(InputError, match="workers"):
            train(strategy="virtual", workers=13)
