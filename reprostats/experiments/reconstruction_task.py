"""What a reconstruction task is: its subjects, its network, its loss.

The tasks are `reprostats.experiments.parallel_imaging` and
`reprostats.experiments.susceptibility_mapping`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Image = NDArray[np.inexact[Any]]
Samples = tuple[torch.Tensor, ...]
Method = Callable[["Case"], Image]


@dataclass(frozen=True, eq=False)
class Case:
    """One subject.

    Parameters
    ----------
    identity
        Who it is.
    inputs
        What the network takes, samples along the first axis.
    truth
        The image that should come out.
    brain
        Where it is compared, in the shape of the truth.
    """

    identity: str
    inputs: Samples
    truth: Image
    brain: NDArray[np.bool_]


class Task(Protocol):
    """Data, network and loss of a reconstruction."""

    config: Any
    """``epochs`` and ``batch_size`` at least."""
    volume: bool
    """Whether a subject is one volume, or a stack of slices that stand alone."""

    def samples(self) -> tuple[Samples, Samples]:
        """Give inputs and targets to train on."""

    def training_cases(self) -> Sequence[Case]:
        """Give the subjects that are trained on."""

    def test_cases(self) -> Sequence[Case]:
        """Give the subjects that are not."""

    def network(self) -> torch.nn.Module:
        """Make the network, with weights still to be drawn."""

    @property
    def loss(self) -> Callable[..., torch.Tensor]:
        """Give the mean loss of a batch from the output and the targets."""

    def optimiser(self, model: torch.nn.Module, epsilon: float) -> torch.optim.Optimizer:
        """Give the optimiser, bound to the network."""

    def schedule(
        self, optimiser: torch.optim.Optimizer, steps_per_epoch: int
    ) -> torch.optim.lr_scheduler.LRScheduler | None:
        """Give the schedule of the learning rate, if there is one."""

    def reconstructed(self, case: Case, output: torch.Tensor) -> Image:
        """Give the image of a subject from the output of the network, in the unit of the truth."""

    def classical(self) -> Mapping[str, Mapping[str, Method]]:
        """Give the reconstructions without training by name, each with its possible settings."""

    def compared(self, image: Image, case: Case) -> NDArray[np.float64]:
        """Give what of an image is compared with the truth."""

    def facts(self) -> Mapping[str, object]:
        """Give what a checklist asks for."""
