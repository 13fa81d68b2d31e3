"""Images in charts, drawn as PNG inside the figure, so that no file is needed beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from reprostats.errors import InputError
from reprostats.report import theme  # noqa: F401 - importing it sets the look of every chart

_WIDTH = 190  # of a picture in a row of several, in pixels on the screen
_PERCENTILES = (0.5, 99.5)
_ORANGE, _BLUE = np.array([[213, 94, 0], [0, 114, 178]])


def grey_picture(image: NDArray[np.floating]) -> alt.Chart:
    """Show an image in grey, from black at its 0.5th percentile to white at its 99.5th.

    Parameters
    ----------
    image
        Real, shape (height, width).

    Examples
    --------
    >>> grey_picture(np.eye(4)).mark.type
    'image'
    """
    low, high = np.percentile(image, _PERCENTILES)
    grey = np.clip((image - low) / ((high - low) or 1), 0, 1)
    return _shown((255 * grey).astype(np.uint8))


def difference_picture(image: NDArray[np.floating], largest: float) -> alt.Chart:
    """Show an image of differences: white at 0, orange at ``largest``, blue at its negative."""
    share = np.clip(image / (largest or 1), -1, 1)[..., None]
    end = np.where(share > 0, _ORANGE, _BLUE)
    return _shown((255 + np.abs(share) * (end - 255)).astype(np.uint8))


def picture_row(
    pictures: Mapping[str, NDArray[np.floating]],
    differences: Mapping[str, NDArray[np.floating]],
    *,
    unit: str,
    columns: int = 4,
) -> alt.ConcatChart:
    """Show images in grey, and differences, each on a scale of its own, which its title states.

    Parameters
    ----------
    pictures, differences
        Real images of shape (height, width) by name.
    unit
        Of all of them.
    columns
        Images side by side.

    Raises
    ------
    InputError
        If there is no image.

    Examples
    --------
    >>> chart = picture_row({"truth": np.eye(4)}, {"order": 0.5 * np.eye(4)}, unit="ppm")
    >>> [each["title"]["text"] for each in chart.to_dict()["concat"]]
    ['truth', 'order']
    """
    charts = []
    for name, image in pictures.items():
        low, high = np.percentile(image, _PERCENTILES)
        # Every panel has a second line, so that all of a row begin at the same height.
        scale = f"{low:.2g} to {high:.2g} {unit}".rstrip()
        charts.append(_titled(grey_picture(image), name, scale, image))
    for name, image in differences.items():
        largest = float(np.abs(image).max())
        scale = f"±{largest:.2g} {unit}".rstrip()
        charts.append(_titled(difference_picture(image, largest), name, scale, image))
    if not charts:
        raise InputError("no picture to draw.")
    chart: alt.ConcatChart = alt.concat(*charts, columns=columns)
    apart: alt.ConcatChart = chart.resolve_scale(x="independent", y="independent")
    return apart


def picture_axis(name: str, side: int) -> alt.X | alt.Y:
    """Return an axis without marks along a side of an image, in pixels from the upper left."""
    kind = alt.X if name == "x" else alt.Y
    domain = [0, side] if name == "x" else [side, 0]
    return kind(f"{name}:Q", scale=alt.Scale(domain=domain, nice=False), axis=None)


def _titled(chart: alt.Chart, title: str, subtitle: str, image: NDArray[np.floating]) -> alt.Chart:
    height, width = image.shape
    titled: alt.Chart = chart.properties(
        title=alt.TitleParams(title, subtitle=subtitle, fontSize=12),
        width=_WIDTH,
        height=round(_WIDTH * height / width),
    )
    return titled


def _shown(pixels: NDArray[np.uint8]) -> alt.Chart:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    height, width = pixels.shape[:2]
    place = pd.DataFrame(
        {"x": [0.0], "x2": [width], "y": [0.0], "y2": [height], "picture": [address]}
    )
    chart: alt.Chart = (
        alt.Chart(place)
        .mark_image(aspect=False, aria=False)
        .encode(
            x=picture_axis("x", width),
            x2="x2:Q",
            y=picture_axis("y", height),
            y2="y2:Q",
            url="picture:N",
        )
    )
    return chart
