"""The claims of chapter 5 are counted again; figures come from the records, never from a list."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reprostats.review.audit import Audited, Found, audit, audit_table
from reprostats.review.load import Review, load_papers
from reprostats.yaml_files.mistakes import YamlFileError

if TYPE_CHECKING:
    from conftest import Desk

# Recomputed by hand from the printed tables, with the verdict: claim -> (found, verdict)
BY_HAND = {
    "1": ("4/23", "yes"), "2": ("19/23", "yes"), "3": ("13/23", "yes"), "4": ("8/23", "yes"),
    "5": ("3/23", "yes"), "6": ("10/23", "another reading"), "7": ("4/23", "yes"),
    "8": ("11/23", "another reading"), "9": ("4/23", "another reading"),
    "10": ("9", "another reading"), "11a": ("12/23", "yes"), "11b": ("2/23", "yes"),
    "12": ("14/23", "yes"), "13": ("12/23", "no"), "14a": ("8/23", "yes"), "14b": ("3/23", "yes"),
    "15": ("12/23", "yes"), "16": ("8/11", "another reading"), "17": ("3/23", "another reading"),
    "18": ("10/23", "yes"), "19": ("5", "yes"), "20": ("8/23", "yes"), "21": ("6/23", "yes"),
    "22": ("6/23", "another reading"), "23": ("3/23", "another reading"), "24": ("7/23", "yes"),
    "25": ("11/23", "another reading"), "26a": ("9", "no"), "26b": ("", "cannot be judged"),
    "27": ("24/36", "another reading"), "28": ("6/23", "another reading"),
    "29": ("7", "another reading"), "30": ("3/23", "yes"), "31": ("23", "another reading"),
    "32": ("23/23", "yes"), "33": ("10/23", "yes"), "34": ("16/23", "another reading"),
    "35": ("14/23", "yes"), "36": ("2", "yes"), "37": ("21/23", "yes"),
    "38": ("0.00001 to 0.05", "no"), "39": ("20 to 95", "yes"), "40": ("17/23", "no"),
    "41a": ("2015.83", "yes"), "41b": ("2014", "yes"),
}  # fmt: skip

READINGS = {
    "6": ["12/23"], "8": ["11/20"], "9": ["4/20"], "10": ["4", "5"], "16": ["8/23"],
    "17": ["2/23", "2/23"], "22": ["7/23"], "23": ["4/23"], "25": ["12/23"], "26a": ["8"],
    "27": ["24/35"], "28": ["6/15", "6/14"], "29": ["5"], "31": ["22", "20"],
    "34": ["8/23", "6/23"],
}  # fmt: skip


@pytest.fixture(scope="module")
def review() -> Review:
    return load_papers()


@pytest.fixture(scope="module")
def audited(review: Review) -> dict[str, Audited]:
    return {one.claim.number: one for one in audit(review)}


def test_every_claim_is_there(audited: dict[str, Audited]) -> None:
    assert {number.rstrip("ab") for number in audited} == {str(n) for n in range(1, 42)}
    assert list(audited) == list(BY_HAND)


@pytest.mark.parametrize("number", BY_HAND)
def test_a_claim_is_counted_as_by_hand(audited: dict[str, Audited], number: str) -> None:
    one = audited[number]
    found = "" if one.found is None else str(one.found).split(" =")[0]
    assert (found, one.verdict) == BY_HAND[number]
    others = [str(other).split(" =")[0] for _, other in one.readings]
    assert others == READINGS.get(number, [])


def test_the_reproducible_papers_are_those_that_the_chapter_names(
    audited: dict[str, Audited],
) -> None:
    assert audited["17"].found.papers == ("kamnitsas2017", "milletari2016a", "pereira2016")
    assert audited["17"].readings[0][1].papers == ("kamnitsas2017", "pereira2016")


def test_figures_follow_the_records(review: Review) -> None:
    half = replace(review, papers=review.papers[:5])
    again = {one.claim.number: one for one in audit(half)}
    assert str(again["1"].found) == "1/5 = 20.0 %"
    assert again["41b"].verdict == "yes"
    assert str(audit(replace(review, papers=()))[0].found) == "nothing to count"


def test_shares_have_wilson_intervals(audited: dict[str, Audited]) -> None:
    table = audit_table(list(audited.values())).frame
    assert table.loc[0, "95 % CI"] == "7.0 to 37.1 %"
    assert (table["95 % CI"] == "").sum() == 11


@pytest.mark.parametrize(
    ("stated", "number", "agrees"),
    [("17 %", 17.391, True), ("17 %", 17.5, True), ("17 %", 16.4, False), ("18 %", 17.5, True),
     ("68.5 %", 68.5714, True), ("68.4 %", 68.5714, False), ("50 %", math.nan, False)],
)  # fmt: skip
def test_agreement_is_at_the_digits_that_are_stated(
    audited: dict[str, Audited], stated: str, number: float, agrees: bool
) -> None:
    claim = audited["1"].claim.model_copy(update={"stated": stated})
    assert claim.agrees(Found(number, number, "%")) is agrees


@pytest.mark.parametrize(
    ("rule", "problem", "remedy"),
    [
        ("{share: netwrok == 'CNN'}", "there is no field 'netwrok'", "did you mean 'network'?"),
        ("{share: size == '≤10'}", "one answer for each of 'data_sets'", "say any(...) or all"),
        (
            "{share_of_items: year > 3}",
            "one answer for each paper",
            "ask for a field that has several",
        ),
        ("{}", "a rule counts 0 things", "give one of: share, count"),
        ("{mean: year, smallest: year}", "a rule counts 2 things", "give one of"),
        ("{shaer: year > 3}", "there is no field 'shaer'", "did you mean 'share'?"),
        ("{share: year > 3, of: year}", "not answered by yes or no", "compare it"),
    ],
)
def test_a_rule_that_cannot_be_asked(desk: Desk, rule: str, problem: str, remedy: str) -> None:
    claim = (
        f"source: x\nclaims:\n  - {{number: '1', claim: c, stated: 5 %, why: w, rule: {rule}}}\n"
    )
    (desk.folder / "audit.yaml").write_text(claim, encoding="utf-8")
    review = load_papers(desk.write().path)
    with pytest.raises(YamlFileError) as error:
        audit(review)
    (mistake,) = error.value.mistakes
    assert mistake.line == 3
    assert mistake.column > 50
    assert problem in mistake.problem
    assert remedy in f"{mistake.problem}; {mistake.remedy}"


@pytest.mark.parametrize("stated", ["most", "0 to 1 to 2"])
def test_words_need_a_meaning(desk: Desk, stated: str) -> None:
    claim = f"source: x\nclaims: [{{number: '1', claim: c, stated: '{stated}', why: w}}]\n"
    (desk.folder / "audit.yaml").write_text(claim, encoding="utf-8")
    with pytest.raises(YamlFileError, match="is no figure; say with means"):
        audit(load_papers(desk.write().path))
