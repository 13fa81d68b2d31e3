"""The probability of outperforming, after Bouthillier et al. (2021)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reprostats import pairs_for_outperforming, probability_of_outperforming
from reprostats.errors import InputError


def pairs(wins: int, losses: int, ties: int = 0) -> tuple[list[float], list[float]]:
    first = [0.9] * wins + [0.7] * losses + [0.1 + 0.2] * ties
    return first, [0.8] * (wins + losses) + [0.3] * ties


@pytest.mark.parametrize(
    ("wins", "losses", "conclusion"),
    [
        (15, 14, "not significant"),
        (21, 8, "significant and meaningful"),
        (600, 400, "significant, not meaningful"),
    ],
)
def test_conclusions_of_the_paper(wins, losses, conclusion):
    for interval in ("score", "bootstrap"):
        found = probability_of_outperforming(*pairs(wins, losses), interval=interval).iloc[0]
        assert found["conclusion"] == conclusion


def test_sample_sizes_of_the_paper():
    """Figure C.1 of the paper: 29 at 0.75; by Noether's formula 46 at 0.7 and 181 at 0.6."""
    sizes = [pairs_for_outperforming(meaningful=g)["n"].iloc[0] for g in (0.75, 0.7, 0.6)]
    assert sizes == [29, 46, 181]


def test_bootstrap_is_that_of_a_binomial_count():
    """Resampled wins are binomial: percentiles from SciPy's quantiles."""
    found = probability_of_outperforming(*pairs(20, 9), interval="bootstrap").iloc[0]
    expected = stats.binom.ppf([0.025, 0.975], 29, 20 / 29) / 29
    assert found["ci_low"] == pytest.approx(expected[0], abs=1e-12)
    assert found["ci_high"] == pytest.approx(expected[1], abs=1e-12)


def test_winning_every_pair_is_no_certainty():
    score = probability_of_outperforming(*pairs(3, 0)).iloc[0]
    assert (score["ci_low"], score["ci_high"]) == (pytest.approx(0.4385, abs=1e-4), 1.0)
    bootstrap = probability_of_outperforming(*pairs(3, 0), interval="bootstrap").iloc[0]
    assert "no uncertainty" in bootstrap["note"]


def test_rounding_is_a_tie():
    found = probability_of_outperforming(*pairs(2, 2, ties=6)).iloc[0]
    assert found["probability"] == 0.5


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=20))
def test_the_other_way_round(values):
    table = np.array(values) / 10
    one = probability_of_outperforming(table).iloc[0]
    other = probability_of_outperforming(table[:, ::-1]).iloc[0]
    lower = probability_of_outperforming(table, higher_is_better=False).iloc[0]
    assert one["probability"] == pytest.approx(1 - other["probability"])
    assert one["ci_low"] == pytest.approx(1 - other["ci_high"])
    assert lower["ci_low"] == other["ci_low"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"meaningful": 0.5}, "meaningful is 0.5"),
        ({"meaningful": math.nan}, "meaningful is nan"),
        ({"interval": "wald"}, "interval"),
        ({"resamples": 0}, "resamples is 0"),
    ],
)
def test_refuses(options, said):
    with pytest.raises(InputError, match=said):
        probability_of_outperforming([0.9, 0.8], [0.7, 0.6], **options)
    if "meaningful" in options:
        with pytest.raises(InputError, match=said):
            pairs_for_outperforming(**options)
