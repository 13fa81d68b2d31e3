"""Tables and verdicts of repetitions, from results made by hand and from the paper's numbers."""

import numpy as np
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.records.record import TrialRecord
from reprostats.report import monte_carlo as report
from reprostats.report.theme import write_chart
from reprostats.sources import complete_levels
from reprostats.study.results import RecordedTrial, results_table

FOLDS = 3
PATIENTS = {f"p{number:02d}": number % FOLDS for number in range(12)}


def trial(condition, init, fold, dice, *, status="ok", repeat=0, **levels):
    metrics = [("dice", patient, value) for patient, value in dice.items()]
    metrics += [("training_time", "all", 10.0 + fold), ("testing_time", "all", 1.0)]
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=complete_levels({"init": init} | levels),
        repeat=repeat, fold=fold, status=status, reason="" if status == "ok" else "it broke",
        metrics=metrics if status == "ok" else [],
    )  # fmt: skip
    return RecordedTrial(condition, f"{condition}-{init}-{repeat}-{fold}", record)


def cross_validation(condition, init, value, **more):
    """One repetition; ``value`` gives the DSC of a patient."""
    return [
        trial(
            condition, init, fold,
            {name: value(name) for name, home in PATIENTS.items() if home == fold}, **more,
        )
        for fold in range(FOLDS)
    ]  # fmt: skip


def made(
    n_repetitions=3, *, shift=0.0, noise=0.002, conditions=("one", "two"), seed=1, spread=0.02
):
    """Patients differ by ``spread``, repetitions by 0.005, the second condition by ``shift``."""
    generator = np.random.default_rng(seed)
    ability = dict(zip(PATIENTS, generator.normal(0.9, spread, len(PATIENTS)), strict=True))
    luck = generator.normal(0, 0.005, n_repetitions)
    return results_table(
        "study",
        [
            each
            for place, condition in enumerate(conditions)
            for repetition in range(n_repetitions)
            for each in cross_validation(
                condition,
                repetition,
                lambda name, r=repetition, p=place: (
                    ability[name] + luck[r] + p * shift + generator.normal(0, noise)
                ),
            )
        ],
    )


class TestPerPatient:
    def test_repetitions_with_the_same_seeds_have_the_same_number(self):
        table = report.per_patient(made())
        counts = table.groupby(["configuration", "repetition"]).size()
        assert counts.to_dict() == {(c, r): 12 for c in ("one", "two") for r in (1, 2, 3)}
        assert table["complete"].all()
        assert table["value"].between(70, 105).all()

    def test_repeats_of_the_same_seeds_are_told_apart(self):
        trials = [t for repeat in range(2) for t in cross_validation("one", 7, len, repeat=repeat)]
        assert set(report.per_patient(results_table("s", trials))["repetition"]) == {1, 2}

    def test_patient_tested_on_twice_in_a_repetition(self):
        trials = cross_validation("one", 0, lambda _: 0.9)
        trials[1] = trial("one", 0, 1, {"p00": 0.9, "p01": 0.8})
        with pytest.raises(
            InputError, match=r"'p00' was tested on more than once .* 1 of 'one' \(folds 1, 2\)"
        ):
            report.per_patient(results_table("s", trials))

    def test_lost_fold_makes_a_repetition_incomplete(self):
        trials = [t for init in range(2) for t in cross_validation("one", init, lambda _: 0.9)]
        trials[4] = trial("one", 1, 1, {}, status="diverged")
        table = report.per_patient(results_table("s", trials))
        complete = table.drop_duplicates("repetition").set_index("repetition")["complete"]
        assert complete.to_dict() == {1: True, 2: False}

    def test_metric_that_is_not_there(self):
        with pytest.raises(InputError, match="has the metric 'dise'"):
            report.per_patient(made(), "dise")


class TestTables:
    def test_of_repetitions_are_medians_with_exact_intervals(self):
        results = made()
        table = report.repetition_tables(results)["two"].frame
        values = report.per_patient(results).query("configuration == 'two' and repetition == 2")
        ordered = np.sort(values["value"])
        row = table.iloc[1]
        assert row["Repetition"] == "Rep.02"
        assert row["DSC [%]"] == pytest.approx(np.median(ordered))
        # n = 12: the 3rd and 10th values cover with 1 - 2 P(B < 3) = 0.9614.
        assert stats.binom(12, 0.5).cdf(2) * 2 < 0.05 < stats.binom(12, 0.5).cdf(3) * 2
        assert (row["LB [%]"], row["UB [%]"]) == (ordered[2], ordered[9])

    def test_summary_has_failures_sizes_and_times_of_whole_cross_validations(self):
        trials = [t for init in range(3) for t in cross_validation("one", init, lambda _: 0.9)]
        trials[4] = trial("one", 1, 1, {}, status="timeout")
        row = report.summary_table(results_table("s", trials)).frame.iloc[0]
        assert (row["Trials"], row["Ended well"], row["Repetitions"]) == (9, 8, 3)
        assert row["Median CI size"] == 0
        assert row["Median training time (s)"] == 10 + 11 + 12

    def test_patients_lost_are_seen_in_the_table(self):
        trials = cross_validation("one", 0, lambda _: 0.9)[:2]
        trials += cross_validation("one", 1, lambda _: 0.9)
        frame = report.repetition_tables(results_table("s", trials))["one"].frame
        assert frame["Patients"].tolist() == [8, 12]

    def test_all_are_written_in_all_formats(self, tmp_path):
        results = made()
        tables = [
            *report.repetition_tables(results).values(), report.summary_table(results),
            report.verdicts(results, margin=1), report.components_table(results),
            report.equivalence_table(results, margin=1),
            report.planning_table(results, half_width=0.5),
        ]  # fmt: skip
        written = [path for table in tables for path in table.write(tmp_path)]
        assert len(set(written)) == 4 * 7
        assert all(path.stat().st_size for path in written)


