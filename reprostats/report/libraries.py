"""Frameworks beside one another: do they repeat, and what moves weights away from PyTorch's.

Everything here takes the results table of a study
(`reprostats.study.recorded_table.results_table`), or distances of weights that were read from its
trials.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.report.repeatability import Measures
from reprostats.report.tables import Table
from reprostats.stats.paired import paired_ttest
from reprostats.study.results import is_completed, trial_values, trials_of

Parts = Mapping[str, tuple[str, str]]
_PARTS = ("framework", "regime")
SAME, OTHER = "same bits", "other bits"
_FEWEST = 2  # seeds for an interval


def availability_table(missing: Mapping[str, str], names: list[str]) -> Table:
    """Say which frameworks this machine has, and how to get the others.

    Parameters
    ----------
    missing
        The reason by framework, as `reprostats.sources.missing_frameworks` gives it.
    names
        The frameworks that are asked for.

    Examples
    --------
    >>> availability_table({"jax": "it lacks jax"}, ["torch", "jax"]).frame["available"].tolist()
    [True, False]
    """
    frame = pd.DataFrame(
        {
            "framework": names,
            "available": [name not in missing for name in names],
            "why": [missing.get(name, "") for name in names],
        }
    )
    return Table(
        "frameworks_available",
        frame,
        "Frameworks that were asked for",
        note="Keras and its backends are optional. A framework that is not available is left out, "
        "and the others are compared.",
        titles={"framework": "Framework", "available": "Available", "why": "Why not"},
    )


def repeats_table(
    results: pd.DataFrame, parts: Parts, missing: Mapping[str, str], measures: Measures
) -> Table:
    """Tell of each framework and regime whether it repeats, and whether threads change its bits.

    Parameters
    ----------
    results
        Of trials with one level of every seed.
    parts
        Framework and regime by the name of the condition.
    missing
        The reason by the name of a condition that this machine cannot give.
    measures
        What is shown of the first trial.
    """
    trials = trial_values(results, list(measures))
    rows: list[dict[str, object]] = []
    firsts: dict[str, list[str]] = {}
    for name, group in trials.groupby("condition", sort=False):
        framework, regime = parts[str(name)]
        hashes = _hashes(group)
        first = firsts.setdefault(framework, hashes)
        rows.append(
            {"framework": framework, "regime": regime, "across": _across(hashes, first)}
            | _repeats(group, hashes, list(measures))
        )
    absent = [
        {**dict(zip(_PARTS, parts[name], strict=True)), "within": f"not available: {why}"}
        for name, why in missing.items()
    ]
    columns = ["framework", "regime", "threads", "n", "distinct", "within", "across", *measures]
    return Table(
        "framework_repeats",
        pd.DataFrame([*rows, *absent], columns=columns),
        "Frameworks that train again from the same seed, weights and batches",
        _decimals(measures),
        "Within: whether the completed trials of the row are equal bit for bit. Across: whether "
        "their weights are those of the framework's first regime. What was measured is that of the "
        "first trial. Every framework has its own formula of Adam.",
        {"framework": "Framework", "regime": "Regime", "threads": "Threads", "n": "Trials",
         "distinct": "Different weights", "within": "Within", "across": "Across regimes"}
        | {metric: title for metric, (title, _) in measures.items()},
    )  # fmt: skip


def _decimals(measures: Measures) -> dict[str, int]:
    return {metric: decimals for metric, (_, decimals) in measures.items()}


def _with_parts(trials: pd.DataFrame, parts: Parts, columns: list[str]) -> pd.DataFrame:
    """Return some columns of trials behind their framework and regime."""
    named = [parts[str(name)] for name in trials["condition"]]
    return pd.concat(
        [pd.DataFrame(named, trials.index, columns=list(_PARTS)), trials[columns]], axis=1
    )


def _hashes(trials: pd.DataFrame) -> list[str]:
    """Return the fingerprints of the weights of the trials that completed."""
    ended = trials[is_completed(trials)]
    return list(ended.get("weights_sha256", pd.Series(dtype="str")).dropna().astype(str))


def _repeats(trials: pd.DataFrame, hashes: list[str], metrics: list[str]) -> dict[str, object]:
    distinct = len(set(hashes))
    if len(hashes) < _FEWEST:
        within = "undetermined: " + (str(trials["reason"].iloc[0]) or "one trial")
    else:
        within = "repeatable" if distinct == 1 else "not repeatable"
    ended = trials[is_completed(trials)]
    row: dict[str, object] = {
        "threads": trials["threads"].iloc[0],
        "n": len(hashes),
        "distinct": distinct,
        "within": within,
    }
    return row | {metric: ended[metric].iloc[0] for metric in metrics if len(ended)}


def _across(hashes: list[str], first: list[str]) -> str:
    if not hashes or not first:
        return ""
    return SAME if set(hashes) == set(first) else OTHER


def trials_table(results: pd.DataFrame, parts: Parts, measures: Measures) -> Table:
    """Return what was measured in every trial, frameworks side by side.

    Parameters
    ----------
    results, parts
        As of `repeats_table`.
    measures
        What is shown.
    """
    trials = trial_values(results, list(measures))
    rows = _with_parts(trials, parts, ["number", *measures])
    places = ["regime", "number"]
    wide = rows.pivot_table(list(measures), places, "framework", sort=False, dropna=False)
    ordered = [(metric, name) for name in dict.fromkeys(rows["framework"]) for metric in measures]
    ordered = [each for each in ordered if each in wide]  # nothing of a framework that all failed
    return Table(
        "framework_trials",
        pd.DataFrame(
            {f"{metric}_{name}": wide[metric, name] for metric, name in ordered}
        ).reset_index(),
        "Every trial by framework, as in Tables 3 to 5 and 7 of Alahmari et al. (2020)",
        {f"{metric}_{name}": measures[metric][1] for metric, name in ordered},
        "Empty where a trial did not complete.",
        {"regime": "Regime", "number": "Trial"}
        | {f"{metric}_{name}": f"{name}: {measures[metric][0]}" for metric, name in ordered},
    )


def times_table(results: pd.DataFrame, parts: Parts) -> Table:
    """Return mean and SD of the times by framework, as Tables 2 and 6 of the paper do."""
    trials = trials_of(results)
    ended = trials[is_completed(trials)]
    rows = _with_parts(ended, parts, ["training_time", "testing_time"])
    grouped = rows.groupby(list(_PARTS), sort=False)
    frame = grouped.agg(["mean", "std"]).set_axis(
        ["training_mean", "training_sd", "testing_mean", "testing_sd"], axis=1
    )
    frame["n"] = grouped.size()
    return Table(
        "framework_times",
        frame.reset_index(),
        "Times by framework in seconds, as in Tables 2 and 6 of Alahmari et al. (2020)",
        dict.fromkeys(frame.columns[:4], 3),
        "SD: ddof = 1. Training of Keras includes the compilation of its step. Times compare only "
        "if trials ran one at a time.",
        {"framework": "Framework", "regime": "Regime", "training_mean": "Training, mean",
         "training_sd": "SD", "testing_mean": "Testing, mean", "testing_sd": "SD ", "n": "Trials"},
    )  # fmt: skip


def distance_table(distances: pd.DataFrame, arithmetic: str) -> Table:
    """Tell how far each difference between libraries moves trained weights.

    Parameters
    ----------
    distances
        ``condition``, ``seed``, and ``initial`` and ``trained``: the relative distances of the
        initial and of the trained weights from those of the reference with the same seed.
    arithmetic
        The condition that differs from the reference in rounding alone, to which the others are
        set in proportion.

    Examples
    --------
    >>> rows = [(name, seed, 0.0, size * (1 + 0.1 * seed)) for seed in range(3)
    ...         for name, size in {"formula": 1e-3, "threads": 1e-6}.items()]
    >>> distances = pd.DataFrame(rows, columns=["condition", "seed", "initial", "trained"])
    >>> distance_table(distances, "threads").frame["ratio"].round().tolist()
    [1000.0, 1.0]
    """
    trained = distances.pivot_table("trained", "seed", "condition", sort=False)
    initial = distances.groupby("condition", sort=False)["initial"].mean()
    rows = [
        {"condition": name, "initial": at_first, **_size(trained[name])}
        | _ratio(trained[name], trained.get(arithmetic))
        for name, at_first in initial.items()
    ]
    shown = ["initial", "distance", "ci_low", "ci_high"]
    return Table(
        "library_distances",
        pd.DataFrame(rows),
        "How far what differs between libraries moves the trained weights",
        dict.fromkeys(shown, 9) | dict.fromkeys(("ratio", "ratio_low", "ratio_high"), 1),
        "Distance: Euclidean norm of the difference of all trained weights from those of the "
        "reference with the same seed, over the norm of the latter; geometric mean over seeds "
        "with its 95 % interval (Student's t of the logarithms). Ratio: to "
        f"{arithmetic!r}, paired by seed. Initial: mean distance of the initial weights.",
        {"condition": "What differs", "initial": "Initial", "n": "Seeds", "distance": "Distance",
         "ci_low": "CI low", "ci_high": "CI high", "ratio": "Ratio to arithmetic",
         "ratio_low": "Ratio, CI low", "ratio_high": "Ratio, CI high"},
    )  # fmt: skip


def _size(distances: pd.Series[float]) -> dict[str, object]:
    """Return the geometric mean of distances with its interval; zero where all bits are equal."""
    known = distances.dropna()
    if not (known > 0).all():
        return {"n": len(known), "distance": float(known.mean())}
    ends = _interval(np.log(known.to_numpy()), ("distance", "ci_low", "ci_high"))
    return {"n": len(known), **ends}


def _ratio(distances: pd.Series[float], arithmetic: pd.Series[float] | None) -> dict[str, float]:
    if arithmetic is None:
        return {}
    pairs = pd.concat([distances, arithmetic], axis=1).dropna()
    if not (pairs > 0).all(axis=None):
        return {}
    first, second = np.log(pairs.to_numpy()).T
    return _interval(first - second, ("ratio", "ratio_low", "ratio_high"))


def _interval(logs: NDArray[np.float64], names: tuple[str, str, str]) -> dict[str, float]:
    """Return the mean of logarithms and its ends as numbers again."""
    if len(logs) < _FEWEST:
        return {names[0]: float(np.exp(logs.mean()))}
    tested = paired_ttest(logs, np.zeros(len(logs))).iloc[0]
    columns = ("difference", "ci_low", "ci_high")
    return {n: float(np.exp(tested[column])) for n, column in zip(names, columns, strict=True)}
