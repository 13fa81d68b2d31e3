"""LeNet-5 on handwritten digits, trained, tested again and timed, after Alahmari et al. (2020)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file
from torch.nn import functional

from reprostats.datasets.digits import hold_out, load
from reprostats.errors import InputError
from reprostats.experiments.fit_trial import fit_trial
from reprostats.experiments.learners import Objective, TorchLearner, drawn_network, learner
from reprostats.learning.fingerprint import fingerprint
from reprostats.learning.loop import predict
from reprostats.models.lenet import LeNet5
from reprostats.study.trial import Trial

_TEST_BATCH = 500
_TIMED_TURNS = 30
_SETTINGS = {  # by name: deterministic algorithms, memory filled
    "plain": (False, False),
    "deterministic, memory not filled": (True, False),
    "deterministic": (True, True),
}


class LeNetConfig(BaseModel):
    """What is trained and how; the paper's values, where it states them, but for ``epochs``.

    Parameters
    ----------
    dataset
        ``"digits"`` (scikit-learn's) or ``"mnist"``.
    epochs
        Passes over the training samples; 20 in the paper.
    batch_size
        Samples per step; not in the paper.
    learning_rate
        Of Adam.
    activation, pooling
        Of LeNet-5; not in the paper.
    validation_fraction
        Share of the training samples held out; 10,000 of 60,000 in the paper.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: Literal["digits", "mnist"] = "digits"
    epochs: int = Field(default=4, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    activation: Literal["tanh", "relu"] = "tanh"
    pooling: Literal["average", "max"] = "average"
    validation_fraction: float = Field(default=1 / 6, gt=0, lt=1)


def train_lenet(trial: Trial) -> dict[str, object]:
    """Train LeNet-5 and test it.

    Returns
    -------
    dict
        ``accuracy`` and ``class_accuracy`` (per digit) from 0 to 1, ``errors`` (the paper's
        FN + FP: test images given a wrong class), ``test_loss`` and ``validation_loss``
        (cross-entropy in nats).
    """
    config = LeNetConfig(**trial.config)
    data = load(config.dataset)
    kept, held = hold_out(data.labels, config.validation_fraction, trial.torch_generator("split"))
    network = learner(trial, _factory(config), tuple(data.images.shape[1:]), _objective(config))
    fit_trial(
        trial,
        network,
        data.images[kept],
        data.labels[kept],
        batch_size=config.batch_size,
        epochs=config.epochs,
    )
    with trial.timed("testing"):
        logits = network.predict(data.test_images, _TEST_BATCH)
    validation = network.predict(data.images[held], _TEST_BATCH)
    trial.keep("predictions", {"logits": logits})
    trial.describe(
        dataset=config.dataset,
        training=len(kept),
        validation=len(held),
        test=len(data.test_labels),
        augmentation="none",
        loss="cross-entropy",
        optimiser="Adam",
    )
    return {
        **classification_metrics(logits, data.test_labels),
        "test_loss": functional.cross_entropy(logits.float(), data.test_labels),
        "validation_loss": functional.cross_entropy(validation.float(), data.labels[held]),
    }


def retest_lenet(trial: Trial) -> dict[str, object]:
    """Test a network that was trained before, and compare with what it predicted then.

    Returns
    -------
    dict
        ``accuracy``, ``errors`` and ``class_accuracy`` as `train_lenet` gives them;
        ``largest_difference`` of a logit from that after training, ``changed_labels``.

    Raises
    ------
    InputError
        If the weights on disk are not those that were trained.
    """
    config = LeNetConfig(**trial.config["training"])
    folder = Path(trial.config["folder"])
    data = load(config.dataset)
    weights = load_file(folder / "weights.safetensors")
    if fingerprint(weights) != trial.config["weights"]:
        raise InputError(f"{folder}/weights.safetensors: not the weights that were trained.")
    model = _factory(config)()
    model.load_state_dict(weights)
    images = trial.to(data.test_images)
    with trial.timed("testing"):
        logits = predict(trial.to(model), images, _TEST_BATCH, trial.autocast).cpu()
    trial.keep("predictions", {"logits": logits})
    before = load_file(folder / "predictions.safetensors")["logits"]
    return {
        **classification_metrics(logits, data.test_labels),
        "largest_difference": (logits - before).abs().max(),
        "changed_labels": int((logits.argmax(1) != before.argmax(1)).sum()),
    }


def time_lenet(trial: Trial) -> dict[str, object]:
    """Time training steps under three settings in turns, after a first round that is not counted.

    Returns
    -------
    dict
        ``step_time``: median seconds of a step by setting: ``"plain"``, ``"deterministic"``, and
        ``"deterministic, memory not filled"``. On a GPU all have cuBLAS's fixed workspace, which
        cannot be switched in a process.
    """
    config = LeNetConfig(**trial.config)
    data = load(config.dataset)
    images = trial.to(data.images[: config.batch_size])
    labels = trial.to(data.labels[: config.batch_size])
    network = TorchLearner(trial, drawn_network(trial, _factory(config)), _objective(config))
    times: dict[str, list[float]] = {name: [] for name in _SETTINGS}
    for turn in range(1 + _TIMED_TURNS):
        for name, (deterministic, fill) in _SETTINGS.items():
            with _determinism(deterministic, fill):
                taken = _seconds(trial, network, images, labels)
            times[name] += [taken] if turn else []
    return {"step_time": {name: statistics.median(each) for name, each in times.items()}}


@contextmanager
def _determinism(deterministic: bool, fill: bool) -> Iterator[None]:
    """Switch deterministic algorithms and the filling of new memory, and back again."""
    filling: Any = torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        filling.fill_uninitialized_memory,
    )
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    filling.fill_uninitialized_memory = fill
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        _, torch.backends.cudnn.deterministic, filling.fill_uninitialized_memory = before


def _seconds(
    trial: Trial,
    network: TorchLearner,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    """Time one training step on one batch."""
    start = time.perf_counter()
    network.fit(images, labels, batch_size=len(images), epochs=1)
    if trial.device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _factory(config: LeNetConfig) -> partial[LeNet5]:
    return partial(LeNet5, activation=config.activation, pooling=config.pooling)


def _objective(config: LeNetConfig) -> Objective:
    return Objective(functional.cross_entropy, config.learning_rate)


def commonest_share(dataset: str) -> float:
    """Tell which accuracy a network reaches that gives every test image the commonest label.

    Examples
    --------
    >>> round(commonest_share("digits"), 3)
    0.101
    """
    labels = load(dataset).test_labels
    return float(labels.bincount().max()) / len(labels)


def confusion_matrix(logits: torch.Tensor, labels: torch.Tensor) -> NDArray[np.int64]:
    """Count the samples of each class (row) by the class that they are given (column).

    Parameters
    ----------
    logits
        Shape (samples, classes).
    labels
        Shape (samples,).

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    >>> confusion_matrix(logits, torch.tensor([0, 1, 1])).tolist()
    [[1, 0], [1, 1]]
    """
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    return pairs.bincount(minlength=classes**2).reshape(classes, classes).numpy()


def classification_metrics(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, object]:
    """Count what is right, over all samples and for each class.

    Parameters
    ----------
    logits
        Shape (samples, classes).
    labels
        Shape (samples,).

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    >>> metrics = classification_metrics(logits, torch.tensor([0, 1, 1]))
    >>> metrics["errors"], metrics["class_accuracy"]
    (1, {'0': 1.0, '1': 0.5})
    """
    right = logits.argmax(1) == labels
    return {
        "accuracy": right.double().mean().item(),
        "errors": int((~right).sum()),
        "class_accuracy": {
            str(int(label)): right[labels == label].double().mean().item()
            for label in labels.unique()
        },
    }
