"""Parallel imaging with a variational network: slices of heads from some lines of k-space.

Hammernik, Klatzer, Kobler, Recht, Sodickson, Pock, Knoll: Learning a variational network for
reconstruction of accelerated MRI data. Magn Reson Med 79:3055 (2018), as used by Oh, Jung and Lee.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from reprostats.datasets.simulated_kspace import KspaceSubject, simulated_kspace
from reprostats.experiments.learners import trial_adam
from reprostats.experiments.reconstruction_task import Image, Method, ReconstructionCase, Samples
from reprostats.models.variational import VariationalNetwork
from reprostats.mri import masks
from reprostats.mri.losses import complex_mse, magnitude_error
from reprostats.mri.operators import least_squares
from reprostats.mri.sense import Sense
from reprostats.study.trial import Trial

Positive = Annotated[int, Field(ge=1)]

_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "complex_mse": complex_mse,
    "magnitude_error": magnitude_error,
}
_TIKHONOV = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
_ITERATIONS = 30


class ParallelImagingConfig(BaseModel):
    """Who is scanned, and what is trained on them. Defaults are small: a trial takes seconds.

    Parameters
    ----------
    training_subjects, test_subjects
        Simulated heads; see `reprostats.datasets.simulated_kspace`.
    slices, resolution, coils, noise, size
        Slices of each head, side of a voxel in mm, receive coils, SD of the noise, height and
        width.
    sampling
        Lines at equal distances with a block at the centre (the paper's), at random, or a Poisson
        disc of points.
    acceleration, centre
        See `reprostats.mri.masks`; 4 and 24 in the paper. The block of a Poisson disc is a square
        of this side.
    stages, features, kernel_size, basis_functions
        Of the network; 10, 24 (48 in descriptions of the paper), 11 and 31.
    projection
        Kernels with mean 0 and a norm of 1 at most: at ``"every_step"`` (the authors), at the
        start only (``"initial"``, the port that Oh et al. use), or not at all (``"none"``).
    padding
        Beyond the edges of images: ``"symmetric"`` (the authors; deterministic here) or
        ``"reflect"`` (the port; PyTorch's operation, which on a GPU does not repeat).
    loss
        ``"complex_mse"`` (the port) or ``"magnitude_error"`` (the authors).
    learning_rate
        Of Adam; 1e-4 in the port.
    epochs, batch_size
        Passes over the training slices, and slices per step; batches of 1 in the port.
    data_seed
        What heads and masks are drawn from; the same in all trials.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["parallel_imaging"] = "parallel_imaging"
    training_subjects: Positive = 5
    test_subjects: Positive = 5
    slices: Positive = 4
    resolution: Positive = 4
    coils: Positive = 4
    noise: float = Field(default=0.01, ge=0)
    size: tuple[Positive, Positive] = (56, 48)
    sampling: Literal["equispaced", "variable_density", "poisson_disc"] = "equispaced"
    acceleration: Positive = 4
    centre: int = Field(default=6, ge=0)
    stages: Positive = 3
    features: Positive = 6
    kernel_size: Positive = 5
    basis_functions: Positive = 11
    projection: Literal["every_step", "initial", "none"] = "initial"
    padding: Literal["symmetric", "reflect"] = "symmetric"
    loss: Literal["complex_mse", "magnitude_error"] = "complex_mse"
    learning_rate: float = Field(default=3e-3, gt=0)
    epochs: Positive = 6
    batch_size: Positive = 1
    data_seed: int = Field(default=2019, ge=0)

    @property
    def samples(self) -> int:
        """Slices to train on."""
        return self.training_subjects * self.slices


class ParallelImaging:
    """The task as the experiment needs it.

    The methods are those of `reprostats.experiments.reconstruction_task.ReconstructionTask`.

    Examples
    --------
    >>> config = ParallelImagingConfig(training_subjects=1, test_subjects=1, slices=2)
    >>> task = ParallelImaging(config)
    >>> inputs, (images,) = task.samples()
    >>> [tuple(each.shape) for each in (*inputs, images)]
    [(2, 4, 56, 48), (2, 4, 56, 48), (2, 56, 48), (2, 56, 48)]
    """

    volume = False
    unit = ""

    def __init__(self, config: ParallelImagingConfig) -> None:
        self.config = config
        generator = np.random.default_rng(config.data_seed)
        heads, lines = generator.spawn(2)
        self._mask = _mask(config, lines)
        self._subjects = simulated_kspace(
            config.training_subjects + config.test_subjects,
            heads,
            n_slices=config.slices,
            resolution=config.resolution,
            n_coils=config.coils,
            noise=config.noise,
            size=config.size,
        )

    def samples(self) -> tuple[Samples, Samples]:
        """Stack (k-space, sensitivities, masks) and (images,) of all training slices."""
        cases = self.training_cases()
        inputs = tuple(map(torch.cat, zip(*(case.inputs for case in cases), strict=True)))
        truth = torch.from_numpy(np.concatenate([case.truth for case in cases]))
        return inputs, (truth,)

    def training_cases(self) -> list[ReconstructionCase]:
        """List the subjects that are trained on."""
        return [self._case(subject) for subject in self._subjects[: self.config.training_subjects]]

    def test_cases(self) -> list[ReconstructionCase]:
        """List the subjects that are not trained on."""
        return [self._case(subject) for subject in self._subjects[self.config.training_subjects :]]

    def network(self) -> torch.nn.Module:
        """Make the network, with weights still to be drawn."""
        return VariationalNetwork(
            stages=self.config.stages,
            features=self.config.features,
            kernel_size=self.config.kernel_size,
            padding=self.config.padding,
            basis_functions=self.config.basis_functions,
            projection=self.config.projection,
        )

    def loss(self, output: torch.Tensor, *targets: torch.Tensor) -> torch.Tensor:
        """Compare images as configured."""
        return _LOSSES[self.config.loss](output, *targets)

    def optimiser(self, model: torch.nn.Module, trial: Trial) -> torch.optim.Optimizer:
        """Make Adam, which projects the kernels after every step if that is configured."""
        adam = trial_adam(trial, model, self.config.learning_rate)
        if self.config.projection == "every_step":
            adam.register_step_post_hook(lambda *_: model.project())  # type: ignore[operator]
        return adam

    def reconstructed(self, case: ReconstructionCase, output: torch.Tensor) -> Image:
        """Take the images of the network as they are."""
        return np.asarray(output.cpu().numpy()).reshape(case.truth.shape)

    def schedule(self, optimiser: torch.optim.Optimizer, steps_per_epoch: int) -> None:
        """Make none: the learning rate is constant."""

    def classical(self) -> dict[str, dict[str, Method]]:
        """List the zero-filled image, and SENSE by conjugate gradients with Tikhonov's lambda."""
        return {
            "zero-filled": {"": _zero_filled},
            "SENSE": {f"lambda {weight:g}": _conjugate_gradients(weight) for weight in _TIKHONOV},
        }

    def compared(self, image: Image, case: ReconstructionCase) -> NDArray[np.float64]:  # noqa: ARG002
        """Take the magnitude, which is what is looked at."""
        return np.abs(image).astype(np.float64)

    def facts(self) -> dict[str, object]:
        """State what a checklist asks for."""
        return {
            "dataset": "mni152, simulated k-space",
            "loss": self.config.loss.replace("_", " "),
            "optimiser": "Adam",
        }

    def _case(self, subject: KspaceSubject) -> ReconstructionCase:
        mask = self._mask.expand(len(subject.images), -1, -1)
        kspace = torch.from_numpy(subject.kspace) * mask[:, None]
        sensitivities = torch.from_numpy(subject.sensitivities)
        return ReconstructionCase(
            subject.identity, (kspace, sensitivities, mask), subject.images, subject.brain
        )


def _mask(config: ParallelImagingConfig, generator: np.random.Generator) -> torch.Tensor:
    size, acceleration, centre = config.size, config.acceleration, config.centre
    if config.sampling == "equispaced":
        return masks.equispaced(size, acceleration=acceleration, centre=centre)
    if config.sampling == "variable_density":
        return masks.variable_density(size, generator, acceleration=acceleration, centre=centre)
    block = (centre, centre)
    return masks.poisson_disc(size, generator, acceleration=acceleration, centre=block)


def _zero_filled(case: ReconstructionCase) -> Image:
    kspace, sensitivities, mask = case.inputs
    return np.asarray(Sense(sensitivities, mask[0]).adjoint(kspace).numpy())


def _conjugate_gradients(tikhonov: float) -> Method:
    def reconstruct(case: ReconstructionCase) -> Image:
        kspace, sensitivities, mask = case.inputs
        sense = Sense(sensitivities, mask[0])
        solution = least_squares(sense, kspace, tikhonov=tikhonov, iterations=_ITERATIONS)
        return np.asarray(solution.image.numpy())

    return reconstruct
