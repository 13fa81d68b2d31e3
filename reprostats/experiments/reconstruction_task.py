"""What a reconstruction task is: its cases, its network, its loss.

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

from reprostats.study.trial import Trial

Image = NDArray[np.inexact[Any]]
Samples = tuple[torch.Tensor, ...]
Method = Callable[["ReconstructionCase"], Image]


@dataclass(frozen=True, eq=False)
class ReconstructionCase:
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


class ReconstructionTask(Protocol):
    """Data, network and loss of a reconstruction."""

    config: Any
    """``epochs`` and ``batch_size`` at least."""
    volume: bool
    """Whether a case is one volume, or a stack of slices that stand alone."""
    unit: str
    """Of the images; empty if it is arbitrary."""

    def samples(self) -> tuple[Samples, Samples]:
        """Collect inputs and targets to train on."""

    def training_cases(self) -> Sequence[ReconstructionCase]:
        """List the cases that are trained on."""

    def test_cases(self) -> Sequence[ReconstructionCase]:
        """List the cases that are not."""

    def network(self) -> torch.nn.Module:
        """Make the network, with weights still to be drawn."""

    @property
    def loss(self) -> Callable[..., torch.Tensor]:
        """The mean loss of a batch, a function of the output and the targets."""

    def optimiser(self, model: torch.nn.Module, trial: Trial) -> torch.optim.Optimizer:
        """Make the optimiser, bound to the network; Adam by the trial's formula."""

    def schedule(
        self, optimiser: torch.optim.Optimizer, steps_per_epoch: int
    ) -> torch.optim.lr_scheduler.LRScheduler | None:
        """Make the schedule of the learning rate, if there is one."""

    def reconstructed(self, case: ReconstructionCase, output: torch.Tensor) -> Image:
        """Make the image of a case from the output of the network, in the unit of the truth."""

    def classical(self) -> Mapping[str, Mapping[str, Method]]:
        """List the reconstructions without training by name, each with its possible settings."""

    def compared(self, image: Image, case: ReconstructionCase) -> NDArray[np.float64]:
        """Take from an image what is compared with the truth."""

    def facts(self) -> Mapping[str, object]:
        """State what a checklist asks for."""
