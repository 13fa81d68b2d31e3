"""Rules that add trainings: what they ask for, what they show, and what is left of a report."""

import math

import numpy as np
import pandas as pd
import pytest

from reprostats import FixedWidthInterval, SequentialComparison, confidence_sequence, verdict
from reprostats.errors import InputError
from reprostats.verdicts._base import NO, NOT_APPLICABLE, UNDETERMINED, YES

FIRST = {"a": 5, "b": 5}


def results(**values: list[float]) -> pd.DataFrame:
    """A results table with one value a training; NaN: it failed."""
    rows = [
        {
            "condition": name,
            "trial": f"{name}{place}",
            "metric": "dice",
            "case": "all",
            "value": value,
            "status": "ok" if math.isfinite(value) else "failed",
            "init": place,
        }
        for name, each in values.items()
        for place, value in enumerate(each)
    ]
    return pd.DataFrame(rows)


class TestFixedWidthInterval:
    rule = FixedWidthInterval(metric="dice", half_width=0.01, max_trainings=30)

    def test_asks_each_condition_for_what_its_own_spread_needs(self):
        narrow, wide = [0.80, 0.801, 0.802, 0.803, 0.804], [0.80, 0.81, 0.82, 0.83, 0.84]
        stop = self.rule.look(results(a=narrow, b=wide), FIRST)
        # s = 0.0158, t(4) = 2.776: (2.776 x 0.0158 / 0.01)^2 = 19.3
        assert stop.more == {"b": 15}
        assert [v.answer for v in stop.verdicts] == [YES, NO]

    def test_later_trainings_do_not_change_what_is_needed(self):
        wide = [0.80, 0.81, 0.82, 0.83, 0.84]
        more = np.random.default_rng(0).normal(0.82, 0.1, 15).tolist()
        stop = self.rule.look(results(b=wide + more), FIRST)
        assert not stop.more
        assert stop.verdicts[0].answer == YES
        assert stop.verdicts[0].ci_high - stop.verdicts[0].ci_low <= 0.02

    def test_trainings_that_failed_are_trained_anew(self):
        wide = [0.80, 0.81, 0.82, 0.83, 0.84]
        stop = self.rule.look(results(b=[*wide, *[0.82] * 7, math.nan]), FIRST)
        assert stop.more == {"b": 8}  # twelve of twenty completed

    def test_stops_at_the_most_trainings_and_says_so(self):
        rule = FixedWidthInterval(metric="dice", half_width=0.01, max_trainings=8)
        wide = [0.80, 0.81, 0.82, 0.83, 0.84]
        assert rule.look(results(b=wide), FIRST).more == {"b": 3}
        stop = rule.look(results(b=[*wide, 0.8, 0.82, 0.84]), FIRST)
        assert not stop.more
        assert stop.verdicts[0].answer == NO
        assert "At most 8 were allowed" in stop.verdicts[0].sentence

    @pytest.mark.parametrize("values", [[0.8, math.nan, math.nan], [0.8]])
    def test_one_training_shows_no_spread(self, values):
        stop = self.rule.look(results(a=values), FIRST)
        assert not stop.more
        assert stop.verdicts[0].answer == UNDETERMINED
        assert "no spread" in stop.verdicts[0].sentence

    def test_no_training_completed(self):
        stop = self.rule.look(results(a=[math.nan] * 3, b=[0.8, 0.81, 0.82]), FIRST)
        assert "a" not in stop.more
        assert "see why trials failed" in stop.verdicts[0].sentence


