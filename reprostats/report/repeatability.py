"""Does training repeat? The tables of Alahmari et al. (2020) beside those of every report.

Everything here takes the results table of a study
(`reprostats.study.recorded_table.results_table`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.report.tables import Table
from reprostats.stats.algorithms import compare_matrices
from reprostats.stats.anova import anova
from reprostats.stats.family import adjust_p_values
from reprostats.stats.median import median_ci
from reprostats.study.results import completed, is_completed, trial_values
from reprostats.study.runs import case_values

Measures = Mapping[str, tuple[str, int]]  # by metric: title, and decimals where it is shown

_SHORT = 8  # digits of a hash that tell trainings of one study apart
CLASSIFICATION: Measures = {
    "accuracy": ("Accuracy", 4),
    "errors": ("FN + FP", 0),
    "test_loss": ("Test loss", 6),
}
"""What is shown of a classification."""
_MEANINGS = (
    "Accuracy: share of the test images. FN + FP: test images given a wrong class. Test loss: "
    "cross-entropy in nats."
)
_EFFECTS = ["source", "df", "f", "p_value", "p_adjusted", "eta_squared", "note"]
# A mean of n float32 numbers that are summed in pairs is off by up to log2(n) units in the last
# place: 8 for the 359 test images of scikit-learn, 13 for the 10,000 of MNIST.
_ROUNDING = 16 * float(np.finfo(np.float32).eps)


def trial_table(results: pd.DataFrame) -> Table:
    """Return accuracy and errors of every trial, as Table 7 of Alahmari et al. (2020) does."""
    return measured_trials(
        "repeatability_trials",
        trial_values(results, list(CLASSIFICATION)),
        CLASSIFICATION,
        "Every trial: accuracy on the test images, number of errors and hash of the weights",
        _MEANINGS,
    )


def measure_table(results: pd.DataFrame) -> Table:
    """Return mean and SD of accuracy, errors and loss over the trials of each condition."""
    return measure_summary(
        "repeatability_measures",
        trial_values(results, list(CLASSIFICATION)),
        CLASSIFICATION,
        _MEANINGS,
    )


def measured_trials(
    name: str, trials: pd.DataFrame, measures: Measures, caption: str, meanings: str
) -> Table:
    """List trials with their measures and the hash of their weights.

    A trial that did not complete has its status in place of its hash, and no measures.

    Parameters
    ----------
    name, caption, meanings
        Of the table; ``meanings`` says what the measures are.
    trials
        As `reprostats.study.results.trial_values` gives them.
    measures
        What is shown.
    """
    ended = is_completed(trials)
    hashes = trials.get("weights_sha256", pd.Series("", trials.index)).astype("str")
    frame = pd.DataFrame({"condition": trials["condition"], "trial": trials["number"]})
    for metric in measures:
        frame[metric] = trials[metric].where(ended)
    frame["weights"] = hashes.str[:_SHORT].where(ended, trials["status"])
    return Table(
        name,
        frame,
        caption,
        {metric: decimals for metric, (_, decimals) in measures.items()},
        f"{meanings} Weights: first {_SHORT} of 64 hexadecimal digits of the SHA-256, or the status"
        " of a trial that did not complete.",
        {"condition": "Condition", "trial": "Trial", "weights": "Weights"}
        | {metric: title for metric, (title, _) in measures.items()},
    )


def measure_summary(name: str, trials: pd.DataFrame, measures: Measures, meanings: str) -> Table:
    """Summarise measures over the completed trials of each condition, as the paper does.

    Parameters are those of `measured_trials`.
    """
    columns = ["condition", *measures]
    long = trials.loc[is_completed(trials), columns].melt("condition", var_name="measure")
    groups = long.groupby(["condition", "measure"], sort=False)["value"]
    frame = groups.agg(["mean", "std", "min", "max", "count"]).reset_index()
    titles = {metric: title for metric, (title, _) in measures.items()}
    return Table(
        name,
        frame.rename(columns={"std": "sd", "count": "n"}).replace({"measure": titles}),
        "What was measured, by condition",
        {"mean": 4, "sd": 5, "min": 4, "max": 4},
        f"Mean, SD (ddof = 1), smallest and largest value over n completed trials; trials that are "
        f"equal bit for bit count each, as in the paper. {meanings}",
        {"condition": "Condition", "measure": "Measure", "mean": "Mean", "sd": "SD",
         "min": "Lowest", "max": "Highest", "n": "n"},
    )  # fmt: skip


def effect_table(
    results: pd.DataFrame, condition: str, sources: Sequence[str], metric: str
) -> Table:
    """Ask which of the sources varied in a condition moves a metric, by analysis of variance.

    Parameters
    ----------
    results
        The results table.
    condition
        Name of the condition.
    sources
        Sources of variability; those that take one level only are left out.
    metric
        A metric that is computed in float32.

    Returns
    -------
    Table
        Columns of `reprostats.anova`, and ``p_adjusted``; or one row whose ``note`` says why
        there is no answer: too few trials, or values that differ by rounding alone.
    """
    trials = trial_values(results, [metric])
    rows = trials[is_completed(trials) & (trials["condition"] == condition)]
    rows = rows.assign(value=rows[metric])
    varied = [name for name in sources if len(rows[name].unique()) > 1]
    if note := _no_effects(rows, varied, sources):
        frame = pd.DataFrame({"source": [" and ".join(sources)], "note": [note]})
    else:
        effects = anova(rows, "value ~ " + " + ".join(f"C({name})" for name in varied))
        adjusted = adjust_p_values(effects["p_value"])
        frame = effects.assign(source=[*varied, "residual"], p_adjusted=adjusted)[_EFFECTS]
    return Table(
        "hardware_effects",
        frame,
        f"What moves {metric} in condition {condition!r}",
        {"f": 2, "p_value": 4, "p_adjusted": 4, "eta_squared": 3},
        "Analysis of variance (type 2) over the completed trials, which share one seed: it says "
        "what became of differences that began in the last bit, for this seed. Eta²: share of the "
        "sum of squares. p adjusted over the sources by Holm's method.",
        {"source": "Source", "df": "df", "f": "F", "p_value": "p", "p_adjusted": "p (Holm)",
         "eta_squared": "Eta²", "note": "Note"},
    )  # fmt: skip


def _no_effects(rows: pd.DataFrame, varied: Sequence[str], sources: Sequence[str]) -> str:
    """Say why effects cannot be told apart; empty if they can."""
    parameters = 1 + sum(len(rows[name].unique()) - 1 for name in varied)
    if not varied or len(rows) <= parameters:
        asked = " and ".join(sources)
        return f"undetermined: {len(rows)} trials are too few to tell {asked} from chance"
    values = rows["value"].to_numpy()
    if np.ptp(values) <= _ROUNDING * np.abs(values).max():
        return "undetermined: nothing varies beyond rounding"
    return ""


def library_table(results: pd.DataFrame, margin: float) -> Table:
    """Compare trainings that differ as libraries do with the first condition, seed by seed.

    Parameters
    ----------
    results
        Of conditions in which the same seeds were used, and fingerprints of initial weights left.
    margin
        Largest difference of accuracy that does not matter.

    Raises
    ------
    InputError
        If no trial completed, or those of one condition alone.
    """
    rows = completed(results, "accuracy")
    by_seed = rows.pivot_table("value", "init", "condition", sort=False)
    paired, first = by_seed.dropna(), str(by_seed.columns[0])
    starts = rows.groupby("condition", sort=False)["initial_weights_sha256"].first()
    frame = by_seed.agg(["mean", "std"]).T.rename(columns={"std": "sd"})
    compared = compare_matrices(
        {name: paired[[name]].set_axis(["accuracy"], axis=1) for name in paired},
        runs="crossed",
        generalise_to="runs",
        margin=margin,
        baseline=first,
    )
    shown = ["difference", "ci_low", "ci_high", "p_value", "p_adjusted", "p_equivalence_adjusted"]
    notes = ["note"] if compared["note"].any() else []
    columns = compared.set_index("first")[[*shown, *notes]]
    frame = frame.join(columns).reset_index(names="condition")
    frame["initial_weights"] = starts.str[:_SHORT].to_numpy()
    return Table(
        "libraries",
        frame,
        f"The same training with what differs between libraries, with the same {len(by_seed)} "
        "seeds",
        {"mean": 4, "sd": 5, **dict.fromkeys(shown, 4)},
        _library_note(first, margin),
        {"condition": "Set up with", "mean": "Accuracy", "sd": "SD", "difference": "Difference",
         "ci_low": "CI low", "ci_high": "CI high", "p_value": "p", "p_adjusted": "p (Holm)",
         "p_equivalence_adjusted": "p (equivalence, Holm)", "note": "Note",
         "initial_weights": "Initial weights"},
    )  # fmt: skip


def _library_note(first: str, margin: float) -> str:
    return (
        f"Difference of accuracy from {first!r} with its 95 % interval, paired by seed, for new "
        "trainings on these test images. p of no difference, and of equivalence within "
        f"{margin:g}, adjusted over the rows by Holm's method. SD: ddof = 1. Initial weights: of "
        "the first seed; where they are the same, the trainings start from the same bits. Every "
        "row but the first differs from it in one thing, or in the formula of Adam with its "
        "epsilon. Equation 2 is as printed in the paper, which gives it to Keras; but Keras draws "
        "from Equation 1 (notebook 06)."
    )


def retest_table(results: pd.DataFrame) -> Table:
    """Tell of each test of a trained network whether it predicts what it predicted before.

    Parameters
    ----------
    results
        Of trials with the metrics ``accuracy``, ``largest_difference`` and ``changed_labels``.
    """
    metrics = ["accuracy", "largest_difference", "changed_labels"]
    trials = trial_values(results, metrics)
    ended = is_completed(trials)
    frame = trials[["condition", "threads", "isa", "device", *metrics]].copy()
    outcome = np.where(frame["largest_difference"] == 0, "same bits", "same labels, other bits")
    frame["outcome"] = np.where(frame["changed_labels"] > 0, "other labels", outcome)
    frame["outcome"] = frame["outcome"].where(ended, trials["status"])
    return Table(
        "tested_again",
        frame,
        "A trained network tested again",
        {"accuracy": 4, "changed_labels": 0, "largest_difference": 9},
        "Compared with what the network predicted on the test images after its training.",
        {"condition": "Condition", "threads": "Threads", "isa": "Instruction set",
         "device": "Device", "accuracy": "Accuracy", "changed_labels": "Labels changed",
         "largest_difference": "Largest difference of a logit", "outcome": "Outcome"},
    )  # fmt: skip


def confusion_table(matrices: Sequence[NDArray[np.int64]], condition: str) -> Table:
    """Show which classes are taken for which, and how far that differs between trainings.

    Parameters
    ----------
    matrices
        Of each training: shape (classes, classes), the number of samples of the true class (row)
        that were given the other one (column).
    condition
        What the trainings are.

    Examples
    --------
    >>> matrices = [np.array([[9, 1], [2, 8]]), np.array([[10, 0], [2, 8]])]
    >>> confusion_table(matrices, "seeded").frame[["lowest", "highest"]].to_numpy().tolist()
    [[9, 10], [8, 8]]
    """
    every = np.stack(list(matrices))
    right = every.diagonal(axis1=1, axis2=2)
    frame = pd.DataFrame(every[0], columns=[f"as_{label}" for label in range(every.shape[1])])
    frame.insert(0, "true", range(len(frame)))
    frame["lowest"], frame["highest"] = right.min(axis=0), right.max(axis=0)
    moved = (every != every[0]).any(axis=0).sum()
    return Table(
        "confusion",
        frame,
        f"Confusion matrix of the first training of condition {condition!r}",
        note="Test images by true class (rows) and by the class that the network gives (columns). "
        f"Right: the lowest and the highest number over {len(every)} trainings; {moved} of "
        f"{frame.shape[0] ** 2} cells of the matrix differ between them.",
        titles={"true": "True", "lowest": "Right, lowest", "highest": "Right, highest"}
        | {f"as_{label}": str(label) for label in range(every.shape[1])},
    )


def cost_table(results: pd.DataFrame) -> Table:
    """Return the time of a training step under each setting, and its ratio to the plain one.

    Parameters
    ----------
    results
        With the metric ``step_time`` in seconds; its cases are the settings, ``"plain"`` first.

    Raises
    ------
    InputError
        If no trial completed.
    """
    times = case_values(results, "step_time").rename(columns={"value": "seconds"})
    plain = times[times["case"] == "plain"].set_index("run")["seconds"]
    times["ratio"] = times["seconds"] / plain.reindex(times["run"]).to_numpy()
    settings = list(dict.fromkeys(times["case"]))
    medians = median_ci(times, value="ratio", by="case").set_index("case").loc[settings]
    seconds = times.groupby("case")["seconds"].median().reindex(settings)
    frame = pd.DataFrame(
        {
            "setting": settings,
            "step_ms": 1000 * seconds.to_numpy(),
            "ratio": medians["median"].to_numpy(),
            "ci_low": medians["ci_low"].to_numpy(),
            "ci_high": medians["ci_high"].to_numpy(),
        }
    )
    return Table(
        "cost_of_determinism",
        frame,
        "What deterministic algorithms cost",
        dict.fromkeys(frame.columns[1:], 3),
        f"Medians over {len(plain)} trials of the median step of each; the settings took turns in "
        "one process. CI: exact 95 % interval of the median ratio, unbounded where trials are few.",
        {"setting": "Setting", "step_ms": "Step (ms)", "ratio": "Ratio to plain",
         "ci_low": "CI low", "ci_high": "CI high"},
    )  # fmt: skip


def facts_table(facts: Mapping[str, str]) -> Table:
    """Put the facts of a study (``Study.facts``) into a table."""
    return Table(
        "facts",
        pd.DataFrame({"item": list(facts), "answer": list(facts.values())}),
        "What a reproducibility checklist asks of the study",
        titles={"item": "Item", "answer": "Answer"},
    )
