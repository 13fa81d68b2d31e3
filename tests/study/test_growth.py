"""Studies that add trainings until an answer is known."""

import pytest

from reprostats import Condition, FixedWidthInterval, SequentialComparison, Study
from reprostats.errors import InputError
from reprostats.study.growth import count_trainings, with_more_trainings
from tests.study import trials

TWO_STREAMS = [{"init": 0, "batch_order": 7}, {"init": 1, "batch_order": 9}]


def planned(**settings):
    return next(iter(Study(trials.scattered, **settings).planned.values()))


def more_of(trials, number):
    return with_more_trainings({"a": trials}, {"a": number})["a"]


class TestWithMoreTrainings:
    def test_next_seeds_of_all_streams_that_vary_together(self):
        more = more_of(planned(varied=TWO_STREAMS), 2)
        assert [(t.levels["init"], t.levels["batch_order"]) for t in more] == [
            (0, 7),
            (1, 9),
            (2, 10),
            (3, 11),
        ]
        assert len({t.identity for t in more}) == 4

    def test_a_training_is_all_its_folds(self):
        before = planned(varied={"init": [0, 1]}, folds=3)
        assert count_trainings(before) == 2
        more = more_of(before, 1)
        assert [(t.levels["init"], t.fold) for t in more[6:]] == [(2, 0), (2, 1), (2, 2)]
        assert count_trainings(more) == 3

    def test_without_a_varied_source_they_are_repeats(self):
        more = more_of(planned(repeats=2), 2)
        assert [t.repeat for t in more] == [0, 1, 2, 3]

    def test_growing_twice_is_growing_once(self):
        before = planned(varied={"init": [5, 3]})
        assert more_of(more_of(before, 1), 2) == more_of(before, 3)

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"varied": {"init": [0, 1], "batch_order": [0, 1]}}, "share a level of 'init'"),
            ({"varied": {"init": [0, 1]}, "repeats": 2}, "share a level of 'init'"),
            ({"varied": {"threads": [1, 2]}}, "'threads' is varied"),
        ],
    )
    def test_refuses_designs_without_independent_trainings(self, settings, said):
        with pytest.raises(InputError, match=said):
            more_of(planned(**settings), 1)


class TestRunUntil:
    def test_adds_the_trainings_that_the_spread_asks_for(self, tmp_path):
        study = Study(trials.scattered, varied={"init": range(4)}, folder=tmp_path / "s")
        rule = FixedWidthInterval(metric="dice", half_width=0.01)
        results = study.run(until=rule, progress=False)
        found = study.report(metric="dice").of("trainings added")[0]
        assert found.n == found.needed == results["trial"].nunique() > 4
        assert sorted(results["init"].unique()) == list(range(found.n))

    def test_an_interrupted_study_ends_with_the_same_trainings(self, tmp_path):
        rule = SequentialComparison(metric="dice", max_trainings=7)
        conditions = {name: Condition(varied={"init": [0, 1, 2]}) for name in "ab"}
        options = {"conditions": conditions, "folder": tmp_path / "s"}
        # The level of init alone decides a value: both conditions are equal and never decided.
        one = Study(trials.scattered, **options).run(until=rule, progress=False)
        other = Study(trials.scattered, **options).run(until=rule, progress=False)
        assert one.equals(other)

    def test_a_second_run_of_the_same_study_keeps_its_first_stage(self, tmp_path):
        study = Study(trials.scattered, varied={"init": range(4)}, folder=tmp_path / "s")
        rule = FixedWidthInterval(metric="dice", half_width=0.01)
        study.run(until=rule, progress=False)
        first = study.report(metric="dice").of("trainings added")[0]
        study.run(until=rule, progress=False)
        assert study.report(metric="dice").of("trainings added")[0] == first
        assert first.n_first == 4

    def test_trainings_that_are_not_independent_are_never_counted(self, tmp_path):
        study = Study(trials.scattered, varied={"init": [0, 1]}, repeats=2, folder=tmp_path / "s")
        with pytest.raises(InputError, match="share a level of 'init'"):
            study.run(until=FixedWidthInterval(metric="dice", half_width=1.0), progress=False)

    def test_what_was_trained_is_kept_where_no_training_can_be_added(self, tmp_path):
        study = Study(trials.scattered, varied={"threads": [1, 2]}, folder=tmp_path / "s")
        rule = FixedWidthInterval(metric="dice", half_width=1e-6)
        with pytest.raises(InputError, match="'threads' is varied"):
            study.run(until=rule, progress=False)
        assert study.results()["trial"].nunique() == 2
