"""Does training repeat? LeNet-5 on handwritten digits, after Alahmari et al. (2020).

Seven trials in each of four regimes: without a fixed seed, seeded, seeded with deterministic
algorithms, and seeded while the hardware differs, for which a processor offers its number of
threads and its instruction sets.

Alahmari, Goldgof, Mouton, Hall: Challenges for the repeatability of deep learning models.
IEEE Access 8 (2020), doi:10.1109/ACCESS.2020.3039833.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from reprostats.datasets.digits import hold_out, load
from reprostats.learning.fingerprint import optimiser_state
from reprostats.learning.loop import fit, predict
from reprostats.models.initialisers import build
from reprostats.models.lenet import LeNet5
from reprostats.study.levels import Level
from reprostats.study.plan import Condition
from reprostats.study.sources import instruction_sets, seeds
from reprostats.study.streams import seed_sequence
from reprostats.study.study import Study
from reprostats.study.trial import Trial

_TEST_BATCH = 500


class Training(BaseModel):
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


class Parameters(Training):
    """The parameters of the notebook: a training, and how it is repeated.

    Parameters
    ----------
    trials
        Trials in each regime; 7 in the paper.
    seed
        The seed of the seeded regimes; 2019 in the paper.
    unseeded
        ``"planned"``: the regime without a fixed seed takes other seeds for every trial, drawn
        once from ``seed``, so that the whole notebook repeats. ``"os"``: the operating system
        draws them when a trial starts, as it does for a script that sets none.
    initialiser
        See `reprostats.models.initialisers`.
    adam_epsilon
        Of Adam; the paper adapts PyTorch's to that of Keras.
    threads
        Threads of one operation in the regimes in which they are not varied.
    workers
        Trials at a time. Times are comparable only with one.
    """

    trials: int = Field(default=7, ge=2)
    seed: int = Field(default=2019, ge=0)
    unseeded: Literal["planned", "os"] = "planned"
    initialiser: Literal["glorot_uniform", "alahmari_equation_2", "pytorch"] = "glorot_uniform"
    adam_epsilon: float = Field(default=1e-7, gt=0)
    threads: int = Field(default=1, ge=1)
    workers: int = Field(default=1, ge=1)

    def training(self) -> Training:
        """Give the part that every trial shares."""
        return Training(**self.model_dump(include=set(Training.model_fields)))


def train_lenet(trial: Trial) -> dict[str, object]:
    """Train LeNet-5 and test it.

    Returns
    -------
    dict
        ``accuracy`` and ``class_accuracy`` (per digit) from 0 to 1, ``errors`` (the paper's
        FN + FP: test images given a wrong class), ``test_loss`` and ``validation_loss``
        (cross-entropy in nats).
    """
    config = Training(**trial.config)
    data = load(config.dataset)
    kept, held = hold_out(data.labels, config.validation_fraction, trial.torch_generator("split"))
    model = trial.to(
        build(
            lambda: LeNet5(activation=config.activation, pooling=config.pooling),
            str(trial.level("initialiser")),
            trial.torch_generator("init"),
        )
    )
    epsilon = float(trial.level("adam_epsilon"))
    optimiser = torch.optim.Adam(model.parameters(), config.learning_rate, eps=epsilon)
    cross_entropy = torch.nn.functional.cross_entropy
    with trial.timed("training"):
        losses = fit(
            model,
            trial.to(data.images[kept]),
            trial.to(data.labels[kept]),
            loss=cross_entropy,
            optimiser=optimiser,
            batch_size=config.batch_size,
            epochs=config.epochs,
            generator=trial.torch_generator("batch_order"),
            autocast=trial.autocast,
        )
    with trial.timed("testing"):
        logits = _predict(trial, model, data.test_images)
    validation = _predict(trial, model, data.images[held])
    trial.keep("weights", model.state_dict())
    trial.keep("optimiser", optimiser_state(optimiser))
    trial.keep("losses", {"losses": losses})
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
        "test_loss": cross_entropy(logits.float(), data.test_labels),
        "validation_loss": cross_entropy(validation.float(), data.labels[held]),
    }


def _predict(trial: Trial, model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Give the logits for images: shape (images, classes), on the CPU."""
    return predict(model, trial.to(images), _TEST_BATCH, trial.autocast).cpu()


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


def regimes(parameters: Parameters) -> dict[str, Condition]:
    """Give the four regimes: what is fixed, what varies, how often."""
    always: dict[str, Level] = {
        "initialiser": parameters.initialiser,
        "adam_epsilon": parameters.adam_epsilon,
    }
    seeded = {**always, **seeds(parameters.seed), "threads": parameters.threads}
    return {
        "unseeded": _unseeded(parameters, always),
        "seeded": Condition(seeded, repeats=parameters.trials),
        "deterministic": Condition({**seeded, "deterministic": True}, repeats=parameters.trials),
        "other hardware": Condition(
            {**always, **seeds(parameters.seed)}, _hardware(parameters.trials)
        ),
    }


def study(parameters: Parameters) -> Study:
    """Plan the study of the four regimes."""
    return Study(
        train_lenet,
        config=parameters.training(),
        conditions=regimes(parameters),
        name="repeatability",
    )


def _unseeded(parameters: Parameters, always: dict[str, Level]) -> Condition:
    fixed: dict[str, Level] = {**always, "threads": parameters.threads}
    if parameters.unseeded == "os":
        return Condition({**fixed, **seeds("os")}, repeats=parameters.trials)
    drawn = seed_sequence("unseeded", parameters.seed).generate_state(parameters.trials)
    return Condition(fixed, [seeds(int(number)) for number in drawn])


def _hardware(count: int) -> list[dict[str, Level]]:
    """Give the first pairs of a number of threads and an instruction set: 1 with each, 2 with..."""
    sets = [name for name in instruction_sets() if name != "native"] or ["native"]
    pairs: Iterator[tuple[int, str]] = (
        (n, name) for n in itertools.count(1) for name in reversed(sets)
    )
    return [{"threads": threads, "isa": name} for threads, name in itertools.islice(pairs, count)]
