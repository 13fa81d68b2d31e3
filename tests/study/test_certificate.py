"""Certificates: verified where nothing is wrong, refuted at the right place where something is."""

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from reprostats import Condition, Study
from reprostats.cli import main
from reprostats.errors import DamagedFileError, InputError
from reprostats.records.checksum import write_checked
from reprostats.sources import instruction_sets, seeds
from reprostats.study.certificate import Certificate, read_certificate, write_certificate
from reprostats.study.verification import certify, imported_function, verify

OTHER_SET = next((name for name in instruction_sets() if name == "baseline"), None)
STEPS = 8


def train(trial):
    """Two epochs of four steps."""
    with trial.stream("init"):
        model = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 2))
    samples = torch.linspace(-1, 1, 1280).reshape(64, 20) * trial.config["scale"]
    labels = torch.tensor([int(line) for line in Path("labels.txt").read_text().split()])
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    generator = trial.torch_generator("batch_order")
    for _ in range(2):
        for batch in torch.randperm(64, generator=generator).split(16):
            optimiser.zero_grad()
            functional.cross_entropy(model(samples[batch]), labels[batch]).backward()
            optimiser.step()
    trial.keep("weights", model.state_dict())
    return {"loss": functional.cross_entropy(model(samples), labels)}


def draw(trial):
    """A result that no two trainings share: it comes from the operating system."""
    drawn = float(int.from_bytes(os.urandom(3)))
    trial.keep("weights", {"one": torch.tensor(drawn)})
    nn.Linear(1, 1)(torch.ones(1))
    return {"loss": drawn}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study with its certificates, in a folder with its data."""
    folder = tmp_path_factory.mktemp("certificate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "labels.txt").write_text("0\n" * 32 + "1\n" * 32)
        conditions = {
            "portable": Condition({**seeds(1), "deterministic": "portable", "threads": 2}),
            "native": Condition({**seeds("os"), "threads": 1}),
        }
        study = Study(
            train,
            config={"scale": 1.5},
            conditions=conditions,
            folder=folder / "study",
            files=["labels.txt"],
        )
        study.run(workers=1, progress=False)
        for name, (trial,) in study.planned.items():
            study.certify(trial.identity, folder / f"{name}.json", progress=False)
        yield folder, study


@pytest.fixture
def folder(made, monkeypatch):
    monkeypatch.chdir(made[0])
    return made[0]


def certificate(folder, name, **changed):
    content = json.loads((folder / f"{name}.json").read_text())["certificate"]
    return Certificate.model_validate(content | changed)


@pytest.mark.slow
@pytest.mark.xdist_group("certificate")
class TestVerify:
    def test_a_training_is_verified(self, folder):
        found = verify(read_certificate(folder / "portable.json"), progress=False)
        assert found.verified
        assert found.steps == found.of_steps == STEPS
        assert "any machine can verify it" in str(found)

    @pytest.mark.skipif(OTHER_SET is None, reason="one instruction set only")
    def test_portable_trainings_are_verified_on_other_hardware(self, folder):
        levels = certificate(folder, "portable").levels | {"isa": OTHER_SET, "threads": 1}
        assert verify(certificate(folder, "portable", levels=levels), progress=False).verified

    @pytest.mark.skipif(OTHER_SET is None, reason="one instruction set only")
    def test_others_are_not(self, folder):
        levels = certificate(folder, "native").levels | {"isa": OTHER_SET}
        found = verify(certificate(folder, "native", levels=levels), progress=False)
        assert not found.verified
        assert "not in portable arithmetic" in str(found)

    def test_drawn_seeds_are_part_of_it(self, folder):
        drawn = certificate(folder, "native").levels
        assert isinstance(drawn["init"], int)
        assert verify(read_certificate(folder / "native.json"), progress=False).verified

    def test_another_seed_is_refuted_at_the_start(self, folder):
        levels = certificate(folder, "portable").levels | {"init": 2}
        found = verify(certificate(folder, "portable", levels=levels), progress=False)
        assert (found.verified, found.step, found.phase) == (False, 0, "initial")
        assert found.place == "Sequential.0.weight"

    def test_another_configuration_is_refuted_where_it_first_counts(self, folder):
        found = verify(certificate(folder, "portable", config={"scale": 1.25}), progress=False)
        assert (found.verified, found.step, found.phase) == (False, 0, "input")

    @pytest.mark.parametrize("step", [0, 5, STEPS])
    def test_one_other_step_is_refuted_there(self, folder, step):
        steps = [each.model_dump() for each in certificate(folder, "portable").steps]
        steps[step]["chain"] = f"{int(steps[step]['chain'], 16) ^ 1:064x}"
        found = verify(certificate(folder, "portable", steps=steps), progress=False)
        assert (found.verified, found.step, found.what) == (False, step, "the chain")

    def test_one_other_event_is_refuted_in_its_module(self, folder):
        original = certificate(folder, "portable")
        steps = [each.model_dump() for each in original.steps]
        events = steps[3]["events"]
        steps[3]["events"] = f"{int(events[:4], 16) ^ 1:04x}{events[4:]}"
        steps[3]["chain"] = "0" * 64
        found = verify(certificate(folder, "portable", steps=steps), progress=False)
        assert (found.step, found.phase, found.place) == (3, "input", "Sequential")

    def test_other_weights_are_refuted_at_the_end(self, folder):
        fingerprints = {"weights": "0" * 64}
        found = verify(certificate(folder, "portable", fingerprints=fingerprints), progress=False)
        assert (found.verified, found.step) == (False, None)
        assert "not the fingerprint of weights" in str(found)

    def test_other_metrics_are_refuted_at_the_end(self, folder):
        metrics = [("loss", "all", 0.1)]
        found = verify(certificate(folder, "portable", metrics=metrics), progress=False)
        assert (found.verified, found.what) == (False, "the metrics")

    def test_missing_steps_are_refuted(self, folder):
        steps = certificate(folder, "portable").steps[:-1]
        found = verify(certificate(folder, "portable", steps=steps), progress=False)
        assert not found.verified

    def test_the_first_steps_alone(self, folder):
        found = verify(read_certificate(folder / "portable.json"), steps=2, progress=False)
        assert (found.verified, found.steps) == (True, 2)
        assert "was not looked at" in str(found)

    def test_command_line(self, folder, capsys):
        assert main(["verify", "portable.json", "--steps", "1"]) == 0
        assert "Verified as far as compared" in capsys.readouterr().out
        levels = certificate(folder, "portable").levels | {"init": 2}
        write_certificate(certificate(folder, "portable", levels=levels), folder / "forged.json")
        assert main(["verify", "forged.json", "--steps", "1"]) == 1
        assert "Refuted at step 0" in capsys.readouterr().out
        assert main(["verify", "missing.json"]) == 2
        assert "there is no such file" in capsys.readouterr().err

    def test_certified_from_the_command_line(self, folder, made, capsys):
        (trial,) = made[1].planned["portable"]
        assert main(["certify", str(folder / "study"), trial.identity, "again.json"]) == 0
        assert f"{STEPS} steps are certified" in capsys.readouterr().out
        assert (
            read_certificate(folder / "again.json").steps == certificate(folder, "portable").steps
        )

    def test_what_does_not_repeat_is_not_certified(self, tmp_path):
        study = Study(draw, folder=tmp_path / "study")
        (trial,) = study.trials
        study.run(workers=1, progress=False)
        with pytest.raises(InputError, match="does not repeat"):
            study.certify(trial.identity, tmp_path / "draw.json", progress=False)


@pytest.mark.slow
@pytest.mark.xdist_group("certificate")
class TestRefused:
    def test_other_data(self, folder):
        with pytest.raises(InputError, match=r"labels\.txt: not the code or files"):
            verify(certificate(folder, "portable", files={"labels.txt": "0" * 64}))

    def test_other_code(self, folder):
        code = certificate(folder, "portable").code
        name = next(name for name in code if name.endswith(":train"))
        with pytest.raises(InputError, match="test_certificate:train: not the code"):
            verify(certificate(folder, "portable", code={**code, name: "0" * 64}))

    def test_one_flipped_bit_in_the_file(self, folder, tmp_path):
        text = (folder / "portable.json").read_text()
        place = text.index('"chain"') + 12
        damaged = tmp_path / "damaged.json"
        damaged.write_text(text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :])
        with pytest.raises(DamagedFileError, match="does not match its checksum"):
            read_certificate(damaged)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"certificate": 1, "sha256": ""}', "\x00"])
    def test_other_files(self, tmp_path, text):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(DamagedFileError, match=r"other\.json"):
            read_certificate(tmp_path / "other.json")

    def test_a_certificate_without_a_field(self, folder, tmp_path):
        content = json.loads((folder / "portable.json").read_text())["certificate"]
        del content["levels"]
        write_checked(tmp_path / "short.json", "certificate", content)
        with pytest.raises(DamagedFileError, match="levels"):
            read_certificate(tmp_path / "short.json")

    def test_no_steps(self, folder):
        with pytest.raises(InputError, match="1 or more"):
            verify(certificate(folder, "portable"), steps=0)

    def test_a_trial_that_is_not_recorded(self, folder):
        with pytest.raises(InputError, match="0000"):
            certify(train, folder / "study", "0" * 20)


@pytest.mark.parametrize("name", ["__main__:train", "tests.study.test_x:f.<locals>.train"])
def test_functions_without_a_module_of_their_own(name):
    with pytest.raises(InputError, match="cannot be imported"):
        imported_function(name)


@pytest.mark.parametrize("name", ["no_such_module:train", "json:train"])
def test_functions_that_are_not_there(name):
    with pytest.raises(InputError, match="run this in the folder of its module"):
        imported_function(name)
