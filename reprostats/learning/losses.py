"""Losses of segmentation."""

from __future__ import annotations

import torch


def one_minus_dice(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return 1 - DSC of a batch, all its pixels together: the loss of Marrone et al. (Eq. 1).

    Probabilities stand in for predicted pixels. Sums are made in float32 at least.

    Parameters
    ----------
    logits
        Outputs without activation.
    masks
        0 and 1, of the same shape.

    Examples
    --------
    >>> masks = torch.tensor([[1.0, 0.0]])
    >>> round(float(one_minus_dice(torch.tensor([[20.0, -20.0]]), masks)), 3)
    0.0
    >>> round(float(one_minus_dice(torch.tensor([[0.0, -20.0]]), masks)), 3)
    0.333
    """
    kind = torch.promote_types(logits.dtype, torch.float32)
    probabilities, truth = torch.sigmoid(logits.to(kind)), masks.to(kind)
    both = (probabilities * truth).sum()
    either = probabilities.sum() + truth.sum()
    return 1 - 2 * both / either.clamp_min(torch.finfo(kind).tiny)
