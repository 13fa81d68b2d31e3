"""Parts of the engine that need no worker."""

import argparse
import functools
import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.records.files import read_record, write_record
from reprostats.records.record import TrialRecord
from reprostats.seeds import seed_sequence
from reprostats.sources import SOURCES, STREAMS, complete_levels, environment
from reprostats.study import contents
from reprostats.study.code import code_dependencies, function_name
from reprostats.study.identity import plain_config
from reprostats.study.outcome import check_doubles, has_diverged, metric_rows
from reprostats.study.plan import Condition, PlannedTrial
from reprostats.study.streams import Streams, global_states

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


FUNCTIONS = {"double": helper}
LIMIT = [1, 2]


class Base:
    def start(self):
        return 0


class Derived(Base):
    rate = 0.5

    def forward(self):
        return self.start()


@functools.lru_cache
def cached(x):
    return helper(x)


def uses_dispatch(trial):
    return {"value": FUNCTIONS["double"](1)}


class Still(torch.optim.Optimizer):
    def step(self, closure=None):
        return closure


def uses_own_optimiser(trial):
    return Still


def uses_list(trial):
    return {"value": LIMIT[0]}


def uses_derived(trial):
    return {"value": Derived().forward()}


def uses_cached(trial):
    return {"value": cached(1)}


def two_arguments(trial, rate):
    return {"rate": rate}


def uses_default(trial, rate=FACTOR):
    return {"value": rate}


def imports_late(trial):
    from tests.study import trials

    return trials.constant(trial)


