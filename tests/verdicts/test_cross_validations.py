"""What the common report says of repeated cross-validations, whose runs have several folds."""

import numpy as np
import pandas as pd
import pytest

from reprostats.verdicts.comparison import ask_comparison
from reprostats.verdicts.evidence import gather
from reprostats.verdicts.overlap import ask_overlap
from reprostats.verdicts.report import verdict
from reprostats.verdicts.spread import components
from tests.experiments.cross_validation import (
    CASES,
    FOLDS,
    copies,
    cross_validation,
    simulated,
    table,
    trial,
)


class TestCopies:
    """Marrone's regime: all seeds are kept, and repetitions are equal bit for bit."""

    def test_are_told_and_count_once(self):
        report = verdict(copies(5, ("one", "two")), metric="dice", margin=0.01)
        assert [v.answer for v in report.of("repeatable")] == ["yes", "yes"]
        assert {(v.n_runs, v.n_distinct) for v in report.of("spread")} == {(5, 1)}
        new_trainings = [v for v in report.of("better") if v.generalise_to == "runs"]
        assert [v.answer for v in new_trainings] == ["undetermined"]
        assert new_trainings[0].n_runs == (1, 1)
        assert "components" not in report.tables

    def test_overlap_of_copies_is_no_evidence(self):
        overlap = ask_overlap(gather(copies(5), "dice"))[0]
        assert (overlap.n_runs, overlap.n_distinct) == (5, 1)
        assert overlap.answer == "not applicable"
        assert "All 5 repetitions are equal bit for bit" in overlap.sentence

    def test_recorded_in_another_order_are_copies_too(self):
        results = copies(2)
        rows = results.iloc[::-1].reset_index(drop=True)
        assert gather(rows, "dice").distinct_runs == {"one": 1}

    def test_other_weights_with_the_same_values_are_no_copies(self):
        trials = [
            fold
            for repeat in range(3)
            for fold in cross_validation("one", 7, len, repeat=repeat, weights=f"w{repeat}")
        ]
        assert gather(table(trials), "dice").distinct_runs == {"one": 3}

    def test_trials_without_a_fingerprint_are_not_taken_for_copies(self):
        hashed = cross_validation("one", 7, lambda _: 0.8, weights="w")
        bare = [
            fold
            for repeat in (1, 2)
            for fold in cross_validation("one", 7, lambda _, r=repeat: 0.8 + r / 100, repeat=repeat)
        ]
        assert gather(table([*hashed, *bare]), "dice").distinct_runs == {"one": 3}


class TestWords:
    def test_training_is_explained_where_there_are_folds(self):
        notes = verdict(simulated(), metric="dice").notes
        assert any("whole cross-validation" in note and "3 networks" in note for note in notes)
        single = simulated().query("fold == 0")
        assert not any("cross-validation" in note for note in verdict(single, metric="dice").notes)

    def test_added_verdicts_are_in_the_table(self):
        report = verdict(simulated(), metric="dice")
        more = report.extended(verdicts=ask_overlap(gather(simulated(), "dice")))
        assert len(more["verdicts"].frame) == len(more.verdicts) == len(report.verdicts) + 1


class TestOverlap:
    def test_all_overlap(self):
        overlap = ask_overlap(gather(simulated(), "dice"))[0]
        assert (overlap.n_distinct, overlap.n_apart, overlap.answer) == (6, 0, "yes")
        assert overlap.highest_low < overlap.lowest_high
        assert "does not show that they are equal" in overlap.sentence

    def test_conditions_that_are_far_apart(self):
        overlap = ask_overlap(gather(simulated(shift=0.2), "dice"))[0]
        assert (overlap.n_apart, overlap.answer) == (9, "no")
        assert "9 of 15 pairs do not overlap" in overlap.sentence

    def test_intervals_without_an_end_say_nothing(self):
        trials = [trial("one", n, 0, {"a": 0.9, "b": 0.1 * n}) for n in range(2)]
        overlap = ask_overlap(gather(table(trials), "dice"))[0]
        assert (overlap.n_unbounded, overlap.answer) == (2, "undetermined")

    def test_of_one_and_of_none(self):
        one = ask_overlap(gather(simulated(1, conditions=("one",)), "dice"))[0]
        assert (one.n_runs, one.answer) == (1, "not applicable")
        failed = [trial("one", 0, 0, {"a": 0.9}), trial("one", 0, 1, {}, status="failed")]
        none = ask_overlap(gather(table(failed), "dice"))[0]
        assert (none.n_runs, none.answer) == (0, "not applicable")
        assert "no complete repetition" in none.sentence

    def test_incomplete_repetitions_are_left_out(self):
        trials = [t for n in range(3) for t in cross_validation("one", n, lambda _, n=n: 0.8 + n)]
        trials[1] = trial("one", 0, 1, {}, status="failed")
        assert ask_overlap(gather(table(trials), "dice"))[0].n_runs == 2

    def test_agrees_with_the_paper_on_its_table_one(self):
        """Rep.01 to Rep.10 of Table I, printed intervals; the authors say that they overlap."""
        low = [95.24, 95.62, 95.38, 95.69, 95.15, 95.02, 95.29, 95.44, 95.38, 95.35]
        high = [96.37, 96.75, 96.39, 96.57, 96.62, 96.60, 96.52, 96.56, 96.36, 96.43]
        trials = [
            trial("AK", n, 0, dict.fromkeys("abcdef", 95.9) | {"low": a, "high": b})
            for n, (a, b) in enumerate(zip(low, high, strict=True))
        ]
        # Of 8 cases the exact 95 % interval reaches from the lowest to the highest.
        overlap = ask_overlap(gather(table(trials), "dice"))[0]
        assert overlap.answer == "yes"
        assert (overlap.highest_low, overlap.lowest_high) == (max(low), min(high))


