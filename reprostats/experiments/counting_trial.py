"""A U-Net that marks cells, and what is counted in its output, after Alahmari et al. (2020).

What the network marks is thresholded, cleaned and counted by the rule of the disector frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional

from reprostats import paths
from reprostats.datasets.augmentation import Augmentation
from reprostats.datasets.cells import (
    CellField,
    DrawnCells,
    draw_fields,
    hold_out_fields,
    load_fields,
    standardised,
)
from reprostats.errors import InputError
from reprostats.experiments.fit_trial import bound_augmentation, fit_trial
from reprostats.experiments.learners import Objective, learner
from reprostats.learning.adam import Decay, Formula
from reprostats.metrics.cell_agreement import match_cells, pixel_agreement, pooled
from reprostats.metrics.counting import (
    CountingFrame,
    PostProcessing,
    count_cells,
    error_rate,
    image_error_rates,
)
from reprostats.models.unet import UNet
from reprostats.records.tensors import read_tensors
from reprostats.study.trial import Trial

if TYPE_CHECKING:
    from reprostats.report.counting import CellPicture

_TEST_BATCH = 4


class CountingConfig(BaseModel):
    """What is trained, how, and how cells are counted; a small size of the paper's.

    Parameters
    ----------
    dataset
        ``"drawn"`` for fields drawn here, else a folder of the data folder (see
        `reprostats.paths`) with ``images`` and ``masks``, such as ``"bbbc039"``.
    drawn_fields, drawn, drawn_seed
        How many fields are drawn, what they are like, and the seed, which no regime changes.
    test_every
        One field in this many is tested on.
    held_out
        ``"fixed"``: the last of every ``test_every`` fields, as the paper tests on one mouse
        throughout. ``"random"``: as many, drawn from the source ``split``.
    scale
        The network sees images of which so many pixels along each axis are averaged to one; what
        it gives is enlarged again before cells are made of it.
    widths, normalisation
        Of the U-Net. The paper's has Ronneberger's widths, 64 to 1024, and none.
    augmentation_settings
        Of the training images; rotation and elastic deformation in the paper, without numbers.
    epochs, batch_size, learning_rate, weight_decay
        Of the training with Adam; in the paper 20 epochs, 1e-4 and 1e-3, the batch unstated.
    weight_decay_rule
        What ``weight_decay`` means: ``"pytorch"`` or ``"keras"``, see
        `reprostats.learning.adam.Decay`.
    frame_margin
        Pixels between the border of an image and the counting frame; None to count every cell.
    threshold, smallest_area
        Of `reprostats.metrics.counting.PostProcessing`; 127 of 255 and 250 pixels in the paper.
    smoothing, smallest_distance
        Of the separation of touching cells, which is done beside the paper's way.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = "drawn"
    drawn_fields: int = Field(default=24, ge=2)
    drawn: DrawnCells = DrawnCells(side=48, fewest=2, most=5)
    drawn_seed: int = Field(default=1, ge=0)
    test_every: int = Field(default=3, ge=2)
    held_out: Literal["fixed", "random"] = "fixed"
    scale: int = Field(default=1, ge=1)
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(8, 16), min_length=1)
    normalisation: Literal["none", "batch"] = "none"
    augmentation_settings: Augmentation = Augmentation(
        rotation_degrees=180, elastic_alpha=1, elastic_sigma=8
    )
    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=1e-2, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    weight_decay_rule: Formula = "pytorch"
    frame_margin: int | None = Field(default=4, ge=0)
    threshold: float = Field(default=127 / 255, gt=0, lt=1)
    smallest_area: int = Field(default=25, ge=0)
    smoothing: float = Field(default=1.0, ge=0)
    smallest_distance: int = Field(default=4, ge=1)

    def ways(self) -> dict[str, PostProcessing]:
        """Return the two ways to make cells of the output: the paper's, and with separation."""
        plain = PostProcessing(self.threshold, self.smallest_area)
        apart = PostProcessing(
            self.threshold, self.smallest_area, True, self.smoothing, self.smallest_distance
        )
        return {"": plain, "_separated": apart}

    def frame(self, image: np.ndarray) -> CountingFrame | None:
        """Return the counting frame of an image."""
        if self.frame_margin is None:
            return None
        height, width = image.shape
        return CountingFrame.inside((height, width), self.frame_margin)


