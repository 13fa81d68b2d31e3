"""Learned: are the trainings of a condition better than no training.

A comparison of networks that have learned nothing is a comparison of noise: no other verdict is
built on a condition that did not learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reprostats.verdicts._base import NO, UNDETERMINED, YES, Answer, Verdict, counted, number
from reprostats.verdicts.evidence import Evidence

Sign = Literal["loss", "trivial", "constant", "better", "mixed", "nothing known"]

_FLAT = 1e-6  # relative range of a loss that is constant up to rounding
_NEARLY = 1e-3  # of the metric's unit: a Dice coefficient of 0.001 overlaps with nothing
_SEVERAL = 2


@dataclass(frozen=True)
class Learned(Verdict):
    """Whether the trainings of a condition are better than no training.

    Parameters
    ----------
    condition, metric
        Their names.
    n_runs
        Complete runs.
    mean
        Of their values.
    trivial_value
        What is reached without training; None if it is not known.
    n_better
        Runs that are better than that.
    n_flat
        Trainings whose loss stayed the same, of those that kept theirs.
    sign
        What the answer rests on.
    """

    question = "learned"

    condition: str
    metric: str
    n_runs: int
    mean: float
    trivial_value: float | None
    n_better: int
    n_flat: int
    sign: Sign

    @property
    def asked(self) -> str:
        """The question."""
        return f"Did {self.condition} learn?"

    @property
    def answer(self) -> Answer:
        """No if a loss stayed the same or nothing is better than the trivial value."""
        if self.sign in ("loss", "trivial", "constant"):
            return NO
        return YES if self.sign == "better" else UNDETERMINED

    @property
    def sentence(self) -> str:
        """What the answer rests on."""
        trivial = number(self.trivial_value or 0.0)
        value = f"Its mean {self.metric} is {number(self.mean)}"
        said = {
            "loss": f"The loss stayed the same in {counted(self.n_flat, 'training')}.",
            "trivial": f"{value}; {trivial} is reached without training.",
            "constant": f"Every case has the same {self.metric}, {number(self.mean)}, in trainings "
            "whose weights differ.",
            "better": f"{value}, and {self._which} better than {trivial}, which is reached without "
            "training.",
            "mixed": f"{self.n_better} of {counted(self.n_runs, 'training')} are better than "
            f"{trivial}, which is reached without training.",
            "nothing known": f"{value}. What is reached without training was not stated "
            "(trivial_value).",
        }
        if not self.n_runs:
            return "No training completed."
        return said[self.sign]

    @property
    def _which(self) -> str:
        return "the training is" if self.n_runs == 1 else f"all {self.n_runs} trainings are"


def ask_learned(evidence: Evidence) -> list[Verdict]:
    """Ask of each condition whether its trainings learned."""
    return [_learned(name, evidence) for name in evidence.conditions]


def _learned(name: str, evidence: Evidence) -> Learned:
    metric, trivial = evidence.metric, evidence.trivial_value
    matrix = evidence.matrices.get(name)
    values = np.asarray(evidence.run_values.get(name, []), dtype=float)
    trials = evidence.trials[evidence.trials["condition"] == name]["trial"]
    flat = sum(is_flat(evidence.losses[trial]) for trial in trials if trial in evidence.losses)
    better = 0 if trivial is None else int(_better(values, trivial, evidence).sum())
    mean = float(values.mean()) if len(values) else float("nan")
    cells = np.asarray(matrix, dtype=float) if matrix is not None else np.empty((0, 0))
    # One value for each training is no sign: two good networks may have the same accuracy.
    several_cases = cells.shape[1] >= _SEVERAL
    constant = (
        several_cases and evidence.distinct_runs[name] >= _SEVERAL and bool(np.ptp(cells) == 0)
    )
    sign = _sign(len(values), better, flat, constant=constant, known=trivial is not None)
    return Learned(name, metric.name, len(values), mean, trivial, better, flat, sign)


def _sign(n_runs: int, better: int, flat: int, *, constant: bool, known: bool) -> Sign:
    if not n_runs:
        return "nothing known"
    if flat:
        return "loss"
    if constant:
        return "constant"
    if not known:
        return "nothing known"
    if better == n_runs:
        return "better"
    return "mixed" if better else "trivial"


def _better(values: NDArray[np.float64], trivial: float, evidence: Evidence) -> NDArray[np.bool_]:
    gain = values - trivial if evidence.metric.higher_is_better is not False else trivial - values
    return np.asarray(gain > _NEARLY * max(abs(trivial), 1.0))


def is_flat(losses: NDArray[np.floating]) -> bool:
    """Tell whether a loss stayed the same in every step.

    Examples
    --------
    >>> is_flat(np.array([0.7, 0.7, 0.7])), is_flat(np.array([0.7, 0.6, 0.7]))
    (True, False)
    """
    flat = np.asarray(losses, dtype=float).ravel()
    if len(flat) < _SEVERAL or not np.isfinite(flat).all():
        return False
    return bool(np.ptp(flat) <= _FLAT * np.abs(flat).max())
