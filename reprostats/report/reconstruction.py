"""What moves a learned MR reconstruction? Tables and figures of the six sources.

Everything here takes tables: the long results table of a study, what
`reprostats.experiments.reconstruction.differences` gives (one row per network and test subject),
and the losses of every step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from patsy import dmatrix  # type: ignore[import-untyped]

from reprostats.errors import InputError
from reprostats.report.charts import box_plot, name_axis
from reprostats.report.pictures import picture_row
from reprostats.report.tables import Table
from reprostats.stats.anova import anova
from reprostats.stats.components import variance_components
from reprostats.stats.equivalence import equivalence_test
from reprostats.stats.family import paired_comparisons

BASELINE = "baseline"

_SOURCE_NOTE = (
    "Equal: networks whose test images equal the baseline's bit for bit. NRMSE: against the truth, "
    "mean over networks and test subjects. Difference from the baseline in percentage points, with "
    "its {confidence_level:.0%} interval, paired t test over subjects (networks averaged), Holm's "
    "adjustment over the sources, effect size d_z. Lowest, highest: NRMSE of single networks. "
    "Equivalence: the largest p of the networks, each by two one-sided tests within {margin:g} "
    "points, not adjusted over the sources. To baseline: NRMSE against the images of the baseline. "
    "Largest: difference of one pixel in the brain. The test asks about these networks; it does "
    "not generalise to others."
)
_FACTORIAL_NOTE = (
    "Mean NRMSE of each network. Share of the sum of squares, F and p by analysis of variance; "
    "what is left over is interaction, not noise: trainings repeat. SD: root of the component of "
    "variance (REML), in percentage points, with its 95% interval, which few levels leave wide."
)
_METRICS = ("nrmse", "psnr", "ssim")
_FEWEST = 2
_ORDERS = 2  # of magnitude, from which on a difference is called far smaller
_INERT = 1e-3  # of the range of all networks: a source that moves no mean by more is rounding
_ROUNDING = 1e-12  # of the sum of squares


def verification_table(
    losses: pd.DataFrame, differences: pd.DataFrame, *, name: str = "reconstruction_verification"
) -> Table:
    """Say whether the baseline repeats: the loss of every step, and every test image.

    Parameters
    ----------
    losses
        Columns ``trial``, ``step`` and ``loss``, of trainings that should be equal.
    differences
        Of the same trainings; columns ``trial``, ``equal`` and ``largest``.
    name
        Of the table and its files.
    """
    wide = losses.pivot_table(index="step", columns="trial", values="loss")
    apart = wide.ne(wide.iloc[:, 0], axis=0).any(axis=1)
    images = differences.groupby("trial", sort=False)["equal"].all()
    row = {
        "Trainings": wide.shape[1],
        "Steps": len(wide),
        "Steps with equal loss": int((~apart).sum()),
        "First other step": str(apart.idxmax()) if apart.any() else "none",
        "Test images equal": "all" if images.all() else "not all",
        "Largest difference": float(differences["largest"].max()),
        "Verdict": _verdict(len(images), repeats=not apart.any() and bool(images.all())),
    }
    return Table(
        name,
        pd.DataFrame([row]),
        "Repeatability of the baseline",
        {"Largest difference": 3},
        "Equal: bit for bit. Largest difference of a pixel of a test image, in its unit.",
    )


def _verdict(trainings: int, *, repeats: bool) -> str:
    if trainings < _FEWEST:
        return "cannot be told from one training"
    return "bitwise repeatable" if repeats else "not repeatable"


def source_table(
    results: pd.DataFrame,
    differences: pd.DataFrame,
    *,
    margin: float,
    not_available: Mapping[str, str] | None = None,
    confidence_level: float = 0.95,
    name: str = "reconstruction_sources",
) -> Table:
    """Say for each source what changing it alone does to the error of the test subjects.

    The NRMSE of a subject is averaged over the networks of a source and compared with that of the
    baseline, subject by subject: a paired t test, adjusted over the sources by Holm's method, and
    a test of equivalence within the margin.

    Parameters
    ----------
    results
        Of `reprostats.experiments.reconstruction.sources` or ``inference``.
    differences
        Of the same study.
    margin
        Largest difference of NRMSE that does not matter, in percentage points.
    not_available
        Sources that this machine cannot change, and why; they have a row too.
    confidence_level
        Of the intervals.
    name
        Of the table and its files.

    Raises
    ------
    InputError
        If there is no network of the baseline.
    """
    error = _error(results)
    tested = _tested(error, confidence_level)
    rows = [
        _source_row(str(source), trials, results, tested, differences, margin, confidence_level)
        for source, trials in _trials(results).groupby("condition", sort=False)
    ]
    lacking = not_available or {}
    rows += [{"Source": source, "Verdict": "not available"} for source in lacking]
    notes = "".join(f" {source}: {why}" for source, why in lacking.items())
    counts = dict.fromkeys(["Networks", "Ended well", "Equal"], "Int64")
    return Table(
        name,
        pd.DataFrame(rows).astype(counts),
        "What changing one source alone does to the error of the test subjects",
        {"NRMSE (%)": 3, "Lowest": 3, "Highest": 3, "Difference": 4, "CI low": 4, "CI high": 4,
         "t": 2, "p": 4, "p (Holm)": 4, "d_z": 2, "p (equivalence)": 4, "To baseline (%)": 6,
         "Largest": 6},
        _SOURCE_NOTE.format(confidence_level=confidence_level, margin=margin) + notes,
    )  # fmt: skip


def _source_row(
    name: str,
    trials: pd.DataFrame,
    results: pd.DataFrame,
    tested: pd.DataFrame,
    differences: pd.DataFrame,
    margin: float,
    confidence_level: float,
) -> dict[str, object]:
    well = trials[trials["status"] == "ok"]
    networks = _networks(results, name)
    mine = differences[differences["condition"] == name]
    equal = int(mine.groupby("trial")["equal"].all().sum())
    row: dict[str, object] = {
        "Source": name,
        "Networks": len(trials),
        "Ended well": len(well),
        "Equal": equal,
        "NRMSE (%)": networks.mean().mean(),
        "Lowest": networks.mean().min(),
        "Highest": networks.mean().max(),
        "To baseline (%)": mine["difference"].mean() if len(mine) else math.nan,
        "Largest": mine["largest"].max() if len(mine) else math.nan,
    }
    if name in tested.index:
        found = tested.loc[name]
        row |= {
            "Difference": found["difference"],
            "CI low": found["ci_low"],
            "CI high": found["ci_high"],
            "t": found["t"],
            "p": found["p_value"],
            "p (Holm)": found["p_adjusted"],
            "d_z": found["cohen_dz"],
            "p (equivalence)": _equivalence(networks, _networks(results, BASELINE), margin),
        }
    return row | {
        "Verdict": _source_verdict(name, trials, equal, row, margin, 1 - confidence_level)
    }


def _source_verdict(
    name: str,
    trials: pd.DataFrame,
    equal: int,
    row: Mapping[str, Any],
    margin: float,
    level: float,
) -> str:
    well = int((trials["status"] == "ok").sum())
    lost = trials.loc[trials["status"] != "ok"]
    failed = f"; {len(lost)} failed" if len(lost) else ""
    if not well:
        return f"no network: {'; '.join(sorted(set(lost['status'])))}"
    if name == BASELINE and well < _FEWEST:
        return f"cannot be told from one network{failed}"
    if equal == well:
        return f"equal to the last bit{failed}"
    if name == BASELINE:
        return f"not repeatable{failed}"
    significant = row.get("p (Holm)", math.nan) < level
    equivalent = row.get("p (equivalence)", math.nan) < level
    said = "another mean error" if significant else "no other mean error shown"
    each = f", each within {margin:g} points" if equivalent else ""
    return f"other images, {said}{each}{failed}"


def _networks(results: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Give the NRMSE of each subject (rows) by each network of a source (columns)."""
    well = results[(results["status"] == "ok") & (results["metric"] == "nrmse")]
    mine = well[well["condition"] == condition]
    return mine.pivot_table(index="case", columns="trial", values="value", sort=False)


