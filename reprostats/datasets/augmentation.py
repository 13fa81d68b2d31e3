"""Random rotation, zoom, shift and elastic deformation of images together with their masks.

Every draw comes from a generator that is handed in, for a whole batch at once, so that a training
that repeats does so with augmentation too, and augmentation can vary while all else stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch.nn import functional

from reprostats.errors import InputError

Augment = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

_REACH = 3  # standard deviations at which the Gaussian kernel is cut


class Augmentation(BaseModel):
    """How far images are turned, enlarged, moved and bent; by default not at all.

    One sample is turned, enlarged and moved by one draw each; only the elastic deformation differs
    from pixel to pixel. It follows Simard et al. (2003): independent random displacements, smoothed
    by a Gaussian; but ``elastic_alpha`` is the size of the smoothed displacements themselves, where
    the paper's alpha is a factor whose effect shrinks as sigma grows.

    Parameters
    ----------
    rotation_degrees
        Angles are drawn from U(-x, x), in degrees.
    zoom
        Lowest and highest factor; sides become that many times longer, both alike.
    shift_pixels
        Shifts along each axis are drawn from U(-x, x), in pixels.
    elastic_alpha
        Standard deviation of the displacement along each axis, in pixels.
    elastic_sigma
        Standard deviation of the Gaussian that smooths it, in pixels.
    outside
        What lies beyond the border: ``"reflection"`` of the image, the ``"border"`` pixel, or
        ``"zeros"``.

    Examples
    --------
    >>> settings = Augmentation(rotation_degrees=180, elastic_alpha=2)
    >>> augment = settings.bind(torch.Generator().manual_seed(1))
    >>> images, masks = augment(torch.rand(2, 1, 32, 32), torch.ones(2, 1, 32, 32))
    >>> images.shape, masks.unique().tolist()
    (torch.Size([2, 1, 32, 32]), [1.0])

    References
    ----------
    Simard, Steinkraus, Platt: Best practices for convolutional neural networks applied to visual
    document analysis. ICDAR (2003), doi:10.1109/ICDAR.2003.1227801.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation_degrees: float = Field(default=0.0, ge=0, le=180)
    zoom: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (1.0, 1.0)
    shift_pixels: float = Field(default=0.0, ge=0)
    elastic_alpha: float = Field(default=0.0, ge=0)
    elastic_sigma: float = Field(default=8.0, gt=0)
    outside: Literal["reflection", "border", "zeros"] = "reflection"

    @model_validator(mode="after")
    def _ordered(self) -> Augmentation:
        if self.zoom[0] > self.zoom[1]:
            raise ValueError(f"zoom must be (lowest, highest), not {self.zoom}")
        return self

    @property
    def changes_nothing(self) -> bool:
        """Whether images come out as they went in."""
        still = not (self.rotation_degrees or self.shift_pixels or self.elastic_alpha)
        return still and self.zoom == (1.0, 1.0)

    def bind(self, generator: torch.Generator) -> Augment:
        """Return a function that augments a batch with draws from a generator, which moves on.

        The function takes images, shape (batch, channels, height, width), and targets, shape
        (batch, height, width) or (batch, channels, height, width). Images are interpolated
        linearly; targets take the value of the nearest pixel, so that masks stay masks. Both keep
        their types.
        """

        @torch.no_grad()
        def augment(
            inputs: torch.Tensor, targets: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            _check_pair(inputs, targets)
            if self.changes_nothing:
                return inputs, targets
            positions = self._positions(inputs, generator)
            maps = targets if targets.ndim == inputs.ndim else targets[:, None]
            moved = resample(maps, positions, "nearest", self.outside)
            return resample(inputs, positions, "bilinear", self.outside), moved.view_as(targets)

        return augment

    def _positions(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw, for every pixel of a batch, where its value is taken from, in pixels."""
        batch, _, height, width = inputs.shape
        draws = torch.rand(4, batch, generator=generator, device=generator.device)
        low, high = self.zoom
        moved = placed_positions(
            torch.deg2rad((2 * draws[0] - 1) * self.rotation_degrees),
            low + (high - low) * draws[1],
            (2 * draws[2:].T - 1) * self.shift_pixels,
            (height, width),
        ).to(inputs.device)
        if not self.elastic_alpha:
            return moved
        bent = smooth_displacements(
            batch, (height, width), self.elastic_sigma, generator, inputs.device
        )
        return moved + self.elastic_alpha * bent


def placed_positions(
    angles: torch.Tensor, zooms: torch.Tensor, shifts: torch.Tensor, sides: tuple[int, int]
) -> torch.Tensor:
    """Tell for each pixel where its value comes from if an image is turned, enlarged and moved.

    Parameters
    ----------
    angles
        Shape (batch,), in radians, anticlockwise as seen on a screen.
    zooms
        Shape (batch,).
    shifts
        Shape (batch, 2): to the right and downwards, in pixels.
    sides
        Height and width, in pixels.

    Returns
    -------
    torch.Tensor
        Shape (batch, height, width, 2): x and y in pixels from the centre of the image.

    Examples
    --------
    >>> turned = placed_positions(
    ...     torch.tensor([torch.pi / 2]), torch.ones(1), torch.zeros(1, 2), (3, 3)
    ... )
    >>> [round(each) for each in turned[0, 0, 0].tolist()]  # top left comes from top right
    [1, -1]
    """
    height, width = sides
    down, right = (torch.arange(n, device=angles.device) - (n - 1) / 2 for n in (height, width))
    x = right - shifts[:, 0, None, None]
    y = down[:, None] - shifts[:, 1, None, None]
    cosine, sine = ((turn(angles) / zooms)[:, None, None] for turn in (torch.cos, torch.sin))
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)


def smooth_displacements(
    batch: int,
    sides: tuple[int, int],
    sigma: float,
    generator: torch.Generator,
    device: torch.device,
) -> torch.Tensor:
    """Draw random displacements that vary smoothly: normal, with mean 0 and SD 1 at every pixel.

    Parameters
    ----------
    batch
        Number of samples.
    sides
        Height and width, in pixels.
    sigma
        Standard deviation of the smoothing Gaussian, in pixels. Displacements of pixels d apart
        correlate by exp(-d² / (4 sigma²)).
    generator
        What is drawn from.
    device
        Where the result is computed and lies.

    Returns
    -------
    torch.Tensor
        Shape (batch, height, width, 2).
    """
    down, across = (_smoothing(side, sigma, device) for side in sides)
    noise = torch.randn(
        batch, 2, down.shape[1], across.shape[1], generator=generator, device=generator.device
    )
    return (down @ noise.to(device) @ across.T).permute(0, 2, 3, 1)


def _smoothing(side: int, sigma: float, device: torch.device) -> torch.Tensor:
    """Return the matrix that smooths white noise along an axis and keeps its variance.

    Shape (side, side + 2 reach): the noise is drawn beyond the borders, so that displacements vary
    as much there as within. As a matrix product this is five times as fast as a convolution.
    """
    reach = max(1, round(_REACH * sigma))
    rows = torch.arange(side, device=device)[:, None]
    offsets = torch.arange(side + 2 * reach, device=device) - reach - rows
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2) * (offsets.abs() <= reach)
    return weights / weights.square().sum(1, keepdim=True).sqrt()


def resample(
    maps: torch.Tensor, positions: torch.Tensor, mode: str, outside: str = "reflection"
) -> torch.Tensor:
    """Take the value of each pixel from another position, shape and type of ``maps`` kept.

    Parameters
    ----------
    maps
        Shape (batch, channels, height, width). Integers are exact up to 2**24.
    positions
        Shape (batch, height, width, 2): x and y in pixels from the centre.
    mode
        ``"bilinear"`` or ``"nearest"``.
    outside
        As in `Augmentation`.
    """
    working = torch.float64 if maps.dtype == torch.float64 else torch.float32
    height, width = maps.shape[-2:]
    sides = torch.tensor([width, height], dtype=working, device=maps.device)
    grid = 2 * positions.to(working) / sides
    values = functional.grid_sample(
        maps.to(working), grid, mode=mode, padding_mode=outside, align_corners=False
    )
    return values.to(maps.dtype)


def _check_pair(inputs: torch.Tensor, targets: torch.Tensor) -> None:
    of_images, of_targets = tuple(inputs.shape), tuple(targets.shape)
    alike = len(of_images) == 4 and len(of_targets) in {3, 4}  # noqa: PLR2004 - axes of a batch
    if not alike or of_images[0] != of_targets[0] or of_images[-2:] != of_targets[-2:]:
        raise InputError(
            f"images of shape {of_images} and targets of shape {of_targets}; need (batch, "
            "channels, height, width) and targets of the same number, height and width."
        )
