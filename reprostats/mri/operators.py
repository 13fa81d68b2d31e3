"""What an operator is, and the least-squares solution for any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from reprostats.errors import InputError
from reprostats.mri.checks import check_finite

Linear = Callable[[torch.Tensor], torch.Tensor]


class LinearOperator(Protocol):
    """A linear operator A with its adjoint A*: <Ax, y> = <x, A*y> for all x and y.

    Axes before those of the operator are batches: each item is taken alone.
    """

    @property
    def axes(self) -> tuple[int, ...]:
        """The last axes of its input, counted from the end, such as (-2, -1) for a slice."""

    def forward(self, image: torch.Tensor, /) -> torch.Tensor:
        """Return Ax."""

    def adjoint(self, data: torch.Tensor, /) -> torch.Tensor:
        """Return A*y."""


@dataclass(frozen=True, eq=False)
class Solution:
    """What conjugate gradients found.

    Parameters
    ----------
    image
        The solution, in the shape of A*y.
    residuals
        ||b - Hx|| / ||b|| before the first and after each iteration, with b = A*y and
        H = A*A + lambda: shape (iterations done + 1, *batch).
    """

    image: torch.Tensor
    residuals: torch.Tensor


def least_squares(
    operator: LinearOperator,
    data: torch.Tensor,
    *,
    tikhonov: float = 0.0,
    iterations: int = 30,
    tolerance: float = 0.0,
) -> Solution:
    """Minimise ||Ax - y||² + lambda ||x||² by conjugate gradients, starting at 0.

    Parameters
    ----------
    operator
        A.
    data
        y, in the shape and type that the adjoint takes.
    tikhonov
        lambda, in units of ||A||², which is 1 at most for `Sense` with normalised sensitivities.
    iterations
        The most to be done. Stopping early regularises too.
    tolerance
        Stop when the relative residual of every item of the batch is at most this.

    Returns
    -------
    Solution
        The minimiser, and how the residual fell.

    Raises
    ------
    InputError
        If data are not finite, lambda or the tolerance is below 0, or iterations is below 1.

    Notes
    -----
    (A*A + lambda) x = A*y is solved as by Pruessmann et al., Magn Reson Med 46:638 (2001), with
    the recursion of Hestenes and Stiefel, J Res Natl Bur Stand 49:409 (1952).

    Examples
    --------
    >>> from reprostats.mri.gradients import Gradient
    >>> gradient = Gradient((1.0,))
    >>> slopes = gradient.forward(torch.tensor([0.0, 1.0, 3.0]))
    >>> found = least_squares(gradient, slopes, iterations=3)
    >>> (found.image - found.image[0]).round(decimals=3).tolist()
    [0.0, 1.0, 3.0]
    """
    _check_settings(tikhonov, iterations, tolerance)
    check_finite(data, "data")

    def normal(image: torch.Tensor) -> torch.Tensor:
        return operator.adjoint(operator.forward(image)) + tikhonov * image

    right = operator.adjoint(data)
    return _conjugate_gradients(normal, right, operator.axes, iterations, tolerance)


def _conjugate_gradients(
    normal: Linear, right: torch.Tensor, axes: tuple[int, ...], iterations: int, tolerance: float
) -> Solution:
    image = torch.zeros_like(right)
    residual = direction = right
    energy = first = _energy(right, axes)
    residuals = [_relative(energy, first)]
    for _ in range(iterations):
        if (residuals[-1] <= tolerance).all():
            break
        steep = normal(direction)
        step = _ratio(energy, (direction.conj() * steep).real.sum(axes, keepdim=True))
        image = image + step * direction
        residual = residual - step * steep
        before, energy = energy, _energy(residual, axes)
        direction = residual + _ratio(energy, before) * direction
        residuals.append(_relative(energy, first))
    return Solution(image, torch.stack(residuals).squeeze(axes))


def _energy(image: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    return image.abs().square().sum(axes, keepdim=True)


def _relative(energy: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    return _ratio(energy, first).sqrt()


def _ratio(over: torch.Tensor, under: torch.Tensor) -> torch.Tensor:
    """Divide; 0 where the divisor is 0, so that an item already solved stays as it is."""
    return torch.where(under > 0, over / torch.where(under > 0, under, 1), 0)


def _check_settings(tikhonov: float, iterations: int, tolerance: float) -> None:
    if not 0 <= tikhonov < float("inf"):
        raise InputError(f"tikhonov is {tikhonov}; a finite number of 0 or more is due.")
    if iterations < 1:
        raise InputError(f"iterations is {iterations}; 1 or more are due.")
    if not tolerance >= 0:
        raise InputError(f"tolerance is {tolerance}; 0 or more is due.")
