"""A study of one's own as a record of the form in which a review holds papers.

Answers are made by the names of the form's fields; what a form does not ask is left out, and so is
what the study does not know. A word that the vocabulary lacks is written as a note beside
``reported``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from reprostats.errors import unknown_name
from reprostats.review.form import SectionForm
from reprostats.review.load import Protocol, load_protocol
from reprostats.review.runs import RECORD_FILE, read_run, run_text
from reprostats.review.vocabulary import STATUSES, Vocabulary
from reprostats.verdicts import phrases
from reprostats.verdicts.machines import Gpu, Machine
from reprostats.verdicts.run_facts import RunFacts

_SEVERAL = 2
_IN_COLUMNS_OF_THEIR_OWN = {"learning_rate", "lr", "batch_size", "dropout"}


def run_record(
    facts: RunFacts,
    *,
    key: str,
    label: str,
    year: int,
    title: str,
    authors: Sequence[str],
    metrics: Sequence[str] | None = None,
    stated: Mapping[str, object] | None = None,
    protocol: Protocol | None = None,
) -> dict[str, Any]:
    """Fill the record of a reviewed paper with what a study knows of itself.

    Parameters
    ----------
    facts
        From `reprostats.verdicts.run_facts.gather_run_facts`.
    key, label, year
        Short name that no paper has; the run as tables name it; its year.
    title, authors
        What identifies the run.
    metrics
        Names of the metrics that are reported; all that were measured if left out.
    stated
        What only its author knows, by the names of the form's fields, such as ``network``,
        ``access``, ``code``, ``code_url`` and ``hyperparameter_selection``. It comes before what
        the study knows.
    protocol
        What the review asks, in which words; that of the checkout if left out.

    Returns
    -------
    dict
        The record as plain data, for `reprostats.review.runs.write_run`.

    Raises
    ------
    InputError
        If something is stated that the form does not ask.
    YamlFileError
        If an answer is none of this form: an unknown word, a key with blanks.

    Examples
    --------
    >>> facts = RunFacts(trials_completed=5, optimiser="Adam", config={"learning_rate": 0.01})
    >>> record = run_record(facts, key="unet", label="U-Net", year=2026, title="A U-Net",
    ...     authors=["A. Author"], metrics=["dice"], stated={"code": "public"})
    >>> record["optimisation"], record["implementation"]
    ({'optimiser': 'Adam', 'learning_rate': 0.01}, {'code': 'public'})
    """
    asked = protocol or load_protocol()
    answers = _answers(facts, metrics, asked.vocabulary)
    answers |= _checked(stated or {}, asked)
    answers = {name: answer for name, answer in answers.items() if answer is not None}
    sections = {
        name: section
        for name, form in asked.form.sections.items()
        if (section := _section(form, answers, facts.data_set))
    }
    record = {
        "key": key,
        "label": label,
        "year": year,
        "bibliography": {"title": title, "authors": [*authors], "year": year},
        **sections,
        "own_run": _own_run(facts, asked),
    }
    read_run(Path(RECORD_FILE), asked.run_file, asked.vocabulary, run_text(record))
    return record


def _checked(stated: Mapping[str, object], protocol: Protocol) -> dict[str, object]:
    known = [name for name, _ in protocol.form.fields() if name not in protocol.form.own_runs]
    for name in stated:
        if name not in known:
            raise unknown_name("field of the form", name, known, where="stated")
    return dict(stated)


def _section(
    form: SectionForm, answers: Mapping[str, object], data_set: str | None
) -> dict[str, Any]:
    section = {name: answers[name] for name in form.fields if name in answers}
    if form.each is None:
        return section
    item = {name: answers[name] for name in form.each.fields if name in answers}
    if not section and not item:
        return {}
    named = {"name": data_set} if data_set else {}
    return {form.each.name: [named | item], **section}


def _answers(
    facts: RunFacts, metrics: Sequence[str] | None, vocabulary: Vocabulary
) -> dict[str, object]:
    """Answer the questions of a form as far as facts go; None where they do not."""
    return {
        "size": _size(facts.subjects, vocabulary),
        "training_ratio": _share(facts, "training"),
        "validation_set": _share(facts, "validation"),
        "cross_validation": _cross_validation(facts, vocabulary),
        "augmentation": _augmentation(facts.augmentation, vocabulary),
        "network": _word("network", facts.network, vocabulary),
        "metrics": _words("metric", facts.metrics if metrics is None else metrics, vocabulary),
        "variability": _variability(facts),
        "every_subject": True if facts.values_by_case else None,
        "optimiser": _word("optimiser", facts.optimiser, vocabulary),
        "learning_rate": _setting(facts.hyperparameter("learning_rate", "lr"), "range"),
        "batch_size": _setting(facts.hyperparameter("batch_size")),
        "dropout": _setting(facts.hyperparameter("dropout")),
        "other_hyperparameters": _others(facts),
        "frameworks": _words("framework", _frameworks(facts), vocabulary),
        "devices": _devices(facts),
    }


def _spelling(kind: str, text: str, vocabulary: Vocabulary) -> str | None:
    """Find a word of the vocabulary; letter case and underscores do not matter."""
    if kind not in type(vocabulary).model_fields:
        return None
    if vocabulary.knows(kind, text):
        return text
    known = {spelling.casefold(): spelling for spelling in vocabulary.spellings(kind)}
    return known.get(text.casefold()) or known.get(text.casefold().replace("_", " "))


def _noted(text: str) -> dict[str, str]:
    return {"status": "reported", "note": text}


def _word(kind: str, text: str | None, vocabulary: Vocabulary) -> object:
    return text and (_spelling(kind, text, vocabulary) or _noted(text))


def _words(kind: str, texts: Sequence[str] | None, vocabulary: Vocabulary) -> object:
    if not texts:
        return None
    spelt = {text: _spelling(kind, text, vocabulary) for text in texts}
    words = [word for word in spelt.values() if word]
    others = [text for text, word in spelt.items() if not word]
    if not words:
        return _noted(", ".join(others))
    return {"value": words, "note": f"also {', '.join(others)}"} if others else words


def _size(subjects: int | None, vocabulary: Vocabulary) -> str | None:
    """Find the bin of a number of subjects: the first bound from below, or the last from above."""
    if subjects is None or "size" not in type(vocabulary).model_fields:
        return None
    words = vocabulary.words_of("size")
    bounds = {word: int(word[1:]) for word in words if re.fullmatch("[≤≥][0-9]+", word)}
    below = {bound: word for word, bound in bounds.items() if word[0] == "≤" and subjects <= bound}
    above = {bound: word for word, bound in bounds.items() if word[0] == "≥" and subjects >= bound}
    return below[min(below)] if below else above[max(above)] if above else None


def _share(facts: RunFacts, part: str) -> object:
    """Return the share of a part of the data: of subjects if they are known, else of samples."""
    parts = _parts(facts, "subjects") or _parts(facts, "samples")
    if parts is None:
        return None
    if any(len(counts) > 1 for counts in parts.values()):
        counted = (f"{phrases.numbers(counts)} for {name}" for name, counts in parts.items())
        return _noted(", ".join(counted))
    total = sum(counts[0] for counts in parts.values())
    return _percent(parts[part][0], total) if total else None


def _parts(facts: RunFacts, unit: str) -> dict[str, tuple[int, ...]] | None:
    """Return the numbers of all three parts; None unless all are known."""
    parts: dict[str, tuple[int, ...]] = {}
    for part in ("training", "validation", "test"):
        none = facts.validation_samples == (0,) and part == "validation"
        counts = getattr(facts, f"{part}_{unit}") or ((0,) if none else None)
        if counts is None:
            return None
        parts[part] = counts
    return parts


def _percent(count: int, total: int) -> str:
    share = (Decimal(100 * count) / total).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return f"{share:f} %".replace(".0 %", " %")


def _cross_validation(facts: RunFacts, vocabulary: Vocabulary) -> object:
    if facts.folds is None:
        return None
    if facts.folds >= _SEVERAL:
        return _word("cross_validation", f"{facts.folds}-fold", vocabulary)
    # A function that says how many samples it tested on tested on one part of the data.
    return "none" if facts.folds == 0 and facts.test_samples else None


def _augmentation(described: str | None, vocabulary: Vocabulary) -> object:
    if not described:
        return None
    changes = _spelling("augmentation", "transformations", vocabulary)
    word = _spelling("augmentation", described, vocabulary)
    return word or ({"value": changes, "note": described} if changes else _noted(described))


def _variability(facts: RunFacts) -> list[str] | None:
    """Say how the spread is shown: a report gives the SD of trainings that were repeated."""
    if (facts.repeats or 0) >= _SEVERAL:
        return ["values"]
    # The spread over cases may be shown all the same.
    return [] if facts.repeats == 1 and facts.values_by_case is False else None


def _setting(values: Sequence[Any] | None, many: str = "") -> object:
    """Return the value of a hyperparameter; several were tried where there are several."""
    if not values or None in values:
        return None
    if len(values) == 1:
        number = isinstance(values[0], int | float) and not isinstance(values[0], bool)
        return values[0] if number else _noted(str(values[0]))
    return (
        {"value": many, "note": phrases.several(values)}
        if many
        else _noted(phrases.several(values))
    )


def _others(facts: RunFacts) -> dict[str, object] | None:
    shared = {name: (value,) for name, value in (facts.config or {}).items()}
    every = {**shared, **(facts.config_varied or {})}
    return {
        name: _text(", ".join(map(_plain, values)))
        for name, values in every.items()
        if name.rpartition(".")[2] not in _IN_COLUMNS_OF_THEIR_OWN
    } or None


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _frameworks(facts: RunFacts) -> list[str] | None:
    """Return the framework: as described, or PyTorch where trials placed or kept its tensors."""
    if facts.framework:
        return [facts.framework]
    uses_tensors = facts.devices or facts.fingerprints
    return ["PyTorch"] if uses_tensors and "torch" in (facts.packages or {}) else None


def _devices(facts: RunFacts) -> object:
    """Return the devices on which trials trained, as far as it is known which these were."""
    machines = facts.machines or ()
    used = facts.devices
    if used is None and machines and all(machine.gpus == () for machine in machines):
        used = ("cpu",)
    if used is None:
        return None
    if len(machines) > 1 and len(used) > 1:
        return _noted(", ".join(used))  # which machine used which is not known
    parts = [part for device in used for machine in machines for part in _device(device, machine)]
    return [dict(part) for part in dict.fromkeys(parts)] or _noted(", ".join(used))


def _device(device: str, machine: Machine) -> Iterator[tuple[tuple[str, object], ...]]:
    kind, _, number = device.partition(":")
    if kind == "cpu" and machine.processor:
        yield _part(machine.processor, machine.memory_gb)
    elif kind == "cuda" and int(number or 0) < len(machine.gpus or ()):
        gpu: Gpu = (machine.gpus or ())[int(number or 0)]
        yield _part(gpu.name, gpu.memory_gb)


def _part(model: str, memory_gb: float | None) -> tuple[tuple[str, object], ...]:
    return (("model", model), *((("memory_gb", memory_gb),) if memory_gb else ()))


def _own_run(facts: RunFacts, protocol: Protocol) -> dict[str, object]:
    answers: dict[str, object] = {
        "trials_planned": facts.trials_planned,
        "trials_recorded": facts.trials_recorded,
        "trials_completed": facts.trials_completed,
        "repeats": facts.repeats,
        "failures": _text(phrases.failures(facts)),
        "varied_sources": _text(phrases.varied_sources(facts)),
        "fixed_sources": _text(phrases.held_sources(facts)),
        "seeds": _text(phrases.seeds(facts)),
        "folds": facts.folds,
        "data_set": _text(facts.data_set),
        "subjects": facts.subjects,
        "training_samples": _setting(facts.training_samples),
        "validation_samples": _setting(facts.validation_samples),
        "test_samples": _setting(facts.test_samples),
        "loss": _text(facts.loss),
        # A study without a config may have its hyperparameters in the code.
        "hyperparameters": _text(phrases.hyperparameters(facts) or None),
        "epochs": _setting(facts.hyperparameter("epochs", "n_epochs")),
        "deterministic_algorithms": _text(phrases.deterministic_algorithms(facts)),
        "processors": _text(phrases.processors(facts)),
        "machine_memory_gb": _memory(facts),
        "gpus": _text(phrases.gpus(facts)),
        "system": _text(phrases.system(facts)),
        "python": _text(phrases.python(facts)),
        "packages": _text(phrases.packages(facts)),
        "git_commit": _git_commit(facts.git_commits),
        "lock_files": _text(_joined(facts.lock_files)),
        "seconds_per_trial": _mean(facts.seconds),
        "fingerprints": _text(_joined(facts.fingerprints)),
    }
    asked = protocol.form.own_runs
    return {n: answer for n, answer in answers.items() if answer is not None and n in asked}


def _text(phrase: str | None) -> object:
    """Write a phrase as an answer: what is known to be empty is absent."""
    if phrase is None:
        return None
    return {"value": phrase} if phrase in STATUSES else phrase or "absent"


def _joined(names: Sequence[str] | None) -> str | None:
    return None if names is None else ", ".join(names)


def _git_commit(commits: Sequence[str] | None) -> object:
    """Return the version of the code; it is not exact where files differed from the commit."""
    if not commits:
        return _text(_joined(commits))
    exact = not any(commit.endswith("+changes") for commit in commits)
    said = ", ".join(commits)
    return said if exact else {"status": "mentioned", "note": said}


def _memory(facts: RunFacts) -> object:
    sizes = {machine.memory_gb for machine in facts.machines or ()} - {None}
    return _setting(sorted(size for size in sizes if size is not None))


def _mean(seconds: Sequence[float] | None) -> float | None:
    return float(f"{sum(seconds) / len(seconds):.4g}") if seconds else None
