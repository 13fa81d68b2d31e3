"""What a re-analysis of the published tables finds, number by number."""

from __future__ import annotations

import numpy as np
import pytest

from reprostats.errors import InputError
from reprostats.report import published, published_claims


@pytest.fixture(scope="module")
def chosen():
    return published.PublishedParameters()


def test_cells_are_read_as_printed():
    runs = published.marrone()
    assert len(runs) == 50
    assert runs.groupby("configuration").size().tolist() == [10] * 5
    assert runs.loc[0, ["dsc", "low", "high", "size"]].tolist() == [95.80, 95.24, 96.37, 1.13]
    assert published.misprints().frame["printed"].tolist() == ["88.58v"]


def test_median_sizes():
    """Medians of the ten printed sizes: 1.125, 1.36, 0.955, 1.225, 0.94."""
    found = published.marrone().groupby("configuration")["size"].median()
    np.testing.assert_allclose(found, [1.125, 1.36, 0.955, 1.225, 0.94], atol=1e-9)


def test_framework_or_hardware():
    """Eta squared of CI size against sums of squares by hand, from the four cell means."""
    runs = published.marrone().query("conf in ['B', 'C']")
    total = runs["size"].var(ddof=0) * 40
    means = runs.groupby("framework")["size"].mean()
    expected = 20 * ((means - runs["size"].mean()) ** 2).sum() / total
    found = published.framework_or_hardware().frame.set_index(["result", "factor"])
    assert found.loc[("CI size", "Framework"), "eta_squared"] == pytest.approx(expected, rel=1e-9)
    assert found.loc[("CI size", "Framework"), "p_value"] < 0.001
    assert found.loc[("CI size", "Hardware"), "p_value"] > 0.4
    assert (found.loc["Median Dice", "p_value"] > 0.5).all()


def test_equivalence_depends_on_the_margin(chosen):
    strict = published.equivalence(chosen).frame
    assert len(strict) == 10
    assert not strict["equivalent"].any()
    wide = published.equivalence(published.PublishedParameters(margin=0.3)).frame
    assert wide["equivalent"].all()


def test_degrees_of_freedom():
    """7.15 +- 0.737 needs ddof 0; 7.14 +- 0.731 and 0.044 need ddof 1, cut off."""
    found = published.degrees_of_freedom().frame["divisor"].tolist()
    assert found == ["ddof 0, rounded", "ddof 1, cut off", "ddof 1, cut off"]


def test_against_baseline():
    """Mean accuracy, left atrium: -0.74 points in Table 6.1 and -0.46 in Table 6.4."""
    table = published.against_baseline().frame.set_index("metric")
    assert table.loc["MA", "worse_in"].split(", ")[:2] == ["6.1", "6.4"]
    pairs = published.last_and_baseline().set_index("table")
    gains = (pairs["MA, last"] - pairs["MA, baseline"]).round(2)
    assert (gains["6.1"], gains["6.4"]) == (-0.74, -0.46)


@pytest.fixture(scope="module")
def claimed(chosen):
    return published_claims.claims(chosen).frame.set_index("claim")


def test_claims(claimed):
    verdict = claimed["verdict"]
    assert verdict["the intervals of all repetitions overlap, so the model is stable"] == "holds"
    assert verdict["framework matters more than hardware, for CI size"] == "holds"
    assert verdict["framework matters more than hardware, for Median Dice"] == "refuted"
    assert set(verdict[[c for c in verdict.index if "always outperforms" in c]]) == {"refuted"}
    assert verdict["SDs are computed in one way"] == "refuted"
    assert verdict["error rates are shares of 535 cells"] == "holds"
    shown = claimed["evidence"]
    twice = "Table 6.6, iteration 3 = Table 6.8, iteration 1"
    assert shown["every row is a training of its own"] == twice
    assert shown["intervals of M are about 27% smaller than those of BK, CK"] == "26.7% smaller"


def test_every_claim_has_a_verdict_and_evidence(claimed):
    assert set(claimed["verdict"]) == {"holds", "refuted", "undetermined"}
    assert set(claimed["how"]) == {"recomputed", "computed", "measured", "stated"}
    assert claimed["evidence"].str.len().gt(3).all()
    assert claimed.index.is_unique
    assert {source.partition(",")[0] for source in claimed["source"]} == {
        "Marrone", "Alahmari", "Oh", "Thesis",
    }  # fmt: skip


def test_what_nothing_here_decides_is_not_decided(claimed):
    stated = claimed[claimed["how"] == "stated"]
    assert set(stated["verdict"]) == {"undetermined"}
    measured = claimed[claimed["how"] == "measured"]
    assert "refuted" not in set(measured["verdict"])  # a processor refutes nothing about GPUs


def test_keras_draws_from_equation_1():
    """By hand: sqrt(6 / (1500 + 4000)) = 0.0330289 and sqrt(6 / 2750) = 0.0467099."""
    claim = published_claims.equation_2()
    assert claim.verdict == "refuted"
    assert "0.0330 (Equation 1) and 0.0467 (Equation 2)" in claim.evidence


def test_the_epsilon_of_keras_does_not_make_its_adam():
    """Keras 3.15.1 takes 2.4025e-4, PyTorch 9.09e-4; see tests/frameworks."""
    claim = published_claims.adam_matched()
    assert claim.verdict == "refuted"
    assert "2.40e-04 in Keras and 9.09e-04 in PyTorch" in claim.evidence


def test_repeatability_by_the_printed_rows(claimed):
    """Distinct rows by hand: 7, 2 and 1 of Tables 3 to 5; 6, 1 and 1 of Table 7."""
    rows = claimed[claimed.index.str.contains("repeatable")]
    distinct = rows["evidence"].str.extract(r": (\d)$")[0].dropna()
    assert distinct.tolist() == list("721611")


def test_figures(chosen, tmp_path):
    table = published.equivalence(chosen)
    figures = (published.size_figure(), published.equivalence_figure(table, chosen))
    assert all(path.stat().st_size > 5000 for each in figures for path in each.write(tmp_path))
    assert "ten repetitions of a 10-fold cross-validation" in figures[0].caption
    assert "margin of 0.1 percentage points" in figures[1].caption


def test_columns_have_titles(chosen):
    """No table shows the name of a column where a title is meant."""
    tables = [
        published.framework_or_hardware(), published.equivalence(chosen), published.misprints(),
        published.degrees_of_freedom(), published.against_baseline(),
        published_claims.claims(chosen),
    ]  # fmt: skip
    assert not [title for table in tables for title in table.header if "_" in title]


def test_no_such_table(tmp_path):
    with pytest.raises(InputError, match=r"no published table nothing\.csv"):
        published.read("nothing", tmp_path)