def _equivalence(networks: pd.DataFrame, baseline: pd.DataFrame, margin: float) -> float:
    """Give the largest p of the networks: all must be equivalent."""
    if len(networks) < _FEWEST:
        return math.nan
    known = baseline.mean(axis=1).loc[networks.index]
    return max(
        float(equivalence_test(networks[name], known, margin=margin)["p_value"].iloc[0])
        for name in networks
    )


def _tested(error: pd.DataFrame, confidence_level: float) -> pd.DataFrame:
    """Compare every source with the baseline; empty if there are too few subjects or sources."""
    if BASELINE not in error:
        raise InputError("no network of the baseline ended well: there is nothing to compare with.")
    if len(error) < _FEWEST or error.shape[1] < _FEWEST:
        return pd.DataFrame()
    long = error.reset_index(names="case").melt(id_vars="case", var_name="source")
    found = paired_comparisons(
        long,
        value="value",
        case="case",
        condition="source",
        baseline=BASELINE,
        confidence_level=confidence_level,
    )
    return found.set_index(found["first"].where(found["first"] != BASELINE, found["second"]))


def _error(results: pd.DataFrame) -> pd.DataFrame:
    """Give the NRMSE of each subject (rows) under each source (columns), networks averaged."""
    well = results[(results["status"] == "ok") & (results["metric"] == "nrmse")]
    return well.pivot_table(index="case", columns="condition", values="value", sort=False)


