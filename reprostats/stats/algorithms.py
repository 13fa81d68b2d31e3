"""Comparison of algorithms whose trainings and whose test cases are both samples.

A claim about an algorithm is a claim about trainings: another seed gives another network. What is
known of the difference of two algorithms therefore depends on what it shall hold for:

``"cases"``
    these networks, on other cases: a paired t test over cases, runs averaged
``"runs"``
    other trainings, on these cases: Welch's t test of run means, or a paired one for shared seeds
``"runs and cases"``
    other trainings on other cases: the multi-reader multi-case analysis of variance of diagnostic
    imaging, with runs in the place of readers

With n cases, r1 and r2 runs and the mean squares of runs within algorithms, MS(R), of algorithms x
cases, MS(AC), and of the residual, MS(RC), the variance of the difference is

    (1/r1 + 1/r2) / n * (MS(R) + max(MS(AC) - MS(RC), 0))

References
----------
.. [1] S. L. Hillis, "A comparison of denominator degrees of freedom methods for multiple observer
   ROC analysis", Statistics in Medicine 26, 596-619 (2007).
.. [2] S. L. Hillis, "A marginal-mean ANOVA approach for analyzing multireader multicase
   radiological imaging data", Statistics in Medicine 33, 330-360 (2014).
.. [3] W. G. Cochran and G. M. Cox, "Experimental Designs", 2nd edition, Wiley (1957), section 4.14.
.. [4] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power approach
   for assessing the equivalence of average bioavailability", Journal of Pharmacokinetics and
   Biopharmaceutics 15(6), 657-680 (1987).
.. [5] L. V. Hedges, "Distribution theory for Glass's estimator of effect size and related
   estimators", Journal of Educational Statistics 6(2), 107-128 (1981).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.stats.checks import check_choice, check_confidence_level, is_between
from reprostats.stats.comparable_runs import (
    comparable,
    distinct_runs,
    few_runs,
    no_spread,
    obstacle,
    pairs_of,
)
from reprostats.stats.contrast import (
    Contrast,
    Shared,
    over_cases,
    over_runs_and_cases,
)
from reprostats.stats.family import Adjustment, adjust_p_values
from reprostats.stats.mean_squares import Floats, Runs
from reprostats.stats.pooled import Pooled, pooled
from reprostats.stats.run_means import shared_levels
from reprostats.stats.run_table import check_squares, levels_of, matrices_of, relation_of
from reprostats.stats.stand_in import StandIn, Trainings, over_trainings

GeneraliseTo = Literal["cases", "runs", "runs and cases"]
GENERALISATIONS: tuple[GeneraliseTo, ...] = ("cases", "runs", "runs and cases")
COLUMNS = (
    "first", "second", "difference", "se", "df", "ci_low", "ci_high", "ci_low_adjusted",
    "ci_high_adjusted", "p_value", "p_adjusted", "margin", "p_equivalence",
    "p_equivalence_adjusted", "df_hillis", "p_hillis", "sd", "effect_size", "n_runs_first",
    "n_runs_second", "n_cases", "generalise_to", "note",
)  # fmt: skip

_USUAL_LEVEL = 0.95


def compare_algorithms(
    table: pd.DataFrame,
    *,
    value: str,
    algorithm: str,
    run: str,
    case: str | None = None,
    runs: Runs | None = None,
    run_factors: Sequence[str] = (),
    generalise_to: GeneraliseTo = "runs and cases",
    margin: float | None = None,
    baseline: object = None,
    adjustment: Adjustment = "holm",
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Compare algorithms from the values of their runs (trainings) on cases.

    Parameters
    ----------
    table
        Long table, one value a row: at most one for each algorithm, run and case.
    value, algorithm, run, case
        Columns of the numbers, of what is compared, of the training, and of what was measured.
        Without ``case``, a run has one value, and nothing can be said of other cases.
    runs
        ``"nested"``: each run belongs to one algorithm, whatever its label. ``"crossed"``: runs of
        one label share their seed, and are pairs. None: nested, if no label is that of two
        algorithms; a label that is may be a seed or a mere number, which only you know.
    run_factors
        Columns of what several runs of an algorithm share, such as the split of the data. Runs
        that share a level are not independent; see `reprostats.stats.run_means`.
    generalise_to
        What the result shall hold for, beside these networks on these cases: other ``"cases"``,
        other ``"runs"``, or other ``"runs and cases"``.
    margin
        Largest difference that does not matter, in the unit of the value and above 0; None: no
        test of equivalence.
    baseline
        An algorithm: each other one is compared with it. By default all pairs are compared.
    adjustment
        Of the p values of all comparisons; see `reprostats.adjust_p_values`.
    confidence_level
        Of the intervals. ``ci_low_adjusted`` and ``ci_high_adjusted`` hold it for all comparisons
        together (Bonferroni).

    Returns
    -------
    DataFrame
        One row a comparison: ``first``, ``second``, ``difference`` (mean of first minus that of
        second), its standard error ``se`` and degrees of freedom ``df`` (NaN where the interval
        has no single number of them), ``ci_low``, ``ci_high``, ``p_value``, ``p_adjusted``,
        ``margin``, ``p_equivalence`` (two one-sided tests [4]_), ``p_equivalence_adjusted``,
        ``df_hillis`` and ``p_hillis`` (by Hillis' degrees of freedom [1]_, the published standard),
        ``sd`` (between new trainings of one algorithm, pooled; of differences, if runs are pairs;
        of differences between cases, if cases alone are random), ``effect_size`` (Hedges' g [5]_:
        the difference in units of ``sd``, corrected for few runs), ``n_runs_first`` and
        ``n_runs_second`` (distinct runs), ``n_cases``, ``generalise_to`` and
        ``note``. Where the data cannot answer, numbers are NaN and the note says why.

    Raises
    ------
    InputError
        If a column, the baseline or an option is not known; there are fewer than two algorithms; a
        value is there twice; the margin is not above 0; runs are crossed and two algorithms share
        no label; or algorithms share labels and ``runs`` does not say what that means.

    Notes
    -----
    Runs that are the same on every one of several cases count once: they show a fixed seed, not
    that trainings do not vary. For an algorithm that was trained once the pooled spread of the
    trainings of the others stands in, and the note says so (crossed runs need two others). For
    cases or runs alone, cases without a finite value in each run of both algorithms are left out.
    For runs and cases, all algorithms are analysed together: by mean squares where the data are
    complete, else by restricted maximum likelihood on all values, and the note says so; see
    `reprostats.stats.pooled`.

    The degrees of freedom for runs and cases weigh those of the two parts of the variance by their
    shares, 1/df = (MS(R)/V)/f_R + (D/V)/f_AC with D = max(MS(AC) - MS(RC), 0) and V = MS(R) + D.
    Where f_R is 1, or the level is stricter than 5 % (p values that are adjusted, or a higher
    confidence level), Cochran and Cox's weighted mean of two quantiles of t is taken [3]_; both
    keep 5 % where Hillis' degrees of freedom [1]_ reach 12 %. Measured error rates are in
    ``docs``, page "Calibration".

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "model": ["a"] * 6 + ["b"] * 6, "seed": [1, 1, 1, 2, 2, 2] * 2, "case": [*"xyz"] * 4,
    ...     "dice": [0.80, 0.70, 0.90, 0.84, 0.73, 0.93, 0.70, 0.62, 0.79, 0.75, 0.64, 0.83]})
    >>> columns = dict(value="dice", algorithm="model", run="seed", case="case", runs="nested")
    >>> for what in ("cases", "runs", "runs and cases"):
    ...     row = compare_algorithms(table, **columns, generalise_to=what).iloc[0]
    ...     print(f"{what}: {row['difference']:.3f}, {row['ci_low']:.3f} to {row['ci_high']:.3f}")
    cases: 0.095, 0.070 to 0.120
    runs: 0.095, -0.013 to 0.203
    runs and cases: 0.095, -0.013 to 0.203
    """
    matrices = matrices_of(table, value, algorithm, run, case)
    check_squares(matrices)
    if runs is None:  # for these networks on other cases it makes no difference
        runs = "nested" if generalise_to == "cases" else relation_of(matrices)
    return compare_matrices(
        matrices,
        runs=runs,
        shared=levels_of(table, algorithm, run, run_factors),
        generalise_to=generalise_to,
        margin=margin,
        baseline=baseline,
        adjustment=adjustment,
        confidence_level=confidence_level,
    )


