"""The same numbers by three packages: this one, pingouin and statsmodels, on published data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from reprostats.report.published import marrone
from reprostats.report.tables import Table
from reprostats.stats.anova import anova
from reprostats.stats.components import variance_components
from reprostats.stats.equivalence import equivalence_test
from reprostats.stats.family import adjust_p_values
from reprostats.stats.icc import icc
from reprostats.stats.paired import paired_ttest
from reprostats.stats.signed_rank import wilcoxon_test

# Shrout and Fleiss (1979), Table 2: six targets, four judges.
_RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8],
                     [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)  # fmt: skip
_P_VALUES = np.array([0.001, 0.012, 0.031, 0.2])

Numbers = dict[str, float]


def cross_check() -> Table:
    """Compute what several packages can compute, and show how far they are apart.

    Returns
    -------
    Table
        One row a quantity: ``quantity``, ``reprostats``, ``pingouin``, ``statsmodels`` (NaN where
        a package does not have it) and ``largest_difference``, relative to this package's.
    """
    makers: dict[str, Callable[[], Numbers]] = {
        "reprostats": _ours, "pingouin": _pingouin, "statsmodels": _statsmodels,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the other packages use of pandas
        found = {name: make() for name, make in makers.items()}
    frame = pd.DataFrame(found).reindex(list(found["reprostats"]))
    others = frame[["pingouin", "statsmodels"]]
    apart = others.sub(frame["reprostats"], axis=0).abs().div(frame["reprostats"].abs(), axis=0)
    frame["largest_difference"] = apart.max(axis=1)
    return Table(
        "cross_check",
        frame.rename_axis("quantity").reset_index(),
        "The same numbers by three packages",
        dict.fromkeys(makers, 6) | {"largest_difference": 12},
        "ICC: ratings of Shrout and Fleiss (1979). F: size of the interval by framework and "
        "hardware (Marrone et al., 2019, configurations B and C). t, W, equivalence: median Dice "
        "of configuration BK against CK, repetitions as pairs, margin 0.1 percentage points. "
        "Variance components by restricted maximum likelihood: statsmodels climbs to about six "
        "digits. Largest difference: relative. An empty cell: the package does not have it.",
        {
            "quantity": "Quantity", "reprostats": "reprostats", "pingouin": "pingouin",
            "statsmodels": "statsmodels", "largest_difference": "Largest difference",
        },
    )  # fmt: skip


def _crossed() -> pd.DataFrame:
    runs = marrone()
    return runs[runs["conf"].isin(["B", "C"])].reset_index(drop=True)


def _pairs() -> tuple[np.ndarray, np.ndarray]:
    runs = marrone()
    first, second = (runs.loc[runs["configuration"] == name, "dsc"] for name in ("BK", "CK"))
    return first.to_numpy(), second.to_numpy()


def _long_ratings() -> pd.DataFrame:
    table = pd.DataFrame(_RATINGS).rename_axis("target").reset_index()
    return table.melt("target", var_name="judge", value_name="rating")


def _ours() -> Numbers:
    forms = icc(_RATINGS).set_index("form")["icc"]
    effects = anova(_crossed(), "size ~ framework * conf").set_index("source")
    first, second = _pairs()
    tested = paired_ttest(first, second).iloc[0]
    components = variance_components(_long_ratings(), value="rating", random=["target"])
    variances = components.set_index("component")["variance"]
    return {
        "ICC(A,1)": forms["ICC(A,1)"],
        "ICC(C,k)": forms["ICC(C,k)"],
        "F of framework": effects.loc["framework", "f"],
        "p of framework": effects.loc["framework", "p_value"],
        "t of BK against CK": tested["t"],
        "p of BK against CK": tested["p_value"],
        "p of equivalence of BK and CK": equivalence_test(first, second, margin=0.1)[
            "p_value"
        ].iloc[0],
        "p of Wilcoxon's test, five pairs of ratings": wilcoxon_test(
            _RATINGS[:5, 0], _RATINGS[:5, 1]
        )["p_value"].iloc[0],
        "second p of four, Holm": adjust_p_values(_P_VALUES)[1],
        "third p of four, Benjamini-Hochberg": adjust_p_values(
            _P_VALUES, method="benjamini-hochberg"
        )[2],
        "variance of targets": variances["target"],
        "residual variance": variances["residual"],
    }


def _pingouin() -> Numbers:
    import pingouin

    ratings = _long_ratings()
    forms = pingouin.intraclass_corr(ratings, targets="target", raters="judge", ratings="rating")
    forms = forms.set_index("Type")["ICC"]
    effects = pingouin.anova(_crossed(), dv="size", between=["framework", "conf"])
    effects = effects.set_index("Source")
    first, second = _pairs()
    tested = pingouin.ttest(first, second, paired=True).iloc[0]
    equivalent = pingouin.tost(first, second, bound=0.1, paired=True).iloc[0]
    ranked = pingouin.wilcoxon(_RATINGS[:5, 0], _RATINGS[:5, 1]).iloc[0]
    return {
        "ICC(A,1)": _named(forms, "ICC2", "ICC(A,1)"),
        "ICC(C,k)": _named(forms, "ICC3k", "ICC(C,k)"),
        "F of framework": _named(effects.loc["framework"], "F"),
        "p of framework": _named(effects.loc["framework"], "p-unc", "p_unc"),
        "t of BK against CK": _named(tested, "T"),
        "p of BK against CK": _named(tested, "p-val", "p_val"),
        "p of equivalence of BK and CK": _named(equivalent, "pval", "p_val", "p-val"),
        "p of Wilcoxon's test, five pairs of ratings": _named(ranked, "p-val", "p_val"),
        "second p of four, Holm": float(pingouin.multicomp(_P_VALUES, method="holm")[1][1]),
        "third p of four, Benjamini-Hochberg": float(
            pingouin.multicomp(_P_VALUES, method="fdr_bh")[1][2]
        ),
    }


def _statsmodels() -> Numbers:
    from statsmodels.formula.api import mixedlm, ols
    from statsmodels.stats.anova import anova_lm
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

    effects = anova_lm(ols("size ~ C(framework) * C(conf)", _crossed()).fit(), typ=2)
    first, second = _pairs()
    t, p_value, _ = DescrStatsW(first - second).ttest_mean()
    fitted = mixedlm("rating ~ 1", _long_ratings(), groups="target").fit(reml=True)
    return {
        "F of framework": float(effects.loc["C(framework)", "F"]),
        "p of framework": float(effects.loc["C(framework)", "PR(>F)"]),
        "t of BK against CK": float(t),
        "p of BK against CK": float(p_value),
        "p of equivalence of BK and CK": float(ttost_paired(first, second, -0.1, 0.1)[0]),
        "second p of four, Holm": float(multipletests(_P_VALUES, method="holm")[1][1]),
        "third p of four, Benjamini-Hochberg": float(
            multipletests(_P_VALUES, method="fdr_bh")[1][2]
        ),
        "variance of targets": float(np.asarray(fitted.cov_re)[0, 0]),
        "residual variance": float(fitted.scale),
    }


def _named(values: pd.Series[float], *names: str) -> float:
    """Return the number under one of the names that versions of a package give it."""
    known = [name for name in names if name in values.index]
    return float(values[known[0]]) if known else math.nan