def train_counter(trial: Trial) -> dict[str, object]:
    """Train a U-Net, and count the cells of fields it has not seen.

    Returns
    -------
    dict
        For each test image ``dice``, ``precision`` and ``recall`` of its pixels, ``true_count``,
        ``count`` and ``count_separated``; over all of them ``error_rate`` of the counts in percent
        (the paper's Eq. 3), ``image_error_rate``, its mean over images, ``pooled_precision``,
        ``pooled_recall`` and ``pooled_f1`` of all pixels, and ``cell_f1`` of whole cells. Names
        with ``_separated`` are of the way that separates cells, names with ``_of_truth`` of the
        true mask put through the same post-processing: what a perfect network would get. What is
        undefined for every image (the precision where nothing was marked) is left out.
    """
    config = CountingConfig(**trial.config)
    fields, tests = _divided(config, trial)
    _check_countable(config, tests)
    images, masks = _batches(config, fields)
    network = learner(
        trial,
        lambda: UNet(widths=config.widths, normalisation=config.normalisation),
        tuple(images.shape[1:]),
        Objective(
            functional.binary_cross_entropy_with_logits,
            config.learning_rate,
            Decay(config.weight_decay, config.weight_decay_rule),
        ),
    )
    fit_trial(
        trial,
        network,
        images,
        masks,
        batch_size=config.batch_size,
        epochs=config.epochs,
        augment=bound_augmentation(trial, config.augmentation_settings),
    )
    held, _ = _batches(config, tests)
    with trial.timed("testing"):
        logits = network.predict(held, _TEST_BATCH).float()
    trial.keep("predictions", {"logits": logits})
    trial.describe(
        dataset=config.dataset,
        training=len(fields),
        validation=0,
        test=len(tests),
        augmentation=config.augmentation_settings.model_dump(mode="json"),
        loss="binary cross-entropy",
        optimiser="Adam",
    )
    with trial.timed("counting"):
        return counting_metrics(config, tests, _outputs(config, tests, logits))


def cell_pictures(
    config: CountingConfig, trial_folder: Path, *, separated: bool = False
) -> list[CellPicture]:
    """Show again what a recorded trial found in its test fields.

    Parameters
    ----------
    config
        The configuration of the trial, with a fixed division of the fields.
    trial_folder
        Folder of the trial.
    separated
        Whether touching cells are separated.

    Raises
    ------
    InputError
        If the test fields of the trial were drawn at random.
    """
    if config.held_out != "fixed":
        raise InputError("the test fields were drawn at random; only fixed ones can be shown.")
    _, tests = _fixed_division(config)
    logits = read_tensors(trial_folder, "predictions")["logits"]
    way = config.ways()["_separated" if separated else ""]
    outputs = _outputs(config, tests, logits)
    return [
        _cell_picture(config, field, way.cells(output))
        for field, output in zip(tests, outputs, strict=True)
    ]


def _cell_picture(config: CountingConfig, field: CellField, marked: np.ndarray) -> CellPicture:
    # Workers import this module and draw nothing: they are spared what draws.
    from reprostats.report.counting import CellPicture

    matches = match_cells(field.cells, marked)
    frame = config.frame(field.image)
    return CellPicture(
        field.name,
        field.image,
        field.cells,
        marked,
        matches.missed,
        matches.spurious,
        None if frame is None else astuple(frame),
    )


def counting_metrics(
    config: CountingConfig, fields: Sequence[CellField], outputs: Sequence[np.ndarray]
) -> dict[str, object]:
    """Compare what a network gives for fields with the truth; see `train_counter`.

    Parameters
    ----------
    config
        How cells are made and counted.
    fields
        With their true cells.
    outputs
        One for each field, from 0 to 1, shape of its image.
    """
    names = [field.name for field in fields]
    marked = [output > config.threshold for output in outputs]
    pixels = [pixel_agreement(f.cells, mask) for f, mask in zip(fields, marked, strict=True)]
    true = [count_cells(field.cells, config.frame(field.image)) for field in fields]
    metrics: dict[str, object] = {
        "dice": dict(zip(names, [each.dice for each in pixels], strict=True)),
        "precision": dict(zip(names, [each.precision for each in pixels], strict=True)),
        "recall": dict(zip(names, [each.recall for each in pixels], strict=True)),
        "pooled_precision": pooled(pixels).precision,
        "pooled_recall": pooled(pixels).recall,
        "pooled_f1": pooled(pixels).f1,
        "true_count": dict(zip(names, true, strict=True)),
    }
    for suffix, way in config.ways().items():
        metrics |= _counts(config, way, suffix, fields, outputs, true)
    return _defined(metrics)