class TestSequentialComparison:
    rule = SequentialComparison(metric="dice", margin=0.02, step=2, max_trainings=12)

    def test_undecided_asks_for_the_next_pairs(self):
        stop = self.rule.look(results(a=[0.80, 0.83, 0.81], b=[0.81, 0.80, 0.83]), FIRST)
        assert stop.more == {"a": 2, "b": 2}
        assert stop.verdicts[0].shown == "nothing"

    def test_the_condition_with_fewer_trainings_catches_up(self):
        stop = self.rule.look(results(a=[0.80, 0.83, 0.81, 0.82], b=[0.81, 0.80, 0.83]), FIRST)
        assert stop.more == {"a": 1, "b": 2}

    def test_a_clear_difference_stops(self):
        one = [0.90, 0.91, 0.905, 0.902, 0.908]
        other = [0.80, 0.812, 0.803, 0.805, 0.801]
        stop = self.rule.look(results(a=one, b=other), FIRST)
        found = stop.verdicts[0]
        assert not stop.more
        assert (found.answer, found.shown, found.n) == (YES, "difference", 5)
        expected = confidence_sequence(np.subtract(one, other)).iloc[-1]
        assert found.ci_low == pytest.approx(expected["ci_low"], rel=1e-12)
        assert found.p_value == pytest.approx(1 / expected["e_value"], rel=1e-12)

    def test_equivalence_stops(self):
        rng = np.random.default_rng(4)
        base = rng.normal(0.8, 0.05, 12)
        near = base + rng.normal(0, 0.002, 12)
        stop = self.rule.look(results(a=near.tolist(), b=base.tolist()), FIRST)
        found = stop.verdicts[0]
        assert (found.shown, stop.more) == ("equivalence", {})
        assert found.p_equivalence < 0.05 < found.p_value

    def test_decided_conditions_get_no_more_trainings(self):
        a, b = [0.90, 0.91, 0.905, 0.902, 0.908, 0.9], [0.80, 0.812, 0.803, 0.805, 0.801, 0.8]
        c = [0.80, 0.83, 0.79, 0.82, 0.81, 0.79]
        rule = SequentialComparison(metric="dice", baseline="b")
        stop = rule.look(results(a=a, b=b, c=c), FIRST)
        assert stop.more == {"c": 1, "b": 1}

    def test_one_copy_among_the_trainings_does_not_hide_what_is_decided(self):
        one = [0.90, 0.91, 0.905, 0.902, 0.908, 0.908]
        other = [0.80, 0.812, 0.803, 0.805, 0.801, 0.804]
        table = results(a=one, b=other)
        table["weights_sha256"] = [*"uvwxyy", *"abcdef"]
        found = self.rule.look(table, FIRST).verdicts[0]
        assert found.answer == YES
        assert "They differ after 5 pairs" in found.sentence

    def test_repeats_of_one_seed_decide_nothing(self):
        one = [0.90, 0.91, 0.905, 0.902, 0.908]
        other = [0.80, 0.812, 0.803, 0.805, 0.801]
        table = results(a=one, b=other).assign(repeat=[*range(5)] * 2)
        table["init"] = [0] * 5 + [0, 1, 2, 3, 4]
        stop = self.rule.look(table, FIRST)
        assert (stop.more, stop.verdicts[0].answer) == ({}, UNDETERMINED)
        assert "one draw" in stop.verdicts[0].sentence
        better = verdict(table, metric="dice", stop=stop).of("better")
        assert {v.answer for v in better} == {UNDETERMINED}

    def test_copies_stop_because_more_of_them_show_nothing(self):
        table = results(a=[0.9, 0.9, 0.9], b=[0.8, 0.81, 0.82])
        table["weights_sha256"] = ["same"] * 3 + ["x", "y", "z"]
        stop = self.rule.look(table, FIRST)
        assert not stop.more
        assert "no other seed" in stop.verdicts[0].sentence

    def test_stops_at_the_most_trainings(self):
        rng = np.random.default_rng(7)
        one, other = rng.normal(0.8, 0.05, (2, 12)).tolist()
        stop = self.rule.look(results(a=one, b=other), FIRST)
        assert not stop.more
        assert "At most 12 were allowed" in stop.verdicts[0].sentence

    def test_refuses_what_cannot_be_compared(self):
        with pytest.raises(InputError, match="one condition"):
            self.rule.look(results(a=[0.8, 0.9]), FIRST)
        with pytest.raises(InputError, match="baseline"):
            SequentialComparison(metric="dice", baseline="z").look(results(a=[0.8], b=[0.9]), FIRST)


