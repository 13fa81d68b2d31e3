"""The rule by which initial weights are drawn."""

from __future__ import annotations

from reprostats.sources._base import Word


class Initialiser(Word):
    """The rule of the initial weights, by name; see `reprostats.models.initialisers`."""

    name = "initialiser"
    kind = "choice"
    meaning = "rule by which initial weights are drawn"
    default = "pytorch"
    level_description = "the name of a rule that the trial function knows"
