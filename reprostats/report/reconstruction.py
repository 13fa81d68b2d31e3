"""What moves a learned MR reconstruction? The tables and figures of Oh, Jung and Lee, and beyond.

Everything here takes tables: the results table of a study, and what
`reprostats.experiments.reconstruction_images` gives (the differences of images from the baseline's,
one row per network and test case).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.report.charts import name_axis
from reprostats.report.figure import Figure
from reprostats.report.pictures import picture_row
from reprostats.report.tables import Table
from reprostats.stats.algorithms import compare_algorithms
from reprostats.stats.family import adjust_p_values
from reprostats.stats.paired import paired_ttest
from reprostats.study.results import (
    commonest_reason,
    completed,
    is_completed,
    trials_of,
)
from reprostats.study.runs import case_values

BASELINE = "baseline"
NETWORK = "the baseline's network"

_METRICS = ["nrmse", "psnr", "ssim"]
_PAIR = 2
_DIFFERENCE_TITLES = {
    "difference": "Difference", "ci_low": "CI low", "ci_high": "CI high", "p_adjusted": "p (Holm)",
    "p_equivalence": "p (equivalence)",
}  # fmt: skip
_FOR_CASES = (
    "Paired t test over cases with its 95% interval, p values adjusted over the rows by Holm's "
    "method; equivalence by two one-sided tests within {margin:g} percentage points. It holds for "
    "this one network on new cases and says nothing of networks that would be trained again."
)
_PHASES = ("training", "inference")


def baseline_table(numbers: Mapping[str, Any]) -> Table:
    """Return the numbers behind the verdict on the baseline.

    Parameters
    ----------
    numbers
        Of `reprostats.experiments.reconstruction_verdicts.BaselineRepeats`.
    """
    return Table(
        "baseline",
        pd.DataFrame([numbers]).astype({"first_other_step": "Int64"}),
        "Repetition of the baseline in every step and every test image",
        {"largest": 3},
        "Equal: bit for bit. Largest: difference of a pixel of a test image, in its unit.",
        {
            "n_trainings": "Trainings", "n_steps": "Steps", "n_equal_steps": "Steps of equal loss",
            "first_other_step": "First other step", "images_equal": "Test images equal",
            "largest": "Largest difference",
        },
    )  # fmt: skip


def moved_images(training: pd.DataFrame, inference: pd.DataFrame) -> pd.DataFrame:
    """Summarise how far images move from the baseline's, after training and in inference.

    Parameters
    ----------
    training, inference
        Of `reprostats.experiments.reconstruction_images.differences`.

    Returns
    -------
    pandas.DataFrame
        One row per condition beside the baseline. For each of the two: ``n`` networks, ``n_equal``
        whose test images equal the baseline's bit for bit, ``moved`` (mean NRMSE in percent over
        networks and cases), ``largest`` (difference of one pixel); and ``orders``, the orders of
        magnitude by which images move less in inference (infinite if not a bit moves).
    """
    parts = [
        _moved(table[table["condition"] != BASELINE]).add_suffix(f"_{phase}")
        for phase, table in (("training", training), ("inference", inference))
    ]
    order = list(dict.fromkeys(itertools.chain(*(part.index for part in parts))))
    moved = pd.concat(parts, axis=1).reindex(order).rename_axis("condition").reset_index()
    counts = {name: "Int64" for name in moved if str(name).startswith("n_")}
    with np.errstate(divide="ignore", invalid="ignore"):
        orders = np.log10(moved["moved_training"] / moved["moved_inference"])
    return moved.astype(counts).assign(orders=orders)


def _moved(differences: pd.DataFrame) -> pd.DataFrame:
    by_condition = differences.groupby("condition", sort=False)
    by_trial = differences.groupby(["condition", "trial"], sort=False)["equal"].all()
    return pd.DataFrame(
        {
            "n": by_condition["trial"].nunique(),
            "n_equal": by_trial.groupby("condition", sort=False).sum(),
            "moved": by_condition["difference"].mean(),
            "largest": by_condition["largest"].max(),
        }
    )


def image_table(moved: pd.DataFrame, unit: str) -> Table:
    """Show how far images move from the baseline's.

    Parameters
    ----------
    moved
        Of `moved_images`.
    unit
        Of the images.
    """
    of_pixel = f"in {unit}" if unit else "in the unit of the image"
    titles = {"condition": "Condition", "orders": "Orders of magnitude less"}
    for phase in ("training", "inference"):
        titles |= {
            f"n_{phase}": f"Networks ({phase})",
            f"n_equal_{phase}": f"Equal ({phase})",
            f"moved_{phase}": f"NRMSE to baseline, % ({phase})",
            f"largest_{phase}": f"Largest ({phase})",
        }
    return Table(
        "images",
        moved,
        "How far images move from the baseline's",
        {
            "moved_training": 6,
            "largest_training": 6,
            "moved_inference": 8,
            "largest_inference": 9,
            "orders": 1,
        },
        "Training: networks trained with one source changed. Inference: the baseline's network, "
        "used under the changed source. Equal: all test images equal the baseline's bit for bit. "
        f"NRMSE: mean over networks and cases. Largest: difference of one pixel, {of_pixel}. "
        "inf: not a bit moves in inference.",
        titles,
    )


def inference_table(results: pd.DataFrame, *, margin: float) -> Table:
    """Show the error of the one shared network wherever it was used.

    Parameters
    ----------
    results
        Of the study of inference.
    margin
        Largest difference of NRMSE that does not matter, in percentage points.

    Raises
    ------
    InputError
        If no trial completed.
    """
    values = case_values(results, "nrmse")
    compared = _against(values.assign(first=values["condition"]), BASELINE, margin)
    trials = trials_of(results)
    groups = trials.groupby("condition", sort=False)
    frame = pd.DataFrame(
        {
            "trials": groups.size(),
            "completed": is_completed(trials).groupby(trials["condition"], sort=False).sum(),
            "nrmse": values.groupby("condition")["value"].mean(),
        }
    ).reindex(list(dict.fromkeys(trials["condition"])))
    frame = frame.join(compared.set_index("first")[list(_DIFFERENCE_TITLES)])
    frame["reason"] = [
        commonest_reason(results[results["condition"] == name]) for name in frame.index
    ]
    return Table(
        "inference_of_one_network",
        frame.rename_axis("condition").reset_index(),
        "Error of the baseline's network, used under other hardware, options and types",
        {"nrmse": 3, "difference": 8, "ci_low": 8, "ci_high": 8, "p_adjusted": 4,
         "p_equivalence": 4},
        "NRMSE against the truth in percent, mean over uses and cases. Difference: from its use in "
        f"the baseline. {_FOR_CASES.format(margin=margin)}",
        {"condition": "Condition", "trials": "Trials", "completed": "Completed",
         "nrmse": "NRMSE (%)", "reason": "Reason", **_DIFFERENCE_TITLES},
    )  # fmt: skip


def pairwise_table(results: pd.DataFrame) -> Table:
    """Test every pair of networks that share a condition, over the test cases, as Oh et al. do.

    Parameters
    ----------
    results
        Of networks that were trained, with the metric ``nrmse`` of every test case.

    Returns
    -------
    Table
        A row for each pair of networks of one condition: first minus second. Without rows where no
        condition has two networks.
    """
    values = case_values(results, "nrmse")
    rows = [
        {"condition": name, "first": first, "second": second, **_pair(wide[first], wide[second])}
        for name, group in values.groupby("condition", sort=False)
        for wide in [group.pivot_table("value", "case", "run", sort=False).dropna()]
        for first, second in itertools.combinations(wide.columns, 2)
    ]
    columns = ["condition", "first", "second", "difference", "ci_low", "ci_high", "p_value"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["p_adjusted"] = adjust_p_values(frame["p_value"]) if len(frame) else frame["p_value"]
    return Table(
        "pairwise_networks",
        frame,
        "Every pair of networks of one condition",
        dict.fromkeys(("difference", "ci_low", "ci_high"), 3) | {"p_value": 4, "p_adjusted": 4},
        "Difference of NRMSE in percentage points, first minus second; paired t test over the test "
        "cases with its 95 % interval; p adjusted over all rows by Holm's method. A row is a claim "
        "about two networks and not about how they were trained: networks that differ by chance "
        "alone differ significantly if there are enough cases.",
        _DIFFERENCE_TITLES
        | {"condition": "Condition", "first": "First", "second": "Second", "p_value": "p"},
    )


def _pair(first: pd.Series[float], second: pd.Series[float]) -> dict[str, float]:
    """Compare two networks; too few cases give the difference alone."""
    if len(first) < _PAIR:
        return {"difference": float((first - second).mean())}
    tested = paired_ttest(first, second).iloc[0]
    return {name: tested[name] for name in ("difference", "ci_low", "ci_high", "p_value")}


def method_values(classical: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Put the baseline's first completed network beside the methods without training.

    Parameters
    ----------
    classical
        Of `reprostats.experiments.reconstruction_images.classical`.
    results
        With a completed network of the baseline.

    Raises
    ------
    InputError
        If no trial completed.
    """
    rows = completed(results)
    rows = rows[rows["condition"] == BASELINE]
    first = rows[(rows["trial"] == rows["trial"].iloc[0]) & rows["metric"].isin(_METRICS)]
    network: pd.DataFrame = first.pivot_table(
        index="case", columns="metric", values="value", sort=False
    )
    network = network.reset_index().assign(method=NETWORK, setting="")
    return pd.concat([network[classical.columns], classical], ignore_index=True)


