"""Records on disk: read back as they were written, whatever their version."""

import json
import math

import pytest

from reprostats.errors import DamagedFileError, InputError, NotAvailableError
from reprostats.records.checksum import write_checked
from reprostats.records.files import (
    MissingRecordError,
    archive_record,
    has_record,
    read_record,
    write_record,
)
from reprostats.records.migrations import VERSION
from reprostats.records.record import Record, Summary, TrainingRecord, TrialRecord
from tests.records import version_1

TRIAL = TrialRecord(
    function="m:f", code="c", config={}, levels={"init": 1, "isa": "native"}, repeat=0, fold=None,
    metrics=[("loss", "all", math.inf)], times={"training": 2.0}, seconds=3.0,
)  # fmt: skip
TRAINING = TrainingRecord(
    config={"seed": 7},
    metrics=[("hausdorff", "a", math.inf), ("dice", "a", math.nan)],
    summary={"hausdorff": Summary(mean=math.inf, sd=math.nan, cases=1)},
    losses=[1.0, math.nan],
    environment={"python": "3.12"},
)


@pytest.mark.parametrize("record", [TRIAL, TRAINING], ids=["trial", "training"])
class TestOfBothKinds:
    def test_is_read_back(self, tmp_path, record):
        write_record(tmp_path, record)
        read = read_record(tmp_path)
        assert type(read) is type(record)
        assert read.model_dump_json() == record.model_dump_json()
        assert read_record(tmp_path, type(record)).version == VERSION

    def test_is_not_read_as_the_other_kind(self, tmp_path, record):
        write_record(tmp_path, record)
        other = TrainingRecord if record is TRIAL else TrialRecord
        with pytest.raises(
            InputError, match=f"the record of a {record.kind}, not a {other.__name__}"
        ):
            read_record(tmp_path, other)

    def test_of_a_later_version_says_so(self, tmp_path, record):
        later = json.loads(record.model_dump_json()) | {"version": VERSION + 1, "more": 1}
        write_checked(tmp_path / "record.json", "record", later)
        with pytest.raises(NotAvailableError, match=rf"json: version {VERSION + 1} .* Update"):
            read_record(tmp_path)

    @pytest.mark.parametrize("version", [0, -1, "2", None, True, [2]])
    def test_of_no_version_is_damaged(self, tmp_path, record, version):
        content = json.loads(record.model_dump_json()) | {"version": version}
        write_checked(tmp_path / "record.json", "record", content)
        with pytest.raises(DamagedFileError, match="it is not a record"):
            read_record(tmp_path)


def test_a_folder_without_a_record_says_what_it_should_be(tmp_path):
    with pytest.raises(MissingRecordError, match=r"holds no record\.json"):
        read_record(tmp_path)
    assert not has_record(tmp_path)
    assert issubclass(MissingRecordError, InputError | FileNotFoundError)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"', "", "[" * 20_000, "\0", "{}"])
def test_a_file_that_is_no_record_is_damaged(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(DamagedFileError, match=r"record\.json: damaged on disk"):
        read_record(tmp_path)


def test_archived_records_are_numbered(tmp_path):
    for number in (1, 2, 3):
        write_record(tmp_path, TRIAL)
        assert archive_record(tmp_path).name == f"record.attempt-{number}.json"
    assert not has_record(tmp_path)


class TestVersion1:
    def test_of_a_trial(self, tmp_path):
        record = read_record(version_1.write_trial(tmp_path), TrialRecord)
        assert record.version == VERSION
        assert record.metrics == [
            ("accuracy", "all", 0.75), ("hausdorff", "patient 1", math.inf),
            ("reaction_time", "patient 1", 0.3),
        ]  # fmt: skip
        assert record.times == {"training": 1.25}
        assert record.kept is None
        same = {name: value for name, value in version_1.TRIAL.items()
                if name not in {"format", "metrics"}}  # fmt: skip
        assert record.model_dump(include=set(same)) == same

    def test_of_a_trial_is_checked(self, tmp_path):
        path = version_1.write_trial(tmp_path) / "record.json"
        path.write_text(path.read_text().replace("0.75", "0.76"))
        with pytest.raises(DamagedFileError, match="does not match its checksum"):
            read_record(tmp_path)

    def test_of_a_training(self, tmp_path):
        record = read_record(version_1.write_training(tmp_path), TrainingRecord)
        assert record.version == VERSION
        (_, _, one), (metric, case, other) = record.metrics
        assert (one, metric, case) == (0.5, "dice", "other")
        assert math.isnan(other)
        assert record.seconds == 1.25
        assert record.kept == ["losses", "weights"]
        assert record.environment == version_1.ENVIRONMENT | {"git_commit": "abc123"}
        assert record.summary["dice"].cases == 1
        same = {name: value for name, value in version_1.TRAINING.items()
                if name not in {"format", "metrics", "summary", "environment", "git_commit"}
        }  # fmt: skip
        assert record.model_dump(include=set(same)) == same

    def test_of_a_training_that_diverged(self, tmp_path):
        version_1.write_training(
            tmp_path, status="diverged", reason="loss", metrics={}, fingerprints={}
        )
        record = read_record(tmp_path)
        assert (record.status, record.metrics, record.kept) == ("diverged", [], [])

    @pytest.mark.parametrize("changes", [{"metrics": 3}, {"metrics": {"dice": 1}}, {"times": "x"},
                                         {"environment": None}, {"more": 1}])  # fmt: skip
    def test_of_a_training_that_is_damaged(self, tmp_path, changes):
        with pytest.raises(DamagedFileError, match="it is not a record"):
            read_record(version_1.write_training(tmp_path, **changes))


class TestRows:
    def test_are_alike_for_both_kinds(self):
        for kind in (TRIAL, TRAINING):
            rows = kind.model_copy(
                update={
                    "metrics": [("dice", "a", 0.5)],
                    "fingerprints": {"weights": "ab"},
                    "times": {"training": 2.0},
                    "seconds": 3.0,
                }
            ).rows()
            assert rows == [
                {"metric": "dice", "case": "a", "value": 0.5, "status": "ok", "reason": "",
                 "weights_sha256": "ab", "training_time": 2.0, "trial_time": 3.0}
            ]  # fmt: skip

    @pytest.mark.parametrize("kind", [TRIAL, TRAINING], ids=["trial", "training"])
    def test_of_a_failure_without_metrics_say_why(self, kind):
        changes = {"metrics": [], "status": "diverged", "reason": "loss is nan"}
        (row,) = kind.model_copy(update=changes).rows()
        assert (row["metric"], row["reason"]) == ("", "loss is nan")
        assert math.isnan(row["value"])

    def test_of_a_training_without_metrics_that_completed_are_none(self):
        assert TRAINING.model_copy(update={"metrics": []}).rows() == []


def test_cases_of_a_metric():
    assert TRAINING.cases("hausdorff") == {"a": math.inf}
    assert TRAINING.cases("iou") == {}


def test_the_base_is_no_kind_of_its_own():
    with pytest.raises(ValueError, match="kind"):
        Record(config={})
