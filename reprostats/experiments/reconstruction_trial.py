"""The two trial functions that all reconstruction tasks share.

`train_network` trains a network and reconstructs the test cases; `reconstruct_again` loads a
network that was trained before and reconstructs them with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from reprostats.errors import DivergedError, InputError
from reprostats.experiments.parallel_imaging import ParallelImaging, ParallelImagingConfig
from reprostats.experiments.reconstruction_task import (
    Image,
    ReconstructionCase,
    ReconstructionTask,
    Samples,
)
from reprostats.experiments.susceptibility_mapping import (
    SusceptibilityMapping,
    SusceptibilityMappingConfig,
)
from reprostats.learning.fingerprint import fingerprint, optimiser_state
from reprostats.learning.loop import fit, steps_per_epoch
from reprostats.metrics.reconstruction import nrmse, psnr, ssim
from reprostats.models.initialisers import build
from reprostats.records.tensors import read_tensors
from reprostats.study.trial import Trial

_METRICS = ("nrmse", "psnr", "ssim")


def task_of(config: Mapping[str, Any]) -> ReconstructionTask:
    """Make the task that a configuration names.

    Raises
    ------
    InputError
        If it names none.
    """
    if config.get("task") == "parallel_imaging":
        return _task(ParallelImagingConfig(**config))
    if config.get("task") == "susceptibility_mapping":
        return _task(SusceptibilityMappingConfig(**config))
    raise InputError(f"the configuration names no reconstruction task: {config.get('task')!r}.")


@lru_cache(maxsize=2)
def _task(config: ParallelImagingConfig | SusceptibilityMappingConfig) -> ReconstructionTask:
    """Make a task, once for all that a process asks of it: its subjects are simulated."""
    if isinstance(config, ParallelImagingConfig):
        return ParallelImaging(config)
    return SusceptibilityMapping(config)


def train_network(trial: Trial) -> dict[str, dict[str, float]]:
    """Train a network and reconstruct the test cases.

    Returns
    -------
    dict
        ``nrmse`` (percent), ``psnr`` (dB) and ``ssim`` of every test case against the truth.
    """
    task = task_of(trial.config)
    model = trial.to(
        build(task.network, str(trial.level("initialiser")), trial.torch_generator("init"))
    )
    inputs, targets = task.samples()
    optimiser = task.optimiser(model, trial)
    with trial.timed("training"):
        losses = fit(
            model,
            _placed(trial, inputs),
            _placed(trial, targets),
            loss=task.loss,
            optimiser=optimiser,
            batch_size=task.config.batch_size,
            epochs=task.config.epochs,
            generator=trial.torch_generator("batch_order"),
            schedule=task.schedule(
                optimiser, steps_per_epoch(len(inputs[0]), task.config.batch_size)
            ),
            autocast=trial.autocast,
        )
    trial.keep("weights", model.state_dict())
    trial.keep("optimiser", optimiser_state(optimiser))
    trial.keep("losses", {"losses": losses})
    cases = task.test_cases()
    trial.describe(
        **task.facts(), training=len(inputs[0]), validation=0, test=len(cases), augmentation="none"
    )
    return _reconstructed(trial, task, model, cases)


def reconstruct_again(trial: Trial) -> dict[str, dict[str, float]]:
    """Reconstruct the test cases with a network that was trained and shared.

    The configuration holds that of the training (``training``), the ``folder`` with
    ``weights.safetensors``, and the fingerprint of the ``weights``.

    Returns
    -------
    dict
        As `train_network`.

    Raises
    ------
    InputError
        If the weights on disk are not those that were shared.
    """
    task = task_of(trial.config["training"])
    file = Path(trial.config["folder"]) / "weights.safetensors"
    weights = load_file(file)
    if fingerprint(weights) != trial.config["weights"]:
        raise InputError(f"{file}: not the weights that were shared.")
    model = task.network()
    model.load_state_dict(weights)
    return _reconstructed(trial, task, trial.to(model), task.test_cases())


def measures(task: ReconstructionTask, case: ReconstructionCase, image: Image) -> dict[str, float]:
    """Measure a reconstruction against the truth, inside the brain.

    NRMSE and PSNR count all pixels of the case together; SSIM of slices that stand alone is the
    mean over slices.

    Returns
    -------
    dict
        ``nrmse`` in percent, ``psnr`` in dB, ``ssim``.
    """
    truth, compared = task.compared(case.truth, case), task.compared(image, case)
    width = float(np.ptp(truth[case.brain]))
    return {
        "nrmse": nrmse(truth, compared, mask=case.brain),
        "psnr": psnr(truth, compared, mask=case.brain, data_range=width),
        "ssim": _similarity(truth, compared, case.brain, width, volume=task.volume),
    }


def _similarity(
    truth: Image, image: Image, brain: NDArray[np.bool_], width: float, *, volume: bool
) -> float:
    if volume:
        return ssim(truth, image, mask=brain, data_range=width)
    slices = zip(truth, image, brain, strict=True)
    return float(
        np.mean(
            [ssim(t, f, mask=inside, data_range=width) for t, f, inside in slices if inside.any()]
        )
    )


def _reconstructed(
    trial: Trial,
    task: ReconstructionTask,
    model: torch.nn.Module,
    cases: Sequence[ReconstructionCase],
) -> dict[str, dict[str, float]]:
    """Reconstruct, keep the images, and measure them."""
    with trial.timed("testing"):
        images = {case.identity: _image(trial, task, model, case) for case in cases}
    trial.keep("reconstructions", {name: _as_real(image) for name, image in images.items()})
    values = {case.identity: measures(task, case, images[case.identity]) for case in cases}
    return {name: {case: value[name] for case, value in values.items()} for name in _METRICS}


def kept_images(folder: Path, cases: Sequence[ReconstructionCase]) -> dict[str, Image]:
    """Read the images that a trial kept in its folder, by case."""
    kept = read_tensors(folder, "reconstructions")
    return {case.identity: _like(case.truth, kept[case.identity]) for case in cases}


def _as_real(image: Image) -> torch.Tensor:
    """Write complex numbers as pairs along a last axis: files know none of double precision."""
    tensor = torch.from_numpy(image.copy())
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _like(truth: Image, kept: torch.Tensor) -> Image:
    return np.asarray(torch.view_as_complex(kept) if np.iscomplexobj(truth) else kept)


@torch.no_grad()
def _image(
    trial: Trial, task: ReconstructionTask, model: torch.nn.Module, case: ReconstructionCase
) -> Image:
    model.eval()
    with trial.autocast():
        output = model(*_placed(trial, case.inputs))
    image = task.reconstructed(case, output)
    if not np.isfinite(image).all():
        raise DivergedError(f"the reconstruction of {case.identity} is not finite everywhere.")
    return image


def _placed(trial: Trial, tensors: Samples) -> Samples:
    """Move tensors to the trial's device, complex numbers in the precision of its type."""
    return tuple(_complex(trial, x) if x.is_complex() else trial.to(x) for x in tensors)


def _complex(trial: Trial, tensor: torch.Tensor) -> torch.Tensor:
    parts = trial.to(torch.view_as_real(tensor))
    if parts.dtype not in (torch.float32, torch.float64):
        kind = str(parts.dtype).removeprefix("torch.")
        raise InputError(f"PyTorch transforms no complex numbers of {kind}: float32 is due.")
    return torch.view_as_complex(parts)