def method_comparison(methods: pd.DataFrame, *, margin: float) -> pd.DataFrame:
    """Compare every classical method with the network, case by case: method minus network.

    Parameters
    ----------
    methods
        Of `method_values`.
    margin
        Largest difference of NRMSE that does not matter, in percentage points.

    Returns
    -------
    pandas.DataFrame
        The columns of `reprostats.compare_algorithms`, generalised to new cases.
    """
    values = methods.rename(columns={"nrmse": "value"}).assign(run="one")
    return _against(values.assign(first=values["method"]), NETWORK, margin)


def _against(values: pd.DataFrame, baseline: str, margin: float) -> pd.DataFrame:
    """Compare what is named in column ``first`` with one of them, for new cases."""
    if values["first"].nunique() < _PAIR:
        return pd.DataFrame(columns=["first", *_DIFFERENCE_TITLES])
    compared = compare_algorithms(
        values,
        value="value",
        algorithm="first",
        run="run",
        case="case",
        generalise_to="cases",
        margin=margin,
        baseline=baseline,
    )
    compared["p_equivalence"] = compared["p_equivalence_adjusted"]
    return compared


def method_table(methods: pd.DataFrame, compared: pd.DataFrame, *, margin: float) -> Table:
    """Compare the baseline's network with the reconstructions that need no training.

    Parameters
    ----------
    methods, compared
        Of `method_values` and `method_comparison`.
    margin
        Largest difference of NRMSE that does not matter, in percentage points.
    """
    means = methods.groupby(["method", "setting"], sort=False)[_METRICS].mean().reset_index()
    numbers = compared[["first", *_DIFFERENCE_TITLES]].rename(columns={"first": "method"})
    return Table(
        "methods_for_one_network",
        means.merge(numbers, on="method", how="left"),
        "One network beside methods that need no training, on the same cases",
        {"nrmse": 3, "psnr": 2, "ssim": 4, "difference": 3, "ci_low": 3, "ci_high": 3,
         "p_adjusted": 4, "p_equivalence": 4},
        "Means over test cases. Setting: of the lowest NRMSE on the training cases. Difference: "
        f"NRMSE of the method minus that of the network. {_FOR_CASES.format(margin=margin)}",
        {"method": "Method", "setting": "Setting", "nrmse": "NRMSE (%)", "psnr": "PSNR (dB)",
         "ssim": "SSIM", **_DIFFERENCE_TITLES},
    )  # fmt: skip


