"""Does counting cells repeat? The tables of Alahmari et al. (2020), and a picture of the cells.

Everything but the picture takes the results table of `reprostats.experiments.counting`, or of any
study whose trials return the same metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import altair as alt
import numpy as np
import pandas as pd
from skimage import measure

from reprostats.errors import InputError
from reprostats.report.figure import Figure
from reprostats.report.pictures import grey_picture, picture_axis
from reprostats.report.repeatability import Measures, measure_summary, measured_trials
from reprostats.report.tables import Table
from reprostats.study.results import completed, is_completed, trial_values

_WIDTH = 420  # of a picture, in pixels on the screen
_TOLERANCE = 0.4  # by which outlines may be simplified, in pixels
_SIDES = {
    "true cell": "#56B4E9",
    "missed": "#F0E442",
    "found cell": "#FFFFFF",
    "found wrongly": "#D55E00",
}
_LINES = {"exclusion line": "#FF3030", "inclusion line": "#30D070"}

COUNTING: Measures = {
    "error_rate": ("Error rate (%)", 2),
    "error_rate_separated": ("Separated (%)", 2),
    "dice": ("Dice", 3),
    "pooled_precision": ("Precision", 3),
    "pooled_recall": ("Recall", 3),
    "pooled_f1": ("F1", 3),
    "cell_f1_separated": ("F1 of cells", 3),
}
"""What is shown of a count."""
_MEANINGS = (
    "Error rate: |true - counted| / true of the counts of all test images (Eq. 3 of Alahmari et "
    "al.); Separated: the same after touching cells were separated. Dice: mean over the images "
    "in which every trial has one. Precision, recall, F1: all pixels of all images. F1 of "
    "cells: separated cells that overlap a true one by more than half of their union."
)


def trial_table(results: pd.DataFrame) -> Table:
    """Return the metrics of every trial, as Tables 3 to 5 of Alahmari et al. (2020) do."""
    return measured_trials(
        "counting_trials",
        _trials(results),
        COUNTING,
        "Every trial: error of the count, and how well cells were marked",
        _MEANINGS,
    )


def measure_table(results: pd.DataFrame) -> Table:
    """Return mean and SD of the metrics for each condition, as Tables 3 to 5 of the paper do."""
    return measure_summary("counting_measures", _trials(results), COUNTING, _MEANINGS)


def perfect_mask_table(results: pd.DataFrame) -> Table:
    """Return the error of the count that the true mask leads to by the same post-processing.

    No network can be expected to count better: where cells touch, the mask does not tell them
    apart.

    Raises
    ------
    InputError
        If no trial completed.
    """
    ways = {"as in the paper": "error_rate", "touching cells separated": "error_rate_separated"}
    names = [name for way in ways.values() for name in (way, f"{way}_of_truth")]
    means = trial_values(completed(results), names)[names].mean()
    frame = pd.DataFrame(
        {
            "post_processing": list(ways),
            "from_truth": [means[f"{way}_of_truth"] for way in ways.values()],
            "from_network": [means[way] for way in ways.values()],
        }
    )
    return Table(
        "counting_perfect_mask",
        frame,
        "Error of the count from the true mask and from the network",
        {"from_truth": 2, "from_network": 2},
        "Means over all completed trials. Error rate as in Eq. 3 of Alahmari et al.",
        {
            "post_processing": "Post-processing",
            "from_truth": "From the true mask (%)",
            "from_network": "From the network (%)",
        },
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


def cells_figure(pictures: Sequence[CellPicture], columns: int = 2) -> Figure:
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
    chart = alt.concat(*map(_picture, pictures), columns=columns)
    return Figure(
        "counting_cells",
        chart.resolve_scale(x="independent", y="independent"),
        "Test images with what a trained network marked. Lines around cells are the outlines of "
        "true cells, of true cells that were missed, of found cells, and of found cells that are "
        "none (parts of cells, or cells merged into one). The straight lines are those of the "
        "counting frame: a cell counts if it has a pixel inside and touches no exclusion line.",
    )


def masks_figure(first: Sequence[CellPicture], second: Sequence[CellPicture]) -> Figure:
    """Draw what two trained networks marked in the field in which they differ most (Figure 4).

    Parameters
    ----------
    first, second
        Of each network, a picture of every field, in the same order.

    Raises
    ------
    InputError
        If there is no picture, or as `cells_figure`.
    """
    if not first:
        raise InputError("no picture to draw.")
    differing = [
        np.count_nonzero((one.found > 0) != (other.found > 0))
        for one, other in zip(first, second, strict=True)
    ]
    place = int(np.argmax(differing))
    shown = (("first", first[place]), ("second", second[place]))
    drawn = cells_figure(
        [replace(each, title=f"{each.title}, {name} network") for name, each in shown]
    )
    return Figure(
        "counting_two_networks",
        drawn.chart,
        "Two trained networks on the test image in which they differ most: "
        f"{differing[place]} pixels are marked by one of them alone. {drawn.caption}",
    )


def _trials(results: pd.DataFrame) -> pd.DataFrame:
    """Return a row per trial; the Dice coefficient over the images in which all trials have one.

    The Dice coefficient of an image without cells in which nothing was marked is undefined.
    """
    trials = trial_values(results, list(COUNTING))
    rows = results[(results["metric"] == "dice") & is_completed(results)]
    by_image = rows.set_index(["condition", "trial", "case"])["value"].unstack()  # noqa: PD010
    dice = by_image.dropna(axis=1).mean(axis=1)
    places = pd.MultiIndex.from_frame(trials[["condition", "trial"]])
    return trials.assign(dice=dice.reindex(places).to_numpy())


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
    """Return the outline of a cell as corners, shape (corners, 2): row and column."""
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