def _trials(results: pd.DataFrame) -> pd.DataFrame:
    return results.drop_duplicates(["condition", "trial"])


def source_plot(results: pd.DataFrame, title: str) -> alt.LayerChart | alt.FacetChart:
    """Draw the mean NRMSE of every network by source, as Figures 2 to 4 of Oh et al. do."""
    well = results[(results["status"] == "ok") & (results["metric"] == "nrmse")]
    means = well.groupby(["condition", "trial"], sort=False)["value"].mean().reset_index()
    return box_plot(
        means, "value", "condition", value_title="Mean NRMSE of the test subjects (%)", title=title
    )


def difference_plot(
    differences: Mapping[str, pd.DataFrame], title: str
) -> alt.LayerChart | alt.FacetChart:
    """Draw how far the images of every network are from the baseline's, on a logarithmic scale.

    Parameters
    ----------
    differences
        By what was done, such as ``"training"`` and ``"inference"``. Networks whose images are
        equal bit for bit stand at the bottom.
    title
        Of the chart.

    Notes
    -----
    If there is no network beside the baseline, the chart is empty and its title says so.
    """
    shown = pd.concat(
        [
            table.groupby(["condition", "trial"], sort=False, as_index=False)
            .agg({"difference": "mean", "equal": "all"})
            .assign(done=name)
            for name, table in differences.items()
        ]
    )
    shown = shown[shown["condition"] != BASELINE]
    if shown.empty:
        title = f"{title}: no network beside the baseline"
    apart = shown.loc[shown["difference"] > 0, "difference"]
    floor = 10.0 ** math.floor(math.log10(apart.min()) - 1) if len(apart) else 1e-8
    drawn = shown.assign(
        images=np.where(shown["equal"], "equal", "other"),
        shown=shown["difference"].clip(lower=floor),
    )
    order = list(dict.fromkeys(shown["condition"]))
    highest = math.ceil(math.log10(max(apart.max(), floor))) if len(apart) else 0
    decades = [10.0**power for power in range(round(math.log10(floor)), highest + 1)]
    chart: alt.LayerChart | alt.FacetChart = (
        alt.Chart(drawn)
        .mark_point(size=60, filled=True, opacity=0.8)
        .encode(
            x=alt.X("condition", sort=order, title=None, axis=name_axis()),
            xOffset=alt.XOffset("done", sort=list(differences)),
            y=alt.Y(
                "shown",
                title="NRMSE to the baseline's images (%)",
                scale=alt.Scale(type="log", domain=[floor, decades[-1]]),
                axis=alt.Axis(format=".0e", values=decades),
            ),
            color=alt.Color("done", sort=list(differences), title=None),
            shape=alt.Shape("images", title="Images", sort=["other", "equal"]),
            tooltip=["condition", "done", "difference"],
        )
        .properties(
            title=alt.TitleParams(title, subtitle="Images equal to the last bit at the bottom"),
            width=115 * max(len(order), 3),
            height=300,
        )
    )
    return chart


def picture_chart(pictures: Mapping[str, NDArray[np.floating]], unit: str) -> alt.ConcatChart:
    """Show truth and baseline, and what each source changes, on a scale of its own.

    Parameters
    ----------
    pictures
        Of `reprostats.experiments.reconstruction.pictures`.
    unit
        Of the images.
    """
    images = {name: image for name, image in pictures.items() if name in ("truth", BASELINE)}
    changes = {name: image for name, image in pictures.items() if name not in images}
    return picture_row(images, changes, unit=unit)


