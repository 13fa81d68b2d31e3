"""The questions of the thesis, from results made by hand."""

import json

import pandas as pd
import pytest

from reprostats.experiments import data_parallel
from reprostats.experiments.advisor import tune
from reprostats.experiments.advisor_guideline import Settings
from reprostats.experiments.data_parallel_advice import Tuning, guideline_for
from reprostats.experiments.data_parallel_parameters import DataParallelParameters
from reprostats.verdicts.report import verdict
from tests.experiments.data_parallel_results import SEEDS, USUAL, made


def tuned_for(parameters, quality=0.9):
    """A tuning whose iterations all have one quality, on 18 workers; the baseline has 0.9."""
    measures = ("dice", "mean_accuracy", "mean_iou")

    def evaluate(proposal):
        return {name: [quality] * 3 for name in measures}, {name: [0.9] * 3 for name in measures}

    history, end = tune(evaluate, guideline_for(parameters, 18))
    settings = Settings(learning_rate=0.01, decay_epochs=1)  # not the defaults, so it has a name
    return Tuning(18, history, end.model_copy(update={"settings": settings}))


def report_of(results, quality=0.9, timed=None):
    policies = [n for n in dict.fromkeys(results["policy"]) if n != "GreScale, tuned"]
    parameters = DataParallelParameters(policies=policies, world_sizes=sizes(results))
    common = verdict(results, metric="dice", margin=0.01, baseline="constant, 1 worker")
    tunings = (
        [tuned_for(parameters, quality)] if "GreScale, tuned" in set(results["policy"]) else []
    )
    timed = pd.DataFrame() if timed is None else timed
    return data_parallel.extended(common, results, timed, parameters, tunings)


def sizes(results):
    return sorted({int(size) for size in results["world_size"]} | {1})


def loss(results, policy):
    found = report_of(results).of("loss over workers")
    return next(each for each in found if each.policy == policy)


class TestLossOverWorkers:
    def test_begins_where_every_larger_number_loses_too(self):
        found = loss(made(USUAL), "constant")
        assert (found.answer, found.lost, found.onset) == ("yes", [8, 18], 8)
        assert "From 8 workers on a loss is shown." in found.sentence
        assert loss(made(USUAL), "linear").onset == 18

    def test_no_start_is_named_where_a_larger_number_shows_no_loss(self):
        found = loss(made({("constant", 1): 0.0, ("constant", 4): -0.05, ("constant", 8): 0.0},
                          noise=0.0005), "constant")  # fmt: skip
        assert (found.lost, found.held, found.onset) == ([4], [8], None)
        assert " on a loss" not in found.sentence

    def test_no_needs_equivalence_with_every_number(self):
        none = {("constant", 1): 0.0, ("constant", 4): 0.0, ("constant", 8): 0.0}
        assert loss(made(none, noise=0.0005), "constant").answer == "no"
        unsure = loss(made(none, noise=0.02), "constant")
        assert unsure.answer == "undetermined"
        assert unsure.sentence == "With 4, 8 workers, the trainings do not decide."

    def test_loss_smaller_than_the_margin_does_not_count(self):
        small = {("constant", 1): 0.0, ("constant", 4): -0.004}
        found = loss(made(small, noise=0.0005), "constant")
        assert (found.answer, found.lost, found.held) == ("no", [], [4])
        assert found.comparisons[4].outcome == "worse"

    def test_what_diverged_is_not_called_no_loss(self):
        diverged = {("linear", 18, seed) for seed in SEEDS}
        found = loss(made(USUAL, diverged=diverged), "linear")
        assert (found.missing, found.onset) == ([18], None)
        assert found.answer == "undetermined"
        assert "With 18 workers, too few trainings can be compared." in found.sentence

    def test_all_diverged(self):
        shifts = {("constant", 1): 0.0, ("linear", 2): 0.0}
        found = loss(made(shifts, diverged={("linear", 2, seed) for seed in SEEDS}), "linear")
        assert found.answer == "not applicable"


class TestWonBack:
    @pytest.mark.parametrize(
        ("linear", "tuned", "answer"),
        [(-0.05, 0.0, "yes"), (-0.05, -0.03, "no"), (0.0, 0.0, "not applicable")],
    )
    def test_is_what_linear_scaling_loses_and_the_tuned_policy_does_not(
        self, linear, tuned, answer
    ):
        shifts = {("constant", 1): 0.0, ("linear", 18): linear, ("GreScale, tuned", 18): tuned}
        (found,) = report_of(made(shifts, noise=0.0005)).of("won back")
        assert found.answer == answer
        assert found.tuned.difference == pytest.approx(tuned, abs=0.002)

    def test_a_loss_that_is_not_shown_cannot_be_won_back(self):
        shifts = {("constant", 1): 0.0, ("linear", 18): -0.01, ("GreScale, tuned", 18): 0.0}
        (found,) = report_of(made(shifts, noise=0.02)).of("won back")
        assert found.answer == "undetermined"

    def test_linear_scaling_was_not_trained(self):
        (found,) = report_of(made({("constant", 1): 0.0, ("GreScale, tuned", 18): 0.0})).of(
            "won back"
        )
        assert found.answer == "not applicable"
        assert found.sentence.endswith("Linear scaling cannot be compared.")


@pytest.mark.parametrize(("quality", "answer"), [(0.9, "yes"), (0.5, "no")])
def test_advisor_ends(quality, answer):
    (found,) = report_of(made(USUAL), quality).of("advisor")
    assert found.answer == answer
    assert found.reason in found.sentence


def test_where_nothing_completed_the_rest_is_said(tmp_path):
    shifts = {("constant", 1): 0.0, ("linear", 2): 0.0}
    diverged = {(*place, seed) for place in shifts for seed in SEEDS}
    report = report_of(made(shifts, diverged=diverged).assign(metric="dice"))
    assert report.of("completed")[0].answer == "no"
    assert "rates" in report.figures
    assert report.write(tmp_path)


def test_baseline_that_did_not_complete_still_gives_the_rest(tmp_path):
    diverged = {("constant", 1, seed) for seed in SEEDS}
    timed = made({("constant", 1): 0.0, ("constant", 2): 0.0})
    report = report_of(made(USUAL, diverged=diverged), timed=timed)
    assert {each.answer for each in report.of("loss over workers")} == {"not applicable"}
    assert set(report["by_world_size"].frame["outcome"]) == {"not compared"}
    assert report["speed_up"].frame["speed_up"].iloc[1] > 1
    assert report["measures"].write(tmp_path)


def test_numbers_of_verdicts_are_plain_and_sentences_whole():
    for found in report_of(made(USUAL)).verdicts:
        json.dumps(found.numbers)
        assert found.sentence.endswith(".")
        assert found.asked.endswith("?")