class TestReachedCode:
    @pytest.mark.parametrize(
        "function", [uses_helper, uses_class, uses_dispatch, uses_cached], ids=lambda f: f.__name__
    )
    def test_changes_with_a_value_behind_what_it_calls(self, monkeypatch, function):
        before = code_dependencies(function)
        monkeypatch.setitem(globals(), "FACTOR", 3)
        assert code_dependencies(function) != before

    def test_changes_with_an_element_of_a_list(self, monkeypatch):
        before = code_dependencies(uses_list)
        monkeypatch.setitem(globals(), "LIMIT", [1, 3])
        assert code_dependencies(uses_list) != before

    def test_changes_with_a_default(self, monkeypatch):
        before = code_dependencies(uses_default)
        monkeypatch.setattr(uses_default, "__defaults__", (3,))
        assert code_dependencies(uses_default) != before

    def test_changes_with_a_base_class_and_a_class_attribute(self, monkeypatch):
        before = code_dependencies(uses_derived)
        monkeypatch.setattr(Derived, "rate", 0.6)
        middle = code_dependencies(uses_derived)
        monkeypatch.setattr(Base, "start", helper)
        assert before != middle != code_dependencies(uses_derived)

    def test_an_optimiser_that_was_used_before_is_the_same_code(self):
        before = code_dependencies(uses_own_optimiser)
        Still([torch.zeros(1, requires_grad=True)], {})
        assert Still.step.hooked  # PyTorch has wrapped it
        assert code_dependencies(uses_own_optimiser) == before

    def test_follows_imports_inside_the_function(self):
        assert "tests.study.trials:constant" in code_dependencies(imports_late)

    def test_follows_the_experiment_down_to_its_initialiser(self):
        from reprostats.experiments.lenet import train_lenet

        found = code_dependencies(train_lenet)
        assert "reprostats.models.initialisers:_glorot_uniform" in found
        assert "reprostats.learning.loop:fit" in found
        assert not any(name.startswith(("torch", "pydantic")) for name in found)

    def test_is_the_same_in_another_process_with_another_hash_seed(self):
        program = (
            "from tests.study.test_units import uses_class, uses_dispatch\n"
            "from reprostats.experiments.lenet import train_lenet\n"
            "from reprostats.study.code import code_dependencies\n"
            "print([code_dependencies(f) for f in (uses_class, uses_dispatch, train_lenet)])"
        )
        said = {
            subprocess.run(
                [sys.executable, "-c", program],
                env=os.environ | {"PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert len(said) == 1

    def test_ignores_what_it_does_not_reach(self, monkeypatch):
        before = code_dependencies(uses_helper)
        monkeypatch.setitem(globals(), "Model", None)
        assert code_dependencies(uses_helper) == before

    def test_counts_the_values_of_an_enclosing_function(self):
        def made(hidden):
            def train(trial):
                return {"value": hidden}

            return train

        assert (
            code_dependencies(made(3)) == code_dependencies(made(3)) != code_dependencies(made(4))
        )

    def test_says_what_it_cannot_tell(self, monkeypatch):
        monkeypatch.setitem(globals(), "FACTOR", threading.Lock())
        with pytest.warns(
            UserWarning, match="reaches 'FACTOR', a lock whose content cannot be told"
        ):
            code_dependencies(uses_helper)

    def test_refuses_what_is_no_function(self):
        with pytest.raises(InputError, match="plain function, not type"):
            function_name(Model)


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
    settings_ = [tuple(each.levels[name] for name in streams) for each in condition.settings()]
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

    def test_the_stream_of_the_global_generators_goes_on_where_it_is_entered(self):
        streams, drawn = Streams({"dropout": 1}), []
        SOURCES["dropout"].apply(1)
        drawn.append(np.random.rand())  # noqa: NPY002
        with streams.globally("dropout"):
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

    def test_doubles_are_refused(self):
        with pytest.raises(InputError, match="metric 'a', case '1': there are 2 values"):
            check_doubles([("a", "1", 0.0), ("a", "1", 1.0)])

    @pytest.mark.parametrize(
        ("returned", "message"), [({}, "no metric"), ({"dice": {}}, "'dice' has no cases")]
    )
    def test_nothing_is_refused(self, returned, message):
        with pytest.raises(InputError, match=message):
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

        record = TrialRecord(
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
        record = TrialRecord(
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


class TestHints:
    def test_arguments_of_a_command_line(self):
        with pytest.raises(InputError, match=r"not Namespace\. Use vars\(args\)"):
            plain_config(argparse.Namespace(rate=0.1))
        with pytest.raises(InputError, match=r"config\['args'\] = .* Use vars\(args\)"):
            plain_config({"args": argparse.Namespace(rate=0.1)})
        assert plain_config(vars(argparse.Namespace(rate=0.1))) == {"rate": 0.1}

    def test_partial(self):
        with pytest.raises(InputError, match="not partial; give uses_default itself, and the val"):
            function_name(functools.partial(uses_default, rate=3))

    def test_more_arguments_than_the_trial(self):
        with pytest.raises(InputError, match=r"must take one argument, the trial; .*two_arguments"):
            function_name(two_arguments)

    def test_no_argument(self):
        with pytest.raises(InputError, match=r"takes \(\)\. Pass what else it needs"):
            function_name(lambda: 0)

    def test_method(self):
        with pytest.raises(InputError, match="not method; write a function that makes its Model"):
            function_name(Model().forward)

    @pytest.mark.parametrize("value", ["0.9", True, np.True_, b"1"])
    def test_what_only_looks_like_a_number(self, value):
        with pytest.raises(InputError, match=r"metric 'dice' is .* return float\(\.\.\.\) of it"):
            metric_rows({"dice": value})

    def test_numbers_of_other_libraries_are_numbers(self):
        values = [np.float32(0.5), torch.tensor(0.5), torch.tensor([0.5]), 1, np.int64(1)]
        assert [metric_rows({"x": value})[0][2] for value in values] == [0.5, 0.5, 0.5, 1.0, 1.0]

    @pytest.mark.parametrize("name", ["seed", "random_state"])
    def test_one_seed_for_all(self, name):
        with pytest.raises(InputError, match="name init, batch_order, augmentation, dropout or sp"):
            list(Condition(varied={name: [0, 1]}).settings())
        with pytest.raises(InputError, match="each random stream has a seed of its own"):
            Streams({"init": 1}).generator(name)


def test_touched_file_is_read_once_and_an_edited_one_is_noticed(tmp_path, monkeypatch):
    file = tmp_path / "data.bin"
    file.write_bytes(b"1")
    content = contents.Content.of(file)
    read = []
    whole = contents.sha256
    monkeypatch.setattr(contents, "sha256", lambda path: read.append(path) or whole(path))
    os.utime(file, ns=(1, 1))
    assert all(content.is_unchanged() for _ in range(3))
    assert read == [file]
    file.write_bytes(b"2")
    os.utime(file, ns=(2, 2))
    assert not content.is_unchanged()
