"""Fields of cells with known counts: drawn by a generator, or real nuclei where they are there."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage
from skimage import measure

from reprostats import paths
from reprostats.datasets.image_folders import load_folder
from reprostats.errors import DamagedFileError, InputError, NotAvailableError

_COUNTS = "counts_and_source_sha256.csv"
_ATTEMPTS = 200  # to find room for a cell, before a field counts as full
_SMALLEST_PART = 0.75  # of a cell that must remain in sight
_FLATTEST = 0.65  # short axis over long axis


@dataclass(frozen=True)
class CellField:
    """An image of cells, and which cell each pixel belongs to.

    Parameters
    ----------
    name
        What the field is called in tables.
    image
        Shape (height, width), float32.
    cells
        Shape (height, width): the number of the cell of every pixel, from 1; 0 is background.
        Cells that touch have numbers of their own.
    """

    name: str
    image: np.ndarray
    cells: np.ndarray

    @property
    def count(self) -> int:
        """Number of cells."""
        return len(np.setdiff1d(self.cells, [0]))


class DrawnCells(BaseModel):
    """What fields are drawn like.

    Parameters
    ----------
    side
        Of the square field, in pixels.
    fewest, most
        Cells in a field; the number is drawn from the integers between.
    radius
        Smallest and largest half of the long axis of a cell, in pixels.
    touching
        Share of the cells, from 0 to 1, that are put beside another.
    blur
        Standard deviation of the Gaussian that blurs the image, in pixels.
    noise
        Standard deviation of the noise of every pixel; cells are brighter than what surrounds them
        by 0.5 to 1.
    shade
        How much the light differs over the field at most: 0.5 for a half.

    Examples
    --------
    >>> DrawnCells(side=96).side
    96
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    side: int = Field(default=64, ge=16)
    fewest: int = Field(default=3, ge=0)
    most: int = Field(default=8, ge=0)
    radius: tuple[Annotated[float, Field(ge=2)], float] = (5.0, 7.5)
    touching: float = Field(default=0.3, ge=0, le=1)
    blur: float = Field(default=1.0, ge=0)
    noise: float = Field(default=0.15, ge=0)
    shade: float = Field(default=0.4, ge=0, le=1)


def draw_fields(
    number: int, generator: np.random.Generator, drawn: DrawnCells | None = None
) -> list[CellField]:
    """Draw fields of bright cells on a dark ground, blurred, noisy and unevenly lit.

    Cells are ellipses; one lies in front of another where they overlap, and at least three quarters
    of every cell can be seen.

    Parameters
    ----------
    number
        How many fields.
    generator
        What they are drawn from.
    drawn
        What they are like.

    Raises
    ------
    InputError
        If so many cells find no room in a field, or the settings contradict each other.

    Examples
    --------
    >>> one, other = draw_fields(2, np.random.default_rng(1))
    >>> one.image.shape, one.count == int(one.cells.max())
    ((64, 64), True)
    """
    drawn = drawn or DrawnCells()
    if drawn.fewest > drawn.most or drawn.radius[0] > drawn.radius[1]:
        raise InputError(
            f"from {drawn.fewest} to {drawn.most} cells of radius {drawn.radius[0]} to "
            f"{drawn.radius[1]}: the smaller number comes first."
        )
    fields = []
    for index in range(number):
        cells = _draw_cells(int(generator.integers(drawn.fewest, drawn.most + 1)), generator, drawn)
        image = _photograph(cells, generator, drawn)
        fields.append(CellField(f"field {index + 1:0{len(str(number))}d}", image, cells))
    return fields


def load_fields(folder: Path | None = None) -> list[CellField]:
    """Load fields of cells from a folder of images and masks, in the order of their names.

    A cell is a connected region of one value of the mask, so that cells which touch are told apart
    where they have different values, and are one where the mask has but 0 and 1.

    Parameters
    ----------
    folder
        Holds ``images`` and ``masks``; default: ``bbbc039`` in the data folder (see
        `reprostats.paths`), real nuclei of U2OS cells. If it holds
        ``counts_and_source_sha256.csv`` too, with columns ``name`` and ``n_objects``, the counts
        are held against it.

    Raises
    ------
    NotAvailableError, InputError
        As `reprostats.datasets.image_folders.load_folder` does.
    DamagedFileError
        If a field does not have as many cells as the list says.

    References
    ----------
    Ljosa, Sokolnicki, Carpenter: Annotated high-throughput microscopy image sets for validation.
    Nature Methods 9 (2012), 637. Image set BBBC039v1, https://bbbc.broadinstitute.org/BBBC039
    (CC0).
    Caicedo et al.: Evaluation of deep learning strategies for nucleus segmentation in fluorescence
    images. Cytometry A 95 (2019), 952-965.
    """
    folder = folder or paths.data("bbbc039")
    if not folder.is_dir():
        raise NotAvailableError(
            f"the data set {folder.name!r} is missing: there is no {folder}. Put its images into "
            f"{folder.name}/images and its masks into {folder.name}/masks, and name the folder "
            "above in the environment variable REPROSTATS_DATA."
        )
    fields = [
        CellField(sample.name, sample.image.astype(np.float32), number_cells(sample.mask))
        for sample in load_folder(folder)
    ]
    if (folder / _COUNTS).is_file():
        _check_counts(fields, folder / _COUNTS)
    return fields