def method_table(
    classical: pd.DataFrame, results: pd.DataFrame, *, name: str = "reconstruction_methods"
) -> Table:
    """Compare the baseline network with the reconstructions that need no training.

    Parameters
    ----------
    classical
        Of `reprostats.experiments.reconstruction.classical`.
    results
        With a network of the baseline.
    name
        Of the table and its files.
    """
    network = _of_baseline(results).assign(method="network", setting="")
    every = pd.concat([network, classical], ignore_index=True)
    tested = pd.DataFrame(columns=["first", "second"])
    if len(network) >= _FEWEST:
        tested = paired_comparisons(
            every, value="nrmse", case="case", condition="method", baseline="network"
        )
    rows = []
    for (method, setting), table in every.groupby(["method", "setting"], sort=False):
        row = {"Method": method, "Setting": setting, "NRMSE (%)": table["nrmse"].mean(),
               "PSNR (dB)": table["psnr"].mean(), "SSIM": table["ssim"].mean()}  # fmt: skip
        rows.append(row | _against_network(tested, str(method)))
    return Table(
        name,
        pd.DataFrame(rows),
        "The network and reconstructions without training",
        {"NRMSE (%)": 2, "PSNR (dB)": 2, "SSIM": 3, "Difference": 2, "CI low": 2, "CI high": 2,
         "p (Holm)": 4},
        "Means over the test subjects, inside the brain. Difference of NRMSE from the network in "
        "percentage points, paired over subjects, with its 95% interval. Settings were chosen on "
        "the training subjects.",
    )  # fmt: skip


def _against_network(tested: pd.DataFrame, method: str) -> dict[str, object]:
    found = tested[(tested["first"] == method) | (tested["second"] == method)]
    if method == "network" or found.empty:
        return {}
    row = found.iloc[0]
    return {
        "Difference": row["difference"],
        "CI low": row["ci_low"],
        "CI high": row["ci_high"],
        "p (Holm)": row["p_adjusted"],
    }


def _of_baseline(results: pd.DataFrame) -> pd.DataFrame:
    """Give the measures of the baseline's first network: one row per subject."""
    well = results[(results["status"] == "ok") & (results["condition"] == BASELINE)]
    if well.empty:
        raise InputError("no network of the baseline ended well.")
    first = well[well["trial"] == well["trial"].iloc[0]]
    wide: pd.DataFrame = first[first["metric"].isin(_METRICS)].pivot_table(
        index="case", columns="metric", values="value"
    )
    return wide.reset_index()


def sharing(training: pd.DataFrame, inference: pd.DataFrame) -> str:
    """Say whether sharing a trained network does away with the differences of training.

    Parameters
    ----------
    training, inference
        Of `reprostats.experiments.reconstruction.differences`.

    Examples
    --------
    >>> columns = ["condition", "trial", "difference"]
    >>> training = pd.DataFrame([["hardware", "b", 2.0], ["data type", "c", 5.0]], columns=columns)
    >>> print(sharing(training, training.assign(difference=[2e-5, 0.0])))
    How far images move from the baseline's, after training and with the shared network:
    - hardware: 2% and 2e-05%, 5.0 orders of magnitude less
    - data type: 5% and not a bit
    Share the trained network.
    """
    apart = [
        table[table["condition"] != BASELINE].groupby("condition", sort=False)["difference"].mean()
        for table in (training, inference)
    ]
    either = pd.concat(apart, axis=1, keys=["training", "inference"])
    both = either.dropna()
    if both.empty:
        return "It cannot be told whether sharing a network helps: no networks to compare."
    lines = ["How far images move from the baseline's, after training and with the shared network:"]
    near = []
    for source, row in both.iterrows():
        lines.append(f"- {source}: {_compared(row['training'], row['inference'])}")
        if row["inference"] > 0 and _orders(row["training"], row["inference"]) < _ORDERS:
            near.append(str(source))
    for source, row in either[either.isna().any(axis=1)].iterrows():
        done = "training" if math.isfinite(row["training"]) else "inference"
        lines.append(f"- {source}: {row[done]:.2g}% in {done}, not compared in the other")
    return "\n".join([*lines, _advice(near, differs=bool((both["training"] > 0).any()))])


def _advice(near: Sequence[str], *, differs: bool) -> str:
    if not differs:
        return "No source changes training here: these networks need not be shared to be repeated."
    if near:
        return (
            f"Not orders of magnitude less: {', '.join(near)}. Share the trained network, and say "
            "how it was used."
        )
    return "Share the trained network."


def _compared(training: float, inference: float) -> str:
    if not inference:
        return f"{training:.2g}% and not a bit" if training else "not a bit either way"
    if not training:
        return f"no difference after training, but {inference:.2g}% with the shared network"
    orders = _orders(training, inference)
    return f"{training:.2g}% and {inference:.2g}%, {orders:.1f} orders of magnitude less"


def _orders(training: float, inference: float) -> float:
    return math.log10(training / inference) if training else -math.inf