def image_figure(training: pd.DataFrame, inference: pd.DataFrame) -> Figure:
    """Draw how far the images of every network are from the baseline's, on a logarithmic scale.

    Parameters
    ----------
    training, inference
        Of `reprostats.experiments.reconstruction_images.differences`. Networks whose images are
        equal bit for bit stand at the bottom. If there is no network beside the baseline, the
        chart is empty and its title says so.
    """
    drawn, decades = _drawn_images(training, inference)
    order = list(dict.fromkeys(drawn["condition"]))
    chart = (
        alt.Chart(drawn)
        .mark_point(size=60, filled=True, opacity=0.8)
        .encode(
            x=alt.X("condition:N", sort=order, title=None, axis=name_axis()),
            xOffset=alt.XOffset("place:Q", scale=alt.Scale(domain=[-6, 6])),
            y=alt.Y(
                "shown:Q",
                title="NRMSE to the baseline's images (%)",
                scale=alt.Scale(type="log", domain=[decades[0], decades[-1]]),
                axis=alt.Axis(format=".0e", values=decades),
            ),
            color=alt.Color("phase:N", sort=list(_PHASES), title=None),
            shape=alt.Shape("images:N", title="Images", sort=["other", "equal"]),
            tooltip=["condition", "phase", "difference"],
        )
        .properties(
            title="" if order else "No network beside the baseline",
            width=115 * max(len(order), 3),
            height=300,
        )
    )
    caption = (
        "Each point is one network: the mean NRMSE of its images against those of the baseline's "
        "network, over the test cases. Training: the network was trained with the source changed. "
        "Inference: the baseline's network was used under it. Points whose images equal the "
        "baseline's bit for bit stand at the bottom, since a logarithmic scale has no 0."
    )
    return Figure("images_moved", chart, caption)


