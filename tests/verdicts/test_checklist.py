"""Checklists say of a run what it knows, and nothing else."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from reprostats.errors import InputError
from reprostats.review.load import load_protocol
from reprostats.verdicts.checklist import CANNOT_BE_TOLD, checklist_names, run_checklist
from reprostats.verdicts.run_facts import RunFacts
from reprostats.verdicts.run_record import run_record
from tests.verdicts.hand_made import IDENTITY, facts, record

NAMES = ("guedria-2020", "ml-reproducibility-2.0", "claim-2024", "mi-claim", "reforms", "tripod-ai")
PROTOCOL = load_protocol()
ONCE_EACH = facts(
    [
        record(config={"learning_rate": rate}, metrics=[("accuracy", "all", 0.9)])
        for rate in (0.1, 0.01)
    ]
)
UNVALIDATED = facts([record(description={"training": 90, "validation": 0, "test": 10})])


def filled(name: str, of: RunFacts | None = None, **stated: Any) -> pd.DataFrame:
    known = facts() if of is None else of
    made = run_record(known, **IDENTITY, stated=stated, protocol=PROTOCOL)
    return run_checklist(known, made, name, protocol=PROTOCOL).frame.set_index("No.")


def test_the_checklists_of_the_review():
    assert checklist_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_knows_nothing_claims_nothing(name: str):
    frame = filled(name, RunFacts())
    assert {*frame["Answer"]} == {CANNOT_BE_TOLD}
    assert {*frame["What the run says"]} == {""}


@pytest.mark.parametrize(
    ("name", "number", "answer", "says"),
    [
        ("guedria-2020", "7", "met",
         "5 trials, of which 5 completed; at least 5 of each configuration and fold"),
        ("guedria-2020", "9", "met", "devices: Intel Xeon (8 GB); Intel Xeon, 2 cores"),
        ("guedria-2020", "6a", "met", "learning rate: 0.01"),
        ("guedria-2020", "6c", CANNOT_BE_TOLD, ""),
        ("guedria-2020", "12", "not met", "metrics: dice"),
        ("guedria-2020", "11", CANNOT_BE_TOLD, ""),
        ("ml-reproducibility-2.0", "3.2", "met",
         "80 samples for training, 10 for validation, 10 for test"),
        ("ml-reproducibility-2.0", "4.1", "met",
         "lock files: constraints.txt; packages: torch 2.7.1, numpy 2.2.0, reprostats 0.1.0"),
        ("ml-reproducibility-2.0", "4.2", CANNOT_BE_TOLD, ""),
        ("ml-reproducibility-2.0", "5.2", "met", "5 trials, of which 5 completed"),
        ("ml-reproducibility-2.0", "5.5", "met", "50 s in all, 10 s per trial"),
        ("ml-reproducibility-2.0", "5.6", "met", "Intel Xeon, 2 cores; 8 GB of memory"),
        ("reforms", "2b", "partly met", f"git commit: {'a' * 40}"),
        ("claim-2024", "30", "partly met",
         "varied sources: init and batch_order together (5 levels)"),
        ("claim-2024", "26", "partly met",
         "80 samples for training, 10 for validation, 10 for test"),
        ("tripod-ai", "12e", "met", "metrics: dice"),
    ],
)  # fmt: skip
def test_items(name: str, number: str, answer: str, says: str):
    row = filled(name).loc[number]
    assert (row["Answer"], row["What the run says"]) == (answer, says)


@pytest.mark.parametrize(
    ("name", "number", "of", "answer"),
    [
        ("guedria-2020", "7", facts([record()]), "not met"),
        ("ml-reproducibility-2.0", "4.1", facts(lock_files={}), "partly met"),
        ("reforms", "2b", facts(git_commit=""), CANNOT_BE_TOLD),
        # The commit is not exact, and whether the code is public is not known.
        ("reforms", "2b", facts(git_commit="abc+changes"), "partly met"),
        ("reforms", "3e", RunFacts(training_samples=(5,)), "partly met"),
        ("guedria-2020", "7", ONCE_EACH, "not met"),
        ("ml-reproducibility-2.0", "5.4", ONCE_EACH, "not met"),
        # That there are no validation data is told, but no model can have been chosen by them.
        ("ml-reproducibility-2.0", "3.2", UNVALIDATED, "met"),
        ("claim-2024", "26", UNVALIDATED, "not met"),
    ],
)
def test_items_that_are_not_met_in_full(name: str, number: str, of: RunFacts, answer: str):
    assert filled(name, of).loc[number, "Answer"] == answer


def test_what_the_author_states_decides_too():
    stated = {"code": "public", "code_url": "https://example.org"}
    assert filled("reforms", **stated).loc["2b", "Answer"] == "met"
    changed = facts(git_commit="abc+changes")
    assert filled("reforms", changed, **stated).loc["2b", "Answer"] == "partly met"


def test_one_row_an_item_in_its_order():
    table = run_checklist(facts(), run_record(facts(), **IDENTITY), "reforms")
    assert table.frame["No."].tolist()[:3] == ["2a", "2b", "2c"]
    assert table.name == "checklist_reforms_run"
    assert "REFORMS" in table.latex()


def test_an_unknown_checklist():
    with pytest.raises(InputError, match="did you mean 'reforms'"):
        filled("reform")