class TestReport:
    one = (0.90, 0.91, 0.905, 0.902, 0.908)
    other = (0.80, 0.812, 0.803, 0.805, 0.801)

    def test_only_what_the_rule_decided_is_answered(self):
        table = results(a=[*self.one], b=[*self.other])
        table = pd.concat([table.assign(case=case) for case in ("x", "y")])
        stop = SequentialComparison(metric="dice").look(table, FIRST)
        report = verdict(table, metric="dice", stop=stop)
        assert [v.answer for v in report.of("trainings added")] == [YES]
        answers = {v.generalise_to: v.answer for v in report.of("better")}
        assert answers == {"cases": UNDETERMINED, "runs": YES, "runs and cases": UNDETERMINED}
        for_new_trainings = next(v for v in report.of("better") if v.generalise_to == "runs")
        assert for_new_trainings.p_value == report.of("trainings added")[0].p_value
        assert any("as if their number had been fixed" in note for note in report.notes)

    def test_a_pair_that_is_asked_the_other_way_round_has_the_same_answer(self):
        table = results(a=[*self.one], b=[*self.other])
        stop = SequentialComparison(metric="dice", baseline="a").look(table, FIRST)
        asked = verdict(table, metric="dice", stop=stop).of("better")[0]
        decided = stop.verdicts[0]
        assert (asked.first, decided.first) == ("a", "b")
        assert (asked.ci_low, asked.p_value) == (-decided.ci_high, decided.p_value)

    def test_methods_and_notes_name_the_confidence_sequence(self):
        table = results(a=[*self.one], b=[*self.other])
        stop = SequentialComparison(metric="dice").look(table, FIRST)
        report = verdict(table, metric="dice", stop=stop)
        assert "confidence sequence" in report.methods.text
        assert "Student" not in report.methods.text
        assert "Holm" not in report.tables["comparisons"].note
        assert "hold at every look" in report.figures["differences"].caption

    def test_another_metric_is_not_decided_by_the_rule(self):
        table = results(a=[*self.one], b=[*self.other])
        stop = SequentialComparison(metric="dice").look(table, FIRST)
        both = pd.concat([table, table.assign(metric="accuracy")])
        report = verdict(both, metric="accuracy", stop=stop)
        assert {v.answer for v in report.of("better")} == {UNDETERMINED}

    def test_two_stages_leave_comparisons_with_a_caution(self):
        table = results(a=[*self.one], b=[*self.other])
        stop = FixedWidthInterval(metric="dice", half_width=0.1).look(table, FIRST)
        better = verdict(table, metric="dice", stop=stop).of("better")
        assert all(v.answer in (YES, NOT_APPLICABLE) for v in better)
        assert all("does not count" in v.sentence for v in better)


@pytest.mark.parametrize(
    ("rule", "options", "said"),
    [
        (FixedWidthInterval, {"half_width": 0}, "half_width is 0"),
        (FixedWidthInterval, {"half_width": 0.1, "max_trainings": 1}, "max_trainings is 1"),
        (FixedWidthInterval, {"half_width": 0.1, "confidence_level": 95}, "confidence_level"),
        (SequentialComparison, {"margin": -1}, "margin is -1"),
        (SequentialComparison, {"step": 0}, "step is 0"),
        (SequentialComparison, {"effect_size": math.inf}, "effect_size is inf"),
    ],
)
def test_rules_refuse_numbers_out_of_range(rule, options, said):
    with pytest.raises(InputError, match=said):
        rule(metric="dice", **options)


@pytest.mark.long
def test_equal_conditions_are_seldom_called_different():
    """300 studies that are looked at six times: at most 5 % err (standard error 1.3 points).

    The three-way comparison holds the level for all pairs together.
    """
    rng = np.random.default_rng(8)
    rule = SequentialComparison(metric="dice", max_trainings=40)
    wrong = 0
    for _ in range(300):
        values = rng.normal(0.8, 0.02, (3, 40))
        for n in (3, 5, 8, 13, 20, 40):
            table = results(**{name: values[k, :n].tolist() for k, name in enumerate("abc")})
            stop = rule.look(table, {"a": 3, "b": 3, "c": 3})
            if any(v.shown == "difference" for v in stop.verdicts):
                wrong += 1
                break
    assert wrong / 300 <= 0.05
