"""What a claim of a publication is, how it was tried, and what became of it."""

from __future__ import annotations

from typing import NamedTuple

HOLDS, REFUTED, UNDETERMINED = "holds", "refuted", "undetermined"
RECOMPUTED, COMPUTED, MEASURED, STATED = "recomputed", "computed", "measured", "stated"


class Claim(NamedTuple):
    """A claim, what was found about it, and how.

    Parameters
    ----------
    source
        The paper, and where in it.
    claim
        What it says.
    how
        ``"recomputed"`` from printed cells, ``"computed"`` from formulas, ``"measured"`` by
        trainings of this package, or ``"stated"``: nothing here decides.
    evidence
        What was found.
    verdict
        ``"holds"``, ``"refuted"`` or ``"undetermined"``.
    """

    source: str
    claim: str
    how: str
    evidence: str
    verdict: str


def verdict_of(holds: bool) -> str:
    """Return the verdict on a claim that can be decided.

    Examples
    --------
    >>> verdict_of(False)
    'refuted'
    """
    return HOLDS if holds else REFUTED