def compare_matrices(
    matrices: Mapping[Any, pd.DataFrame],
    *,
    runs: Runs = "nested",
    shared: Mapping[Any, pd.DataFrame] | None = None,
    generalise_to: GeneraliseTo = "runs and cases",
    margin: float | None = None,
    baseline: object = None,
    adjustment: Adjustment = "holm",
    confidence_level: float = 0.95,
    equal_runs_count_once: bool = True,
    spread_stands_in: bool = True,
) -> pd.DataFrame:
    """Compare algorithms from one table each: one row a run, one column a case.

    Parameters
    ----------
    matrices
        By algorithm. Row labels are those of runs, column labels those of cases.
    shared
        By algorithm, what its runs share: row labels are those of runs; a column is a source, such
        as the split of the data.
    equal_runs_count_once
        Whether runs that are equal on every one of several cases are one run. False: the caller
        knows that they are different trainings.
    spread_stands_in
        Whether the spread of others stands in for an algorithm with one run. False: the caller
        knows that this run was no training of its own, such as one of several with one seed.
    runs, generalise_to, margin, baseline, adjustment, confidence_level
        As of `compare_algorithms`, whose result and errors are the same.

    Examples
    --------
    >>> first = pd.DataFrame([[0.80, 0.70], [0.84, 0.75]])
    >>> compared = compare_matrices({"a": first, "b": first - 0.1}, generalise_to="runs")
    >>> compared["difference"].round(3).tolist()
    [0.1]
    """
    _check_options(runs, generalise_to, adjustment, margin, confidence_level)
    pairs = pairs_of(list(matrices), baseline)
    question = _Question(
        runs,
        generalise_to,
        margin,
        confidence_level,
        adjusts=adjustment != "none" and len(pairs) > 1,
        # Bonferroni's level, with which an interval holds for all comparisons together.
        adjusted_level=1 - (1 - confidence_level) / (1 if adjustment == "none" else len(pairs)),
        equal_runs_count_once=equal_runs_count_once,
    )
    shared = shared or {}
    dependent = any(_has_shared(runs_, shared.get(name)) for name, runs_ in matrices.items())
    prepared, notes = distinct_runs(matrices, runs, once=equal_runs_count_once)
    once = [name for name, runs_ in matrices.items() if len(runs_) == 1]
    trainings = Trainings(prepared, runs, once if spread_stands_in and not dependent else [])
    # Fitting all algorithms takes seconds; where no pair has several runs, nothing comes of it.
    several = any(
        trainings.stand_in(pair) or min(len(prepared[name]) for name in pair) > 1 for pair in pairs
    )
    if generalise_to == "runs and cases" and several and not dependent:
        analysis = pooled(prepared, runs)
        if analysis is not None:
            rows = [_pooled_row(pair, trainings, analysis, notes, question) for pair in pairs]
            return _adjusted(rows, adjustment)
    rows = [
        _row(
            (one, other),
            (matrices[one], matrices[other]),
            (shared.get(one), shared.get(other)),
            trainings,
            question,
        )
        for one, other in pairs
    ]
    return _adjusted(rows, adjustment)


