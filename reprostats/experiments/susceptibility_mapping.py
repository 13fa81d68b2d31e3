"""Quantitative susceptibility mapping (QSM) with QSMnet: from the local field back to its source.

Yoon, Gong, Chatnuntawech, Bilgic, Lee, Jung, Ko, Jung, Setsompop, Zaharchuk, Kim, Park, Lee:
Quantitative susceptibility mapping using deep neural network: QSMnet. NeuroImage 179:199 (2018),
as used by Oh, Jung and Lee.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional

from reprostats.datasets.simulated_susceptibility import simulated_susceptibility
from reprostats.datasets.susceptibility import SusceptibilitySubject, training_patches
from reprostats.experiments.learners import trial_adam
from reprostats.experiments.reconstruction_task import Image, Method, ReconstructionCase, Samples
from reprostats.learning.schedules import Exponential
from reprostats.models.qsmnet import QSMNET_VERSIONS, QSMnet
from reprostats.mri.dipole import dipole_kernel, thresholded_division
from reprostats.mri.losses import Normalisation, QSMLoss
from reprostats.study.trial import Trial

Positive = Annotated[int, Field(ge=1)]

_THRESHOLDS = (0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3)


class SusceptibilityMappingConfig(BaseModel):
    """Who is scanned, and what is trained on them. Defaults are small: a trial takes seconds.

    Parameters
    ----------
    training_subjects, test_subjects
        Simulated heads; see `reprostats.datasets.simulated_susceptibility`.
    resolution, noise
        Side of a voxel in mm, and SD of the noise of the field in ppm.
    patch_size, patches
        Side of the training patches in voxels (64 in the paper), and how many of each subject.
    version
        Of QSMnet, where public versions differ: ``"first_release"``, ``"later_release"`` or
        ``"pytorch_port"``: activation, optimiser and weight of the model loss.
    widths, kernel_size
        Of the network; (32, 64, 128, 256, 512) and 5.
    pooling
        ``"deterministic"``, or ``"pytorch"`` for PyTorch's own operation, which on a GPU does not
        repeat.
    norm_momentum, norm_epsilon
        Of batch normalisation, see `reprostats.models.unet.UNet`; TensorFlow's are 0.01 and 1e-3.
    rmsprop_alpha, rmsprop_epsilon
        Of RMSProp: the share that is kept of the mean square, and what is added to its root.
        Defaults are PyTorch's; those of TensorFlow 1, of the first release, are 0.9 and 1e-10.
    gradient_weight
        Of the gradient loss; 0.1.
    learning_rate, learning_rate_decay
        Of the optimiser; 1e-3, and the factor by which it falls in every epoch.
    epochs, batch_size
        Passes over the patches (25 in the paper), and patches per step.
    data_seed
        What heads and patches are drawn from; the same in all trials.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["susceptibility_mapping"] = "susceptibility_mapping"
    training_subjects: Positive = 4
    test_subjects: Positive = 5
    resolution: Positive = 6
    noise: float = Field(default=0.002, ge=0)
    patch_size: Positive = 12
    patches: Positive = 12
    version: Literal["first_release", "later_release", "pytorch_port"] = "later_release"
    widths: tuple[Positive, ...] = (4, 8)
    kernel_size: Positive = 3
    pooling: Literal["deterministic", "pytorch"] = "deterministic"
    norm_momentum: float = Field(default=0.1, gt=0, le=1)
    norm_epsilon: float = Field(default=1e-5, gt=0)
    rmsprop_alpha: float = Field(default=0.99, gt=0, lt=1)
    rmsprop_epsilon: float = Field(default=1e-8, gt=0)
    gradient_weight: float = Field(default=0.1, ge=0)
    learning_rate: float = Field(default=5e-3, gt=0)
    learning_rate_decay: float = Field(default=1.0, gt=0, le=1)
    epochs: Positive = 7
    batch_size: Positive = 2
    data_seed: int = Field(default=2019, ge=0)

    @property
    def samples(self) -> int:
        """Patches to train on."""
        return self.training_subjects * self.patches


