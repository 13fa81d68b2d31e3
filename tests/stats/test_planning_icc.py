"""Planning of raters and subjects for ICC(A,1)."""

import numpy as np
import pytest

from reprostats import icc, plan_icc, subjects_for_icc
from reprostats.errors import InputError
from reprostats.stats.planning_icc import _half_width


@pytest.mark.parametrize(
    ("rho", "ratio", "n_raters", "n_subjects"), [(0.9, 1.0, 3, 42), (0.5, 0.3, 5, 20)]
)
def test_half_width_is_that_of_simulated_studies(rho, ratio, n_raters, n_subjects):
    """120 studies; the mean half-width is known to within four standard errors."""
    residual = (1 - rho) / (1 + ratio)
    rng = np.random.default_rng(5)
    widths = []
    for _ in range(120):
        ratings = (
            rng.normal(0, rho**0.5, (n_subjects, 1))
            + rng.normal(0, (ratio * residual) ** 0.5, (1, n_raters))
            + rng.normal(0, residual**0.5, (n_subjects, n_raters))
        )
        row = icc(ratings).iloc[1]
        widths.append((row["ci_high"] - row["ci_low"]) / 2)
    error = np.std(widths, ddof=1) / len(widths) ** 0.5
    expected = _half_width(rho, ratio, n_raters, n_subjects, 0.95)
    assert expected == pytest.approx(np.mean(widths), abs=4 * error)


def test_raters_that_do_not_differ_need_what_bonett_says():
    """Bonett (2002) plans for a large-sample interval of ICC(C,1): within a tenth of it."""
    planned = plan_icc(icc=0.8, rater_ratio=0.0, half_width=0.1, max_raters=3)
    (three,) = planned.loc[planned["n_raters"] == 3, "n_subjects"]
    bonett = int(subjects_for_icc(icc=0.8, n_raters=3, half_width=0.1)["n"].iloc[0])
    assert three >= bonett  # shifts of raters are estimated too
    assert three <= 2 * bonett


def test_more_raters_need_fewer_subjects():
    plan = plan_icc(icc=0.9, rater_ratio=1.0, half_width=0.1, max_raters=12)
    assert (np.diff(plan["n_subjects"]) <= 0).all()
    assert (plan["half_width"] <= 0.1).all()


def test_few_raters_are_never_enough_where_raters_differ():
    assert plan_icc(icc=0.9, rater_ratio=1.0, half_width=0.05, max_raters=5).empty


def test_cheapest_weighs_trainings_against_cases():
    options = {"icc": 0.9, "rater_ratio": 0.5, "half_width": 0.1, "max_raters": 12}
    dear_raters = plan_icc(rater_cost=100, subject_cost=1, **options).query("cheapest")
    dear_subjects = plan_icc(rater_cost=1, subject_cost=100, **options).query("cheapest")
    assert dear_raters["n_raters"].item() < dear_subjects["n_raters"].item()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"icc": 1.0}, "icc is 1.0"),
        ({"rater_ratio": -0.1}, "rater_ratio is -0.1"),
        ({"half_width": 0}, "half_width is 0"),
        ({"rater_cost": float("nan")}, "rater_cost is nan"),
        ({"max_raters": 1}, "max_raters is 1"),
        ({"max_subjects": 2.5}, "max_subjects is 2.5"),
        ({"confidence_level": 95}, "confidence_level"),
    ],
)
def test_refuses_numbers_out_of_range(changed, said):
    with pytest.raises(InputError, match=said):
        plan_icc(**{"icc": 0.9, "rater_ratio": 0.5, "half_width": 0.1} | changed)
