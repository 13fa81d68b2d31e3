"""Damage to stored files: noticed, whatever bit it is, or without any effect."""

import itertools
import json
import random
import shutil

import pytest
import torch

from reprostats.errors import DamagedFileError, InputError
from reprostats.provenance import describe_environment
from reprostats.records.environments import read_environment, write_environment
from reprostats.records.files import read_record, write_record
from reprostats.records.record import TrainingRecord, TrialRecord
from reprostats.records.tensors import read_tensors, write_tensors
from reprostats.train.claim import claim, claimed_code
from reprostats.train.config import TrainingConfig
from reprostats.train.run import run

CONFIG = TrainingConfig(
    data={"heads": {"patients": 2, "slices": 2, "resolution": 8}, "folds": 2}, epochs=1, watch=None
)
MUTATIONS = 120


def mutations(content: bytes, seed: int):
    """Flip bits, cut, double, delete and exchange bytes, and change digits."""
    draw = random.Random(seed)  # noqa: S311
    digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    for number in range(MUTATIONS):
        place = draw.randrange(len(content))
        before, byte, after = content[:place], content[place], content[place + 1 :]
        match number % 6:
            case 0:
                yield before + bytes([byte ^ 1 << draw.randrange(8)]) + after
            case 1:
                yield before
            case 2:
                yield before + after
            case 3:
                yield before + bytes([byte, byte]) + after
            case 4:
                yield before + after[:1] + bytes([byte]) + after[1:]
            case _ if digits:
                place = draw.choice(digits)
                other = draw.choice([each for each in b"0123456789" if each != content[place]])
                yield content[:place] + bytes([other]) + content[place + 1 :]


def assert_noticed(path, read, seed):
    """Every mutation is an error that names the file, or what is read is what was written."""
    content, whole = path.read_bytes(), read()
    errors = []
    for damaged in mutations(content, seed):
        path.write_bytes(damaged)
        try:
            assert read() == whole, damaged
        except DamagedFileError as error:
            errors.append(str(error))
    path.write_bytes(content)
    assert read() == whole
    assert all(str(path) in error for error in errors)
    assert len(errors) > MUTATIONS * 0.6  # white space in JSON holds nothing


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "run"
    run(CONFIG, folder, announce=str)
    return folder


def as_json(record):
    return record.model_dump_json()


class TestRecords:
    def test_of_a_training(self, training):
        assert_noticed(training / "record.json", lambda: as_json(read_record(training)), 1)

    def test_of_a_trial(self, tmp_path):
        record = TrialRecord(
            function="m:f", code="c0de", config={"rate": 0.1}, levels={"init": 1}, repeat=0,
            fold=None, metrics=[("dice", str(n), n / 7) for n in range(9)], seconds=1 / 3,
        )  # fmt: skip
        write_record(tmp_path, record)
        assert_noticed(tmp_path / "record.json", lambda: as_json(read_record(tmp_path)), 2)


class TestEnvironments:
    @pytest.fixture
    def environment(self, tmp_path):
        name = write_environment(tmp_path, describe_environment())
        return tmp_path / f"{name}.json", TrainingRecord(config={}, environment=name)

    def test_are_known_by_their_content(self, environment, tmp_path):
        path, record = environment
        assert_noticed(path, lambda: read_environment(tmp_path, record), 3)

    @pytest.mark.parametrize("content", ["", "[]", "null", "[" * 20_000, "NaN"])
    def test_that_hold_something_else_are_damaged(self, environment, tmp_path, content):
        path, record = environment
        path.write_text(content)
        with pytest.raises(DamagedFileError, match=f"{path.name}: damaged on disk"):
            read_environment(tmp_path, record)

    def test_that_are_damaged_are_written_again(self, environment, tmp_path):
        path, record = environment
        content = path.read_bytes()
        path.write_bytes(content[:100])
        assert write_environment(tmp_path, json.loads(content)) == record.environment
        assert path.read_bytes() == content


class TestFoldersOfTrainings:
    def test_claims(self, training):
        assert_noticed(training / "claim.json", lambda: claimed_code(training), 4)

    def test_configurations(self, training):
        """A number such as 0.10 may also be read as the same one."""
        assert_noticed(training / "config.json", lambda: as_json(claim(training, CONFIG)), 5)

    def test_a_claim_of_another_form(self, training, tmp_path):
        shutil.copytree(training, tmp_path / "run")
        for content in ("[]", "{}", '{"sha256": 1, "claim": 2}'):
            (tmp_path / "run" / "claim.json").write_text(content)
            with pytest.raises(DamagedFileError, match=r"claim\.json: damaged on disk"):
                claim(tmp_path / "run", CONFIG)

    def test_a_damaged_file_that_was_moved_away_is_written_again(self, training, tmp_path):
        shutil.copytree(training, tmp_path / "run")
        for name in ("claim.json", "config.json"):
            before = (tmp_path / "run" / name).read_bytes()
            (tmp_path / "run" / name).unlink()
            assert claim(tmp_path / "run", CONFIG)
            assert (tmp_path / "run" / name).read_bytes() == before

    def test_without_claim_and_configuration_the_record_says_whose_it_is(self, training, tmp_path):
        shutil.copytree(training, tmp_path / "run")
        for name in ("claim.json", "config.json"):
            (tmp_path / "run" / name).unlink()
        with pytest.raises(InputError, match="epochs: 1 there, 2 now"):
            claim(tmp_path / "run", CONFIG.model_copy(update={"epochs": 2}))


class TestTensors:
    @pytest.mark.parametrize("name", ["weights", "losses"])
    def test_of_a_training_are_those_of_its_record(self, training, name):
        record = read_record(training)

        def read():
            tensors = read_tensors(training, name, record)
            return {key: tensor.tolist() for key, tensor in tensors.items()}

        assert_noticed(training / f"{name}.safetensors", read, 6)

    def test_of_a_folder_without_a_record_are_read(self, tmp_path):
        write_tensors(tmp_path, "weights", {"bias": torch.ones(2)})
        assert read_tensors(tmp_path, "weights")["bias"].tolist() == [1.0, 1.0]

    def test_that_are_not_there(self, training):
        with pytest.raises(InputError, match=r"gradients\.safetensors is missing"):
            read_tensors(training, "gradients")


def test_mutations_differ_from_what_they_are_made_of():
    content = json.dumps({"metrics": [["dice", "a", 0.25]]}).encode()
    changed = list(itertools.islice(mutations(content, 0), MUTATIONS))
    assert len(changed) == MUTATIONS
    assert sum(each != content for each in changed) > MUTATIONS * 0.9