def _counts(
    config: CountingConfig,
    way: PostProcessing,
    suffix: str,
    fields: Sequence[CellField],
    outputs: Sequence[np.ndarray],
    true: Sequence[int],
) -> dict[str, object]:
    """Return the metrics of counting in one way."""
    cells = [way.cells(output) for output in outputs]
    perfect = [way.cells(field.cells > 0) for field in fields]
    frames = [config.frame(field.image) for field in fields]
    counts = [count_cells(*each) for each in zip(cells, frames, strict=True)]
    of_truth = [count_cells(*each) for each in zip(perfect, frames, strict=True)]
    matches = [match_cells(f.cells, each) for f, each in zip(fields, cells, strict=True)]
    return {
        f"count{suffix}": dict(zip([field.name for field in fields], counts, strict=True)),
        f"error_rate{suffix}": error_rate(true, counts),
        f"image_error_rate{suffix}": float(np.nanmean(image_error_rates(true, counts))),
        f"error_rate{suffix}_of_truth": error_rate(true, of_truth),
        f"cell_f1{suffix}": pooled([each.agreement for each in matches]).f1,
    }


def _defined(metrics: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is undefined for every image."""
    values = {
        name: list(each.values()) if isinstance(each, Mapping) else [each]
        for name, each in metrics.items()
    }
    return {name: metrics[name] for name, each in values.items() if any(map(isfinite, each))}


def _check_countable(config: CountingConfig, fields: Sequence[CellField]) -> None:
    """Refuse test fields in which there is nothing to count, before hours of training."""
    error_rate(
        [count_cells(field.cells, config.frame(field.image)) for field in fields],
        np.zeros(len(fields)),
    )


def _fields(config: CountingConfig) -> tuple[CellField, ...]:
    if config.dataset == "drawn":
        generator = np.random.default_rng(config.drawn_seed)
        return tuple(draw_fields(config.drawn_fields, generator, config.drawn))
    fields = load_fields(paths.data(config.dataset))
    first = fields[0]
    for field in fields:
        if field.image.shape != first.image.shape:
            raise InputError(
                f"{field.name}: {_size(field)} pixels, but {first.name} has {_size(first)}; "
                "images of one data set must have one size here."
            )
    return tuple(fields)


def _divided(config: CountingConfig, trial: Trial) -> tuple[list[CellField], list[CellField]]:
    """Return the fields to train and those to test on."""
    if config.held_out == "fixed":
        return _fixed_division(config)
    fields = _fields(config)
    number = len(fields) // config.test_every
    return hold_out_fields(fields, number, trial.generator("split"))


def _fixed_division(config: CountingConfig) -> tuple[list[CellField], list[CellField]]:
    fields = _fields(config)
    last = config.test_every - 1
    tests = list(fields[last :: config.test_every])
    if not tests:
        raise InputError(
            f"{len(fields)} fields of which one in {config.test_every} is tested on leave none."
        )
    return [f for n, f in enumerate(fields) if n % config.test_every != last], tests


def _batches(
    config: CountingConfig, fields: Sequence[CellField]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and masks as the network sees them, shape (fields, 1, height, width)."""
    images = np.stack([standardised(field.image) for field in fields])
    masks = np.stack([(field.cells > 0).astype(np.float32) for field in fields])
    return _reduced(config, images), _reduced(config, masks)


def _reduced(config: CountingConfig, images: np.ndarray) -> torch.Tensor:
    """Pad images to sides the network takes, by reflection, and average pixels."""
    multiple = config.scale * 2 ** (len(config.widths) - 1)
    missing = [(0, -side % multiple) for side in images.shape[1:]]
    padded = np.pad(images, [(0, 0), *missing], mode="symmetric")
    return functional.avg_pool2d(torch.from_numpy(padded)[:, None], config.scale)


def _outputs(
    config: CountingConfig, fields: Sequence[CellField], logits: torch.Tensor
) -> list[np.ndarray]:
    """Return what the network says as images from 0 to 1, of the size of the fields."""
    enlarged = functional.interpolate(
        torch.sigmoid(logits), scale_factor=config.scale, mode="bilinear", align_corners=False
    )
    return [
        np.asarray(output[: field.image.shape[0], : field.image.shape[1]])
        for field, output in zip(fields, enlarged[:, 0], strict=True)
    ]


def _size(field: CellField) -> str:
    return " x ".join(map(str, field.image.shape))
