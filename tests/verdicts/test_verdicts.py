"""Verdicts: each question answered rightly, and nothing said that the data do not show."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from reprostats import Condition, Study, verdict
from reprostats.errors import InputError
from reprostats.importers import read_results
from reprostats.review.build import Parameters, build
from reprostats.review.runs import write_run
from reprostats.verdicts._base import NOT_APPLICABLE, Verdict
from reprostats.verdicts.comparison import ask_comparison
from reprostats.verdicts.evidence import gather
from reprostats.verdicts.more_trainings import trainings_needed
from tests.study import trials
from tests.verdicts.results import failed, results, with_hashes


def one(report, question, **numbers) -> Verdict:
    """Give the verdict on a question whose numbers are these."""
    (found,) = [
        v for v in report.of(question)
        if all(v.numbers[name] == value for name, value in numbers.items())
    ]  # fmt: skip
    return found


class TestCompleted:
    def test_all(self):
        verdict_ = one(verdict(results(), metric="dice"), "completed")
        assert (verdict_.answer, verdict_.planned) == ("yes", 8)

    def test_reason_of_the_others(self):
        table = pd.concat([results(), failed(), failed(trial="b"), failed(trial="c", reason="x")])
        verdict_ = one(verdict(table, metric="dice"), "completed")
        assert verdict_.answer == "no"
        assert verdict_.by_status == {"failed": 3}
        assert "the commonest reason (2 of 3): failed, OSError: no file" in verdict_.sentence

    def test_none_completed_still_gives_the_other_answers(self):
        table = results().assign(status="failed", reason="no memory")
        report = verdict(table, metric="dice")
        assert one(report, "completed").answer == "no"
        assert {v.answer for v in report.of("spread")} == {"undetermined"}
        assert "better" not in {v.question for v in report.verdicts}

    def test_run_without_one_of_its_folds_is_left_out(self):
        table = results(runs=4, cases=2)
        table["repeat"] = [int(trial[-1]) // 2 for trial in table["trial"]]
        table["fold"] = [int(trial[-1]) % 2 for trial in table["trial"]]
        table["init"] = 1
        table["case"] = table["case"] + " of fold " + table["fold"].astype(str)
        table.loc[table["trial"] == "FCN-3", ["status", "reason"]] = ["failed", "x"]
        verdict_ = one(verdict(table, metric="dice"), "completed")
        assert verdict_.not_whole == {"FCN": 1}


class TestLearned:
    def test_dice_of_nothing(self):
        table = results(means={"U-Net": 0.9, "empty": 0.0}, run_sd=0)
        table.loc[table["condition"] == "empty", "value"] = 0.0
        report = verdict(table, metric="dice")
        assert one(report, "learned", condition="empty").answer == "no"
        assert one(report, "learned", condition="U-Net").answer == "yes"

    def test_nothing_is_built_on_it(self):
        table = results(means={"U-Net": 0.9, "empty": 0.0}, run_sd=0)
        table.loc[table["condition"] == "empty", "value"] = 0.0
        report = verdict(table, metric="dice", margin=0.01)
        assert {v.answer for v in report.of("better")} == {NOT_APPLICABLE}
        assert "empty did not learn" in report.of("better")[0].sentence
        assert "more trainings" not in {v.question for v in report.verdicts}

    def test_no_better_than_guessing(self):
        table = results(means={"net": 0.1}, metric="accuracy", run_sd=0)
        report = verdict(table.assign(value=0.1), metric="accuracy", trivial_value=0.1)
        assert report.of("learned")[0].answer == "no"

    def test_unknown_is_said(self):
        report = verdict(results(metric="accuracy"), metric="accuracy")
        assert {v.answer for v in report.of("learned")} == {"undetermined"}

    def test_lower_is_better(self):
        table = results(means={"net": 20.0}, metric="nrmse", run_sd=0.1)
        assert verdict(table, metric="nrmse", trivial_value=100).of("learned")[0].answer == "yes"
        assert verdict(table, metric="nrmse", trivial_value=10).of("learned")[0].answer == "no"

    def test_constant_loss(self):
        table = results(means={"net": 0.9})
        flat = {trial: np.full(50, 0.7) for trial in table["trial"].unique()}
        report = verdict(table, metric="dice", losses=flat)
        assert report.of("learned")[0].answer == "no"
        assert "loss stayed the same in 4 trainings" in report.of("learned")[0].sentence

    def test_one_value_from_different_weights(self):
        table = results(means={"net": 0.5}, metric="accuracy").assign(value=0.5)
        table = with_hashes(table, {f"net-{run}": str(run) for run in range(4)})
        assert verdict(table, metric="accuracy").of("learned")[0].answer == "no"

    def test_two_networks_may_have_the_same_accuracy(self):
        table = results(means={"net": 0.9}, metric="accuracy", cases=1).assign(value=0.9)
        table = with_hashes(table, {f"net-{run}": str(run) for run in range(4)})
        (learned,) = verdict(table, metric="accuracy", trivial_value=0.1).of("learned")
        assert learned.answer == "yes"


class TestRepeatable:
    """Repeatability is a question within equal levels."""

    def table(self, levels, hashes, **columns) -> pd.DataFrame:
        table = results(means={"net": 0.9}, runs=len(levels))
        table["init"] = np.repeat(levels, 6)
        named = {f"net-{run}": text for run, text in enumerate(hashes)}
        return with_hashes(table, named).assign(**columns)

    def test_same_seed_same_weights(self):
        report = verdict(self.table([1, 1, 2, 2], "aabb"), metric="dice")
        found = one(report, "repeatable")
        assert (found.answer, found.n_groups, found.n_distinct) == ("yes", 2, 2)

    def test_same_seed_other_weights(self):
        found = one(verdict(self.table([1, 1, 1], "aab"), metric="dice"), "repeatable")
        assert (found.answer, found.n_distinct) == ("no", 2)
        assert "3 trials with equal levels gave 2 different weights" in found.sentence

    def test_other_seeds_do_not_answer(self):
        found = one(verdict(self.table([1, 2, 3], "abc"), metric="dice"), "repeatable")
        assert found.answer == "undetermined"

    def test_seeds_of_the_system_do_not_answer(self):
        found = one(verdict(self.table(["os"] * 3, "abc"), metric="dice"), "repeatable")
        assert found.answer == "not applicable"
        assert found.drawn == ("init",)

    def test_without_fingerprints_values_are_compared(self):
        table = results(means={"net": 0.9}, runs=1)
        again = table.assign(trial="again")
        found = one(verdict(pd.concat([table, again]), metric="dice"), "repeatable")
        assert (found.answer, found.compared) == ("yes", "values")
        other = again.assign(value=np.nextafter(again["value"], 1))
        found = one(verdict(pd.concat([table, other]), metric="dice"), "repeatable")
        assert found.answer == "no"


class TestReproducible:
    def table(self, hashes, threads=(1, 2, 4)) -> pd.DataFrame:
        table = results(means={"net": 0.9}, runs=len(threads), run_sd=0)
        table["init"] = 5
        table["threads"] = np.repeat(threads, 6)
        return with_hashes(table, {f"net-{run}": text for run, text in enumerate(hashes)})

    def test_other_threads_other_bits(self):
        found = one(verdict(self.table("abb"), metric="dice", margin=0.5), "reproducible")
        assert (found.answer, found.n_setups, found.n_distinct) == ("no", 3, 2)
        assert found.sources == ("threads",)
        assert "within the margin of 0.5" in found.sentence

    def test_other_threads_same_bits(self):
        assert one(verdict(self.table("aaa"), metric="dice"), "reproducible").answer == "yes"

    def test_one_setup_does_not_answer(self):
        found = one(verdict(self.table("abc", [2, 2, 2]), metric="dice"), "reproducible")
        assert found.answer == "undetermined"

    def test_other_seeds_are_no_other_setup(self):
        table = self.table("abc")
        table["init"] = np.repeat([1, 2, 3], 6)
        assert one(verdict(table, metric="dice"), "reproducible").answer == "undetermined"


class TestSpread:
    def test_numbers_are_those_of_run_means(self):
        table = results(means={"net": 0.9})
        found = one(verdict(table, metric="dice"), "spread")
        means = table.groupby("trial")["value"].mean()
        assert found.mean == pytest.approx(means.mean())
        assert found.sd == pytest.approx(means.std(ddof=1))
        assert (found.lowest, found.highest) == pytest.approx((means.min(), means.max()))

    def test_equal_trainings_count_once(self):
        table = results(means={"net": 0.9}, runs=4)
        table = with_hashes(table, dict(zip(table["trial"].unique(), "aabc", strict=True)))
        found = one(verdict(table, metric="dice"), "spread")
        assert (found.n_runs, found.n_distinct) == (4, 3)

    def test_different_trainings_of_one_value_have_no_spread(self):
        """The SD of five times 342 / 355 comes out as 1.2e-16."""
        table = results(means={"net": 0.5}, runs=5, cases=1).assign(value=342 / 355)
        table = with_hashes(table, {f"net-{run}": str(run) for run in range(5)})
        found = one(verdict(table, metric="dice"), "spread")
        assert np.std(table["value"], ddof=1) > 0
        assert (found.n_distinct, found.sd, found.answer) == (5, 0.0, "no")

    def test_a_fixed_seed_is_no_stability(self):
        table = results(means={"net": 0.9}, runs=1)
        every = pd.concat([table.assign(trial=str(n)) for n in range(5)])
        found = one(verdict(every, metric="dice"), "spread")
        assert found.answer == "undetermined"
        assert "this says nothing about other seeds" in found.sentence

    def test_largest_source(self):
        table = results(means={"net": 0.9}, runs=9, run_sd=0, noise=1e-4)
        run = np.array([int(trial[-1]) for trial in table["trial"]])
        table["init"], table["batch_order"] = run // 3, run % 3
        table["value"] += 0.03 * (run // 3) + 0.001 * (run % 3)
        found = one(verdict(table, metric="dice"), "spread")
        assert found.largest_source == "init"
        assert found.largest_share > 0.9

    def test_sources_that_vary_together_are_one(self):
        table = results(means={"net": 0.9})
        table["batch_order"] = table["init"] + 10
        found = one(verdict(table, metric="dice"), "spread")
        assert found.varied == ("init + batch_order",)


class TestBetter:
    def test_clear_difference(self):
        report = verdict(results(), metric="dice", margin=0.01)
        assert [v.outcome for v in report.of("better")] == ["better"] * 3
        assert [v.answer for v in report.of("better")] == ["yes"] * 3

    def test_lower_is_better(self):
        report = verdict(results(metric="loss"), metric="loss")
        assert {v.outcome for v in report.of("better")} == {"worse"}

    def test_unknown_direction_has_no_winner(self):
        report = verdict(results(metric="volume"), metric="volume")
        assert {v.outcome for v in report.of("better")} == {"different"}
        assert any("not known whether a higher volume is better" in note for note in report.notes)
        told = verdict(results(metric="volume"), metric="volume", higher_is_better=False)
        assert {v.outcome for v in told.of("better")} == {"worse"}

    def test_one_training_speaks_of_these_networks_alone(self):
        report = verdict(results(runs=1), metric="dice", margin=0.01)
        assert one(report, "better", generalise_to="cases").answer == "yes"
        for what in ("runs", "runs and cases"):
            found = one(report, "better", generalise_to=what)
            assert found.answer == "undetermined"
            assert "nothing can be said of other trainings" in found.sentence

    def test_equivalent(self):
        table = results(means={"a": 0.9, "b": 0.9001}, runs=8, run_sd=0.001)
        found = one(verdict(table, metric="dice", margin=0.02), "better", generalise_to="runs")
        assert found.equivalent
        assert found.answer == "no"

    def test_no_difference_is_no_equivalence(self):
        table = results(means={"a": 0.9, "b": 0.9}, runs=3, run_sd=0.05)
        found = one(verdict(table, metric="dice", margin=0.001), "better", generalise_to="runs")
        assert (found.answer, found.equivalent) == ("undetermined", False)

    def test_shared_seeds_are_pairs_and_other_seeds_are_not(self):
        shared = verdict(results(), metric="dice").of("better")[0]
        other = verdict(results(shared_seeds=False), metric="dice").of("better")[0]
        assert (shared.runs, other.runs) == ("crossed", "nested")

    def test_one_seed_on_other_hardware_says_nothing_of_new_trainings(self):
        """Four threads give four networks that differ in the last bits: no four trainings."""
        table = results(means={"seeds": 0.9, "hardware": 0.8}, shared_seeds=False)
        hardware = table["condition"] == "hardware"
        table.loc[hardware, "threads"] = table.loc[hardware, "init"] - 99
        table.loc[hardware, "init"] = 5
        verdicts = {v.generalise_to: v for v in verdict(table, metric="dice").of("better")}
        assert verdicts["runs"].n_runs == (4, 1)
        assert verdicts["runs"].answer == verdicts["runs and cases"].answer == "undetermined"
        assert verdicts["cases"].answer == "yes"

    def test_many_conditions_are_compared_with_the_first(self):
        table = results(means=dict.fromkeys("abcdefg", 0.9))
        report = verdict(table, metric="dice")
        assert {v.second for v in report.of("better")} == {"a"}

    def test_two_equal_algorithms_are_seldom_called_different(self):
        """Averaged over runs and tested over cases, such studies said yes in 59 %."""
        wrong = 0
        for seed in range(60):
            table = results(means={"a": 0.9, "b": 0.9}, runs=5, cases=50, run_sd=0.008,
                            noise=0.02, seed=seed, shared_seeds=False)  # fmt: skip
            compared = ask_comparison(gather(table, "dice"))
            (found,) = [v for v in compared if v.numbers["generalise_to"] == "runs"]
            wrong += found.answer != "undetermined"
        # At 5 % more than 8 of 60 come up once in 300 such tests; at 59 % practically always.
        assert wrong <= 8


class TestMoreTrainings:
    def test_plan_needs_a_margin(self):
        table = results(means={"a": 0.9, "b": 0.9}, run_sd=0.05)
        found = one(verdict(table, metric="dice"), "more trainings")
        assert (found.answer, found.needed) == ("undetermined", None)

    def test_says_how_many(self):
        table = results(means={"a": 0.9, "b": 0.9}, run_sd=0.03, shared_seeds=False)
        found = one(verdict(table, metric="dice", margin=0.01), "more trainings")
        assert found.answer == "no"
        assert found.needed == trainings_needed(found.sd, 0.01, found.alpha, paired=False)
        assert found.more == found.needed - 4

    def test_enough(self):
        assert one(verdict(results(), metric="dice", margin=0.01), "more trainings").decided

    @pytest.mark.parametrize(("sd", "margin"), [(0.01, 0.01), (0.02, 0.03)])
    def test_so_many_decide(self, sd, margin):
        """Simulated: the t test finds the margin, and equivalence is shown at no difference."""
        n = trainings_needed(sd, margin, 0.05, paired=False)
        generator = np.random.default_rng(1)
        draws = sd * generator.normal(size=(2, 4000, n))
        difference = draws[0].mean(axis=1) - draws[1].mean(axis=1)
        se = ((draws[0].var(axis=1, ddof=1) + draws[1].var(axis=1, ddof=1)) / n) ** 0.5
        from scipy import stats

        t_two, t_one = stats.t.isf([0.025, 0.05], 2 * n - 2)
        finds = (np.abs(difference + margin) / se > t_two).mean()
        shows = (np.abs(difference) + t_one * se < margin).mean()
        assert min(finds, shows) == pytest.approx(0.8, abs=0.05)

    def test_power_of_the_t_test_is_that_of_statsmodels(self):
        from statsmodels.stats.power import TTestIndPower

        # Where the t test decides: for small margins equivalence needs about 1.1 times as many.
        needed = TTestIndPower().solve_power(effect_size=1.0, power=0.8, alpha=0.05)
        assert needed < trainings_needed(1.0, 1.0, 0.05, paired=False) < 1.25 * needed


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"metric": "dise"}, "unknown metric 'dise'; did you mean 'dice'"),
            ({"margin": -0.01}, "margin must be a number above 0, not -0.01"),
            ({"margin": 1}, "One percentage point is a margin of 0.01"),
            ({"margin": "wide"}, "margin must be a number above 0"),
            ({"baseline": "UNet"}, "unknown baseline 'UNet'; did you mean 'U-Net'"),
            ({"trivial_value": math.nan}, "trivial_value must be a finite number"),
            ({"confidence_level": 95}, "confidence_level"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(InputError, match=message):
            verdict(results(), **{"metric": "dice", **options})

    def test_metric_whatever_its_case(self):
        assert verdict(results(), metric="Dice").of("better")[0].metric == "dice"

    def test_doubled_rows(self):
        table = results()
        with pytest.raises(InputError, match="row 48: trial 'U-Net-0' of 'U-Net' has a second"):
            verdict(pd.concat([table, table[:1]]), metric="dice")

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_cases_without_a_finite_value_are_left_out_and_said(self, bad):
        table = results()
        table.loc[3, "value"] = bad
        report = verdict(table, metric="dice")
        assert report.of("better")[0].n_cases == 5
        assert any("1 case(s) are left out" in note for note in report.notes)

    def test_unequal_cases_between_runs(self):
        report = verdict(results()[:-2], metric="dice")
        assert report.of("better")[0].n_cases == 4
        assert {v.answer for v in report.of("better")} == {"yes"}

    def test_no_common_case_still_says_the_rest(self):
        table = results()
        table.loc[table["trial"] == "FCN-1", "case"] += " of another set"
        report = verdict(table, metric="dice")
        assert one(report, "completed").answer == "yes"
        assert "better" not in {v.question for v in report.verdicts}

    def test_no_metric_at_all_says_why(self):
        with pytest.raises(InputError, match=r"no trial has a metric.*failed, OSError: no file"):
            verdict(failed(), metric="dice")

    def test_one_condition_one_run_one_case(self):
        table = results(means={"net": 0.9}, runs=1, cases=1)
        report = verdict(table, metric="dice")
        assert one(report, "spread").answer == "undetermined"
        assert report["summary"].frame["n_distinct"].tolist() == [1]

    def test_bare_table(self):
        table = pd.DataFrame({"trial": [1, 2, 3], "metric": "dice", "value": [0.9, 0.91, 0.92]})
        report = verdict(table, metric="dice")
        assert one(report, "spread").n_distinct == 3
        assert len(report.notes) == 4  # condition, case, status; what is reached without training

    def test_older_code_is_left_out_and_said(self):
        table = pd.concat([results(code="old").assign(trial="old"), results(code="new")])
        table = table.drop_duplicates(["condition", "trial", "case"])
        report = verdict(table, metric="dice")
        assert one(report, "completed").planned == 8
        assert any("2 trials of earlier versions" in note for note in report.notes)


class TestReport:
    def test_writes_one_page_tables_and_figures(self, tmp_path):
        report = verdict(results(), metric="dice", margin=0.01)
        written = {path.name for path in report.write(tmp_path)}
        assert {
            "report.html",
            "summary.csv",
            "comparisons.tex",
            "values.svg",
            "differences.png",
        } <= written
        page = (tmp_path / "report.html").read_text()
        assert "Is U-Net better than FCN, for new trainings on these cases?" in page
        assert "http://" not in page.replace("http://www.w3.org", "")
        assert "https://" not in page

    def test_tables_hold_numbers_under_plain_names(self, tmp_path):
        report = verdict(results(), metric="dice", margin=0.01)
        report.write(tmp_path)
        table = pd.read_csv(tmp_path / "comparisons.csv")
        assert {"difference", "ci_low", "p_adjusted", "outcome"} <= set(table.columns)
        assert table["difference"].iloc[0] == report.of("better")[0].difference

    def test_text_is_never_code(self):
        table = results(means={"<script>alert(1)</script>": 0.9, "b & c": 0.8})
        page = verdict(table, metric="dice").html()
        assert "<script>" not in page
        assert "&lt;script&gt;" in page

    def test_more_items(self):
        report = verdict(results(), metric="dice")
        with pytest.raises(InputError, match="has a table or figure 'summary' already"):
            report.extended(tables=[report["summary"]])
        with pytest.raises(InputError, match="unknown table or figure of the report 'sumary'"):
            report["sumary"]
        with pytest.raises(InputError, match="unknown question 'best'"):
            report.of("best")

    def test_numbers_of_verdicts_are_plain(self):
        for found in verdict(results(), metric="dice", margin=0.01).verdicts:
            json.dumps(found.numbers)
            assert found.sentence.endswith(".")
            assert found.asked.endswith("?")
            assert found.answer in ("yes", "no", "undetermined", "not applicable")


class TestStudy:
    def test_report_of_a_study_from_its_records(self, tmp_path):
        conditions = {
            "low": Condition(varied={"init": range(4)}, config={"shift": 0.5}),
            "high": Condition(varied={"init": range(4)}, config={"shift": 0.9, "scale": 0.02}),
        }
        config = {"scale": 0.01, "shift": 0.0}
        study = Study(trials.scaled, config=config, conditions=conditions, folder=tmp_path)
        with pytest.raises(InputError, match="no trial of 'scaled' is recorded yet"):
            study.report(metric="value")
        study.run(workers=1, progress=False)
        report = study.report(metric="value", higher_is_better=True)
        found = one(report, "better", generalise_to="runs")
        assert (found.first, found.second, found.runs) == ("low", "high", "crossed")
        assert found.outcome == "worse"


class TestForPapers:
    def test_methods_say_what_was_done_and_cite_it(self, tmp_path):
        report = verdict(results(), metric="dice", margin=0.01)
        report.write(tmp_path)
        text = (tmp_path / "methods.md").read_text()
        assert "8 trials were run, and all completed" in text
        assert "margin of 0.01" in text
        assert "Welch" not in text  # the trainings shared their seeds, and were compared in pairs
        assert "@article{student1908" in (tmp_path / "references.bib").read_text()
        assert text.strip()[:40] in report.html()

    def test_nothing_is_said_of_what_was_not_done(self):
        report = verdict(results(means={"net": 0.9}), metric="dice")
        assert "compared" not in report.methods.text
        assert "quivalence" not in report.methods.text

    def test_checklist_is_filled_as_far_as_the_run_tells(self):
        table = verdict(results(), metric="dice").checklist("ml-reproducibility-2.0")
        answers = set(table.frame["Answer"])
        assert "cannot be told" in answers
        assert answers & {"met", "partly met"}
        with pytest.raises(InputError, match="unknown checklist"):
            verdict(results(), metric="dice").checklist("ml-reprodicibility")

    def test_record_of_a_study_is_one_more_row_of_the_review(self, tmp_path):
        study = Study(trials.streams, varied={"init": [1, 2, 3]}, folder=tmp_path / "study")
        study.run(workers=1, progress=False)
        record = study.report(metric="init").record(label="Mine", key="mine", authors=["A. Author"])
        path = tmp_path / "record.yaml"
        write_run(path, record)
        alone = build(Parameters()).tables["evaluation"].frame
        both = build(Parameters(runs=(str(path),))).tables["evaluation"].frame
        assert len(both) == len(alone) + 1
        assert "Mine" in str(both.iloc[-1].tolist())


def crossed(splits=3, inits=3, split_sd=0.0134, residual_sd=0.003, seed=0) -> pd.DataFrame:
    """Two equal conditions, each trained with every initial weight on every split."""
    generator = np.random.default_rng(seed)
    rows = []
    for name in ("a", "b"):
        by_split = split_sd * generator.normal(size=splits)
        for split in range(splits):
            for init in range(inits):
                value = 0.9 + by_split[split] + residual_sd * generator.normal()
                rows.append([name, f"{name}{split}{init}", "auc", value, init, split])
    return pd.DataFrame(rows, columns=["condition", "trial", "metric", "value", "init", "split"])


class TestSharedLevels:
    """Three splits crossed with three initial weights are nine trainings, but three splits."""

    def test_interval_is_that_of_the_splits(self):
        """Where splits make nearly all of the spread, their means are what counts."""
        table = crossed(residual_sd=1e-6)
        spread = one(verdict(table, metric="auc"), "spread", condition="a")
        means = table[table["condition"] == "a"].groupby("split")["value"].mean()
        half = 4.302653 * means.std() / 3**0.5  # t(0.975; 2), from tables
        assert spread.ci_high - spread.mean == pytest.approx(half, rel=1e-3)
        assert spread.shared == {"init": 3, "split": 3}
        assert "those are what counts, not trainings" in spread.sentence

    def test_equal_conditions_are_seldom_called_different(self):
        """29 % of such studies had a winner when trainings were taken as independent."""
        compared = [ask_comparison(gather(crossed(seed=seed), "auc")) for seed in range(60)]
        different = [v.answer == "yes" or v.outcome == "worse" for each in compared for v in each]
        assert sum(different) <= 8  # 5 % of 60 are 3; 9 or more have a probability of 0.5 %

    def test_planned_are_trainings_with_levels_of_their_own(self):
        report = verdict(crossed(), metric="auc", margin=0.01)
        assert "needs a level of its own of init, split" in one(report, "more trainings").sentence
        assert report.tables["summary"].frame["median_low"].isna().all()
        assert "not taken as independent" in report.methods.text

    def test_sources_that_vary_together_leave_trainings_independent(self):
        table = crossed(splits=9, inits=1)
        spread = one(
            verdict(table.assign(init=table["split"]), metric="auc"), "spread", condition="a"
        )
        assert spread.shared == {}
        values = table.loc[table["condition"] == "a", "value"]
        assert spread.sd == pytest.approx(values.std())


def one_seed_against_many(seed: int, n: int = 7) -> pd.DataFrame:
    """Two equal conditions: one trained with several seeds, one several times with one seed."""
    rng = np.random.default_rng(seed)
    of_one_seed = rng.normal(0.9, 0.01)
    rows = [
        {"condition": name, "trial": f"{name}{k}", "init": k if name == "varied" else 0,
         "repeat": 0 if name == "varied" else k, "metric": "auc", "value": value}
        for name, values in {
            "varied": rng.normal(0.9, 0.01, n),
            "held": rng.normal(of_one_seed, 0.003, n),
        }.items()
        for k, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


class TestHeldSeeds:
    """Repeats of one seed show what computing does, not what another seed would do."""

    def test_repeats_of_one_seed_count_as_one_training_beside_several_seeds(self):
        report = verdict(one_seed_against_many(0), metric="auc")
        better = one(report, "better")
        assert better.answer == "undetermined"
        assert better.n_runs == (7, 1)
        assert "7 trainings of held have one level of init" in better.sentence
        assert "different seeds" in one(report, "more trainings").sentence

    def test_equal_conditions_are_never_called_different(self):
        """Taken as seven trainings, they were in 4 of 10 studies."""
        compared = [ask_comparison(gather(one_seed_against_many(s), "auc")) for s in range(20)]
        answers = {v.answer for each in compared for v in each}
        assert answers == {"undetermined"}

    def test_one_seed_in_all_conditions_is_compared_for_that_seed(self):
        table = one_seed_against_many(0).assign(init=0, repeat=[*range(7)] * 2)
        better = one(verdict(table, metric="auc"), "better")
        assert better.n_runs == (7, 7)
        assert math.isfinite(better.p_value)

    def test_a_seed_that_was_drawn_is_a_seed_of_its_own(self):
        table = one_seed_against_many(0)
        table["init"] = table["init"].where(table["condition"] == "held", "os")
        assert one(verdict(table, metric="auc"), "better").answer == "undetermined"
        both = verdict(table.assign(init="os"), metric="auc")
        assert one(both, "better").n_runs == (7, 7)

    def test_unknown_seeds_are_not_taken_as_one(self):
        table = one_seed_against_many(0)
        table["init"] = table["init"].where(table["condition"] == "varied")
        assert one(verdict(table, metric="auc"), "better").n_runs == (7, 7)


class TestForeignTables:
    def table(self, **columns) -> pd.DataFrame:
        rows = [
            [name, f"{name}{seed}", case, 0.9 - 0.1 * (name == "b") + 0.01 * seed + 0.001 * case]
            for name in ("a", "b") for seed in (1, 2, 3) for case in range(5)
        ]  # fmt: skip
        table = pd.DataFrame(rows, columns=["condition", "trial", "case", "value"])
        return table.assign(metric="dice", **columns)

    def test_without_a_seed_it_is_not_known_what_should_repeat(self):
        verdict_ = one(verdict(self.table(), metric="dice"), "repeatable", condition="a")
        assert verdict_.answer == "undetermined"
        assert "no column of a seed" in verdict_.sentence

    def test_a_column_named_seed_makes_pairs(self):
        table = self.table()
        seeded = table.assign(seed=table["trial"].str[-1].astype(int))
        assert {v.runs for v in verdict(seeded, metric="dice").of("better")} == {"crossed"}

    def test_a_column_that_may_be_the_condition_is_named(self):
        table = self.table().rename(columns={"condition": "model"})
        notes = " ".join(verdict(table, metric="dice").notes)
        assert "column model has 2 values: rename it to condition" in notes

    def test_other_separator(self, tmp_path):
        (tmp_path / "r.csv").write_text("trial;metric;value\n1;dice;0.9\n")
        assert read_results(tmp_path / "r.csv").table["value"].tolist() == [0.9]