def factorial_table(results: pd.DataFrame, factors: Sequence[str]) -> Table:
    """Rank the sources of a factorial design and their interactions.

    Parameters
    ----------
    results
        Of `reprostats.experiments.reconstruction.factorial`.
    factors
        The sources that were crossed.

    Notes
    -----
    Analysis of variance of the mean NRMSE of each network: the share of the sum of squares ranks
    the effects. Interactions of two sources are told apart where the design allows it; what is
    left is the residual. Components of variance are estimated by REML with all effects random.
    """
    table, notes = _runs(results, factors)
    varied = [name for name in factors if len(table[name].unique()) > 1]
    effects, mixed = _effects(table, varied)
    if not effects:
        note = f"{len(table)} networks are too few to tell the effects of {', '.join(factors)}."
        return _factorial(pd.DataFrame({"Note": [" ".join([note, *notes])]}), [])
    terms = {":".join(f"C({name})" for name in effect): ":".join(effect) for effect in effects}
    squares = anova(table, "value ~ " + " + ".join(terms)).replace({"source": terms})
    components = variance_components(table, value="value", random=list(terms.values()))
    every = squares.assign(component=squares["source"].str.lower()).merge(
        components[["component", "sd", "ci_low", "ci_high"]], on="component"
    )
    shares = every["sum_of_squares"] / every["sum_of_squares"].sum()
    testable = not mixed and bool(shares.iloc[-1] > _ROUNDING)
    pooled = len(effects) == len(varied) > 1
    shown = pd.DataFrame(
        {
            "Effect": every["component"],
            "df": every["df"].astype(int),
            "Share (%)": 100 * shares,
            "F": every["f"] if testable else math.nan,
            "p": every["p_value"] if testable else math.nan,
            "SD": every["sd"],
            "SD low": np.sqrt(every["ci_low"]),
            "SD high": np.sqrt(every["ci_high"]),
        }
    )
    if pooled:
        shown = shown.replace({"Effect": {"residual": "residual with interactions"}})
    if mixed:
        notes.append(f"The design mixes sources with interactions: {', '.join(mixed)}. No tests.")
    elif not testable:
        notes.append("Nothing is left over to test against.")
    return _factorial(shown.sort_values("Share (%)", ascending=False), notes)


def _effects(table: pd.DataFrame, varied: Sequence[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Give the effects that can be told apart, and what sources are mixed with.

    Interactions of two are among the effects if none is mixed with a source or another one and
    something is left over; no effects at all if nothing is left over beside the sources.
    """
    sources: list[tuple[str, ...]] = [(name,) for name in varied]
    pairs: list[tuple[str, ...]] = list(itertools.combinations(varied, 2))
    alone = _design(table, sources)
    if not varied or alone.shape[1] >= len(table):
        return [], []
    rank = np.linalg.matrix_rank(alone)
    mixed = [
        ":".join(pair)
        for pair in pairs
        if np.linalg.matrix_rank(_design(table, [*sources, pair])) == rank
    ]
    whole = _design(table, [*sources, *pairs])
    apart = np.linalg.matrix_rank(whole) == whole.shape[1] < len(table)
    return ([*sources, *pairs] if apart else sources), mixed


def _design(table: pd.DataFrame, effects: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    terms = [":".join(f"C({name})" for name in effect) for effect in effects]
    return np.asarray(dmatrix(" + ".join(terms) or "1", table))


def _runs(results: pd.DataFrame, factors: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Give the mean NRMSE of every network, and what a reader must know of them.

    A source that changes no mean is no replicate of the others: over its levels one is kept.
    """
    well = results[(results["status"] == "ok") & (results["metric"] == "nrmse")]
    means = well.groupby(["trial", *factors], sort=False)["value"].mean().reset_index()
    every = _trials(results)
    lost = int((every["status"] != "ok").sum())
    notes = [f"{lost} of {len(every)} networks failed and are left out."] if lost else []
    for name in factors:
        others = [other for other in factors if other != name]
        levels = len(means[name].unique())
        if levels == 1 and len(every[name].unique()) > 1:
            notes.append(f"Only one level of {name} is left.")
        spread = means.groupby(others)["value"].agg(np.ptp) if others else means["value"] * np.nan
        if levels > 1 and spread.max() <= _INERT * np.ptp(means["value"]):
            notes.append(f"{name} changed no mean by more than {spread.max():.1g} points.")
            means = means.drop_duplicates(others)
    return means.astype(dict.fromkeys(factors, str)), notes


def _factorial(frame: pd.DataFrame, notes: Sequence[str]) -> Table:
    return Table(
        "reconstruction_factorial",
        frame.reset_index(drop=True),
        "Sources of variability and their interactions, ranked",
        {"Share (%)": 1, "F": 2, "p": 4, "SD": 4, "SD low": 4, "SD high": 4},
        " ".join([_FACTORIAL_NOTE, *notes]),
    )