def number_cells(mask: np.ndarray) -> np.ndarray:
    """Return the connected regions of one value numbers from 1; 0 is background.

    Examples
    --------
    >>> number_cells(np.array([[1, 1, 2, 0, 1]])).tolist()
    [[1, 1, 2, 0, 3]]
    """
    return np.asarray(measure.label(mask, connectivity=2), dtype=np.int64)


def standardised(image: np.ndarray) -> np.ndarray:
    """Return an image mean 0 and standard deviation 1; of one grey value alone, all zeros.

    Examples
    --------
    >>> standardised(np.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """
    centred = image - image.mean(dtype=np.float64)
    spread = centred.std(dtype=np.float64)
    return np.asarray(centred / spread if spread else 0 * centred, dtype=np.float32)


def hold_out_fields(
    fields: Sequence[CellField], test: int, generator: np.random.Generator
) -> tuple[list[CellField], list[CellField]]:
    """Divide fields at random into those to train and those to test on, each kept in order.

    Raises
    ------
    InputError
        If none would be left on one side.

    Examples
    --------
    >>> kept, held = hold_out_fields(
    ...     draw_fields(5, np.random.default_rng(1)), 2, np.random.default_rng(1)
    ... )
    >>> len(kept), len(held)
    (3, 2)
    """
    if not 0 < test < len(fields):
        raise InputError(
            f"{test} of {len(fields)} fields to test on; need at least 1 on each side."
        )
    held = set(generator.permutation(len(fields))[:test].tolist())
    divided = [[f for i, f in enumerate(fields) if (i in held) == side] for side in (False, True)]
    return divided[0], divided[1]


def _draw_cells(number: int, generator: np.random.Generator, drawn: DrawnCells) -> np.ndarray:
    cells = np.zeros((drawn.side, drawn.side), dtype=np.int64)
    for cell in range(1, number + 1):
        beside = cell > 1 and generator.random() < drawn.touching
        cells = _with_cell(cells, cell, beside, generator, drawn)
    return cells


def _with_cell(
    cells: np.ndarray, cell: int, beside: bool, generator: np.random.Generator, drawn: DrawnCells
) -> np.ndarray:
    """Put one more cell where there is room for it, beside another if that is asked for."""
    for attempt in range(_ATTEMPTS):
        ellipse = _draw_ellipse(cells.shape, generator, drawn)
        free = ellipse & (cells == 0)
        touches = bool((ndimage.binary_dilation(ellipse, iterations=2) & (cells > 0)).any())
        # Where a field is crowded, a cell is put wherever there is room.
        wanted = touches == beside or attempt > _ATTEMPTS // 2
        whole = free.sum() >= _SMALLEST_PART * ellipse.sum() and measure.label(free).max() == 1
        if wanted and whole:
            return np.where(free, cell, cells)
    raise InputError(
        f"{cell} cells of radius {drawn.radius[0]} to {drawn.radius[1]} find no room in a field of "
        f"{drawn.side} x {drawn.side} pixels; draw fewer or smaller ones."
    )


def _draw_ellipse(
    shape: tuple[int, ...], generator: np.random.Generator, drawn: DrawnCells
) -> np.ndarray:
    long = generator.uniform(*drawn.radius)
    short = long * generator.uniform(_FLATTEST, 1)
    angle = generator.uniform(0, np.pi)
    row, column = generator.uniform(0, drawn.side, 2)
    down, right = (
        axis - centre for axis, centre in zip(np.indices(shape), (row, column), strict=True)
    )
    along = right * np.cos(angle) + down * np.sin(angle)
    across = down * np.cos(angle) - right * np.sin(angle)
    return np.asarray((along / long) ** 2 + (across / short) ** 2 <= 1)


def _photograph(cells: np.ndarray, generator: np.random.Generator, drawn: DrawnCells) -> np.ndarray:
    brightness = np.concatenate([[0.0], generator.uniform(0.5, 1, int(cells.max()))])
    image = ndimage.gaussian_filter(brightness[cells], drawn.blur)
    steps = np.linspace(-0.5, 0.5, drawn.side)
    angle = generator.uniform(0, 2 * np.pi)
    slope = (np.cos(angle) * steps + np.sin(angle) * steps[:, None]) / np.sqrt(2)
    lit = (image + 0.2) * (1 + drawn.shade * slope)
    return np.asarray(lit + generator.normal(0, drawn.noise, image.shape), dtype=np.float32)


def _check_counts(fields: Sequence[CellField], path: Path) -> None:
    with path.open(newline="") as file:
        expected = {row["name"]: int(row["n_objects"]) for row in csv.DictReader(file)}
    for field in fields:
        if field.name in expected and field.count != expected[field.name]:
            raise DamagedFileError(
                f"{path.parent / 'masks' / field.name}.png: {field.count} cells; {path.name} says "
                f"{expected[field.name]}. Get the file again."
            )