class SusceptibilityMapping:
    """The task as the experiment needs it.

    The methods are those of `reprostats.experiments.reconstruction_task.ReconstructionTask`.

    Susceptibility is defined up to a constant, since the dipole kernel is 0 at the centre of
    k-space; all maps are compared after their mean in the brain was taken away.

    Examples
    --------
    >>> config = SusceptibilityMappingConfig(training_subjects=1, test_subjects=1, patches=2)
    >>> task = SusceptibilityMapping(config)
    >>> (fields,), (maps, masks) = task.samples()
    >>> fields.shape, maps.shape, masks.shape
    (torch.Size([2, 1, 12, 12, 12]), torch.Size([2, 1, 12, 12, 12]), torch.Size([2, 1, 12, 12, 12]))
    """

    volume = True
    unit = "ppm"

    def __init__(self, config: SusceptibilityMappingConfig) -> None:
        self.config = config
        self._version = QSMNET_VERSIONS[config.version]
        heads, self._draw = np.random.default_rng(config.data_seed).spawn(2)
        subjects = simulated_susceptibility(
            config.training_subjects + config.test_subjects,
            heads,
            resolution=config.resolution,
            noise=config.noise,
        )
        self._trained = subjects[: config.training_subjects]
        self._tested = subjects[config.training_subjects :]

    @cached_property
    def _patches(self) -> list[torch.Tensor]:
        """Fields and maps in ppm, and masks: (patches, 1, size, size, size) each."""
        size, count = self.config.patch_size, self.config.patches
        generators = self._draw.spawn(len(self._trained))
        drawn = [
            training_patches(subject, size, count, generator)
            for subject, generator in zip(self._trained, generators, strict=True)
        ]
        return [torch.from_numpy(np.concatenate(p))[:, None] for p in zip(*drawn, strict=True)]

    @cached_property
    def _field_scale(self) -> Normalisation:
        return _fitted(self._patches[0], self._patches[2])

    @cached_property
    def _map_scale(self) -> Normalisation:
        return _fitted(self._patches[1], self._patches[2])

    def samples(self) -> tuple[Samples, Samples]:
        """Draw (fields,) and (maps, masks) of all patches; fields and maps normalised."""
        fields, maps, masks = self._patches
        return (self._field_scale.apply(fields),), (self._map_scale.apply(maps), masks)

    def training_cases(self) -> list[ReconstructionCase]:
        """List the subjects that are trained on, whole."""
        return [self._case(subject) for subject in self._trained]

    def test_cases(self) -> list[ReconstructionCase]:
        """List the subjects that are not trained on, whole."""
        return [self._case(subject) for subject in self._tested]

    def network(self) -> torch.nn.Module:
        """Make the network, with weights still to be drawn."""
        return QSMnet(
            widths=self.config.widths,
            kernel_size=self.config.kernel_size,
            activation=self._version.activation,
            pooling=self.config.pooling,
            norm_momentum=self.config.norm_momentum,
            norm_epsilon=self.config.norm_epsilon,
        )

    @cached_property
    def loss(self) -> QSMLoss:
        """Differences of map, field and gradients, after Yoon et al."""
        spacing, b0 = self._trained[0].spacing, self._trained[0].b0
        shape = (self.config.patch_size,) * 3
        return QSMLoss(
            dipole_kernel(shape, spacing, b0),
            shape,
            spacing,
            susceptibility=self._map_scale,
            model_weight=self._version.model_weight,
            gradient_weight=self.config.gradient_weight,
        )

    def optimiser(self, model: torch.nn.Module, trial: Trial) -> torch.optim.Optimizer:
        """Make the optimiser of the version."""
        if self._version.optimiser == "rmsprop":
            return torch.optim.RMSprop(
                model.parameters(),
                self.config.learning_rate,
                alpha=self.config.rmsprop_alpha,
                eps=self.config.rmsprop_epsilon,
            )
        return trial_adam(trial, model, self.config.learning_rate)

    def schedule(
        self, optimiser: torch.optim.Optimizer, steps_per_epoch: int
    ) -> torch.optim.lr_scheduler.LRScheduler | None:
        """Make the decay of the learning rate, if there is one."""
        if self.config.learning_rate_decay == 1:
            return None
        decay = Exponential(
            learning_rate=self.config.learning_rate, factor=self.config.learning_rate_decay
        )
        return decay.scheduler(optimiser, steps_per_epoch, self.config.epochs)

    def reconstructed(self, case: ReconstructionCase, output: torch.Tensor) -> Image:
        """Restore the map in ppm, 0 outside the brain."""
        whole = self._map_scale.restore(output.float())[0, 0].cpu().numpy()
        inside = whole[tuple(slice(side) for side in case.truth.shape)]
        return np.asarray(np.where(case.brain, inside, 0))

    def classical(self) -> dict[str, dict[str, Method]]:
        """List the thresholded division in k-space, at several thresholds."""
        return {
            "thresholded division": {
                f"threshold {threshold:g}": self._division(threshold) for threshold in _THRESHOLDS
            }
        }

    def compared(self, image: Image, case: ReconstructionCase) -> NDArray[np.float64]:
        """Take the mean in the brain away from the map; 0 outside."""
        values = np.asarray(image, dtype=np.float64)
        return np.where(case.brain, values - values[case.brain].mean(), 0)

    def facts(self) -> dict[str, object]:
        """State what a checklist asks for."""
        return {
            "dataset": "mni152, simulated susceptibility",
            "loss": "L1 of map, field and gradients",
            "optimiser": self._version.optimiser,
        }

    def _case(self, subject: SusceptibilitySubject) -> ReconstructionCase:
        multiple = 2 ** (len(self.config.widths) - 1)
        field = self._field_scale.apply(torch.from_numpy(subject.field)[None, None])
        missing = [(0, -side % multiple) for side in reversed(subject.field.shape)]
        padded = functional.pad(field, [n for pair in missing for n in pair])
        return ReconstructionCase(
            subject.identity, (padded,), subject.susceptibility, subject.brain
        )

    def _division(self, threshold: float) -> Method:
        subjects = {subject.identity: subject for subject in (*self._trained, *self._tested)}

        def reconstruct(case: ReconstructionCase) -> Image:
            subject = subjects[case.identity]
            kernel = dipole_kernel(subject.field.shape, subject.spacing, subject.b0)
            field = torch.from_numpy(subject.field)
            return np.asarray(thresholded_division(field, kernel, threshold=threshold).numpy())

        return reconstruct


def _fitted(values: torch.Tensor, masks: torch.Tensor) -> Normalisation:
    """Take mean and standard deviation inside the brains of the training patches."""
    inside = values[masks].double()
    return Normalisation(mean=float(inside.mean()), sd=float(inside.std()))
