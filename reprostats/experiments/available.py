"""Which conditions of a study this machine can give; the others are left out, with the reason."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reprostats.errors import NotAvailableError
from reprostats.report.tables import Table
from reprostats.study.plan import Condition


def available(
    conditions: Mapping[str, Condition],
) -> tuple[dict[str, Condition], dict[str, NotAvailableError]]:
    """Divide conditions into those that this machine can give, and reasons why not by name.

    Examples
    --------
    >>> conditions = {"one": Condition({"threads": 1}), "GPU": Condition({"device": "cuda:99"})}
    >>> possible, missing = available(conditions)
    >>> list(possible), list(missing)
    (['one'], ['GPU'])
    """
    possible, missing = {}, {}
    for name, condition in conditions.items():
        try:
            list(condition.settings())
        except NotAvailableError as error:
            missing[name] = error
        else:
            possible[name] = condition
    return possible, missing


def missing_table(missing: Mapping[str, NotAvailableError]) -> Table:
    """Say which conditions were left out, and why.

    Examples
    --------
    >>> missing_table({"GPU": NotAvailableError("there is none.")}).frame["why"].tolist()
    ['there is none.']
    """
    return Table(
        "conditions_not_available",
        pd.DataFrame({"condition": list(missing), "why": list(map(str, missing.values()))}),
        "Conditions that this machine cannot give",
        note="They are left out; the others are compared.",
        titles={"condition": "Condition", "why": "Why not"},
    )