def _adjusted(rows: Sequence[dict[str, object]], adjustment: Adjustment) -> pd.DataFrame:
    """Put comparisons into one table, with p values adjusted over all of them."""
    compared = pd.DataFrame({name: [row.get(name, math.nan) for row in rows] for name in COLUMNS})
    for name in ("p_adjusted", "p_equivalence_adjusted"):
        p_values = compared[name].to_numpy(dtype=float)
        compared[name] = adjust_p_values(p_values, method=adjustment)
    return compared


@dataclass(frozen=True)
class _Question:
    """What is asked of each pair of algorithms; see `compare_matrices`."""

    runs: Runs
    generalise_to: GeneraliseTo
    margin: float | None
    confidence_level: float
    adjusts: bool
    adjusted_level: float
    equal_runs_count_once: bool

    @property
    def strict(self) -> bool:
        """Whether the level is below 5 %, where degrees of freedom are weighed too boldly."""
        return self.confidence_level > _USUAL_LEVEL

    def row(
        self, names: tuple[object, object], n_runs: Sequence[int], n_cases: int
    ) -> dict[str, object]:
        """Return what is known of a pair before anything is tested."""
        return {
            "first": names[0],
            "second": names[1],
            "n_runs_first": n_runs[0],
            "n_runs_second": n_runs[1],
            "n_cases": n_cases,
            "margin": math.nan if self.margin is None else self.margin,
            "generalise_to": self.generalise_to,
        }


def _row(
    names: tuple[object, object],
    matrices: tuple[pd.DataFrame, pd.DataFrame],
    shared: Shared,
    trainings: Trainings,
    question: _Question,
) -> dict[str, object]:
    one, other, notes = comparable(
        names, *matrices, question.runs, once=question.equal_runs_count_once
    )
    first, second = one.to_numpy(dtype=np.float64), other.to_numpy(dtype=np.float64)
    row = question.row(names, (len(first), len(second)), first.shape[1])
    row["difference"] = first.mean() - second.mean() if first.size and second.size else math.nan
    # For runs and cases, one of the two must tell what cases add: it has several runs.
    borrows = question.generalise_to == "runs" or (
        question.generalise_to == "runs and cases" and len(first) != len(second)
    )
    spread = trainings.stand_in(names, one.columns) if borrows else None
    if why := obstacle(first, second, question.runs, question.generalise_to, spread):
        return row | {"note": "; ".join([*notes, why])}
    levels = (_shared_by(one, shared[0]), _shared_by(other, shared[1]))
    contrast = _contrast(first, second, levels, spread, question)
    sd_df = _sd_df(first, second, spread, question)
    notes += [spread.note] if spread else []
    return row | _numbers(contrast, sd_df, question) | {"note": "; ".join(notes)}


