"""Does counting cells repeat? Tables and figures from the results of a counting study.

Everything but the picture of the cells takes the long results table of
`reprostats.experiments.counting`, or of any study whose trials return the same metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from skimage import measure

from reprostats.errors import InputError
from reprostats.report import repeatability
from reprostats.report.charts import box_plot
from reprostats.report.pictures import grey_picture, picture_axis
from reprostats.report.repeatability import per_trial, verdicts
from reprostats.report.tables import Table

_SHORT = 8
_WIDTH = 420  # of a picture, in pixels on the screen
_TOLERANCE = 0.4  # by which outlines may be simplified, in pixels
_SIDES = {
    "true cell": "#56B4E9",
    "missed": "#F0E442",
    "found cell": "#FFFFFF",
    "found wrongly": "#D55E00",
}
_LINES = {"exclusion line": "#FF3030", "inclusion line": "#30D070"}

_COLUMNS = {
    "error_rate": "Error rate (%)",
    "error_rate_separated": "Separated (%)",
    "dice": "Dice",
    "pooled_precision": "Precision",
    "pooled_recall": "Recall",
    "pooled_f1": "F1",
    "cell_f1_separated": "F1 of cells",
}
_DECIMALS = {
    "Error rate (%)": 2,
    "Separated (%)": 2,
    "Dice": 3,
    "Precision": 3,
    "Recall": 3,
    "F1": 3,
    "F1 of cells": 3,
}
_MEANINGS = (
    "Error rate: |true - counted| / true of the counts of all test images (Eq. 3 of Alahmari et "
    "al.); Separated: the same after touching cells were separated. Dice: mean over the images. "
    "Precision, recall, F1: all pixels of all images. F1 of cells: separated cells that overlap a "
    "true one by more than half of their union."
)


def trial_table(results: pd.DataFrame) -> Table:
    """Give the metrics of every trial, as Tables 3 to 5 of Alahmari et al. (2020) do.

    A trial that did not end well has its status in place of its hash.
    """
    frame = _trials(results)
    hashes = frame["weights_sha256"].str[:_SHORT].where(frame["status"] == "ok", frame["status"])
    shown = pd.DataFrame(
        {"Regime": frame["condition"], "Trial": frame["number"]}
        | {title: frame[name] for name, title in _COLUMNS.items()}
        | {"Weights (SHA-256)": hashes}
    )
    return Table(
        "counting_trials",
        shown,
        "Every trial: error of the count, and how well cells were marked",
        _DECIMALS,
        f"{_MEANINGS} Weights: first {_SHORT} of 64 hexadecimal digits.",
    )


def summary_table(results: pd.DataFrame) -> Table:
    """Give mean and SD of the metrics for each regime, with the verdict on its weights."""
    found = verdicts(results)
    rows = []
    for condition, trials in _trials(results).groupby("condition", sort=False):
        well = trials[trials["status"] == "ok"]
        verdict = found[str(condition)]
        row: dict[str, object] = {"Regime": condition, "Trials": len(trials), "Well": len(well)}
        for name, title in _COLUMNS.items():
            row[title] = well[name].mean()
            row[f"SD {title.removesuffix(' (%)')}"] = well[name].std(ddof=1)
        rows.append(row | {"Verdict": str(verdict)})
    shown = pd.DataFrame(rows)
    spreads = {str(name): 4 for name in shown if str(name).startswith("SD ")}
    return Table(
        "counting_summary",
        shown,
        "Repeatability of counting by regime",
        _DECIMALS | spreads | {"SD Error rate": 3, "SD Separated": 3},
        "Means over the trials that ended well; SD: sample standard deviation, ddof = 1. "
        + _MEANINGS,
    )


def time_table(results: pd.DataFrame) -> Table:
    """Give mean and SD of training and testing time, as Table 2 of Alahmari et al. (2020) does."""
    return replace(repeatability.time_table(results), name="counting_times")


def perfect_mask_table(results: pd.DataFrame) -> Table:
    """Give the error of the count that the true mask leads to by the same post-processing.

    No network can be expected to count better: where cells touch, the mask does not tell them
    apart.
    """
    frame = _trials(results)
    well = frame[frame["status"] == "ok"]
    ways = {"as in the paper": "error_rate", "touching cells separated": "error_rate_separated"}
    shown = pd.DataFrame(
        {
            "Post-processing": list(ways),
            "From the true mask (%)": [well[f"{name}_of_truth"].mean() for name in ways.values()],
            "From the network (%)": [well[name].mean() for name in ways.values()],
        }
    )
    return Table(
        "counting_perfect_mask",
        shown,
        "Error of the count from the true mask and from the network",
        dict.fromkeys(shown.columns[1:], 2),
        "Means over all trials that ended well. Error rate as in Eq. 3 of Alahmari et al.",
    )


def error_plot(
    results: pd.DataFrame, *, separated: bool = False
) -> alt.LayerChart | alt.FacetChart:
    """Draw the error rate of every trial by regime, as Figures 2 and 5 of Alahmari et al. do.

    Parameters
    ----------
    results
        The long results table; Figure 2 is of trials that start as in Eq. 2 of the paper, Figure 5
        of trials that start as in Eq. 1.
    separated
        Whether to show the counts of separated cells.
    """
    frame = _trials(results)
    value = "error_rate_separated" if separated else "error_rate"
    well = frame.loc[frame["status"] == "ok", ["condition", value]]
    return box_plot(
        well,
        value,
        "condition",
        value_title="Error rate of the count (%)",
        title="The same cells, counted again" + (", touching ones separated" if separated else ""),
    )


@dataclass(frozen=True)
class CellPicture:
    """An image with the outlines of true and of found cells.

    Parameters
    ----------
    title
        What stands above it.
    image
        Shape (height, width).
    true, found
        Shape of the image: the number of the cell of every pixel, 0 for background.
    missed, spurious
        Numbers of true cells that were not found, and of found cells that are none.
    frame
        Top, left, height and width of the counting frame in pixels; None if every cell counts.
    """

    title: str
    image: np.ndarray
    true: np.ndarray
    found: np.ndarray
    missed: Iterable[int] = ()
    spurious: Iterable[int] = ()
    frame: tuple[int, int, int, int] | None = None


def pictures(counted: Iterable[Any]) -> list[CellPicture]:
    """Make pictures of what `reprostats.experiments.counting.counted_fields` gives."""
    return [
        CellPicture(
            each.field.name,
            each.field.image,
            each.field.cells,
            each.found,
            each.matches.missed,
            each.matches.spurious,
            None if each.frame is None else astuple(each.frame),
        )
        for each in counted
    ]


def cells_chart(pictures: Sequence[CellPicture], columns: int = 2) -> alt.ConcatChart:
    """Draw images with the outlines of true and found cells and the lines of the frame.

    True cells that were missed have a colour of their own, and so have found cells that are none:
    parts of cells, and cells merged into one. The exclusion lines of the counting frame are red,
    the inclusion lines green, as in Figure 1 of Alahmari et al. (2020).

    Raises
    ------
    InputError
        If there is no picture, or its image and its cells differ in size.
    """
    if not pictures:
        raise InputError("no picture to draw.")
    chart: alt.ConcatChart = alt.concat(*map(_picture, pictures), columns=columns)
    apart: alt.ConcatChart = chart.resolve_scale(x="independent", y="independent")
    return apart


def _trials(results: pd.DataFrame) -> pd.DataFrame:
    """Give a row per trial, with the mean of the Dice coefficient over its images."""
    dice = results[results["metric"] == "dice"]
    means = dice.groupby(["condition", "trial"], sort=False)["value"].mean().rename("dice")
    frame = per_trial(results).merge(means.reset_index(), on=["condition", "trial"], how="left")
    wanted = [*_COLUMNS, "error_rate_of_truth", "error_rate_separated_of_truth", "weights_sha256"]
    return frame.reindex(columns=list(dict.fromkeys([*frame.columns, *wanted])))


def _picture(picture: CellPicture) -> alt.LayerChart | alt.FacetChart:
    if not picture.image.shape == picture.true.shape == picture.found.shape:
        raise InputError(
            f"{picture.title}: an image of shape {picture.image.shape} with cells of shapes "
            f"{picture.true.shape} and {picture.found.shape}; need one shape."
        )
    height, width = picture.image.shape
    layers = [
        grey_picture(picture.image),
        _outlines(picture.true, set(picture.missed), "true cell", "missed", picture.image.shape),
        _outlines(
            picture.found,
            set(picture.spurious),
            "found cell",
            "found wrongly",
            picture.image.shape,
        ),
    ]
    if picture.frame:
        layers.append(_frame_lines(picture.frame, picture.image.shape))
    return alt.layer(*layers).properties(
        title=picture.title, width=_WIDTH, height=round(_WIDTH * height / width)
    )


def _outlines(
    cells: np.ndarray, marked: set[int], usual: str, unusual: str, shape: tuple[int, ...]
) -> alt.Chart:
    """Draw a line around every cell; cells that are marked have another colour."""
    rows = [
        {"x": x, "y": y, "cell": f"{usual} {region.label}", "point": number,
         "outline": unusual if region.label in marked else usual}
        for region in measure.regionprops(cells)
        for number, (y, x) in enumerate(_outline(region))
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["x", "y", "cell", "point", "outline"])
    chart: alt.Chart = (
        alt.Chart(table)
        .mark_line(strokeWidth=1.4 if usual == "true cell" else 1.0)
        .encode(
            x=picture_axis("x", shape[1]),
            y=picture_axis("y", shape[0]),
            detail="cell:N",
            order="point:Q",
            color=_colour(),
        )
    )  # fmt: skip
    return chart


def _outline(region: measure._regionprops.RegionProperties) -> np.ndarray:
    """Give the outline of a cell as corners, shape (corners, 2): row and column."""
    padded = np.pad(region.image, 1)
    longest = max(measure.find_contours(padded, 0.5), key=len)
    corner = np.array(region.bbox[:2]) - 0.5  # pixels are drawn from their corner
    return np.asarray(measure.approximate_polygon(longest, _TOLERANCE) + corner)


def _frame_lines(frame: tuple[int, int, int, int], shape: tuple[int, ...]) -> alt.Chart:
    """Draw Gundersen's frame: left and bottom exclude, and so do their prolongations."""
    top, left, height, width = frame
    bottom, right = top + height, left + width
    corners = {
        "exclusion line": [(left, 0), (left, bottom), (right, bottom), (right, shape[0])],
        "inclusion line": [(left, top), (right, top), (right, bottom)],
    }
    rows = [
        {"x": x, "y": y, "outline": kind, "point": number}
        for kind, points in corners.items()
        for number, (x, y) in enumerate(points)
    ]
    chart: alt.Chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=picture_axis("x", shape[1]),
            y=picture_axis("y", shape[0]),
            order="point:Q",
            color=_colour(),
        )
    )
    return chart


def _colour() -> alt.Color:
    colours = _SIDES | _LINES
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    legend = alt.Legend(
        title=None, orient="bottom", fillColor="#444444", labelColor="white", padding=8, columns=6
    )
    return alt.Color("outline:N", scale=scale, legend=legend)