def _drawn_images(
    training: pd.DataFrame, inference: pd.DataFrame
) -> tuple[pd.DataFrame, list[float]]:
    """Return a row for each network with its place in the chart, and the decades of the axis."""
    by_trial = pd.concat(
        [
            table.groupby(["condition", "trial"], sort=False, as_index=False)
            .agg({"difference": "mean", "equal": "all"})
            .assign(phase=phase)
            for phase, table in zip(_PHASES, (training, inference), strict=True)
        ]
    )
    drawn = by_trial[by_trial["condition"] != BASELINE]
    above = drawn.loc[drawn["difference"] > 0, "difference"]
    lowest = math.floor(math.log10(above.min())) - 1 if len(above) else -8
    highest = math.ceil(math.log10(above.max())) if len(above) else 0
    decades = [10.0**power for power in range(lowest, highest + 1)]
    groups = drawn.groupby(["condition", "phase"], sort=False)["trial"]
    beside = groups.cumcount() - (groups.transform("size") - 1) / 2
    placed = drawn.assign(
        # Networks of one condition side by side, those of inference to the right.
        place=np.where(drawn["phase"] == "training", -2.5, 2.5) + 0.8 * beside,
        images=np.where(drawn["equal"], "equal", "other"),
        shown=drawn["difference"].clip(lower=decades[0]),
    )
    return placed, decades


def slice_figure(slices: Mapping[str, NDArray[np.floating]], unit: str) -> Figure:
    """Show truth and baseline, and what each source changes, on a scale of its own.

    Parameters
    ----------
    slices
        Of `reprostats.experiments.reconstruction_images.slices`.
    unit
        Of the images.
    """
    images = {name: image for name, image in slices.items() if name in ("truth", BASELINE)}
    changes = {name: image for name, image in slices.items() if name not in images}
    caption = (
        "The middle slice of the first test case. Grey: the truth and the baseline's image, from "
        "black to white as their titles say. In colour: what the last network of each condition "
        "changes, orange above the baseline's image and blue below it, each on a scale of its own, "
        "which its title states. Conditions that change no bit of the slice are left out."
    )
    return Figure("slices", picture_row(images, changes, unit=unit), caption)
