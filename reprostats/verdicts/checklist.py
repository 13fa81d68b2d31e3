"""A checklist of the review, filled by a study of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reprostats.errors import unknown_name
from reprostats.report.tables import Table
from reprostats.review.checklists import NOT_JUDGED, Checklist, Item, judge
from reprostats.review.columns import plain
from reprostats.review.fields import FieldPlace, status_of, value_of
from reprostats.review.load import Protocol, load_protocol
from reprostats.review.questions import Questions
from reprostats.review.runs import RECORD_FILE, read_run, run_text
from reprostats.verdicts import phrases
from reprostats.verdicts.run_facts import RunFacts

CANNOT_BE_TOLD = "cannot be told"
COLUMNS = ("No.", "Item", "Answer", "What the run says")


def run_checklist(
    facts: RunFacts,
    record: Mapping[str, Any],
    name: str,
    *,
    protocol: Protocol | None = None,
) -> Table:
    """Fill a checklist with what a study knows of itself.

    Parameters
    ----------
    facts
        From `reprostats.verdicts.run_facts.gather_run_facts`.
    record
        From `reprostats.verdicts.run_record.run_record`, of the same facts.
    name
        Of the checklist, such as ``"reforms"``; see `checklist_names`.
    protocol
        The review whose checklist it is; that of the checkout if left out.

    Returns
    -------
    Table
        One row an item: number, label, answer (met, partly met, not met, not applicable, cannot be
        told), and what of the study decided it.

    Raises
    ------
    InputError
        If there is no such checklist; the message names the nearest.

    Examples
    --------
    >>> from reprostats.verdicts.run_record import run_record
    >>> facts = RunFacts(trials_recorded=5, trials_completed=5, failures={})
    >>> record = run_record(facts, key="a", label="A", year=2026, title="A", authors=["B. C"])
    >>> table = run_checklist(facts, record, "ml-reproducibility-2.0").frame.set_index("No.")
    >>> table.loc["5.2"].tolist()[1:]
    ['met', '5 trials, of which 5 completed']
    >>> table.loc["4.2"].tolist()[1:]
    ['cannot be told', '']
    """
    asked = protocol or load_protocol()
    checklist = _checklist(name, asked)
    run = read_run(Path(RECORD_FILE), asked.run_file, asked.vocabulary, run_text(record))
    questions = asked.questions.of_own_runs
    sayings = _sayings(facts)
    rows = [
        (item.number, item.label, _answer(item, asked.questions, run), says)
        for item in checklist.items
        for says in [_what_it_says(_places(item, questions), run, sayings)]
    ]
    return Table(
        f"checklist_{name.replace('-', '_').replace('.', '_')}_run",
        pd.DataFrame(rows, columns=list(COLUMNS), dtype="str"),
        f"{checklist.title}: {run.label}",
        note=(
            f"{checklist.source}. Labels in own words. Cannot be told: the records of the run do "
            "not hold what the item asks for."
        ),
    )


def checklist_names(protocol: Protocol | None = None) -> tuple[str, ...]:
    """Name the checklists of a review.

    Examples
    --------
    >>> checklist_names()[:2]
    ('guedria-2020', 'ml-reproducibility-2.0')
    """
    return tuple(_checklists(protocol or load_protocol()))


def _checklists(protocol: Protocol) -> dict[str, Checklist]:
    lists = (protocol.read(file, Checklist) for file in protocol.form.checklists)
    return {checklist.name: checklist for checklist in lists}


def _checklist(name: str, protocol: Protocol) -> Checklist:
    known = _checklists(protocol)
    if name not in known:
        raise unknown_name("checklist", name, known)
    return known[name]


def _answer(item: Item, questions: Questions, run: Any) -> str:
    answer = judge(item, questions)(run)
    return CANNOT_BE_TOLD if answer == NOT_JUDGED else answer


def _places(item: Item, questions: Questions) -> list[FieldPlace]:
    """Return the fields that decide an item for a run, each once."""
    rule = item.run or item
    texts = [text for text in (rule.met, rule.partly, item.not_applicable) if text]
    places = {place.name: place for text in texts for place in questions.ask(text).places}
    return list(places.values())


def _what_it_says(places: list[FieldPlace], run: Any, sayings: Mapping[str, str | None]) -> str:
    """Say what the run knows of some fields, each fact once."""
    told = (
        sayings[place.name] if place.name in sayings else _finding(place, run) for place in places
    )
    return "; ".join(dict.fromkeys(text for text in told if text))


def _sayings(facts: RunFacts) -> dict[str, str | None]:
    """Return the facts that read better than the name of a field with its value."""
    samples = phrases.samples(facts)
    counted = ("trials_planned", "trials_recorded", "trials_completed")
    sizes = ("training_samples", "validation_samples", "test_samples")
    return {
        **dict.fromkeys(counted, phrases.trials(facts)),
        **dict.fromkeys(sizes, samples),
        "repeats": phrases.repeats(facts),
        "folds": phrases.folds(facts),
        "machine_memory_gb": phrases.memory(facts),
        "seconds_per_trial": phrases.run_time(facts),
        "processors": phrases.processors(facts),
    }


def _finding(place: FieldPlace, run: Any) -> str:
    """Write what a record holds in one field; nothing if it holds nothing."""
    # A part, such as the memory of a device, is said with what it is a part of.
    name, found = (
        (place.group, place.looked_for(run)) if place.of_part else (place.name, place.found(run))
    )
    each = found if isinstance(found, tuple) and place.group else (found,)
    said = dict.fromkeys(filter(None, map(_written, each)))
    return f"{name.replace('_', ' ')}: {', '.join(said)}" if said else ""


def _written(found: Any) -> str:
    if found is None:
        return ""
    value = value_of(found)
    note = getattr(found, "note", None) or ""
    if value is None:
        return note or status_of(found)
    return " ".join(filter(None, [_value(value), f"({note})" if note else ""]))


def _value(value: Any) -> str:
    if value == ():
        return "none"
    if isinstance(value, tuple) and hasattr(value[0], "model_fields_set"):
        return ", ".join(" ".join(_part(part)) for part in value)
    return plain(value)


def _part(part: Any) -> list[str]:
    """Write a part, such as a device with its memory, field by field."""
    held = {name: plain(value) for name, value in part if value is not None and name != "used_for"}
    return [f"({text} GB)" if name == "memory_gb" else text for name, text in held.items()]
