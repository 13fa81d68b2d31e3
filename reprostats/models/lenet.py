"""LeNet-5 for images of 32 x 32."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

_ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
_POOLINGS = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}


class LeNet5(nn.Module):
    """LeNet-5 after LeCun et al. (1998) in the variant common in Keras.

    Three 5 x 5 convolutions (6, 16, 120 maps) with two poolings between, then 84 and
    ``classes`` units. Activation and pooling are not stated by Alahmari et al. (2020), so they
    are choices here.

    Parameters
    ----------
    classes
        Number of classes.
    activation
        ``"tanh"`` or ``"relu"``.
    pooling
        ``"average"`` or ``"max"``.

    Examples
    --------
    >>> model = LeNet5()
    >>> model(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 10])
    >>> sum(each.numel() for each in model.parameters())
    61706
    """

    def __init__(
        self,
        classes: int = 10,
        activation: Literal["tanh", "relu"] = "tanh",
        pooling: Literal["average", "max"] = "average",
    ) -> None:
        super().__init__()
        activate, pool = _ACTIVATIONS[activation], _POOLINGS[pooling]
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5), activate(), pool(2),
            nn.Conv2d(6, 16, 5), activate(), pool(2),
            nn.Conv2d(16, 120, 5), activate(),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(120, 84), activate(), nn.Linear(84, classes)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (batch, classes) for images of shape (batch, 1, 32, 32)."""
        return self.classifier(self.features(images))  # type: ignore[no-any-return]