class TestComponents:
    def test_find_what_was_put_in(self):
        results = simulated(
            40, conditions=("one",), case_sd=0.02, run_sd=0.005, network_sd=0.01, residual_sd=0.003
        )
        sd = components("one", gather(results, "dice")).set_index("component")["sd"]
        assert set(sd.index) == {"init", "case", "network", "residual", "total"}
        assert sd["network"] == pytest.approx(0.01, rel=0.2)
        assert sd["residual"] == pytest.approx(0.003, rel=0.1)
        assert sd["init"] == pytest.approx(0.005, rel=0.6)

    def test_without_folds_have_no_network(self):
        results = simulated(5, conditions=("one",)).query("fold == 0").assign(fold=pd.NA)
        table = components("one", gather(results, "dice"))
        assert table["component"].tolist() == ["init", "case", "residual", "total"]

    def test_folds_that_are_drawn_anew(self):
        """Each repetition has folds of its own; the design is told apart all the same."""
        generator = np.random.default_rng(1)
        ability = dict(zip(CASES, generator.normal(0.8, 0.03, len(CASES)), strict=True))
        trials = []
        for init in range(12):
            order = generator.permutation(list(CASES))
            for fold in range(FOLDS):
                network = generator.normal(0, 0.02)
                values = {c: ability[c] + network for c in order[fold::FOLDS]}
                trials.append(trial("one", init, fold, values, split=init))
        table_ = components("one", gather(table(trials), "dice")).set_index("component")
        assert table_["sd"]["network"] == pytest.approx(0.02, rel=0.3)
        assert table_["sd"]["residual"] == pytest.approx(0, abs=1e-4)


def for_new_trainings(n_simulations: int, *, training_sd: float, shift: float = 0.0):
    """Compare two conditions again and again: 12 cases, 3 repetitions, residual SD 0.01.

    A training adds a random number with ``training_sd`` to all cases. The margin is 0.02.
    """
    template = simulated(3)
    rows = template.assign(
        condition=template["condition"].map({"one": 0, "two": 1}),
        case=pd.factorize(template["case"])[0],
    )
    condition, run, case = (rows[name].to_numpy() for name in ("condition", "init", "case"))
    generator = np.random.default_rng(2019)
    for _ in range(n_simulations):
        trainings = generator.normal(0, training_sd, (2, 3))
        values = 0.8 + generator.normal(0, 0.05, len(CASES))[case] + shift * condition
        values += trainings[condition, run] + generator.normal(0, 0.01, len(rows))
        evidence = gather(template.assign(value=values), "dice", margin=0.02)
        yield next(v for v in ask_comparison(evidence) if v.generalise_to == "runs")


def share_of_differences(n_simulations: int, training_sd: float) -> float:
    compared = for_new_trainings(n_simulations, training_sd=training_sd)
    return float(np.mean([verdict.outcome in ("better", "worse") for verdict in compared]))


def share_of_equivalence_at_the_margin(n_simulations: int, training_sd: float) -> float:
    compared = for_new_trainings(n_simulations, training_sd=training_sd, shift=0.02)
    return float(np.mean([verdict.equivalent for verdict in compared]))


class TestIdenticalConditions:
    """Trainings are the replicates: a lucky training is no effect of its condition.

    The analysis of variance of rows, which this report once had, said yes in 27 % where the SD of
    trainings is half of that of the residual; and patients as pairs claimed equivalence in a third
    of the studies whose true difference is the margin.
    """

    @pytest.mark.slow
    def test_seldom_differ(self):
        """Of 40, 2 are expected; more than 7 come by chance with p < 0.001, and 27 % are 11."""
        assert share_of_differences(40, training_sd=0.005) <= 7 / 40

    @pytest.mark.long
    @pytest.mark.parametrize("training_sd", [0.005, 0.01])
    def test_differ_in_five_per_cent(self, training_sd):
        """Of 300, 3.6 standard errors are 4.5 percentage points."""
        about_five = pytest.approx(0.05, abs=0.045)
        assert share_of_differences(300, training_sd) == about_five
        assert share_of_equivalence_at_the_margin(300, training_sd) == about_five