class TestOverlap:
    def test_all_overlap(self):
        found = report.overlap(made())
        assert (found.n_intervals, found.n_pairs, found.apart) == (6, 15, ())
        assert "all 6 intervals overlap" in str(found)
        assert "does not show that repetitions are equal" in str(found)

    def test_some_do_not(self):
        found = report.overlap(made(shift=0.2))
        assert len(found.apart) == 9
        assert "9 of 15 pairs" in str(found)
        assert "one, repetition 1, and two, repetition 1" in str(found)

    def test_intervals_without_an_end_say_nothing(self):
        trials = [trial("one", 0, 0, {"a": 0.9, "b": 0.8}), trial("one", 1, 0, {"a": 0.1, "b": 0})]
        assert "2 of 2 intervals have no end" in str(report.overlap(results_table("s", trials)))

    def test_of_one(self):
        trials = cross_validation("one", 0, lambda _: 0.9)
        assert "nothing to overlap" in str(report.overlap(results_table("s", trials)))

    def test_agrees_with_the_paper_on_its_table_one(self):
        """Rep.01 to Rep.10 of Table I, printed intervals; the authors say that they overlap."""
        low = [95.24, 95.62, 95.38, 95.69, 95.15, 95.02, 95.29, 95.44, 95.38, 95.35]
        high = [96.37, 96.75, 96.39, 96.57, 96.62, 96.60, 96.52, 96.56, 96.36, 96.43]
        assert max(low) < min(high)


class TestEquivalence:
    def test_of_what_is_equal_but_for_little_noise(self):
        table = report.equivalence_table(made(), margin=1.0).frame
        row = table[table["Compared"] == "configurations"].iloc[0]
        assert row["Equivalent"]
        assert (row["Pair"], row["Patients"]) == ("one - two", 12)

    def test_of_what_differs_by_more_than_the_margin(self):
        table = report.equivalence_table(made(shift=0.02), margin=1.0).frame
        row = table[table["Compared"] == "configurations"].iloc[0]
        assert not row["Equivalent"]
        assert row["Difference"] == pytest.approx(-2, abs=0.3)

    def test_overlap_and_equivalence_may_disagree(self):
        """Intervals that overlap, though a condition is 1.5 points worse: what TOST is for."""
        results = made(shift=-0.015, noise=0.001, spread=0.06)
        assert not report.overlap(results).apart
        assert not report.equivalence_table(results, margin=1.0).frame.iloc[0]["Equivalent"]

    def test_repetitions_show_the_worst_pair(self):
        values = {0: 0.90, 1: 0.90, 2: 0.80}
        trials = [
            t for i, v in values.items() for t in cross_validation("one", i, lambda _, v=v: v)
        ]
        table = report.equivalence_table(results_table("s", trials), margin=1.0).frame
        assert len(table) == 1
        assert table.iloc[0]["Pair"] in {"one, 1 - 3", "one, 2 - 3"}
        assert not table.iloc[0]["Equivalent"]

    def test_repeats_equal_bit_for_bit(self):
        trials = [t for r in range(3) for t in cross_validation("one", 0, len, repeat=r)]
        table = report.equivalence_table(results_table("s", trials), margin=0.1).frame
        assert table.iloc[0]["Equivalent"]
        assert "do not vary" in table.iloc[0]["Note"]

    def test_incomplete_repetitions_are_left_out(self):
        results = made(conditions=("one",))
        lost = (results["condition"] == "one") & (results["init"] == 2) & (results["fold"] == 0)
        table = report.equivalence_table(results[~lost], margin=5.0).frame
        assert table.iloc[0]["Pair"] == "one, 1 - 2"


