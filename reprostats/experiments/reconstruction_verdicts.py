"""The questions of Oh, Jung and Lee, asked beside those that every report asks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.study.divergence import Divergence
from reprostats.verdicts._base import (
    NO,
    NOT_APPLICABLE,
    UNDETERMINED,
    YES,
    Answer,
    Verdict,
    counted,
    number,
)
from reprostats.verdicts.comparison import Comparison

_PAIR = 2
_FAR_LESS = 2.0  # orders of magnitude from which on a difference is called far smaller
_ALPHA = 0.05


@dataclass(frozen=True)
class BaselineRepeats(Verdict):
    """Whether the baseline, trained again, has the same loss in every step and the same images.

    Parameters
    ----------
    n_trainings, n_steps, n_equal_steps
        Trainings, steps of each, and steps in which all losses are equal bit for bit.
    first_other_step
        The first step whose losses differ, from 1; None if there is none.
    images_equal
        Whether every image of every test case is equal bit for bit.
    largest
        Largest difference of a pixel of a test image, in its unit.
    """

    question = "baseline"

    n_trainings: int
    n_steps: int
    n_equal_steps: int
    first_other_step: int | None
    images_equal: bool
    largest: float

    @property
    def asked(self) -> str:
        """The question."""
        return "Does the baseline repeat in every step and every test image?"

    @property
    def answer(self) -> Answer:
        """Undetermined from one training."""
        if self.n_trainings < _PAIR:
            return UNDETERMINED
        return YES if self.images_equal and self.first_other_step is None else NO

    @property
    def sentence(self) -> str:
        """How many losses are equal, and whether the images are."""
        if self.n_trainings < _PAIR:
            return f"There is {counted(self.n_trainings, 'completed training')}."
        losses = f"{self.n_equal_steps} of {self.n_steps} losses are equal bit for bit"
        if self.first_other_step is not None:
            losses += f", the first other one is that of step {self.first_other_step}"
        images = "all test images are equal"
        if not self.images_equal:
            images = f"test images differ by up to {number(self.largest)} in a pixel"
        return f"In {self.n_trainings} trainings {losses}; {images}."


def ask_baseline(
    losses: Mapping[str, NDArray[np.floating]], differences: pd.DataFrame
) -> BaselineRepeats:
    """Ask whether trainings that should be equal are.

    Parameters
    ----------
    losses
        The loss of every step, by trial.
    differences
        Of `reprostats.experiments.reconstruction_images.differences`, of the same trials.
    """
    every = np.stack(list(losses.values()))
    other = np.flatnonzero((every != every[0]).any(axis=0))
    return BaselineRepeats(
        n_trainings=every.shape[0],
        n_steps=every.shape[1],
        n_equal_steps=every.shape[1] - len(other),
        first_other_step=int(other[0]) + 1 if len(other) else None,
        images_equal=bool(differences["equal"].all()),
        largest=float(differences["largest"].max()),
    )


@dataclass(frozen=True)
class Sharing(Verdict):
    """Whether images of a shared network move far less than those of networks trained again.

    Parameters
    ----------
    training, inference
        How far images move from the baseline's, by source: mean NRMSE in percent.
    orders
        By how many orders of magnitude they move less in inference, for the sources that move
        them in training and were tried in both; infinite if not a bit moves in inference.
    not_compared
        Sources that were not tried, or did not complete, in one of the two.
    """

    question = "sharing"

    training: Mapping[str, float]
    inference: Mapping[str, float]
    orders: Mapping[str, float]
    not_compared: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """The question."""
        return "Does sharing the trained network do away with the differences of training?"

    @property
    def near(self) -> tuple[str, ...]:
        """Sources that move images in inference by not far less than in training."""
        return tuple(name for name, orders in self.orders.items() if orders < _FAR_LESS)

    @property
    def answer(self) -> Answer:
        """No if one source moves images in inference by not far less than in training."""
        if not set(self.training) & set(self.inference):
            return UNDETERMINED
        if not self.orders:
            return NOT_APPLICABLE
        return NO if self.near else YES

    @property
    def sentence(self) -> str:
        """How far images move, and which sources do not fit."""
        missing = ", ".join(self.not_compared)
        left_out = f" Not compared, since one of the two is missing: {missing}." if missing else ""
        if self.answer == UNDETERMINED:
            return f"No source was tried both in training and in inference.{left_out}"
        if self.answer == NOT_APPLICABLE:
            return f"No source that was tried in both moves an image after training.{left_out}"
        trained, used = (
            _range([moved[name] for name in self.orders])
            for moved in (self.training, self.inference)
        )
        said = (
            f"Images differ from the baseline's by {trained} (NRMSE) after training, and by {used} "
            "when the shared network is used."
        )
        if self.near:
            near = ", ".join(f"{name} ({self.orders[name]:.1f})" for name in self.near)
            said += f" Not {_FAR_LESS:g} orders of magnitude less: {near}."
        return said + left_out


def ask_sharing(moved: pd.DataFrame) -> Sharing:
    """Ask whether to share a trained network.

    Parameters
    ----------
    moved
        Of `reprostats.report.reconstruction.moved_images`.
    """
    table = moved.set_index("condition")
    training, inference = table["moved_training"].dropna(), table["moved_inference"].dropna()
    both = [name for name in training.index if name in inference.index]
    orders = table.loc[[name for name in both if training[name] > 0], "orders"]
    return Sharing(
        _by_name(training),
        _by_name(inference),
        _by_name(orders),
        tuple(name for name in table.index if name not in both),
    )


@dataclass(frozen=True)
class BetterThanClassical(Comparison):
    """Whether one trained network is better than a method that needs no training.

    The network is one training: nothing is said of networks that would be trained again.
    """

    question = "classical"

    @property
    def asked(self) -> str:
        """The question."""
        return f"Is {self.first} better than {self.second}, for this one network on new cases?"


def ask_classical(
    compared: pd.DataFrame, *, network: str, margin: float, untrained: bool
) -> list[Verdict]:
    """Ask of every classical method whether the network is better.

    Parameters
    ----------
    compared
        Of `reprostats.report.reconstruction.method_comparison`: method minus network.
    network
        What the network is called.
    margin
        Largest difference of NRMSE that does not matter, in percentage points.
    untrained
        Whether the network did not learn.
    """
    return [
        BetterThanClassical(
            first=network,
            second=str(row["first"]),
            metric="nrmse",
            generalise_to="cases",
            runs="nested",
            higher_is_better=False,
            difference=-row["difference"],
            ci_low=-row["ci_high"],
            ci_high=-row["ci_low"],
            p_value=row["p_value"],
            p_adjusted=row["p_adjusted"],
            margin=margin,
            p_equivalence=row["p_equivalence_adjusted"],
            n_runs=(1, 1),
            n_cases=int(row["n_cases"]),
            alpha=_ALPHA,
            note=row["note"],
            untrained=(network,) if untrained else (),
        )
        for row in compared.to_dict("records")
    ]


@dataclass(frozen=True)
class TrainingsDiverge(Verdict):
    """Whether, and where, a training of the baseline and one of another condition diverge.

    Parameters
    ----------
    condition
        The other condition.
    divergence
        What was found when both were run again and traced.
    """

    question = "divergence"

    condition: str
    divergence: Divergence

    @property
    def asked(self) -> str:
        """The question."""
        return f"Do trainings of baseline and {self.condition} diverge, and where?"

    @property
    def answer(self) -> Answer:
        """No if both are equal in every step."""
        return NO if self.divergence.equal else YES

    @property
    def sentence(self) -> str:
        """The first step, module and operation with other bits."""
        return " ".join(str(self.divergence).splitlines())

    @property
    def numbers(self) -> dict[str, Any]:
        """The condition and what is known of the divergence."""
        known = ("equal", "steps", "step", "phase", "place", "operation")
        return {"condition": self.condition} | {n: getattr(self.divergence, n) for n in known}


def _by_name(values: pd.Series[float]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}


def _range(values: list[float]) -> str:
    """Write the smallest and the largest value, in percent.

    Examples
    --------
    >>> _range([2.0, 0.00012]), _range([0.0])
    ('0.00012 to 2 %', '0 %')
    """
    low, high = min(values), max(values)
    both = [f"{value:.2g}" for value in dict.fromkeys((low, high)) if math.isfinite(value)]
    return f"{' to '.join(both)} %"
