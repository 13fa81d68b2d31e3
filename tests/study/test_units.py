"""Parts of the engine that need no worker."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.study import identity
from reprostats.study.outcome import has_diverged, metric_rows
from reprostats.study.plan import Condition, PlannedTrial
from reprostats.study.record import Record, read_record, write_record
from reprostats.study.sources import SOURCES, STREAMS, complete_levels, environment
from reprostats.study.streams import Streams, global_states, seed_sequence

FACTOR = 2


def helper(x):
    return FACTOR * x


def uses_helper(trial):
    return {"value": helper(3)}


class Model:
    def forward(self):
        return helper(1)


def uses_class(trial):
    return {"value": Model().forward()}


class TestCodeDigest:
    def test_changes_with_a_constant_it_reaches(self, monkeypatch):
        before = identity.code_digest(uses_helper)
        monkeypatch.setitem(globals(), "FACTOR", 3)
        assert identity.code_digest(uses_helper) != before

    def test_reaches_through_a_class(self, monkeypatch):
        before = identity.code_digest(uses_class)
        monkeypatch.setitem(globals(), "FACTOR", 3)
        assert identity.code_digest(uses_class) != before

    def test_ignores_what_it_does_not_reach(self, monkeypatch):
        before = identity.code_digest(uses_helper)
        monkeypatch.setitem(globals(), "Model", None)
        assert identity.code_digest(uses_helper) == before

    def test_refuses_values_of_an_enclosing_function(self):
        hidden = 3

        def train(trial):
            return {"value": hidden}

        with pytest.raises(InputError, match="uses hidden of an enclosing function"):
            identity.code_digest(train)

    def test_refuses_what_is_no_function(self):
        with pytest.raises(InputError, match="plain function, not type"):
            identity.code_digest(Model)


class TestIdentity:
    def planned(self, **changes):
        levels = complete_levels(changes.pop("levels", {}))
        base = {"function": "m:f", "code": "c", "config": {"a": 1}, "levels": levels, "repeat": 0}
        return PlannedTrial(**(base | changes))

    @pytest.mark.parametrize(
        "change",
        [
            {"function": "m:g"},
            {"code": "d"},
            {"config": {"a": 2}},
            {"levels": {"init": 1}},
            {"repeat": 1},
            {"fold": 0},
        ],
    )
    def test_every_part_counts(self, change):
        assert self.planned(**change).identity != self.planned().identity

    def test_order_of_keys_does_not_count(self):
        one = self.planned(config={"a": 1, "b": 2}).identity
        assert one == self.planned(config={"b": 2, "a": 1}).identity


@given(st.lists(st.sampled_from(list(SOURCES)), unique=True, max_size=3), st.integers(1, 3))
def test_crossed_plan_has_every_combination_once(names, levels):
    streams = [name for name in names if name in STREAMS]
    condition = Condition(varied={name: list(range(levels)) for name in streams})
    settings_ = [tuple(each[name] for name in streams) for each in condition.settings()]
    assert len(settings_) == levels ** len(streams)
    assert len(set(settings_)) == len(settings_)


class TestStreams:
    @given(st.integers(0, 2**63 - 1), st.sampled_from(STREAMS), st.sampled_from(STREAMS))
    def test_depend_on_seed_and_name_alone(self, seed, one, other):
        drawn = seed_sequence(one, seed).generate_state(4).tolist()
        assert drawn == seed_sequence(one, seed).generate_state(4).tolist()
        assert (drawn == seed_sequence(other, seed).generate_state(4).tolist()) == (one == other)

    def test_drawing_from_one_leaves_the_other(self):
        busy, quiet = Streams({"init": 1, "split": 1}), Streams({"init": 1, "split": 1})
        busy.generator("init").normal(size=100)
        assert busy.generator("split").normal() == quiet.generator("split").normal()

    def test_generator_goes_on_where_it_stands(self):
        streams = Streams({"init": 1})
        assert streams.generator("init").normal() != streams.generator("init").normal()

    def test_globally_puts_the_generators_back(self):
        before = global_states()
        with Streams({"init": 1}).globally("init"):
            np.random.rand()  # noqa: NPY002
            assert global_states() != before
        assert global_states() == before

    def test_second_entry_draws_anew(self):
        streams, drawn = Streams({"init": 1}), []
        for _ in range(2):
            with streams.globally("init"):
                drawn.append(np.random.rand())  # noqa: NPY002
        assert drawn[0] != drawn[1]

    def test_unknown_stream(self):
        with pytest.raises(InputError, match="unknown random stream 'inti'; did you mean 'init'"):
            Streams({"init": 1}).generator("inti")


class TestOutcome:
    @pytest.mark.parametrize("returned", [None, 3, "text", [("a", 1)]])
    def test_must_be_a_mapping(self, returned):
        with pytest.raises(InputError, match="must return a mapping"):
            metric_rows(returned)

    @pytest.mark.parametrize("value", ["low", None, [1], np.ones(2)])
    def test_values_must_be_numbers(self, value):
        with pytest.raises(InputError, match="metric 'loss' is"):
            metric_rows({"loss": value})

    def test_undefined_for_some_cases_is_no_divergence(self):
        assert has_diverged([("d", "1", math.nan), ("d", "2", 1.0)]) is None

    def test_infinite_is_divergence(self):
        assert has_diverged([("loss", "all", math.inf)]) == "loss"


class TestRecord:
    @given(st.floats(), st.text(max_size=20))
    def test_round_trip(self, number, text):
        import tempfile
        from pathlib import Path

        record = Record(
            function="m:f", code="c", config={"t": text}, levels={"init": 1, "isa": "native"},
            repeat=0, fold=None, status="ok", metrics=[("m", text, number)],
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            write_record(Path(folder), record)
            read = read_record(Path(folder))
        assert read.model_dump_json() == record.model_dump_json()
        assert np.array_equal(read.metrics[0][2], number, equal_nan=True)

    def test_booleans_and_numbers_stay_apart(self, tmp_path):
        levels = {"deterministic": True, "threads": 1}
        record = Record(
            function="f", code="c", config={}, levels=levels, repeat=0, fold=None, status="ok"
        )
        write_record(tmp_path, record)
        assert read_record(tmp_path).levels["deterministic"] is True
        assert read_record(tmp_path).levels["threads"] == 1


def test_worker_environment_keeps_the_rest_of_the_shell(monkeypatch):
    monkeypatch.setenv("SOMETHING", "else")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    variables = environment(complete_levels({}))
    assert variables["SOMETHING"] == "else"
    assert "ATEN_CPU_CAPABILITY" not in variables