class TestComponents:
    def test_find_what_was_put_in(self):
        """SDs drawn, and for a patient in a training 0.2 points; none for a training."""
        results = made(20, conditions=("one",), seed=3)
        sd = report.components_table(results).frame.set_index("Component")["SD"]
        values = report.per_patient(results).pivot_table(
            index="patient", columns="repetition", values="value"
        )
        between = (values.mean(axis=1).std(ddof=1), values.mean(axis=0).std(ddof=1))
        assert np.hypot(sd["patient"], sd["fold"]) == pytest.approx(between[0], rel=0.1)
        assert sd["repetition"] == pytest.approx(between[1], rel=0.05)
        assert sd["training x patient"] == pytest.approx(0.2, rel=0.15)
        assert sd["training"] < 0.1

    def test_split_that_varies_has_no_component_of_folds(self):
        generator = np.random.default_rng(1)
        trials = []
        for init in range(4):
            order = generator.permutation(list(PATIENTS))
            trials += [
                trial("one", init, fold, {n: generator.normal(0.9, 0.02) for n in order[fold::3]})
                for fold in range(3)
            ]
        table = report.components_table(results_table("s", trials)).frame
        assert "fold" not in set(table["Component"])
        assert {"patient", "repetition", "training"} <= set(table["Component"])

    def test_of_one_repetition(self):
        trials = cross_validation("one", 0, lambda _: 0.9)
        table = report.components_table(results_table("s", trials)).frame
        assert "one repetition alone" in table["Note"].iloc[0]


class TestEffects:
    def test_configuration_that_matters(self):
        row = report.configuration_effects(made(shift=0.02)).iloc[0]
        assert row["p_value"] < 1e-6

    def test_one_configuration(self):
        note = report.configuration_effects(made(conditions=("one",)))["note"].iloc[0]
        assert "two of each are needed" in note


class TestPlanning:
    def test_counts_by_the_spread_between_repetitions(self):
        row = report.planning_table(made(6), half_width=0.2).frame.iloc[0]
        medians = report.repetition_intervals(made(6)).query("configuration == 'one'")["median"]
        assert row["SD between repetitions"] == pytest.approx(medians.std(ddof=1))
        n = row["Needed"]
        reached = stats.t(n - 1).ppf(0.975) * medians.std(ddof=1) / np.sqrt(n)
        assert 0.15 < reached < 0.21
        assert not row["Enough"]

    def test_equal_repetitions(self):
        trials = [t for r in range(3) for t in cross_validation("one", 0, len, repeat=r)]
        row = report.planning_table(results_table("s", trials), half_width=0.1).frame.iloc[0]
        assert (row["Needed"], row["Enough"]) == (1, True)

    def test_one_repetition(self):
        results = results_table("s", cross_validation("one", 0, len))
        row = report.planning_table(results, half_width=0.1).frame.iloc[0]
        assert row["Note"] == "cannot be told from one"


class TestVerdicts:
    def answers(self, results, margin=1.0):
        frame = report.verdicts(results, margin=margin).frame
        return dict(zip(frame["Question"].str.split().str[1:3].str.join(" "), frame["Answer"],
                        strict=True))  # fmt: skip

    def test_of_equal_configurations(self):
        found = self.answers(made())
        assert found["configurations equivalent"].startswith("yes, all of them")
        assert found["does the"].startswith("patient ")
        assert "configuration 0.0%" in found["does the"]
        assert found["trials lost?"] == "none of 18"

    def test_of_different_ones(self):
        found = self.answers(made(shift=0.05))
        assert found["configurations equivalent"].startswith("not shown for one - two (-5")
        assert found["the configuration"].startswith("yes: it explains")

    def test_failures_are_told(self):
        trials = [t for init in range(2) for t in cross_validation("one", init, lambda _: 0.9)]
        trials[4] = trial("one", 1, 1, {}, status="killed")
        assert self.answers(results_table("s", trials))["trials lost?"] == (
            "1 of 6: 1 killed; the first: it broke"
        )


class TestFigures:
    def test_are_drawn(self, tmp_path):
        results = made(12)
        for name, chart in (
            ("boxes", report.repetition_plot(results)),
            ("intervals", report.interval_plot(results)),
        ):
            for path in write_chart(chart, tmp_path, name):
                assert path.stat().st_size > 5000

    def test_boxes_show_the_first_ten_in_order(self):
        chart = report.repetition_plot(made(12), "two").to_dict()
        runs = {row["run"] for rows in chart["datasets"].values() for row in rows}
        assert sorted(runs) == [f"Rep.{number:02d}" for number in range(1, 11)]

    def test_configuration_that_is_not_there(self):
        with pytest.raises(InputError, match="no repetition of configuration 'three'"):
            report.repetition_plot(made(), "three")

    def test_without_intervals_there_are_points(self):
        trials = [trial("one", 0, 0, {"a": 0.9, "b": 0.8})]
        chart = report.interval_plot(results_table("s", trials)).to_dict()
        assert len(next(iter(chart["datasets"].values()))) == 1