def _numbers(contrast: Contrast, sd_df: int, question: _Question) -> dict[str, object]:
    """Return what is known of a difference; ``sd_df`` are the degrees of freedom of its SD."""
    low, high = contrast.interval(question.confidence_level)
    strict = replace(contrast, strict=True)
    bounds = strict if question.adjusted_level > _USUAL_LEVEL else contrast
    low_adjusted, high_adjusted = bounds.interval(question.adjusted_level)
    margin = math.nan if question.margin is None else float(question.margin)
    by_hillis = question.generalise_to == "runs and cases"
    numbers: dict[str, object] = {
        "se": contrast.se,
        "df": contrast.df,
        "ci_low": low,
        "ci_high": high,
        "ci_low_adjusted": low_adjusted,
        "ci_high_adjusted": high_adjusted,
        "p_value": contrast.p_value(),
        "df_hillis": contrast.df_hillis if by_hillis else math.nan,
        "p_hillis": contrast.p_hillis() if by_hillis else math.nan,
        "p_equivalence": _equivalence(contrast, margin),
        "sd": contrast.sd,
        "effect_size": contrast.effect_size(sd_df),
    }
    # Levels below 5 % need the stricter p values, which take longer.
    return numbers | {
        "p_adjusted": strict.p_value() if question.adjusts else numbers["p_value"],
        "p_equivalence_adjusted": _equivalence(strict, margin)
        if question.adjusts
        else numbers["p_equivalence"],
    }


def _equivalence(contrast: Contrast, margin: float) -> float:
    return math.nan if math.isnan(margin) else contrast.p_equivalence(margin)


def _pooled_row(
    names: tuple[object, object],
    trainings: Trainings,
    analysis: Pooled,
    notes: Mapping[Any, str],
    question: _Question,
) -> dict[str, object]:
    """Compare two algorithms by the analysis of all of them together."""
    one, other = (trainings.matrices[name] for name in names)
    used = [table.columns[~np.isnan(table.to_numpy()).all(axis=0)] for table in (one, other)]
    n_runs = (len(one), len(other))
    row = question.row(names, n_runs, len(used[0].union(used[1], sort=False)))
    if not all(name in analysis.means for name in names):
        return row | {"note": "no finite value"}
    contrast = analysis.contrast(*names, strict=question.strict)
    row["difference"] = contrast.difference
    first, second = one.to_numpy(), other.to_numpy()
    spread = trainings.stand_in(names)
    why = "" if spread else few_runs(min(n_runs))
    if not spread and not why and (question.runs == "nested" or one.index.equals(other.index)):
        means = [np.nanmean(array, axis=1) for array in (first, second)]
        why = no_spread(means[0], means[1], question.runs)
    said = [*(notes[name] for name in names), analysis.note, spread.note if spread else "", why]
    row["note"] = "; ".join(filter(None, said))
    if why:
        return row
    sd = math.nan
    if not analysis.note:
        sd = over_trainings(first, second, question.runs, spread=spread).sd
    sd_df = _sd_df(first, second, spread, question)
    return row | _numbers(replace(contrast, sd=sd), sd_df, question)


def _contrast(
    first: Floats, second: Floats, levels: Shared, spread: StandIn | None, question: _Question
) -> Contrast:
    if question.generalise_to == "cases":
        return over_cases(first, second)
    trainings = over_trainings(first, second, question.runs, levels, spread)
    if question.generalise_to == "runs":
        return trainings
    return over_runs_and_cases(first, second, question.runs, trainings, strict=question.strict)


def _sd_df(first: Floats, second: Floats, spread: StandIn | None, question: _Question) -> int:
    """Return the degrees of freedom of the SD in which the effect is measured."""
    if spread is not None:
        return spread.df
    if question.generalise_to == "cases":
        return int(first.shape[1]) - 1
    return len(first) - 1 if question.runs == "crossed" else len(first) + len(second) - 2


def _shared_by(runs: pd.DataFrame, levels: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if levels is None else shared_levels(levels.loc[runs.index])


def _has_shared(runs: pd.DataFrame, levels: pd.DataFrame | None) -> bool:
    shared = _shared_by(runs, levels)
    return shared is not None and shared.shape[1] > 0


def _check_options(
    runs: object, generalise_to: object, adjustment: object, margin: object, confidence_level: float
) -> None:
    check_choice(runs, get_args(Runs), name="relation of runs")
    check_choice(generalise_to, GENERALISATIONS, name="generalise_to")
    check_choice(adjustment, get_args(Adjustment), name="adjustment")
    check_confidence_level(confidence_level)
    if margin is not None and not is_between(margin, 0, math.inf):
        raise InputError(
            f"margin must be a number above 0, in the unit of the value, not {margin!r}: it is the "
            "largest difference that does not matter, whatever its direction."
        )
