"""The questions that every report asks, in their order."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reprostats.verdicts._base import NO, Verdict
from reprostats.verdicts.comparison import ask_comparison
from reprostats.verdicts.completed import ask_completed
from reprostats.verdicts.evidence import Evidence
from reprostats.verdicts.learned import Learned, ask_learned
from reprostats.verdicts.more_trainings import ask_more_trainings
from reprostats.verdicts.repeatable import ask_repeatable, ask_reproducible
from reprostats.verdicts.spread import ask_spread
from reprostats.verdicts.stopping import Stop


def ask(
    evidence: Evidence, components: Mapping[str, pd.DataFrame], stop: Stop | None = None
) -> list[Verdict]:
    """Ask every question.

    Parameters
    ----------
    evidence
        What is known.
    components
        Of the variance of each condition, as `reprostats.verdicts.spread.all_components`.
    stop
        What the rule saw that added trainings; None: their number was fixed before.

    Returns
    -------
    list of Verdict
        Did every trial complete; are the trainings that a rule added enough; did the conditions
        learn; are they repeatable, and reproducible; how large is the spread; which is better; how
        many more trainings would decide. Nothing is built on a condition that did not learn.
    """
    learned = ask_learned(evidence)
    untrained = tuple(v.condition for v in learned if isinstance(v, Learned) and v.answer == NO)
    compared = ask_comparison(evidence, untrained)
    if stop is not None:
        compared = [stop.restated(verdict) for verdict in compared]
    for_new_trainings = [v for v in compared if v.generalise_to == "runs" and not v.untrained]
    return [
        *ask_completed(evidence),
        *(stop.verdicts if stop is not None else ()),
        *learned,
        *ask_repeatable(evidence),
        *ask_reproducible(evidence),
        *ask_spread(evidence, components),
        *compared,
        *ask_more_trainings(evidence, for_new_trainings),
    ]
