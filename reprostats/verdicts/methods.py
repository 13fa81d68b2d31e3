"""A paragraph for the methods section of a paper, true to what was done and only that.

Every sentence is made from a fact or from a method that was used; what is not known makes no
sentence. Publications are cited where their method is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reprostats.errors import unknown_name
from reprostats.report.tables import latex_text
from reprostats.verdicts import phrases
from reprostats.verdicts.references import REFERENCES, Reference
from reprostats.verdicts.run_facts import RunFacts

COMPARISONS = ("welch", "paired_runs", "sequence", "cases", "runs_and_cases")
"""The ways in which conditions may have been compared."""

_USUAL_LEVEL = 0.95
_TWO = 2
_CITATION = re.compile(r"\[@(\w+(?:; @\w+)*)\]")


@dataclass(frozen=True)
class Analysis:
    """How results were analysed.

    Parameters
    ----------
    metric
        What was compared.
    unit_of_analysis
        What one observation is, such as ``"training"``.
    n_conditions
        Number of conditions.
    comparisons
        How conditions were compared, of `COMPARISONS`.
    equivalence_margin
        Largest difference that does not matter, in the unit of the metric; None if equivalence
        was not asked.
    adjustment
        Of the p values of several comparisons: ``"holm"``, or None.
    confidence_level
        Of all intervals.
    variance_components
        Whether the spread was shared out among the varied sources.
    median_interval
        Whether medians have intervals.
    shared_sources
        Sources of which several trainings share a level.
    """

    metric: str
    unit_of_analysis: str = "training"
    n_conditions: int = 1
    comparisons: tuple[str, ...] = ()
    equivalence_margin: float | None = None
    adjustment: str | None = None
    confidence_level: float = _USUAL_LEVEL
    variance_components: bool = False
    median_interval: bool = False
    shared_sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Methods:
    r"""A paragraph with its references.

    Parameters
    ----------
    text
        Plain text, with author and year in brackets.
    latex
        The same for LaTeX, with ``\citep`` of the package natbib.
    references
        The publications, in the order in which they are cited.
    """

    text: str
    latex: str
    references: tuple[Reference, ...]

    def bibtex(self) -> str:
        """Write the references as entries of BibTeX."""
        return "\n\n".join(reference.bibtex() for reference in self.references) + "\n"


def methods_paragraph(facts: RunFacts, analysis: Analysis) -> Methods:
    """Write what was trained, how often, where, and how results were compared.

    Parameters
    ----------
    facts
        From `reprostats.verdicts.run_facts`.
    analysis
        What was done with the results.

    Raises
    ------
    InputError
        If a comparison or an adjustment is not known.

    Examples
    --------
    >>> facts = RunFacts(trials_recorded=10, trials_completed=10, failures={})
    >>> print(methods_paragraph(facts, Analysis("dice", n_conditions=2, comparisons=("welch",)))
    ...     .text)
    10 trials were run, and all completed. The unit of analysis was the training, by its dice.
    Conditions were compared by the means of their trainings with Welch's t test (Welch, 1947),
    which holds for new trainings on the same cases. Intervals have a confidence level of 95 %.
    Results were analysed with reprostats (version ...).
    """
    _check(analysis)
    source = " ".join(
        [*_training(facts), *_trials(facts), *_environment(facts), *_analysis(facts, analysis)]
    )
    keys = (key for cited in _CITATION.findall(source) for key in cited.split("; @"))
    return Methods(
        _rendered(source, str, _author_year),
        _rendered(source, latex_text, lambda keys: rf"\citep{{{','.join(keys)}}}"),
        tuple(REFERENCES[key] for key in dict.fromkeys(keys)),
    )


def _check(analysis: Analysis) -> None:
    for comparison in analysis.comparisons:
        if comparison not in COMPARISONS:
            raise unknown_name("comparison", comparison, COMPARISONS)
    if analysis.adjustment not in {None, "holm"}:
        raise unknown_name("adjustment", str(analysis.adjustment), ["holm"])


def _rendered(source: str, write: Callable[[object], str], cite: Callable[[list[str]], str]) -> str:
    """Write text and citations, which stand at every second place of the pieces."""
    pieces = _CITATION.split(source)
    return "".join(
        cite(piece.split("; @")) if number % 2 else write(piece)
        for number, piece in enumerate(pieces)
    )


def _author_year(keys: list[str]) -> str:
    return f"({'; '.join(REFERENCES[key].cited_as for key in keys)})"


def _training(facts: RunFacts) -> Iterator[str]:
    if facts.functions:
        did = "ran the command" if facts.in_process is False else "called the function"
        several = "s" * (len(facts.functions) > 1)
        yield f"Each trial {did}{several} {phrases.listed(_plain(facts.functions))}."
    if facts.network:
        yield f"The network was {facts.network}."
    yield from _data(facts)
    yield from _optimisation(facts)


def _data(facts: RunFacts) -> Iterator[str]:
    samples = phrases.samples(facts)
    subjects = f"{facts.subjects} subjects" if facts.subjects else None
    counted = ", ".join(filter(None, [subjects, samples]))
    if facts.data_set:
        yield f"The data set was {facts.data_set}{f' ({counted})' if counted else ''}."
    elif counted:
        yield f"The data were {counted}."
    if facts.folds:
        yield f"The data were divided into {facts.folds} folds."
    if facts.augmentation == "none":
        yield "The training data were not augmented."
    elif facts.augmentation:
        yield f"The training data were augmented ({facts.augmentation})."


def _optimisation(facts: RunFacts) -> Iterator[str]:
    settings = ", ".join(_settings(facts))
    within = f" ({settings})" if settings else ""
    if facts.loss and facts.optimiser:
        yield f"The loss was {facts.loss}, minimised with {facts.optimiser}{within}."
    elif facts.optimiser:
        yield f"The optimiser was {facts.optimiser}{within}."
    else:
        if facts.loss:
            yield f"The loss was {facts.loss}."
        if settings:
            yield f"Hyperparameters: {settings}."


def _settings(facts: RunFacts) -> Iterator[str]:
    names = {
        "learning rate": ("learning_rate", "lr"),
        "batch size": ("batch_size",),
        "dropout": ("dropout",),
        "epochs": ("epochs", "n_epochs"),
    }
    for words, known_as in names.items():
        if values := facts.hyperparameter(*known_as):
            yield f"{words} {' or '.join(map(str, values))}"


def _trials(facts: RunFacts) -> Iterator[str]:
    yield from _counts(facts)
    if facts.config_varied:
        named = (f"{n} ({phrases.several(v)})" for n, v in facts.config_varied.items())
        yield f"Values of the configuration that differed between trials: {', '.join(named)}."
    if varied := phrases.varied_sources(facts):
        yield f"Sources of variability that were varied: {varied}."
    if facts.unused:
        verb = "was" if len(facts.unused) == 1 else "were"
        yield f"No trial drew from {phrases.listed(facts.unused)}, which {verb} varied too."
    if held := phrases.held_sources(facts):
        yield f"Sources that were held: {held}."
    if seeds := phrases.seeds(facts):
        yield f"Seeds: {seeds}."


def _counts(facts: RunFacts) -> Iterator[str]:
    count, completed = facts.trials_recorded, facts.trials_completed
    if not count:
        return
    runs = "1 trial was run" if count == 1 else f"{count} trials were run"
    if completed == count:
        yield f"{runs}, and {'it' if count == 1 else 'all'} completed."
    else:
        why = phrases.failures(facts)
        reasons = f" ({why})" if why else ""
        yield f"{runs}, of which {completed} completed{reasons}; only these were analysed."


def _environment(facts: RunFacts) -> Iterator[str]:
    python = phrases.python(facts)
    software = [f"Python {python}" if python else None, phrases.packages(facts)]
    if known := ", ".join(filter(None, software)):
        yield f"Software: {known}."
    if hardware := "; ".join(_hardware(facts)):
        yield f"Hardware: {hardware}."
    switched = phrases.deterministic_algorithms(facts)
    if switched == "varied":
        yield "The arithmetic differed between trials, in the source 'deterministic'."
    elif switched == "portable":
        yield (
            "All trials were computed in portable arithmetic, whose results do not depend on the "
            "processor or the number of threads."
        )
    elif switched:
        yield f"PyTorch's deterministic algorithms were {switched}."
    if versions := phrases.code_versions(facts):
        yield f"Version of the code (git): {versions}."
    if facts.lock_files:
        yield f"Package versions are pinned in {phrases.listed(facts.lock_files)}."


def _hardware(facts: RunFacts) -> Iterator[str]:
    if processors := phrases.processors(facts):
        yield ", ".join(filter(None, [processors, phrases.memory(facts)]))
    gpus = phrases.gpus(facts)
    if gpus is not None:
        yield gpus or "no GPU"
    if facts.devices:
        yield f"PyTorch's tensors lay on {phrases.listed(facts.devices)}"


def _analysis(facts: RunFacts, analysis: Analysis) -> Iterator[str]:
    over_cases = ", averaged over cases" if facts.values_by_case else ""
    unit = analysis.unit_of_analysis
    yield f"The unit of analysis was the {unit}, by its {analysis.metric}{over_cases}."
    yield from _repeatability(facts)
    yield from _comparisons(analysis)
    if analysis.variance_components:
        yield (
            "The variance was shared out among the varied sources by restricted maximum "
            "likelihood [@patterson1971], with generalised confidence intervals "
            "[@weerahandi1993]."
        )
    if analysis.median_interval:
        yield "Medians have exact intervals, which end at order statistics [@david2003]."
    if analysis.comparisons or analysis.variance_components or analysis.median_interval:
        yield f"Intervals have a confidence level of {100 * analysis.confidence_level:g} %."
    done = "Trials were run and results analysed" if facts.functions else "Results were analysed"
    yield f"{done} with reprostats [@reprostats]."


def _repeatability(facts: RunFacts) -> Iterator[str]:
    if facts.fingerprints and (facts.trials_completed or 0) >= _TWO:
        yield (
            "Results are called repeatable, in the sense of same team and same set-up "
            "[@acm2020], if trials with equal levels end in the same bits, told by hashes of "
            f"{phrases.listed(facts.fingerprints)}."
        )


_COMPARED = {
    "welch": (
        "Conditions were compared by the means of their trainings with Welch's t test "
        "[@welch1947], which holds for new trainings on the same cases."
    ),
    "paired_runs": (
        "Trainings of two conditions with the same seed were compared in pairs with Student's t "
        "test [@student1908], which holds for new trainings on the same cases."
    ),
    "sequence": (
        "Pairs of trainings were added until a confidence sequence of their mean difference "
        "decided [@lai1976; @wang2025]; its intervals hold at every look and, with Bonferroni's "
        "level, for all pairs of conditions, for new trainings on the same cases."
    ),
    "cases": (
        "For the trained networks as they are, conditions were compared over cases in pairs with "
        "Student's t test [@student1908], after the values of trainings had been averaged."
    ),
    "runs_and_cases": (
        "For new trainings and new cases, conditions were compared with the analysis of variance "
        "of multi-reader multi-case studies [@hillis2007; @hillis2014], with trainings in the "
        "place of readers."
    ),
}


def _comparisons(analysis: Analysis) -> Iterator[str]:
    used = [name for name in COMPARISONS if name in analysis.comparisons]
    yield from (_COMPARED[name] for name in used)
    several = analysis.n_conditions > _TWO
    if "runs_and_cases" in used and (several or analysis.confidence_level > _USUAL_LEVEL):
        yield (
            "Its limits are means of two quantiles of t, weighted by the parts of the variance "
            "[@cochran1957]."
        )
    if used and analysis.shared_sources:
        yield (
            f"Trainings that share a level of {phrases.listed(analysis.shared_sources)} were not "
            "taken as independent: the variance of their mean was built from the variance "
            "components of the sources, each with the degrees of freedom of its levels."
        )
    if used and analysis.equivalence_margin is not None:
        yield (
            "Equivalence within a margin of "
            f"{analysis.equivalence_margin:g} in {analysis.metric} was tested with two one-sided "
            "tests [@schuirmann1987]."
        )
    if used and several and analysis.adjustment == "holm":
        yield "The p values of all comparisons were adjusted with Holm's method [@holm1979]."


def _plain(functions: Sequence[str]) -> list[str]:
    """Leave out the name that Python gives to a script, which says nothing to a reader."""
    return [name.removeprefix("__main__:") for name in functions]
